import pytest

from aios3get import errors
from aios3get.testing import S3Server, faults
from tests.engine.conftest import CONTENT
from tests.reading_client import (
    BUCKET,
    KEY,
    loopback_client,
)
from tests.servers.tls import Authority


async def test_head_refused_without_a_region_finds_it_by_head_bucket(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context(), wrong_region_response="400") as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        server.create_bucket("second-bucket", region="eu-central-1")
        async with loopback_client(server, authority) as client:
            for _ in range(2):
                assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)
            with pytest.raises(errors.NoSuchKey) as caught:
                await client.head_object("second-bucket", "missing")
    # HeadBucket counts as an attempt.
    assert caught.value.attempts == 3
    assert len(caught.value.request_ids) == 3
    sent = [(each.status, each.key, each.signing_region) for each in server.requests][:4]
    assert sent == [
        (400, KEY, "us-east-1"),
        (400, None, "us-east-1"),
        (200, KEY, "eu-central-1"),
        (200, KEY, "eu-central-1"),
    ]


async def test_head_refused_with_a_region_sends_no_head_bucket(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        region_header = {"x-amz-bucket-region": "eu-central-1"}
        server.faults.add(faults.status(400, "AuthorizationHeaderMalformed", headers=region_header))
        async with loopback_client(server, authority) as client:
            assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)
    assert [(each.status, each.key) for each in server.requests] == [(400, KEY), (200, KEY)]


async def test_head_refused_in_its_own_region_stays_a_bad_request(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT)
        server.faults.add(faults.status(400, "InvalidRequest"))
        async with loopback_client(server, authority) as client:
            with pytest.raises(errors.BadRequest) as caught:
                await client.head_object(BUCKET, KEY)
    assert caught.value.region == "us-east-1"
    assert [each.key for each in server.requests] == [KEY, None]


async def test_head_follows_another_region(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        async with loopback_client(server, authority) as client:
            assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)

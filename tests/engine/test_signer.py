import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aios3get import errors
from aios3get._protocol.identity import Credentials
from aios3get.testing import S3Server, ServerCredentials, faults
from tests.engine.conftest import CONTENT, read
from tests.reading_client import (
    BUCKET,
    KEY,
    credentials_of,
    loopback_client,
    quick_client,
)
from tests.servers.tls import Authority


async def test_missing_credentials_count_no_attempt(server: S3Server) -> None:
    def nobody() -> None:
        return None

    async with quick_client(server, credentials=nobody) as client:
        with pytest.raises(errors.CredentialsError) as caught:
            await read(client)
        assert caught.value.attempts == 0
    assert not server.requests


@pytest.mark.parametrize(
    ("bucket", "options"),
    [
        (BUCKET, {"sse_customer_key": bytes(32)}),
        ("demo--use1-az4--x-s3", {"sse_customer_key": bytes(32)}),
        ("demo--use1-az4--x-s3", {"version_id": "a-version"}),
    ],
)
async def test_request_that_the_endpoint_forbids_is_refused_before_a_provider_is_called(
    server: S3Server, bucket: str, options: dict[str, Any]
) -> None:
    def provider() -> Credentials:
        raise AssertionError

    async with quick_client(server, credentials=provider) as client:
        for verb in (client.get_object, client.head_object, client.presign_get_object):
            with pytest.raises(errors.ParameterError, match=next(iter(options))):
                await verb(bucket, KEY, **options)
    assert not server.requests


async def test_every_attempt_is_signed_anew(server: S3Server) -> None:
    server.faults.add(faults.status(500), times=3)
    ticks = itertools.count(step=10)
    async with quick_client(server) as client:
        await read(client)
        server.requests.clear()
        assert client._state is not None
        client._state.clock = lambda: time.time() - 100 + next(ticks)
        server.faults.add(faults.status(500), times=3)
        assert await read(client) == CONTENT
    dates = [request.headers["x-amz-date"] for request in server.requests]
    signatures = [request.headers["Authorization"] for request in server.requests]
    assert len(set(dates)) == len(set(signatures)) == len(server.requests) == 4


async def test_request_is_signed_once_it_has_a_permit(server: S3Server) -> None:
    async with quick_client(server, max_concurrency=1) as client:
        async with client.get_object(BUCKET, KEY):
            waiting = asyncio.create_task(read(client))
            await asyncio.sleep(0.05)
            assert client._state is not None
            client._state.clock = lambda: time.time() + 100
        assert await waiting == CONTENT
    first, second = (request.headers["x-amz-date"] for request in server.requests)
    later = datetime.strptime(second, "%Y%m%dT%H%M%SZ") - datetime.strptime(first, "%Y%m%dT%H%M%SZ")
    assert timedelta(seconds=99) <= later <= timedelta(seconds=130)


async def test_credentials_that_expire_within_a_body_are_refreshed(server: S3Server) -> None:
    given = [ServerCredentials.temporary() for _ in range(2)]
    handed: list[str] = []

    async def provider() -> Credentials:
        known = given[len(handed)]
        server.add_credentials(known)
        handed.append(known.access_key_id)
        return credentials_of(known)

    async with quick_client(server, credentials=provider) as client:
        server.faults.add(faults.drop_after(1000))
        async with client.get_object(BUCKET, KEY) as obj:
            assert await obj.read(10) == CONTENT[:10]
            gone = given[0]
            server.add_credentials(
                ServerCredentials(
                    gone.access_key_id,
                    gone.secret_access_key,
                    gone.session_token,
                    datetime.now(UTC) - timedelta(minutes=1),
                )
            )
            assert await obj.read() == CONTENT[10:]
    assert handed == [each.access_key_id for each in given]
    assert [r.error_code for r in server.requests] == [None, "ExpiredToken", None]


async def test_host_that_refuses_checksum_mode_is_remembered(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
        async with loopback_client(server, authority) as client:
            async with client.get_object(BUCKET, KEY) as obj:
                await obj.read()
            assert obj.verified
            refusal = faults.status(
                501,
                "NotImplemented",
                "Header 'x-amz-checksum-mode' with value 'ENABLED' not implemented",
            )
            server.faults.add(refusal)
            assert await read(client) == CONTENT
            assert await read(client) == CONTENT
    requested = ["x-amz-checksum-mode" in request.headers for request in server.requests]
    assert requested == [True, True, False, False]


async def test_checksums_are_requested_from_every_endpoint_unless_switched_off(
    server: S3Server,
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    async with quick_client(server) as client:
        async with client.get_object(BUCKET, KEY) as obj:
            await obj.read()
            assert obj.verified.algorithm == "CRC64NVME"
        await client.head_object(BUCKET, KEY)
        await (await client.get_object(BUCKET, KEY, checksum_mode=False)).read()
    when_required = {"response_checksum_validation": "when_required"}
    async with quick_client(server, **when_required) as client:
        await read(client)
        await read(client, checksum_mode=True)
    requested = ["x-amz-checksum-mode" in request.headers for request in server.requests]
    assert requested == [True, False, False, False, True]

from typing import Any

import pytest

from aios3get.testing import S3Server
from tests.testing_client import BODY, BUCKET, KEY, boto, call, get, send


def test_requester_pays_bucket_needs_the_header_or_parameter(server: S3Server) -> None:
    server.create_bucket(BUCKET, requester_pays=True)
    server.put_object(BUCKET, KEY, BODY)
    assert get(server).code == "AccessDenied"
    reply = get(server, x_amz_request_payer="requester")
    assert (reply.status, reply.headers["x-amz-request-charged"]) == (200, "requester")
    assert get(server, "?x-amz-request-payer=requester").status == 200


def test_wrong_expected_owner_is_denied(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    assert get(server, x_amz_expected_bucket_owner="123456789012").status == 200
    assert get(server, x_amz_expected_bucket_owner="111122223333").code == "AccessDenied"


HERE, THERE = "us-east-1", "eu-west-1"


@pytest.mark.parametrize(
    ("host", "region", "expected"),
    [
        ("127.0.0.1", HERE, "301"),
        ("127.0.0.1", THERE, "200"),
        ("127.0.0.1", "us-west-2", "301"),
        ("examplebucket2.s3.us-east-1.amazonaws.com", HERE, "301"),
        ("examplebucket2.s3.us-east-1.amazonaws.com", THERE, "301"),
        ("examplebucket2.s3.eu-west-1.amazonaws.com", THERE, "200"),
        ("examplebucket2.s3.eu-west-1.amazonaws.com", HERE, "400"),
        ("examplebucket2.s3.amazonaws.com", HERE, "301"),
        ("examplebucket2.s3-accelerate.amazonaws.com", THERE, "200"),
    ],
)
def test_bucket_of_another_region_redirects(
    server: S3Server, host: str, region: str, expected: str
) -> None:
    server.create_bucket("examplebucket2", region=THERE)
    server.put_object("examplebucket2", "k", b"x")
    path = "/k" if host.startswith("examplebucket2") else "/examplebucket2/k"
    reply = call(server, path, host=host, region=region)
    assert str(reply.status) == expected
    head = call(server, path, host=host, region=region, method="HEAD")
    assert (str(head.status), head.body) == (expected, b"")
    if expected == "301":
        assert reply.code == "PermanentRedirect"
        assert reply.error["Endpoint"] == "examplebucket2.s3.eu-west-1.amazonaws.com"
        assert reply.headers["x-amz-bucket-region"] == THERE
        assert head.headers["x-amz-bucket-region"] == THERE
    if expected == "400":
        assert (reply.code, reply.error["Region"]) == ("AuthorizationHeaderMalformed", THERE)


def test_redirect_can_be_307_or_400() -> None:
    for elsewhere, status in (("307", 307), ("400", 400)):
        options: Any = {"wrong_region_response": elsewhere}
        with S3Server.in_thread(**options) as server:
            server.create_bucket("examplebucket2", region=THERE, public=True)
            server.put_object("examplebucket2", "k", b"x")
            reply = call(server, "/examplebucket2/k")
            assert reply.status == status
            if status == 307:
                location = "https://examplebucket2.s3.eu-west-1.amazonaws.com/"
                assert reply.headers["Location"] == location
            assert send(server, "/examplebucket2/k").status == 200
            head = call(server, "/examplebucket2/k", method="HEAD")
            assert (head.status, "x-amz-bucket-region" in head.headers) == (status, status == 307)
            bucket = call(server, "/examplebucket2", method="HEAD")
            assert (bucket.status, bucket.headers["x-amz-bucket-region"]) == (status, THERE)
            host = {"Host": "examplebucket2.s3.us-east-1.amazonaws.com"}
            assert send(server, "/k", host).status == (307 if status == 307 else 301)


def test_botocore_finds_the_region_by_head_bucket() -> None:
    with S3Server.in_thread(wrong_region_response="400") as server:
        server.create_bucket("examplebucket2", region=THERE)
        server.put_object("examplebucket2", "k", b"x")
        client = boto(server)
        assert client.head_object(Bucket="examplebucket2", Key="k")["ContentLength"] == 1
        client.close()
    recorded = [(r.method, r.key, r.status, r.signing_region) for r in server.requests]
    assert recorded[0] == ("HEAD", "k", 400, HERE)
    assert ("HEAD", None, 400, HERE) in recorded
    assert recorded[-1] == ("HEAD", "k", 200, THERE)

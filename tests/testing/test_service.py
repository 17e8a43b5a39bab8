import pytest

from aios3get.testing import S3Server
from tests.testing_client import BUCKET, KEY, PATH, call


def test_missing_bucket_and_key_are_named(server: S3Server) -> None:
    server.create_bucket("secretive", reveals_missing_keys=False)
    assert call(server, "/nowhere/k").error["BucketName"] == "nowhere"
    assert call(server, "/secretive/k").code == "AccessDenied"
    server.bucket(BUCKET)
    long = call(server, f"/{BUCKET}/{'k' * 1025}")
    assert (long.code, long.error["Size"]) == ("KeyTooLongError", "1025")
    assert call(server, f"/{BUCKET}/{'k' * 1024}").code == "NoSuchKey"
    with pytest.raises(ValueError, match="'secretive' exists"):
        server.create_bucket("secretive")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", f"/{BUCKET}"),
        ("GET", f"/{BUCKET}?list-type=1"),
        ("PUT", f"/{BUCKET}"),
        ("PUT", PATH),
        ("DELETE", PATH),
        ("POST", PATH),
        ("PATCH", PATH),
    ],
)
def test_other_operations_are_not_implemented(server: S3Server, method: str, path: str) -> None:
    server.put_object(BUCKET, KEY)
    reply = call(server, path, method=method)
    assert (reply.status, reply.code) == (501, "NotImplemented")
    assert "S3Server.put_object" in reply.error["Message"]
    assert call(server).status == 200


def test_head_bucket_names_the_region(server: S3Server) -> None:
    server.bucket(BUCKET)
    reply = call(server, f"/{BUCKET}", method="HEAD")
    assert (reply.status, reply.headers["x-amz-bucket-region"]) == (200, "us-east-1")


@pytest.mark.parametrize("status", [200, 400, 403])
def test_head_bucket_names_the_region_with_every_status(server: S3Server, status: int) -> None:
    server.create_bucket(BUCKET, owner="111122223333")
    region = "us-west-2" if status == 400 else "us-east-1"
    headers = {"x-amz-expected-bucket-owner": "123456789012"} if status == 403 else {}
    reply = call(server, f"/{BUCKET}", method="HEAD", region=region, headers=headers)
    assert (reply.status, reply.headers["x-amz-bucket-region"]) == (status, "us-east-1")
    missing = call(server, "/nowhere", method="HEAD")
    assert (missing.status, "x-amz-bucket-region" in missing.headers) == (404, False)

import hashlib
from base64 import b64encode

import pytest

from aios3get.testing import S3Server
from tests.testing_client import BODY, BUCKET, ETAG, KEY, call, send

CUSTOMER_KEY = bytes(range(32))


def customer(secret: bytes = CUSTOMER_KEY, **changed: str | None) -> dict[str, str]:
    prefix = "x-amz-server-side-encryption-customer-"
    headers: dict[str, str | None] = {
        "algorithm": "AES256",
        "key": b64encode(secret).decode(),
        "key-MD5": b64encode(hashlib.md5(secret).digest()).decode(),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return {prefix + name: value for name, value in headers.items() if value is not None}


def test_customer_key_is_confirmed(server: S3Server) -> None:
    stored = server.put_object(BUCKET, KEY, BODY, sse_customer_key=CUSTOMER_KEY)
    assert stored.etag != ETAG
    reply = call(server, headers=customer())
    assert reply.body == BODY
    assert reply.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    digest = b64encode(hashlib.md5(CUSTOMER_KEY).digest()).decode()
    assert reply.headers["x-amz-server-side-encryption-customer-key-MD5"] == digest
    assert "x-amz-server-side-encryption" not in reply.headers
    assert CUSTOMER_KEY not in repr(stored).encode()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "InvalidRequest"),
        (customer(bytes(32)), 403, "AccessDenied"),
        (customer(algorithm=None), 400, "InvalidArgument"),
        (customer(algorithm="AES128"), 400, "InvalidEncryptionAlgorithmError"),
        (customer(key=None), 400, "InvalidArgument"),
        (customer(key_MD5=None), 400, "InvalidArgument"),
        (customer(key_MD5="abc"), 400, "InvalidArgument"),
        (customer(b"short"), 400, "InvalidArgument"),
        (customer(key="===="), 400, "InvalidArgument"),
    ],
    ids=range(9),
)
def test_wrong_customer_key_is_refused(
    server: S3Server, headers: dict[str, str], status: int, code: str
) -> None:
    server.put_object(BUCKET, KEY, BODY, sse_customer_key=CUSTOMER_KEY)
    reply = call(server, headers=headers)
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize("name", ["key", "key-MD5"])
def test_customer_key_that_is_not_base64_is_refused(server: S3Server, name: str) -> None:
    server.create_bucket("public", public=True)
    server.put_object("public", "k", sse_customer_key=CUSTOMER_KEY)
    changed = customer() | {f"x-amz-server-side-encryption-customer-{name}": "\xff"}
    reply = send(server, "/public/k", changed)
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert reply.error["ArgumentName"].endswith(name)


def test_customer_key_for_an_object_without_one_is_refused(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    assert call(server, headers=customer()).code == "InvalidRequest"

"""Parses and checks the customer key (SSE-C) of a request.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
S3 accepts such requests over TLS only; this server also accepts them over plain HTTP.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping

from aios3get.testing.responses import ErrorResponse

__all__ = ["check_customer_key", "customer_key_headers", "read_customer_key"]

_prefix = "x-amz-server-side-encryption-customer-"
_must_provide = (
    "Requests specifying Server Side Encryption with Customer provided keys must provide"
)


def read_customer_key(headers: Mapping[str, str]) -> bytes | None:
    """Parse the key in the headers of a request; None if there is none.

    Raises:
        ErrorResponse: one of the three headers is missing or invalid.
    """
    algorithm, text, digest = (headers.get(_prefix + n) for n in ("algorithm", "key", "key-MD5"))
    if algorithm is None and text is None and digest is None:
        return None
    if algorithm is None:
        raise _invalid(f"{_must_provide} a valid encryption algorithm.", "algorithm")
    if algorithm != "AES256":
        message = "The Encryption request you specified is not valid. Supported value: AES256."
        raise ErrorResponse(400, "InvalidEncryptionAlgorithmError", message)
    if text is None:
        raise _invalid(f"{_must_provide} an appropriate secret key.", "key")
    if digest is None:
        raise _invalid(f"{_must_provide} the client calculated MD5 of the secret key.", "key-MD5")
    key = _base64(text)
    if key is None or len(key) != 32:
        raise _invalid("The secret key was invalid for the specified algorithm.", "key")
    if _base64(digest) != hashlib.md5(key, usedforsecurity=False).digest():
        message = "The calculated MD5 hash of the key did not match the hash that was provided."
        raise _invalid(message, "key-MD5")
    return key


def _invalid(message: str, name: str) -> ErrorResponse:
    fields = {"ArgumentName": _prefix + name, "ArgumentValue": "null"}
    return ErrorResponse(400, "InvalidArgument", message, fields)


def _base64(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None


def check_customer_key(stored: bytes | None, sent: bytes | None) -> None:
    """Check that a request has the key that the object was stored with.

    Raises:
        ErrorResponse: it has not.
    """
    if stored is not None and sent is None:
        raise ErrorResponse(
            400,
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption. The correct "
            "parameters must be provided to retrieve the object.",
        )
    if stored is None and sent is not None:
        raise ErrorResponse(
            400,
            "InvalidRequest",
            "The encryption parameters are not applicable to this object.",
        )
    if stored != sent:
        raise ErrorResponse(403, "AccessDenied", "Access Denied")


def customer_key_headers(key: bytes) -> Mapping[str, str]:
    """Return the headers with which a response confirms the key."""
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    return {f"{_prefix}algorithm": "AES256", f"{_prefix}key-MD5": b64encode(digest).decode()}

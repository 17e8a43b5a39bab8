"""Checks that a successful response answers the request that was sent."""

from collections.abc import Mapping
from typing import Final

from multidict import istr

from aios3get._protocol.options import SSE_CUSTOMER_KEY_MD5
from aios3get.errors import IntegrityError

__all__ = ["check_sse_customer_key", "check_version"]

_KEY_MD5: Final = istr(SSE_CUSTOMER_KEY_MD5)
_VERSION_ID: Final = istr("x-amz-version-id")


def check_sse_customer_key(sent: Mapping[str, str], received: Mapping[str, str]) -> None:
    """Compare the digest of the SSE-C key that the response confirms with the one sent.

    S3 returns the MD5 digest of the key that it used, "to provide the round-trip message integrity
    verification" (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html). Servers that
    ignore SSE-C, such as OpenStack Swift, return none; that is accepted.

    Args:
        sent: the request's headers; names as in ``options`` or in lower case.
        received: the response's headers; lookups ignore case.

    Raises:
        IntegrityError: the response confirms another key.
    """
    confirmed = received.get(_KEY_MD5)
    if confirmed is None:
        return
    expected = sent.get(SSE_CUSTOMER_KEY_MD5) or sent.get(SSE_CUSTOMER_KEY_MD5.lower())
    if expected is not None and confirmed.strip() != expected:
        raise IntegrityError(
            "the response confirms another SSE-C key than sse_customer_key: the MD5 digest in "
            f"{SSE_CUSTOMER_KEY_MD5} differs"
        )


def check_version(version_id: str | None, received: Mapping[str, str]) -> None:
    """Compare the version that the response names with the one requested.

    A response without ``x-amz-version-id`` is accepted: S3 sends none for a bucket that never had
    versioning, and some S3-compatible servers send none at all.

    Args:
        version_id: the requested version; None if none was.
        received: the response's headers; lookups ignore case.

    Raises:
        IntegrityError: the response holds another version.
    """
    if version_id is None:
        return
    named = received.get(_VERSION_ID)
    if named is not None and named.strip() != version_id:
        raise IntegrityError(f"requested version {version_id!r}, got version {named!r:.80}")

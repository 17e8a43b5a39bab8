"""Signature Version 4 for S3, and the stages that it shares with SigV4A.

Each stage is a function: ``canonical_headers``, ``canonical_ending`` and ``canonical_request``,
then ``string_to_sign``, then ``signature``. Path and query are signed exactly as they are sent,
since S3 encodes once and never normalizes a path.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from types import MethodType
from typing import TYPE_CHECKING

from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing.uri import encode_query

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

__all__ = [
    "HeaderSigning",
    "Signer",
    "SigningKey",
    "amz_date",
    "canonical_ending",
    "canonical_headers",
    "canonical_request",
    "signature",
    "signed_url",
    "signer_for",
    "signing_key",
    "string_to_sign",
]

ALGORITHM = "AWS4-HMAC-SHA256"
_NEW_SHA256 = sha256()
EMPTY_SHA256 = _NEW_SHA256.hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


class Signer:
    """The common data of all signatures of one second for one service and region.

    Args:
        algorithm: the algorithm's name.
        stamp: the second, from ``amz_date``.
        scope: the day, the region (SigV4 only), the service and ``aws4_request``.
        credentials: the credentials that sign.
        parameters: further parameters by their names in a query; headers use lower case.
        signature: computes the signature of a string to sign.

    Attributes:
        to_sign: the beginning of every string to sign.
        authorization: the beginning of every ``Authorization`` header.
        headers: headers to add to a request and to sign.
        query: parameters to add to the query of a URL and to sign.
    """

    __slots__ = ("authorization", "headers", "query", "signature", "to_sign")

    def __init__(
        self,
        algorithm: str,
        stamp: str,
        scope: str,
        credentials: Credentials,
        parameters: Mapping[str, str],
        signature: Callable[[str], str],
    ) -> None:
        credential = f"{credentials.access_key_id}/{scope}"
        self.to_sign = f"{algorithm}\n{stamp}\n{scope}\n"
        self.authorization = f"{algorithm} Credential={credential}, SignedHeaders="
        self.headers = {
            "x-amz-content-sha256": EMPTY_SHA256,
            "x-amz-date": stamp,
            **{name.lower(): value for name, value in parameters.items()},
        }
        self.query = (
            ("X-Amz-Algorithm", algorithm),
            ("X-Amz-Credential", credential),
            ("X-Amz-Date", stamp),
            *parameters.items(),
        )
        self.signature = signature


def signer_for(
    credentials: Credentials,
    region: str,
    service: str,
    now: float,
    token_name: str = "X-Amz-Security-Token",
) -> Signer:
    """Return the SigV4 signer for one second.

    Args:
        credentials: the credentials that sign.
        region: the signing region.
        service: the signing name, such as ``s3`` or ``s3express``.
        now: seconds since the epoch on the server's clock.
        token_name: ``X-Amz-S3session-Token`` for a directory bucket's session.
    """
    stamp = amz_date(int(now))
    day = stamp[:8]
    key = signing_key(credentials.secret_access_key, day, region, service)
    token = credentials.session_token
    # CPython runs a bound method in its caller's evaluation loop, and a ``partial`` in a new one.
    return Signer(
        ALGORITHM,
        stamp,
        f"{day}/{region}/{service}/aws4_request",
        credentials,
        {token_name: token} if token else {},
        MethodType(signature, key),
    )


class HeaderSigning:
    """Signs requests without a body in their headers; their common parts are computed once.

    Every header passed is signed. Headers that a proxy may change, such as ``User-Agent``, are
    added by the caller after signing.

    Args:
        signer: a signer of ``sigv4`` or ``sigv4a``.
        host: the ``Host`` header.
        headers: the request's own headers, with ASCII values without outer white space, since
            implementations trim other values differently. ``Range`` may be empty if every request
            has another one.
    """

    __slots__ = ("_authorization", "_ending", "_shared", "_signer")

    def __init__(self, signer: Signer, host: str, headers: Mapping[str, str]) -> None:
        names, lines = canonical_headers(headers, {"host": host, **signer.headers})
        self._signer = signer
        self._shared = {"Host": host, **headers, **signer.headers}
        self._ending = canonical_ending(lines, names, EMPTY_SHA256)
        self._authorization = f"{signer.authorization}{names}, Signature="

    def headers(
        self, method: str, path: str, query: str, range: str | None = None
    ) -> dict[str, str]:
        """Return all headers of one request: ``Host``, its own and those of the signature.

        Args:
            method: ``GET`` or ``HEAD``.
            path: the encoded path with its leading slash.
            query: from ``encode_query``.
            range: the value of ``Range``, if it is empty among the common headers.
        """
        signer, shared, ending = self._signer, self._shared, self._ending
        if range is not None:
            shared = {**shared, "Range": range}
            ending = ending.replace("\nrange:\n", f"\nrange:{range}\n")
        text = string_to_sign(signer, canonical_request(method, path, query, ending))
        return shared | {"Authorization": self._authorization + signer.signature(text)}


def signed_url(
    signer: Signer,
    method: str,
    scheme: str,
    host: str,
    path: str,
    query_pairs: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    *,
    expires_in: int,
) -> str:
    """Return a URL with a canonical query, whose last parameter is the signature.

    Args:
        signer: a signer of ``sigv4`` or ``sigv4a``.
        method: the HTTP method that the URL is for.
        scheme: ``https`` or ``http``.
        host: the ``Host`` header.
        path: the encoded path with its leading slash.
        query_pairs: the request's own parameters, not yet encoded.
        headers: headers to sign with ``Host``, which must be sent with the URL.
        expires_in: whole seconds from the signer's second.
    """
    names, lines = canonical_headers(headers, {"host": host})
    expiry = ("X-Amz-Expires", str(expires_in))
    query = encode_query((*query_pairs, *signer.query, expiry, ("X-Amz-SignedHeaders", names)))
    ending = canonical_ending(lines, names, UNSIGNED_PAYLOAD)
    signature = signer.signature(
        string_to_sign(signer, canonical_request(method, path, query, ending))
    )
    return f"{scheme}://{host}{path}?{query}&X-Amz-Signature={signature}"


def canonical_headers(headers: Mapping[str, str], own: Mapping[str, str]) -> tuple[str, str]:
    """Return the ``SignedHeaders`` list, and one ``name:value`` line per header in the same order.

    Names are lower-cased and sorted. White space at the ends of values is removed, and inner runs
    of white space become one space; ``own`` headers already have this form.
    """
    values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    values.update(own)
    names, joined = _sorted_names(tuple(values))
    return joined, "".join([f"{name}:{values[name]}\n" for name in names])


@lru_cache(maxsize=64)
def _sorted_names(names: tuple[str, ...]) -> tuple[list[str], str]:
    ordered = sorted(names)
    return ordered, ";".join(ordered)


def canonical_ending(header_lines: str, signed_names: str, payload: str) -> str:
    """Return the end of a canonical request: its headers, their names and the payload's hash."""
    return f"{header_lines}\n{signed_names}\n{payload}"


def canonical_request(method: str, path: str, query: str, ending: str) -> str:
    """Return the canonical request; ``ending`` is from ``canonical_ending``."""
    return "\n".join((method, path, query, ending))


def string_to_sign(signer: Signer, request: str) -> str:
    """Return the string to sign: algorithm, time, scope and the hash of a canonical request."""
    # OpenSSL takes less time to copy a hash than to create one.
    request_hash = _NEW_SHA256.copy()
    request_hash.update(request.encode())
    return signer.to_sign + request_hash.hexdigest()


class SigningKey:
    """An HMAC-SHA256 key, with the first block of both hashes precomputed.

    RFC 2104 section 4: https://www.rfc-editor.org/rfc/rfc2104#section-4

    Attributes:
        inner: the inner hash after its first block.
        outer: the outer hash after its first block.
    """

    __slots__ = ("inner", "outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self.inner: Hash = sha256(bytes(byte ^ 0x36 for byte in block))
        self.outer: Hash = sha256(bytes(byte ^ 0x5C for byte in block))


def signature(key: SigningKey, text: str) -> str:
    """Return the hexadecimal HMAC of a string to sign."""
    inner = key.inner.copy()
    inner.update(text.encode())
    outer = key.outer.copy()
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=256)
def signing_key(secret_access_key: str, day: str, region: str, service: str) -> SigningKey:
    """Derive the key for one day, region and service."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return SigningKey(key)


@lru_cache(maxsize=16)
def amz_date(second: int) -> str:
    """Format the second as ``x-amz-date``, such as ``20130524T000000Z``."""
    return f"{datetime.fromtimestamp(second, UTC):%Y%m%dT%H%M%SZ}"

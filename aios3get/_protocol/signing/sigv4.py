"""Signature Version 4 as S3 wants it, and the stages that SigV4A shares with it.

Each stage is a function of its own: ``canonical_headers``, ``canonical_ending`` and
``canonical_request``, then ``string_to_sign``, then ``signature``. Path and query come in as they
go on the wire: S3 encodes once and never normalises a path, so the text that is signed is the text
that is sent.

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
_BEGUN = sha256()
EMPTY_SHA256 = _BEGUN.hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


class Signer:
    """All that one second's signatures for one service and one place have in common.

    Args:
        algorithm: as S3 names it.
        stamp: the second, from ``amz_date``.
        scope: the day, the region in SigV4, the service and ``aws4_request``.
        credentials: who signs.
        parameters: what goes along besides, by its name in a query; in headers in lower case.
        signature: a string to sign's signature.

    Attributes:
        to_sign: how every string to sign begins.
        authorization: how every ``Authorization`` header begins.
        headers: what is added to a request's headers, and signed with them.
        query: what is added to a link's query, and signed with it.
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
    """SigV4 for one second.

    Args:
        credentials: who signs.
        region: the signing region.
        service: the signing name, such as ``s3`` or ``s3express``.
        now: seconds since the epoch by the server's clock.
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
    """Signs requests without a body in their headers; all that they share is worked out once.

    Every given header is signed; what a proxy may change (``User-Agent``, ``Accept-Encoding``)
    is added by the caller.

    Args:
        signer: of ``sigv4`` or ``sigv4a``.
        host: as it goes on the wire, with a port that is not the scheme's own.
        headers: each name once, none of those that signing sets; values in ASCII without outer
            spaces, as other text is trimmed differently from one implementation to the next.
    """

    __slots__ = ("_authorization", "_ending", "_shared", "_signer")

    def __init__(self, signer: Signer, host: str, headers: Mapping[str, str]) -> None:
        names, lines = canonical_headers(headers, {"host": host, **signer.headers})
        self._signer = signer
        self._shared = {"Host": host, **headers, **signer.headers}
        self._ending = canonical_ending(lines, names, EMPTY_SHA256)
        self._authorization = f"{signer.authorization}{names}, Signature="

    def headers(self, method: str, path: str, query: str) -> dict[str, str]:
        """All headers of one request: ``Host``, the given ones, the signer's own.

        Args:
            method: ``GET`` or ``HEAD``.
            path: encoded by ``encode_path``, with its leading slash.
            query: from ``encode_query``, without ``?``.
        """
        signer = self._signer
        text = string_to_sign(signer, canonical_request(method, path, query, self._ending))
        return self._shared | {"Authorization": self._authorization + signer.signature(text)}


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
    """A URL with its canonical query and the signature as the last parameter.

    Args:
        signer: as for ``HeaderSigning``.
        method: the only method that the URL will work with.
        scheme: ``https`` or ``http``.
        host: as for ``HeaderSigning``.
        path: as for ``HeaderSigning``.
        query_pairs: the request's own parameters, not encoded yet.
        headers: signed together with ``Host``; the URL's holder must send them along.
        expires_in: whole seconds from the signer's second on.
    """
    names, lines = canonical_headers(headers, {"host": host})
    expiry = ("X-Amz-Expires", str(expires_in))
    query = encode_query((*query_pairs, *signer.query, expiry, ("X-Amz-SignedHeaders", names)))
    ending = canonical_ending(lines, names, UNSIGNED_PAYLOAD)
    proof = signer.signature(string_to_sign(signer, canonical_request(method, path, query, ending)))
    return f"{scheme}://{host}{path}?{query}&X-Amz-Signature={proof}"


def canonical_headers(headers: Mapping[str, str], own: Mapping[str, str]) -> tuple[str, str]:
    """The ``SignedHeaders`` list, and one ``name:value`` line a header in the same order.

    Names are lower-cased and sorted; values lose outer spaces, inner runs become one space. The
    signer's ``own`` headers are written that way already.
    """
    values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    values.update(own)
    names, listed = _in_order(tuple(values))
    return listed, "".join([f"{name}:{values[name]}\n" for name in names])


@lru_cache(maxsize=64)
def _in_order(names: tuple[str, ...]) -> tuple[list[str], str]:
    ordered = sorted(names)
    return ordered, ";".join(ordered)


def canonical_ending(header_lines: str, signed_names: str, payload: str) -> str:
    """What a canonical request ends with: its headers, their names and the payload's hash."""
    return f"{header_lines}\n{signed_names}\n{payload}"


def canonical_request(method: str, path: str, query: str, ending: str) -> str:
    """The request as both sides write it down before hashing; ``canonical_ending`` ends it."""
    return "\n".join((method, path, query, ending))


def string_to_sign(signer: Signer, request: str) -> str:
    """What the key signs: algorithm, time, scope and the canonical request's hash."""
    # OpenSSL copies a hash sooner than it begins one.
    request_hash = _BEGUN.copy()
    request_hash.update(request.encode())
    return signer.to_sign + request_hash.hexdigest()


class SigningKey:
    """HMAC-SHA256 under one key: both of its hashes begin with a block that the key alone makes.

    RFC 2104 section 4: https://www.rfc-editor.org/rfc/rfc2104#section-4

    Attributes:
        inner: the hash of what is signed, with its first block taken in.
        outer: the hash of that hash, with its first block taken in.
    """

    __slots__ = ("inner", "outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self.inner: Hash = sha256(bytes(byte ^ 0x36 for byte in block))
        self.outer: Hash = sha256(bytes(byte ^ 0x5C for byte in block))


def signature(key: SigningKey, text: str) -> str:
    """The hexadecimal HMAC of a string to sign."""
    inner = key.inner.copy()
    inner.update(text.encode())
    outer = key.outer.copy()
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=256)
def signing_key(secret_access_key: str, day: str, region: str, service: str) -> SigningKey:
    """The key that signs one day's requests to one service in one region."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return SigningKey(key)


@lru_cache(maxsize=16)
def amz_date(second: int) -> str:
    """The second as S3 writes it in UTC, such as ``20130524T000000Z``."""
    return f"{datetime.fromtimestamp(second, UTC):%Y%m%dT%H%M%SZ}"

"""Signature Version 4 as S3 wants it, and the stages that SigV4A shares with it.

Each stage is a function of its own: ``canonical_headers`` and ``canonical_request``, then
``string_to_sign``, then ``signature``. Path and query come in as they go on the wire: S3 encodes
once and never normalises a path, so the text that is signed is the text that is sent.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from aios3get._protocol.identity import Credentials
from aios3get._protocol.uri import encode_query

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

__all__ = [
    "Signer",
    "SigningKey",
    "amz_date",
    "canonical_headers",
    "canonical_request",
    "presign",
    "sign",
    "signature",
    "signed_headers",
    "signed_url",
    "signer_for",
    "signing_key",
    "string_to_sign",
]

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


def sign(
    method: str,
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    credentials: Credentials,
    region: str,
    service: str,
    now: float,
    token_header: str = "x-amz-security-token",
) -> dict[str, str]:
    """All headers of a signed request without a body: ``Host``, the given ones, the signer's own.

    Every given header is signed; what a proxy may change (``User-Agent``, ``Accept-Encoding``)
    is added to the result by the caller.

    Args:
        method: ``GET`` or ``HEAD``.
        host: as it goes on the wire, with a port that is not the scheme's own.
        path: encoded by ``encode_path``, with its leading slash.
        query: from ``encode_query``, without ``?``.
        headers: each name once, none of those that signing sets; values in ASCII without outer
            spaces, as other text is trimmed differently from one implementation to the next.
        credentials: who signs.
        region: the signing region.
        service: the signing name, such as ``s3`` or ``s3express``.
        now: seconds since the epoch by the server's clock.
        token_header: ``x-amz-s3session-token`` for a directory bucket's session.
    """
    signer = signer_for(credentials, region, service, now)
    return signed_headers(signer, method, host, path, query, headers, token_header)


def presign(
    method: str,
    scheme: str,
    host: str,
    path: str,
    query_pairs: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    *,
    credentials: Credentials,
    region: str,
    service: str,
    now: float,
    expires_in: int,
    token_name: str = "X-Amz-Security-Token",
) -> str:
    """A URL whose query carries the signature; its holder must send ``headers`` along.

    Args:
        method: the only method that the URL will work with.
        scheme: ``https`` or ``http``.
        host: as for ``sign``.
        path: as for ``sign``.
        query_pairs: the request's own parameters, not encoded yet.
        headers: signed together with ``Host``.
        credentials: who signs.
        region: the signing region.
        service: the signing name.
        now: seconds since the epoch by the server's clock.
        expires_in: whole seconds from ``now`` on.
        token_name: ``X-Amz-S3session-Token`` for a directory bucket's session.
    """
    signer = signer_for(credentials, region, service, now)
    return signed_url(
        signer,
        method,
        scheme,
        host,
        path,
        query_pairs,
        headers,
        expires_in=expires_in,
        token_name=token_name,
    )


class Signer:
    """What differs between one signature and the next besides the request itself.

    Attributes:
        to_sign: how every string to sign begins.
        authorization: how every ``Authorization`` header begins.
    """

    __slots__ = (
        "algorithm",
        "authorization",
        "credentials",
        "scope",
        "signature",
        "stamp",
        "to_sign",
    )

    def __init__(
        self,
        algorithm: str,
        stamp: str,
        scope: str,
        credentials: Credentials,
        signature: Callable[[str], str],
    ) -> None:
        self.algorithm = algorithm
        self.stamp = stamp
        self.scope = scope
        self.credentials = credentials
        self.signature = signature
        self.to_sign = f"{algorithm}\n{stamp}\n{scope}\n"
        self.authorization = (
            f"{algorithm} Credential={credentials.access_key_id}/{scope}, SignedHeaders="
        )


def signed_headers(
    signer: Signer,
    method: str,
    host: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    token_header: str,
) -> dict[str, str]:
    """The given headers with ``Host``, date, payload hash, token and ``Authorization``."""
    ready, names, lines = _headers(signer, host, tuple(headers.items()), token_header)
    request = canonical_request(method, path, query, lines, names, EMPTY_SHA256)
    proof = signer.signature(string_to_sign(signer, request))
    return {**ready, "Authorization": f"{signer.authorization}{names}, Signature={proof}"}


@lru_cache(maxsize=256)
def _headers(
    signer: Signer, host: str, headers: tuple[tuple[str, str], ...], token_header: str
) -> tuple[dict[str, str], str, str]:
    # Within one second most requests differ in their path alone.
    own = {"x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": signer.stamp}
    if signer.credentials.session_token:
        own[token_header] = signer.credentials.session_token
    names, lines = canonical_headers(dict(headers), {"host": host, **own})
    return {"Host": host, **dict(headers), **own}, names, lines


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
    token_name: str,
) -> str:
    """The URL with its canonical query, and the signature as the last parameter."""
    names, lines = canonical_headers(headers, {"host": host})
    pairs = [
        *query_pairs,
        ("X-Amz-Algorithm", signer.algorithm),
        ("X-Amz-Credential", f"{signer.credentials.access_key_id}/{signer.scope}"),
        ("X-Amz-Date", signer.stamp),
        ("X-Amz-Expires", str(expires_in)),
        ("X-Amz-SignedHeaders", names),
    ]
    if signer.credentials.session_token:
        pairs.append((token_name, signer.credentials.session_token))
    query = encode_query(pairs)
    request = canonical_request(method, path, query, lines, names, UNSIGNED_PAYLOAD)
    proof = signer.signature(string_to_sign(signer, request))
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


def canonical_request(
    method: str, path: str, query: str, header_lines: str, signed_names: str, payload: str
) -> str:
    """The request as both sides write it down before hashing."""
    return f"{method}\n{path}\n{query}\n{header_lines}\n{signed_names}\n{payload}"


def string_to_sign(signer: Signer, request: str) -> str:
    """What the key signs: algorithm, time, scope and the canonical request's hash."""
    request_hash = sha256(request.encode()).hexdigest()
    return signer.to_sign + request_hash


class SigningKey(NamedTuple):
    """HMAC-SHA256 under one key: both of its hashes begin with a block that the key alone makes.

    RFC 2104 section 4: https://www.rfc-editor.org/rfc/rfc2104#section-4
    """

    inner: "Hash"
    outer: "Hash"

    @classmethod
    def of(cls, key: bytes) -> "SigningKey":
        """The two hashes, each with its first block taken in."""
        block = key.ljust(64, b"\0")
        return cls(
            sha256(bytes(byte ^ 0x36 for byte in block)),
            sha256(bytes(byte ^ 0x5C for byte in block)),
        )

    def __repr__(self) -> str:
        return "SigningKey(…)"


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
    return SigningKey.of(key)


@lru_cache(maxsize=16)
def amz_date(second: int) -> str:
    """The second as S3 writes it in UTC, such as ``20130524T000000Z``."""
    return f"{datetime.fromtimestamp(second, UTC):%Y%m%dT%H%M%SZ}"


def signer_for(credentials: Credentials, region: str, service: str, now: float) -> Signer:
    """SigV4 for one region, service and second."""
    return _signer(
        credentials.access_key_id,
        credentials.secret_access_key,
        credentials.session_token,
        region,
        service,
        int(now),
    )


@lru_cache(maxsize=64)
def _signer(
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None,
    region: str,
    service: str,
    second: int,
) -> Signer:
    # Texts remember their hash, which the value made of them does not.
    credentials = Credentials(access_key_id, secret_access_key, session_token)
    stamp = amz_date(second)
    day = stamp[:8]
    key = signing_key(credentials.secret_access_key, day, region, service)
    scope = f"{day}/{region}/{service}/aws4_request"
    return Signer(ALGORITHM, stamp, scope, credentials, partial(signature, key))

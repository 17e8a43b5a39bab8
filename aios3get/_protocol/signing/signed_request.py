"""Signed requests: URL, headers and signature are built from the same text."""

from collections.abc import Mapping
from functools import lru_cache

from aios3get._protocol.endpoints.endpoint import AuthScheme, Endpoint
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.identity import Anonymous, BearerToken, Credentials, Identity
from aios3get._protocol.signing import sigv4, sigv4a
from aios3get._protocol.signing.sigv4 import HeaderSigning, Signer
from aios3get._protocol.signing.uri import encode_query

__all__ = ["signed_request", "signer_of"]

_SignerArguments = tuple[tuple[AuthScheme, str, str], str, str, str | None, int]

_TOKEN_NAMES = {"sigv4": "X-Amz-Security-Token", "sigv4-s3express": "X-Amz-S3session-Token"}


def signed_request(
    method: str,
    endpoint: Endpoint,
    path: str,
    query_pairs: tuple[tuple[str, str], ...],
    headers: Mapping[str, str],
    identity: Identity,
    now: float,
) -> HttpRequest:
    """Return the finished request.

    Args:
        method: ``GET`` or ``HEAD``.
        endpoint: the bucket's endpoint.
        path: the encoded path after the endpoint's own, with a leading slash.
        query_pairs: the request's own query parameters, not yet encoded.
        headers: the request's own headers; all are signed.
        identity: the identity that signs.
        now: seconds since the epoch on the server's clock.
    """
    url = endpoint.url + path
    path = endpoint.path + path
    query = ""
    if query_pairs:
        query = encode_query(query_pairs)
        url = f"{url}?{query}"
    if not isinstance(identity, Credentials):
        return HttpRequest(method, url, _unsigned_headers(endpoint.host, headers, identity))
    byte_range = headers.get("Range")
    if byte_range is not None:
        headers = {**headers, "Range": ""}
    signing = _header_signing(
        endpoint.host,
        tuple(headers.items()),
        endpoint.signing,
        identity.access_key_id,
        identity.secret_access_key,
        identity.session_token,
        int(now),
    )
    return HttpRequest(method, url, signing.headers(method, path, query, byte_range))


@lru_cache(maxsize=256)
def _header_signing(
    host: str, headers: tuple[tuple[str, str], ...], *signer: *_SignerArguments
) -> HeaderSigning:
    # Most requests within a second differ only in their path and range.
    return HeaderSigning(signer_of(*signer), host, dict(headers))


def _unsigned_headers(
    host: str, headers: Mapping[str, str], identity: BearerToken | Anonymous
) -> dict[str, str]:
    bearer = identity.headers() if isinstance(identity, BearerToken) else ()
    return {"Host": host, **headers, **dict(bearer)}


@lru_cache(maxsize=64)
def signer_of(
    signing: tuple[AuthScheme, str, str],
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None,
    second: int,
) -> Signer:
    """Return the SigV4 or SigV4A signer for an endpoint, shared by all requests of one second.

    The credentials are passed as strings, because strings cache their hash.

    Args:
        signing: ``Endpoint.signing``.
        access_key_id: the access key's id.
        secret_access_key: the secret access key.
        session_token: the session token, or None.
        second: whole seconds since the epoch on the server's clock.

    Raises:
        ConfigurationError: the package for SigV4A is missing.
    """
    auth, region, service = signing
    credentials = Credentials(access_key_id, secret_access_key, session_token)
    if auth == "sigv4a":
        return sigv4a.signer_for(credentials, region, service, second)
    return sigv4.signer_for(credentials, region, service, second, _TOKEN_NAMES[auth])

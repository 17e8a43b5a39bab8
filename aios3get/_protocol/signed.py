"""A request of S3's, finished: URL, headers and signature, all made from the same text."""

from collections.abc import Mapping

from aios3get._protocol import sigv4, sigv4a
from aios3get._protocol.endpoint import Endpoint
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.identity import BearerToken, Credentials, Identity
from aios3get._protocol.uri import encode_query

__all__ = ["signed_request"]

_TOKEN_HEADERS = {"sigv4": "x-amz-security-token", "sigv4-s3express": "x-amz-s3session-token"}


def signed_request(
    method: str,
    endpoint: Endpoint,
    path: str,
    query_pairs: tuple[tuple[str, str], ...],
    headers: Mapping[str, str],
    identity: Identity,
    now: float,
) -> HttpRequest:
    """The request as it goes on the wire.

    Args:
        method: ``GET`` or ``HEAD``.
        endpoint: where it goes and how it is signed.
        path: encoded, without the endpoint's own path, with a leading slash.
        query_pairs: not encoded yet.
        headers: all of them are signed.
        identity: who signs.
        now: seconds since the epoch by the server's clock.
    """
    path = endpoint.path + path
    query = encode_query(query_pairs) if query_pairs else ""
    url = f"{endpoint.scheme}://{endpoint.host}{path}"
    if query:
        url = f"{url}?{query}"
    if not isinstance(identity, Credentials):
        ready = {"Host": endpoint.host, **headers}
        if isinstance(identity, BearerToken):
            ready.update(identity.headers())
    elif endpoint.auth == "sigv4a":
        ready = sigv4a.sign(
            method,
            endpoint.host,
            path,
            query,
            headers,
            credentials=identity,
            region_set=endpoint.signing_region,
            service=endpoint.signing_name,
            now=now,
        )
    else:
        ready = sigv4.sign(
            method,
            endpoint.host,
            path,
            query,
            headers,
            credentials=identity,
            region=endpoint.signing_region,
            service=endpoint.signing_name,
            now=now,
            token_header=_TOKEN_HEADERS[endpoint.auth],
        )
    return HttpRequest(method, url, ready)

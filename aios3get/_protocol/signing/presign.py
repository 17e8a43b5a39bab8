"""Presigned URLs: get one object without credentials, until they expire.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.identity import Anonymous, BearerToken, Credentials, Identity
from aios3get._protocol.options import EXPECTED_BUCKET_OWNER, REQUEST_PAYER
from aios3get._protocol.presigned_url import PresignedUrl
from aios3get._protocol.signing.signed_request import signer_of
from aios3get._protocol.signing.sigv4 import signed_url
from aios3get._protocol.signing.uri import encode_query
from aios3get.errors import ConfigurationError, CredentialsError, ParameterError

__all__ = ["presign_url"]

# X-Amz-Expires in https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
_MAX_SECONDS: Final = 604_800

# Headers that S3 also takes from the signed query, by their lower-case name:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html
# https://github.com/aws/aws-sdk-go-v2/issues/2508
# It ignores x-amz-checksum-mode there: https://github.com/aws/aws-sdk-java-v2/pull/7035
_QUERY_HEADERS: Final = (EXPECTED_BUCKET_OWNER, REQUEST_PAYER)


def presign_url(
    endpoint: Endpoint,
    path: str,
    query_pairs: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    *,
    identity: Identity,
    now: float,
    expires_in: int | timedelta,
) -> PresignedUrl:
    """Return the presigned URL of one GET, which expires with the credentials at the latest.

    S3 rejects a presigned request without its signed headers, so those that S3 does not read from
    the query (conditions, range, SSE-C, checksum mode) are returned in ``headers``.

    Args:
        endpoint: the bucket's endpoint.
        path: the encoded path after the endpoint's own, with a leading slash.
        query_pairs: the request's own query parameters, not yet encoded.
        headers: the request's own headers.
        identity: the identity that signs; with ``ANONYMOUS`` the URL is not signed.
        now: seconds since the epoch on the server's clock.
        expires_in: seconds, or a timedelta of whole seconds, from 1 to 604,800 (7 days).

    Raises:
        ParameterError: ``expires_in`` is out of range.
        ConfigurationError: the identity is a bearer token, or the package for SigV4A is missing.
        CredentialsError: the credentials have expired or expire within the second.
    """
    seconds = _whole_seconds(expires_in)
    if isinstance(identity, Anonymous):
        url = _unsigned_url(endpoint, path, query_pairs)
        return PresignedUrl(url, datetime.max.replace(tzinfo=UTC), MappingProxyType({**headers}))
    if isinstance(identity, BearerToken):
        raise ConfigurationError(
            "a bearer token cannot sign a URL; pass Credentials (at IBM Cloud: HMAC keys)"
        )
    start = int(now)
    seconds = min(seconds, _seconds_left(identity, start, now))
    signer = signer_of(
        endpoint.signing,
        identity.access_key_id,
        identity.secret_access_key,
        identity.session_token,
        start,
    )
    remaining = {name: value for name, value in headers.items() if name not in _QUERY_HEADERS}
    in_query = [(name, headers[name]) for name in _QUERY_HEADERS if name in headers]
    url = signed_url(
        signer,
        "GET",
        endpoint.scheme,
        endpoint.host,
        endpoint.path + path,
        (*query_pairs, *in_query),
        remaining,
        expires_in=seconds,
    )
    expires_at = datetime.fromtimestamp(start + seconds, UTC)
    return PresignedUrl(url, expires_at, MappingProxyType(remaining))


def _whole_seconds(expires_in: int | timedelta) -> int:
    seconds = expires_in
    if isinstance(expires_in, timedelta):
        seconds, rest = divmod(expires_in, timedelta(seconds=1))
        if rest:
            seconds = 0
    if type(seconds) is not int or not 1 <= seconds <= _MAX_SECONDS:
        raise ParameterError(
            f"expires_in={expires_in!r} must be 1 to {_MAX_SECONDS} whole seconds (7 days), as an "
            "int or a timedelta"
        )
    return seconds


def _seconds_left(credentials: Credentials, start: int, now: float) -> int:
    if credentials.expires_at is None:
        return _MAX_SECONDS
    left = int(credentials.expires_at.timestamp()) - start
    if left < 1:
        when = "expired" if credentials.expires_at.timestamp() <= now else "expire this second"
        raise CredentialsError(
            f"no URL can be signed: the credentials {when} "
            f"({credentials.expires_at.isoformat()}); pass fresh ones"
        )
    return left


def _unsigned_url(endpoint: Endpoint, path: str, query_pairs: Iterable[tuple[str, str]]) -> str:
    query = encode_query(query_pairs)
    return f"{endpoint.url}{path}{'?' if query else ''}{query}"

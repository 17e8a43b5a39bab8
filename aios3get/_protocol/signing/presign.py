"""A link to one object that works without credentials until it expires.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.identity import Anonymous, BearerToken, Credentials, Identity
from aios3get._protocol.signing.signed_request import signer_of
from aios3get._protocol.signing.sigv4 import signed_url
from aios3get._protocol.signing.uri import encode_query
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["PresignedUrl", "presign_url"]

# X-Amz-Expires in the parameters' table of
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
LONGEST = 604_800


@dataclass(frozen=True, slots=True, repr=False)
class PresignedUrl:
    """A finished link. ``str()`` gives the URL; ``repr`` hides its query, which is a credential.

    Attributes:
        url: send it exactly as it is; any re-encoding breaks the signature.
        expires_at: when it stops working, in UTC; None for an unsigned link (``ANONYMOUS``),
            which works as long as the object is public.
        headers: what the holder must send along, unchanged, because it is signed; empty for a
            link that works in a browser.
    """

    url: str
    expires_at: datetime | None
    headers: Mapping[str, str] = field(hash=False)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        place, mark, _ = self.url.partition("?")
        hidden = f"{mark}…" if mark else ""
        return (
            f"PresignedUrl(url='{place}{hidden}', expires_at={self.expires_at!r}, "
            f"headers={sorted(self.headers)!r})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        # A read-only mapping does not pickle.
        return _revive, (self.url, self.expires_at, dict(self.headers))


def _revive(url: str, expires_at: datetime | None, headers: dict[str, str]) -> PresignedUrl:
    return PresignedUrl(url, expires_at, MappingProxyType(headers))


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
    """The link for one GET, never living longer than the credentials that signed it.

    S3 refuses a presigned request whose signed headers are missing, so whatever the request says
    in headers (conditions, a range, SSE-C, requester pays) its holder must send too; what it says
    in the query (version, part, response overrides) is in the link.

    Args:
        endpoint: where the object lives and how it is signed for.
        path: encoded, without the endpoint's own path, with a leading slash.
        query_pairs: the request's own query parameters, not encoded yet.
        headers: the request's own headers; all are signed.
        identity: who signs; with ``ANONYMOUS`` the link is the plain URL.
        now: seconds since the epoch by the server's clock.
        expires_in: seconds, or a timedelta of whole seconds, from 1 to 604,800 (7 days).

    Raises:
        ConfigurationError: ``expires_in`` is not such a time, the identity is a bearer token, or
            SigV4A lacks its package.
        CredentialsError: the credentials have expired, or do so within the second.
    """
    seconds = _whole_seconds(expires_in)
    kept = MappingProxyType(dict(headers))
    if isinstance(identity, Anonymous):
        return PresignedUrl(_plain_url(endpoint, path, query_pairs), None, kept)
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
    url = signed_url(
        signer,
        "GET",
        endpoint.scheme,
        endpoint.host,
        endpoint.path + path,
        query_pairs,
        kept,
        expires_in=seconds,
    )
    return PresignedUrl(url, datetime.fromtimestamp(start + seconds, UTC), kept)


def _whole_seconds(expires_in: int | timedelta) -> int:
    seconds = expires_in
    if isinstance(expires_in, timedelta):
        seconds, rest = divmod(expires_in, timedelta(seconds=1))
        if rest:
            seconds = 0
    if type(seconds) is not int or not 1 <= seconds <= LONGEST:
        raise ConfigurationError(
            f"expires_in={expires_in!r} is not possible: a presigned URL lives 1 to {LONGEST} "
            "whole seconds (7 days), given as an int or a timedelta"
        )
    return seconds


def _seconds_left(credentials: Credentials, start: int, now: float) -> int:
    if credentials.expires_at is None:
        return LONGEST
    left = int(credentials.expires_at.timestamp()) - start
    if left < 1:
        when = "expired" if credentials.expires_at.timestamp() <= now else "expire this second"
        raise CredentialsError(
            f"no URL can be signed: the credentials {when} "
            f"({credentials.expires_at.isoformat()}); pass fresh ones"
        )
    return left


def _plain_url(endpoint: Endpoint, path: str, query_pairs: Iterable[tuple[str, str]]) -> str:
    query = encode_query(query_pairs)
    return f"{endpoint.url}{path}{'?' if query else ''}{query}"

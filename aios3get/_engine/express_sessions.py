"""Sessions of directory buckets: short-lived credentials for one bucket, made ahead of their end.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html
"""

from typing import Final

from aios3get._engine.client_state import ClientState
from aios3get._http.transport import Response, Transport
from aios3get._protocol import error_response
from aios3get._protocol.create_session import parse_session, session_request
from aios3get._protocol.identity import Credentials
from aios3get.credentials.source import CredentialsSource

__all__ = ["ExpressSessions"]

_LIMIT: Final = 256
# A session's document has some 1 KB.
_MAX_BODY: Final = 65_536


class ExpressSessions:
    """One session per bucket and access key, shared by all calls.

    A session lives five minutes. A new one is made ahead of its end, by one request at a time,
    which goes on when the call that began it is cancelled: ``CredentialsSource`` sees to that.
    """

    def __init__(self, shared: ClientState, transport: Transport) -> None:
        self._shared = shared
        self._transport = transport
        self._sources: dict[tuple[str, str], _Source] = {}

    async def get(self, bucket: str, identity: Credentials) -> Credentials:
        """A session that is valid for some time yet.

        Raises:
            ServiceError: S3 refuses to make one, as with ``NoSuchBucket`` or ``AccessDenied``.
            TransportError: no answer came.
        """
        source = self._source(bucket, identity)
        session = source.current() or await source.get()
        assert isinstance(session, Credentials)
        return session

    def invalidate(self, session: Credentials) -> None:
        """Make a new session instead of this one, which S3 does not accept any more."""
        for source in self._sources.values():
            source.invalidate(session)

    def _source(self, bucket: str, identity: Credentials) -> "_Source":
        of = (bucket, identity.access_key_id)
        source = self._sources.get(of)
        if source is None:
            if len(self._sources) >= _LIMIT:
                del self._sources[next(iter(self._sources))]

            async def make() -> Credentials:
                return await self._create(bucket, identity, fresh=made.failing)

            made = source = self._sources[of] = _Source(make, clock=self._shared.now)
        return source

    async def _create(self, bucket: str, identity: Credentials, *, fresh: bool) -> Credentials:
        shared = self._shared
        endpoint = shared.resolver.resolve_session(bucket)
        request = session_request(endpoint, identity, shared.now())
        # The request that needs the session holds a permit already.
        permit = self._transport.uncounted_permit()
        answer = await self._transport.send(request, permit, fresh=fresh)
        if answer.status == 200:
            return parse_session(await _whole(answer))
        body = await answer.read_error_body(error_response.MAX_ERROR_BODY, shared.timeouts.idle)
        raise error_response.parse(answer.head, body, method="GET", bucket=bucket, key="")


async def _whole(answer: Response) -> bytes:
    body = bytearray()
    try:
        while len(body) < _MAX_BODY and (chunk := await answer.read()):
            body += chunk
    finally:
        answer.close()
    return bytes(body)


class _Source(CredentialsSource):
    @property
    def failing(self) -> bool:
        """Whether the last request for a session failed."""
        return self._failures > 0

    def _pausing(self, now: float) -> bool:
        # Without a session it is each call's retry policy that says when to try again.
        held = self._held
        return held is not None and now < held.end and super()._pausing(now)

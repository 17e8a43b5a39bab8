"""Directory-bucket sessions: credentials for one bucket that expire after five minutes.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html
"""

from typing import Final

from aios3get._engine.client_state import ClientState
from aios3get._http.transport import Response, Transport
from aios3get._protocol import error_response
from aios3get._protocol.create_session import parse_session, session_request
from aios3get._protocol.identity import Credentials
from aios3get.credentials.refreshing import Refreshing

__all__ = ["ExpressSessions"]

_LIMIT: Final = 256
# A CreateSessionResult is about 1 KB.
_MAX_BODY: Final = 65_536


class ExpressSessions:
    """One session for each bucket and access key, shared by all calls.

    ``Refreshing`` replaces a session before it expires, with one request at a time. That request
    continues when the call that started it is cancelled.
    """

    def __init__(self, state: ClientState, transport: Transport) -> None:
        self._state = state
        self._transport = transport
        self._sessions: dict[tuple[str, str], _Session] = {}

    async def get(
        self, bucket: str, identity: Credentials, clock_offset: float = 0.0
    ) -> Credentials:
        """Return the credentials of a session that has not expired.

        Args:
            bucket: the directory bucket.
            identity: signs the request for a session.
            clock_offset: seconds added to the local clock.

        Raises:
            ServiceError: S3 refused a session, as with ``NoSuchBucket`` or ``AccessDenied``.
            TransportError: no response arrived.
        """
        key = (bucket, identity.access_key_id)
        session = self._sessions.get(key)
        if session is None:
            if len(self._sessions) >= _LIMIT:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[key] = _Session(self._state, self._transport, bucket, identity)
        session.clock_offset = clock_offset
        return session.current() or await session.get()

    def invalidate(self, credentials: Credentials) -> None:
        """Drop the session with these credentials, which S3 refused."""
        for session in self._sessions.values():
            session.invalidate(credentials)


class _Session(Refreshing[Credentials]):
    """The session of one bucket and access key.

    Attributes:
        clock_offset: seconds added to the local clock.
    """

    def __init__(
        self, state: ClientState, transport: Transport, bucket: str, identity: Credentials
    ) -> None:
        super().__init__(self._create, what="session", clock=self._now)
        self.clock_offset = 0.0
        self._state = state
        self._transport = transport
        self._bucket = bucket
        self._identity = identity

    def _now(self) -> float:
        return self._state.clock() + self.clock_offset

    async def _create(self) -> Credentials:
        endpoint = self._state.resolver.resolve_session(self._bucket)
        request = session_request(endpoint, self._identity, self._now())
        # The call that needs the session holds a permit already.
        permit = self._transport.uncounted_permit()
        response = await self._transport.send(request, permit, fresh=self._failures > 0)
        if response.status == 200:
            self._state.clock_offset = self.clock_offset  # S3 accepted a signature by this clock
            return parse_session(await _read(response))
        idle = self._state.timeouts.idle
        body = await response.read_error_body(error_response.MAX_ERROR_BODY, idle)
        raise error_response.parse(response.head, body, method="GET", bucket=self._bucket, key="")

    def _pausing(self, now: float) -> bool:
        # Without a session, the retry policy of each call says when to try again.
        held = self._held
        return held is not None and now < held.end and super()._pausing(now)


async def _read(response: Response) -> bytes:
    body = bytearray()
    try:
        while len(body) < _MAX_BODY and (chunk := await response.read()):
            body += chunk
    finally:
        response.close()
    return bytes(body)

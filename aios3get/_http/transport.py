"""The transport: sends signed requests through aiohttp and returns their responses."""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import aiohttp
from multidict import CIMultiDictProxy

from aios3get import errors
from aios3get._http.aiohttp_private import address_of
from aios3get._http.call_site import Place
from aios3get._http.connections import OwnSessions
from aios3get._http.direct import TAKEN, DirectResponse, TakeBody
from aios3get._http.exception_mapping import BROKEN, map_exception
from aios3get._http.limiter import ConcurrencyLimiter, Permit
from aios3get._http.proxies import DIRECT, Proxies
from aios3get._http.receive import SPARE_BYTES, BodyReceiver, OnData
from aios3get._http.user_session import UserSession
from aios3get._http.watchdog import Watchdog
from aios3get._protocol.http import HttpHead, HttpRequest
from aios3get._protocol.timeouts import Timeouts

__all__ = ["Response", "Transport"]

_T = TypeVar("_T")

# The rest of a body is read to keep the connection, if it is no larger than this.
_DRAIN_BYTES: Final = 262_144
_DRAIN_SECONDS: Final = 1.0

_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})

_CLOSED: Final = "the client is closed; create a new one"


class Transport:
    """The connections of one event loop, shared by all requests of a client there.

    Args:
        session: the user's session, which is not closed; None to create own sessions.
        verify: True for aiohttp's default context, False to accept any certificate, or a context.
        proxies: select the proxy of a request.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts,
        max_concurrency: int,
        session: aiohttp.ClientSession | None = None,
        verify: ssl.SSLContext | bool = True,
        proxies: Proxies = DIRECT,
    ) -> None:
        self.limiter = ConcurrencyLimiter(max_concurrency)
        self.watchdog = Watchdog(timeouts.idle)
        self.loop = asyncio.get_running_loop()
        self.responses = set[Response]()
        self.buffer = bytearray(SPARE_BYTES)
        self.sessions: OwnSessions | UserSession
        # The watchdog cannot see whether a user's session is connecting, which has its own timeout.
        self._grace = 0.0
        if session is None:
            self.sessions = OwnSessions(timeouts, verify, self.watchdog, self.buffer)
        else:
            self.sessions = UserSession(session, timeouts.connect)
            self._grace = timeouts.connect
        self._timeouts = timeouts
        self._proxies = proxies if proxies.by_scheme else None
        self._closed = False
        self._pauses = set[asyncio.Future[errors.S3Error | None]]()

    def try_acquire(self, opened_at: Place | None = None) -> Permit | None:
        """Return a permit for one request; None if the caller has to wait.

        Args:
            opened_at: the place in the user's code that made the call.

        Raises:
            UsageError: the client is closed.
        """
        if self._closed:
            raise errors.UsageError(_CLOSED)
        permit = Permit(self.limiter, opened_at)
        return permit if self.limiter.try_acquire(permit) else None

    async def acquire(self, opened_at: Place | None = None) -> Permit:
        """Wait in line for a permit for one request.

        Args:
            opened_at: as for ``try_acquire``.

        Raises:
            TransportTimeout: ``Timeouts.queue`` seconds passed.
            UsageError: the client is closed, or was closed during the wait.
        """
        permit = Permit(self.limiter, opened_at)
        seconds = self._timeouts.queue
        try:
            granted = not self._closed and await self.limiter.acquire(permit, seconds)
        except TimeoutError:
            assert seconds is not None
            raise errors.TransportTimeout(
                f"no permit within {seconds:g} s: waiting for one of"
                f" max_concurrency={self.limiter.limit} permits;"
                f" {self.limiter.describe_holders()}",
                limit="queue",
                seconds=seconds,
                loop_blocked=self.watchdog.longest_pause(seconds),
            ) from None
        if not granted:
            raise errors.UsageError(_CLOSED)
        return permit

    @staticmethod
    def uncounted_permit() -> Permit:
        """Return a permit that does not count towards ``max_concurrency``.

        It is for a request that another request waits for while holding a permit.
        """
        return Permit()

    async def send(
        self,
        request: HttpRequest,
        permit: Permit,
        *,
        fresh: bool = False,
        take: TakeBody | None = None,
    ) -> "Response":
        """Send the request and wait for the response's head.

        Args:
            request: sent exactly as it is.
            permit: owned by the response from now on; released if this raises.
            fresh: use a new connection, to a newly resolved address that has not failed recently.
            take: may be called, during this call, with the body of a response that has status 206
                and arrived in one piece: that saves a copy. If it returns True, the response is
                ``taken`` and its body empty. None of the response's headers has been checked by
                then. It must not raise.

        Raises:
            TransportError: no head arrived.
            ConfigurationError: the URL or the proxy's URL is invalid, or the user's session would
                add headers that must be signed.
            UsageError: the client or its session is closed, or the session belongs to another
                event loop.
        """
        self.watchdog.begin(permit, self._grace)
        try:
            if self._closed:
                raise errors.UsageError(_CLOSED)
            response = Response(self, permit, await self._start(request, fresh, take))
        except BaseException as error:
            # Error reporters send the locals of all frames in a traceback.
            del request
            permit.release()
            failure = self.failure(error, permit, "no response arrived")
            if failure is None:
                error.__traceback__ = None  # aiohttp's frames hold the headers
                raise
            if isinstance(failure, errors.ConnectionLost):
                owned = isinstance(self.sessions, OwnSessions)
                failure.reused = owned and permit.connected_at is None
            if isinstance(failure, errors.TransportError):
                self.avoid(permit.address)
        else:
            if response.status >= 500:
                response.avoid_address()
            return response
        finally:
            self.watchdog.end(permit)
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame

    def _start(
        self, request: HttpRequest, fresh: bool, take: TakeBody | None
    ) -> Awaitable[aiohttp.ClientResponse | DirectResponse]:
        method, url, headers = request.method, request.url, request.headers
        options: Mapping[str, Any] = _NO_OPTIONS
        if self._proxies is not None:
            added, options = self._proxies.route(*_origin(url))
            headers = {**headers, **added}
        return self.sessions.send(method, url, headers, options, fresh=fresh, take=take)

    def pause(self, seconds: float) -> "asyncio.Future[errors.S3Error | None]":
        """Return a future that is done after ``seconds``, or when the transport is closed.

        Its result is None, or the error that ended it early. It may be cancelled.
        """
        pause = self.loop.create_future()
        timer = self.loop.call_later(seconds, _end_pause, pause, None)
        if self._closed:
            _end_pause(pause, _closed_meanwhile())
        self._pauses.add(pause)
        pause.add_done_callback(self._pauses.discard)
        pause.add_done_callback(lambda _: timer.cancel())
        return pause

    async def aclose(self) -> None:
        """Close the connections. The user's session stays open."""
        self._closed = True
        self.limiter.close()
        self.watchdog.stop()
        for pause in [*self._pauses]:
            _end_pause(pause, _closed_meanwhile())
        for response in [*self.responses]:
            response.close()
        await self.sessions.aclose()

    def avoid(self, address: str | None) -> None:
        """Let new connections try the other addresses of the server first, for a while."""
        if address is not None and self.sessions.resolver is not None:
            self.sessions.resolver.avoid(address)

    def failure(self, error: BaseException, permit: Permit, missing: str) -> errors.S3Error | None:
        """Return the error to raise for ``error``, or None to raise ``error`` itself.

        Args:
            error: the exception that ended a wait for the network.
            permit: the permit of the waiting request.
            missing: a clause for the message of a timeout, such as ``"no byte arrived"``.
        """
        timed_out = permit.is_timeout()
        if isinstance(error, asyncio.CancelledError):
            if not timed_out:
                return None
            if self._closed:
                return _closed_meanwhile()
            idle = self._timeouts.idle
            return errors.TransportTimeout(
                f"{missing} within {idle:g} s",
                limit="idle",
                seconds=idle,
                loop_blocked=self.watchdog.longest_pause(idle),
            )
        if isinstance(error, errors.S3Error):
            error.__traceback__ = None
            return error
        if not isinstance(error, Exception) or isinstance(error, MemoryError):
            return None
        failure = map_exception(error, self._timeouts)
        if self._closed and isinstance(failure, errors.TransportError):
            failure = _closed_meanwhile()
        if isinstance(failure, errors.TransportTimeout):
            failure.loop_blocked = self.watchdog.longest_pause(failure.seconds)
        return failure


def _end_pause(
    pause: "asyncio.Future[errors.S3Error | None]", error: errors.S3Error | None
) -> None:
    """End the pause unless it has ended; ``error`` is the reason if it ends early."""
    if not pause.done():
        pause.set_result(error)


class Response:
    """A response's status and headers, its unread body, and the permit that it holds.

    Attributes:
        status: the HTTP status.
        headers: the header fields.
        permit: released with the connection.
    """

    def __init__(
        self,
        transport: Transport,
        permit: Permit,
        response: aiohttp.ClientResponse | DirectResponse,
    ) -> None:
        self._transport = transport
        self._response = response
        self._body = response.content
        self._receiver: BodyReceiver | None = None
        self.permit = permit
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers
        transport.responses.add(self)

    @property
    def head(self) -> HttpHead:
        """The status and the headers as one value."""
        return HttpHead(self.status, self.headers)

    @property
    def from_wire(self) -> bool:
        """Whether it came from an HTTP connection, not from a test double of aiohttp."""
        return self._response.version is not None

    @property
    def taken(self) -> bool:
        """Whether the ``take`` of ``Transport.send`` has copied the body."""
        return self._body is TAKEN

    @property
    def held(self) -> bool:
        """Whether its permit, and possibly a connection, are still in use."""
        return self in self._transport.responses

    async def read(self) -> bytes:
        """Return the next bytes of the body as they arrive, or ``b""`` at its end.

        Raises:
            TransportError: the connection broke or was idle for too long.
        """
        chunk = await self._guard(self._receive_with().readany())
        if not chunk:
            # At the end of the body aiohttp has released the connection, except after a 101.
            self.close()
        return chunk

    async def readinto(
        self, target: memoryview, on_data: OnData | None = None, least: int | None = None
    ) -> int:
        """Receive the next bytes of the body into ``target``, as ``BodyReceiver`` does.

        Args:
            target: a writable view of bytes. It is not written to after the call has ended, even
                by an error.
            on_data: called with each piece of ``target`` as soon as it is filled, in order. If the
                call raises or is cancelled, these are exactly the bytes that were received.
            least: the number of bytes after which the call ends as soon as no more have arrived;
                None to fill ``target``.

        Returns:
            The number of bytes; less than ``least`` only at the end of the body.

        Raises:
            TransportError: the connection broke or was idle for too long.
        """
        receiving = self._receive_with().readinto(target, self._watched(on_data), least)
        count = await self._guard(receiving)
        if self.at_end():
            self.close()
        return count

    def _receive_with(self) -> BodyReceiver:
        if self._receiver is None:
            self._receiver = BodyReceiver(self._response, self._transport.buffer)
        return self._receiver

    def _watched(self, on_data: OnData | None) -> OnData:
        """Return a callback that notifies the watchdog before it calls ``on_data``."""
        restart, permit = self._transport.watchdog.restart, self.permit

        def note(piece: memoryview) -> None:
            restart(permit)
            if on_data is not None:
                on_data(piece)

        return note

    async def _guard(self, reading: Awaitable[_T]) -> _T:
        """Await a read with the idle timeout, and close the connection if it fails."""
        watchdog = self._transport.watchdog
        watchdog.begin(self.permit)
        try:
            return await reading
        except BaseException as error:
            failure = self._transport.failure(error, self.permit, "no byte arrived")
            if failure is None:
                raise
        finally:
            watchdog.end(self.permit)
        self.avoid_address()
        self.close()
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame

    def read_nowait(self) -> bytes | None:
        """Return the rest of the body if it has arrived; None if ``read`` must be awaited."""
        if not self._body.is_eof() or self._unread:
            return None
        try:
            rest = self._body.read_nowait()
        except BROKEN:
            return None  # ``read`` raises it as an error of this package
        # At the end of the body aiohttp has already released the connection.
        self._transport.responses.discard(self)
        self.permit.release()
        return rest

    async def read_error_body(self, limit: int, seconds: float) -> bytes:
        """Read the first ``limit`` bytes of the body that arrive within ``seconds``, then close.

        An interrupted body is returned as far as it arrived, because it only describes an error.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(seconds):
                while len(body) < limit and (chunk := await self.read()):
                    body += chunk
        except (errors.TransportError, TimeoutError):
            pass
        finally:
            self.close()
        return bytes(body[:limit])

    def at_end(self) -> bool:
        """Whether the whole body has been read and its end has arrived."""
        return self._body.at_eof() and not self._unread

    @property
    def _unread(self) -> bool:
        return self._receiver is not None and bool(self._receiver.unread)

    async def release(self, remaining: int | None) -> None:
        """Read a small rest of the body to return the connection to the pool, or close it.

        Args:
            remaining: the number of body bytes not read yet; None if unknown.
        """
        if not self.held:
            return
        if self._transport.loop is not asyncio.get_running_loop():
            self.close_soon()
            return
        try:
            if remaining is not None and remaining <= _DRAIN_BYTES:
                async with asyncio.timeout(_DRAIN_SECONDS):
                    while await self.read():
                        pass
        except (errors.TransportError, TimeoutError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection, or return it to the pool if the whole body has arrived."""
        if self.held:
            if self._receiver is not None:
                self._receiver.abort()
            if self._response.connection is not None or not self._body.is_eof():
                self._response.close()
            self._transport.responses.discard(self)
            self.permit.release()

    def close_soon(self) -> None:
        """Close the connection from any thread, such as that of the garbage collector."""
        loop = self._transport.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.close)

    def avoid_address(self) -> None:
        """Let new connections try the other addresses of the server first, for a while."""
        self._transport.avoid(self.permit.address or address_of(self._response))


def _closed_meanwhile() -> errors.ConnectionLost:
    failure = errors.ConnectionLost("the client was closed meanwhile")
    failure.retryable = False
    return failure


def _origin(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme, rest.partition("/")[0].partition("?")[0]

"""Bytes out, bytes in: the only module that hands S3's requests to aiohttp."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from aios3get import errors
from aios3get._http.addresses import Addresses
from aios3get._http.connections import (
    UNSIGNED_HEADERS,
    connections_of,
    lead_nowhere,
    own_session,
)
from aios3get._http.exception_mapping import BROKEN, failure_of
from aios3get._http.limiter import ConcurrencyLimiter
from aios3get._http.proxies import DIRECT, Proxies
from aios3get._http.user_session import check_given, options_for
from aios3get._http.watchdog import Wait, Watchdog
from aios3get._protocol.http import HttpHead, HttpRequest
from aios3get._protocol.timeouts import Timeouts

__all__ = ["Response", "Transport"]

# What is left of a body is read off to save the connection, if it is no more than this.
_DRAIN_BYTES: Final = 262_144
_DRAIN_SECONDS: Final = 1.0

_CLOSED: Final = "the client is closed; create a new one"


class Transport:
    """Connections of one event loop, shared by all requests of a client there.

    Args:
        session: the user's own session, left open at the end; None to own one.
        verify: True for aiohttp's default context, False to check nothing, or a context.
        proxies: which proxy a request takes.
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
        self.admission: ConcurrencyLimiter[Response] = ConcurrencyLimiter(max_concurrency)
        self.watchdog = Watchdog(timeouts.idle, self.admission.holders)
        self.loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._verify = verify
        self._proxies = proxies if proxies.by_scheme else None
        self._given = session
        self._pooled = session
        self._fresh = session
        self._closed = False
        self._addresses = Addresses()
        self._pauses = set[asyncio.Future[errors.S3Error | None]]()
        self._options: dict[str, Any] = {"allow_redirects": False}
        self._grace = 0.0
        if session is not None:
            self._options |= options_for(timeouts.connect)
            self._grace = timeouts.connect
        _transports.add(self)

    async def send(self, request: HttpRequest, *, fresh: bool = False) -> "Response":
        """Send the request and wait for the answer's head.

        Args:
            request: sent exactly as it is.
            fresh: on a new connection, to an address resolved anew that did not fail lately.

        Raises:
            TransportError: no head arrived.
            ConfigurationError: the URL or the proxy's is not one, the session would add what must
                be signed, or the client or its session is closed.
        """
        if self._closed:
            raise errors.ConfigurationError(_CLOSED)
        answer = Response(self)
        admission = self.admission
        if not admission.try_enter(answer) and not await admission.enter(answer):
            raise errors.ConfigurationError(_CLOSED)
        self.watchdog.begin(answer, self._grace)
        try:
            session = (self._fresh if fresh else self._pooled) or self._open(fresh=fresh)
            method, url, headers = request
            options: dict[str, Any] = self._options
            if self._proxies is not None:
                added, route = self._proxies.route(*_origin(url))
                headers, options = {**headers, **added}, {**options, **route}
            requesting: Awaitable[aiohttp.ClientResponse]
            if self._given is None:
                # ``request()`` wraps this in an alias of ``typing``, which takes half as long as
                # signing does.
                requesting = session._request(
                    method, URL(url, encoded=True), headers=headers, **options
                )
            else:
                await check_given(self._given, url)
                headers = {**headers, **UNSIGNED_HEADERS}
                requesting = session.request(
                    method, URL(url, encoded=True), headers=headers, **options
                )
            response = await requesting
            answer.response = response
            answer.status = response.status
            answer.headers = response.headers
            return answer
        except BaseException as error:
            admission.leave(answer)
            failure = self.failure(error, answer)
            if failure is None:
                raise
            if isinstance(failure, errors.ConnectionLost):
                failure.reused = self._given is None and not answer.connected
            if isinstance(failure, errors.TransportError):
                answer.blame()
        finally:
            self.watchdog.end(answer)
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        session = own_session(
            self._timeouts, self._verify, self.watchdog, self._addresses, fresh=fresh
        )
        if fresh:
            self._fresh = session
        else:
            self._pooled = session
        return session

    def pause(self, seconds: float) -> "asyncio.Future[errors.S3Error | None]":
        """A future that is done after so many seconds, or when the transport is closed.

        Its result is the error that ended it early, if one did. To cancel it is to let it go.
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
        """Close the connections; a session of the user's stays open."""
        self._closed = True
        self.admission.close()
        self.watchdog.stop()
        for pause in [*self._pauses]:
            _end_pause(pause, _closed_meanwhile())
        for answer in [*self.admission.holders]:
            answer.close()
        if self._given is None:
            sessions, self._pooled, self._fresh = (self._pooled, self._fresh), None, None
            # Each is closed, also when this task is cancelled while it waits for one.
            async with AsyncExitStack() as stack:
                for session in filter(None, sessions):
                    stack.push_async_callback(session.close)

    def abandon(self) -> None:
        """In a forked child: have its copies of the parent's connections lead nowhere.

        Else a child that lets this event loop run on would take bytes that are the parent's, and
        one that closes a connection would take it out of the selector that both share.
        """
        connections = {
            answer.response.connection.transport
            for answer in self.admission.holders
            if answer.status and answer.response.connection is not None
        }
        for session in (self._pooled, self._fresh) if self._given is None else ():
            if session is not None:
                connections.update(connections_of(session))
        for connection in connections - {None}:
            lead_nowhere(connection)

    def blame(self, address: str) -> None:
        """Have new connections try the name's other addresses first, for a while."""
        self._addresses.failed(address)

    def failure(self, error: BaseException, answer: "Response") -> errors.S3Error | None:
        """The error of ours that ``error`` stands for, without a URL in it; None if it is none."""
        timed_out = answer.is_timeout()
        if isinstance(error, asyncio.CancelledError):
            if not timed_out:
                return None
            if self._closed:
                return _closed_meanwhile()
            idle = self._timeouts.idle
            return errors.TransportTimeout(
                f"no {'byte' if answer.status else 'answer'} came for {idle:g} s",
                limit="idle",
                seconds=idle,
                loop_blocked=self.watchdog.longest_pause(idle),
            )
        if isinstance(error, errors.S3Error):
            return error
        if not isinstance(error, Exception) or isinstance(error, MemoryError):
            return None
        failure = failure_of(error, self._timeouts)
        if self._closed and isinstance(failure, errors.TransportError):
            failure = _closed_meanwhile()
        if isinstance(failure, errors.TransportTimeout):
            failure.loop_blocked = self.watchdog.longest_pause(failure.seconds)
        return failure


_transports: Final = WeakSet[Transport]()


def _abandon_all() -> None:
    for transport in list(_transports):
        transport.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def _end_pause(
    pause: "asyncio.Future[errors.S3Error | None]", error: errors.S3Error | None
) -> None:
    """End it, if it has not ended; ``error`` says why it ends early."""
    if not pause.done():
        pause.set_result(error)


class Response(Wait):
    """The slot of one request, and then its answer, whose body is to be read.

    Attributes:
        status: HTTP's; 0 as long as no head has come.
        headers: the head's, from then on.
        response: aiohttp's, from then on.
        within: what a read is awaited through, for a call with a deadline.
    """

    status = 0
    headers: CIMultiDictProxy[str]
    response: aiohttp.ClientResponse
    within: Callable[[Awaitable[bytes]], Awaitable[bytes]] | None = None

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def head(self) -> HttpHead:
        """Status and headers as one value."""
        return HttpHead(self.status, self.headers)

    @property
    def from_wire(self) -> bool:
        """Whether an HTTP connection brought it, rather than a test double of aiohttp's."""
        return self.response.version is not None

    @property
    def held(self) -> bool:
        """Whether its slot, and perhaps a connection, are still in use."""
        return self in self._transport.admission.holders

    async def read(self) -> bytes:
        """The next bytes of the body as they came, or nothing at its end.

        Raises:
            TransportError: the connection broke or went silent, or the call's time is over.
        """
        chunk = await (self._read() if self.within is None else self.within(self._read()))
        if not chunk:
            # At the body's end aiohttp has given the connection back, but not after a 101.
            self.close()
        return chunk

    def read_nowait(self) -> bytes | None:
        """All the rest of a body that has arrived whole; None if ``read`` has to be awaited."""
        content = self.response.content
        if not content.is_eof():
            return None
        try:
            rest = content.read_nowait()
        except BROKEN:
            return None  # ``read`` says what it means
        # At the body's end aiohttp has given the connection back already.
        self._transport.admission.leave(self)
        return rest

    async def _read(self) -> bytes:
        watchdog = self._transport.watchdog
        watchdog.begin(self)
        try:
            return await self.response.content.readany()
        except BaseException as error:
            failure = self._transport.failure(error, self)
            if failure is None:
                raise
        finally:
            watchdog.end(self)
        self.blame()
        self.close()
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame

    async def read_all(self, limit: int, seconds: float) -> bytes:
        """What comes of the body, up to ``limit`` bytes and within ``seconds``; then give it back.

        A body that breaks is as good as one that ends: this is for what explains a refusal.
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
        """Whether the body is known to have ended, nothing being left to read."""
        return self.response.content.at_eof()

    async def release(self, remaining: int | None) -> None:
        """Give the connection back, reading off what little may remain, or close it.

        Args:
            remaining: body bytes not read yet, None if unknown.
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
        """Close the connection, unless the body has arrived whole: then it goes back."""
        if self.status and self.held:
            if self.response.connection is not None or not self.response.content.is_eof():
                self.response.close()
            self._transport.admission.leave(self)

    def blame(self) -> None:
        """Say that the server failed: new connections try its name's other addresses first."""
        address = self.address
        if address is None and self.status:
            address = getattr(getattr(self.response, "_protocol", None), "address", None)
        if address is not None:
            self._transport.blame(address)

    def close_soon(self) -> None:
        """Close the connection from any thread, as the garbage collector needs it."""
        loop = self._transport.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.close)


def _closed_meanwhile() -> errors.ConnectionLost:
    failure = errors.ConnectionLost("the client was closed meanwhile")
    failure.retryable = False
    return failure


def _origin(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme, rest.partition("/")[0].partition("?")[0]

"""Bytes out, bytes in: the only module that hands requests to aiohttp."""

import asyncio
import inspect
import netrc
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aios3get import errors
from aios3get._io.addresses import Addresses
from aios3get._io.admission import Admission
from aios3get._io.failures import BROKEN, HEAD_LIMITS, failure_of
from aios3get._io.proxies import DIRECT, Proxies, split_login
from aios3get._io.watchdog import Wait, Watchdog
from aios3get._protocol.http import HttpHead, HttpRequest
from aios3get._protocol.timeouts import Timeouts
from aios3get._version import __version__

__all__ = ["Answer", "Transport", "end_pause"]

# Sent unsigned: proxies and some stores change them. Without "identity" aiohttp asks for gzip,
# which would change lengths, ranges and checksums.
_UNSIGNED_HEADERS: Final = {
    "User-Agent": f"aios3get/{__version__} aiohttp/{aiohttp.__version__}",
    "Accept-Encoding": "identity",
}

# What is left of a body is read off to save the connection, if it is no more than this.
_DRAIN_BYTES: Final = 262_144
_DRAIN_SECONDS: Final = 1.0

_CLOSED: Final = "the client is closed; create a new one"


def _accepted_by(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


# aiohttp takes these per session or per request only since some release.
_SESSION_OPTIONS: Final = _accepted_by(aiohttp.ClientSession.__init__, HEAD_LIMITS)
_REQUEST_OPTIONS: Final = _accepted_by(
    aiohttp.ClientSession._request, {"auto_decompress": False, **HEAD_LIMITS}
)


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
        self.admission: Admission[Answer] = Admission(max_concurrency)
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
        if session is None:
            # Without a pool limit nothing queues, so this covers names, TCP and TLS.
            self._limit = aiohttp.ClientTimeout(connect=timeouts.connect)
        else:
            # A queue for the user's own pool is theirs, and no part of connecting.
            limit = aiohttp.ClientTimeout(sock_connect=timeouts.connect)
            self._options |= {"timeout": limit, "raise_for_status": False, **_REQUEST_OPTIONS}
            self._grace = timeouts.connect
        _transports.add(self)

    async def send(self, request: HttpRequest, *, fresh: bool = False) -> "Answer":
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
        answer = Answer(self)
        admission = self.admission
        if not admission.try_enter(answer):
            await admission.enter(answer)
        self.watchdog.begin(answer, self._grace)
        try:
            session = (self._fresh if fresh else self._pooled) or self._open(fresh=fresh)
            method, url, headers = request
            options: dict[str, Any] = self._options
            if self._proxies is not None:
                headers, options = _by_proxy(self._proxies, request, options)
            requesting: Awaitable[aiohttp.ClientResponse]
            if self._given is None:
                # ``request()`` wraps this in an alias of ``typing``, which takes half as long as
                # signing does.
                requesting = session._request(
                    method, URL(url, encoded=True), headers=headers, **options
                )
            else:
                await _check_given(self._given, url)
                headers = {**headers, **_UNSIGNED_HEADERS}
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
        raise failure

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        reuse: dict[str, Any] = (
            {"force_close": True, "use_dns_cache": False}
            if fresh
            else {"keepalive_timeout": self._timeouts.keep_alive, "ttl_dns_cache": 30}
        )
        session = aiohttp.ClientSession(
            connector=_Connector(
                self.watchdog, self._addresses, limit=0, ssl=self._verify, **reuse
            ),
            cookie_jar=_NoCookies(),
            request_class=_Request,
            headers=_UNSIGNED_HEADERS,
            timeout=self._limit,
            auto_decompress=False,
            **_SESSION_OPTIONS,
        )
        # A signed request is never sent twice: every attempt is built, stamped and signed anew.
        session._retry_connection = False
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
        timer = self.loop.call_later(seconds, end_pause, pause, None)
        if self._closed:
            end_pause(pause, _closed_meanwhile())
        self._pauses.add(pause)
        pause.add_done_callback(self._pauses.discard)
        pause.add_done_callback(lambda _: timer.cancel())
        return pause

    async def aclose(self) -> None:
        """Close the connections; a session of the user's stays open."""
        self._closed = True
        self.admission.close(errors.ConfigurationError(_CLOSED))
        self.watchdog.stop()
        for pause in [*self._pauses]:
            end_pause(pause, _closed_meanwhile())
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
            connector: Any = None if session is None else session.connector
            if connector is not None:
                kept = (each for pool in connector._conns.values() for each, _ in pool)
                connections |= {each.transport for each in (*connector._acquired, *kept)}
        for connection in connections - {None}:
            _lead_nowhere(connection)

    def blame(self, address: str) -> None:
        """Have new connections try the name's other addresses first, for a while."""
        self._addresses.failed(address)

    def failure(self, error: BaseException, wait: Wait) -> errors.S3Error | None:
        """The error of ours that ``error`` stands for, without a URL in it; None if it is none."""
        timed_out = wait.is_timeout()
        if isinstance(error, asyncio.CancelledError):
            if not timed_out:
                return None
            if self._closed:
                return _closed_meanwhile()
            idle = self._timeouts.idle
            reading = not isinstance(wait, Answer) or wait.status
            return errors.TransportTimeout(
                f"no {'byte' if reading else 'answer'} came for {idle:g} s",
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


def _lead_nowhere(connection: Any) -> None:
    """Have the socket's number stand for one whose other side is closed; itself it stays open."""
    with suppress(OSError, AttributeError):
        number = connection.get_extra_info("socket").fileno()
        here, there = socket.socketpair()
        with here, there:
            os.dup2(here.fileno(), number, inheritable=False)


def _abandon_all() -> None:
    for transport in list(_transports):
        transport.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)


def end_pause(pause: "asyncio.Future[errors.S3Error | None]", error: errors.S3Error | None) -> None:
    """End it, if it has not ended; ``error`` says why it ends early."""
    if not pause.done():
        pause.set_result(error)


class _Request(aiohttp.ClientRequest):
    """A request that is finished when it comes: aiohttp adds no header of its own."""

    def update_headers(self, headers: Any) -> None:
        """Take them all, ``Host`` included, as they were signed."""
        self.headers = CIMultiDict(headers)
        if "Host" not in self.headers:  # as with somebody's link
            self.headers["Host"] = self.url.host_port_subcomponent or ""

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add none."""

    def send(self, conn: Any) -> Any:
        """Send it, unless the connection holds what came while nobody had asked.

        That must not be taken for this request's answer.
        """
        if conn.protocol._buffer:
            raise aiohttp.ServerDisconnectedError
        return super().send(conn)


class _Connector(aiohttp.TCPConnector):
    """Tells the watchdog who is connecting, which has a limit of its own.

    New connections take a name's addresses in turn, those that failed lately last.
    """

    def __init__(self, watchdog: Watchdog, addresses: Addresses, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]  # as aiohttp types it
        self._watchdog = watchdog
        self._addresses = addresses
        factory: Any = partial(_Connected, loop=self._loop)
        self._factory = factory

    async def _create_connection(self, *args: Any, **options: Any) -> Any:
        wait = self._watchdog.connecting()
        try:
            protocol: Any = await super()._create_connection(*args, **options)
        finally:
            self._watchdog.connected(wait)
        if protocol.transport is not None:
            # A tuple for IPv4 and IPv6 alike.
            address: str = protocol.transport.get_extra_info("peername", ("",))[0]
            protocol.address = address
            protocol.secure = protocol.transport.get_extra_info("sslcontext") is not None
            if isinstance(wait, Answer):
                wait.address = address
        return protocol

    async def _resolve_host(self, *args: Any, **options: Any) -> Any:
        found = await super()._resolve_host(*args, **options)
        # With a cache, aiohttp itself gives each connection another address to begin with.
        return self._addresses.ordered(found, in_turn=not self.use_dns_cache) if found else found


class _Connected(ResponseHandler):
    """One connection, which is not kept open for its TLS peer's farewell.

    Attributes:
        address: the peer's.
        secure: whether it speaks TLS.
    """

    address: str | None = None
    secure = False

    def close(self) -> None:
        """Close it now: asyncio would wait 30 s for the peer's close_notify."""
        transport = self.transport
        if transport is not None and self.secure:
            if not transport.is_closing():
                transport.close()
            transport.abort()
        super().close()

    def resume_reading(self, *how: Any, **named: Any) -> None:
        """Resume it if it was paused; aiohttp asks for that after every piece of a body."""
        if self._reading_paused:
            super().resume_reading(*how, **named)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell whoever reads a body that it has no end: after bad chunks aiohttp does not."""
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the body's framing is not HTTP"))


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps none and has none, where aiohttp's own makes an empty jar for each request."""

    _none: Final[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:
        """None for any URL."""
        return self._none


class Answer(Wait):
    """The slot of one request, and then its answer, whose body is to be read.

    Attributes:
        status: HTTP's; 0 as long as no head has come.
        headers: the head's, from then on.
        response: aiohttp's, from then on.
        within: what a read is awaited through, for a call with a deadline.
        address: where a connection was made to for it, if one was.
    """

    status = 0
    address: str | None = None
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
        raise failure

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


def _by_proxy(
    proxies: Proxies, request: HttpRequest, options: dict[str, Any]
) -> tuple[Mapping[str, str], dict[str, Any]]:
    """The headers and options with which the request takes its proxy.

    The proxy's password goes into headers at once: aiohttp's errors show the proxy's URL.
    """
    _, url, headers = request
    scheme, host = _origin(url)
    proxy = proxies.proxy_for(scheme, host)
    if proxy is None:
        return headers, options
    proxy, login = split_login(proxy)
    options = {**options, "proxy": proxy}
    if login is not None and scheme == "https":
        options["proxy_headers"] = {"Proxy-Authorization": login}
    elif login is not None:
        headers = {**headers, "Proxy-Authorization": login}
    return headers, options


# What says who asks, or for what: it must be signed, and is for nobody else's link.
_choosing = re.compile(
    r"authorization|cookie|host|range|if-.*|x-amz-.*|content-.*|transfer-encoding", re.IGNORECASE
).fullmatch


async def _check_given(session: aiohttp.ClientSession, url: str) -> None:
    """Refuse a user's session that would add to the request what must not be added.

    Raises:
        ConfigurationError: it would.
    """
    adds = next((name for name in session.headers if _choosing(name)), None)
    if adds is not None:
        raise errors.ConfigurationError(
            f"the session given as session= adds the header {adds} to every request, unsigned and"
            " to get_url's links too; give one without it"
        )
    if session.auth is not None:
        raise errors.ConfigurationError(
            "the session given as session= has auth=, which would replace the signature and go to"
            " get_url's links too; give one without it"
        )
    if session.trust_env:
        host = URL(url, encoded=True).host or ""
        if await asyncio.to_thread(_in_netrc, host):
            raise errors.ConfigurationError(
                f"the session given as session= has trust_env=True, and the netrc file has a"
                f" password for {host} that aiohttp would send; give one without trust_env"
            )


def _in_netrc(host: str) -> bool:
    """Whether aiohttp would find a password for the host."""
    try:
        named = os.environ.get("NETRC")
        path = Path.home() / ("_netrc" if os.name == "nt" else ".netrc")
        return netrc.netrc(named or str(path)).authenticators(host) is not None
    except (OSError, RuntimeError, ValueError, netrc.NetrcParseError):
        return False

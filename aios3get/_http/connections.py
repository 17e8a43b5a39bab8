"""aiohttp's classes, bent to send what was signed and to say what happens to a connection."""

import inspect
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.cookies import SimpleCookie
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from aios3get._http.addresses import Addresses
from aios3get._http.exception_mapping import HEAD_LIMITS
from aios3get._http.watchdog import Watchdog
from aios3get._protocol.timeouts import Timeouts
from aios3get._version import __version__

__all__ = ["UNSIGNED_HEADERS", "accepted_by", "connections_of", "lead_nowhere", "own_session"]

# Sent unsigned: proxies and some stores change them. Without "identity" aiohttp asks for gzip,
# which would change lengths, ranges and checksums.
UNSIGNED_HEADERS: Final = {
    "User-Agent": f"aios3get/{__version__} aiohttp/{aiohttp.__version__}",
    "Accept-Encoding": "identity",
}


def accepted_by(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that this release of aiohttp takes."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


_DNS_SECONDS: Final = 30

# aiohttp takes these per session or per request only since some release.
_SESSION_OPTIONS: Final = accepted_by(aiohttp.ClientSession.__init__, HEAD_LIMITS)


def own_session(
    timeouts: Timeouts,
    verify: SSLContext | bool,
    watchdog: Watchdog,
    addresses: Addresses,
    *,
    fresh: bool,
) -> aiohttp.ClientSession:
    """A session of the client's own, which sends what it is given, once, and nothing else.

    Args:
        timeouts: their ``connect`` and ``keep_alive``.
        verify: as for ``Transport``.
        watchdog: is told who is connecting.
        addresses: in which order a name's are tried.
        fresh: keep no connection and no address.
    """
    reuse: dict[str, Any] = (
        {"force_close": True, "use_dns_cache": False}
        if fresh
        else {"keepalive_timeout": timeouts.keep_alive, "ttl_dns_cache": _DNS_SECONDS}
    )
    session = aiohttp.ClientSession(
        connector=_Connector(watchdog, addresses, limit=0, ssl=verify, **reuse),
        cookie_jar=_NoCookies(),
        request_class=_Request,
        headers=UNSIGNED_HEADERS,
        # Without a pool limit nothing queues, so this covers names, TCP and TLS.
        timeout=aiohttp.ClientTimeout(connect=timeouts.connect),
        auto_decompress=False,
        **_SESSION_OPTIONS,
    )
    # A signed request is never sent twice: every attempt is built, stamped and signed anew.
    session._retry_connection = False
    return session


def connections_of(session: aiohttp.ClientSession) -> list[Any]:
    """The asyncio transports of all its connections, in use or kept."""
    connector: Any = session.connector
    if connector is None:
        return []
    kept = (each for pool in connector._conns.values() for each, _ in pool)
    return [each.transport for each in (*connector._acquired, *kept)]


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
            if wait is not None:
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


def lead_nowhere(connection: Any) -> None:
    """Have its descriptor stand for a socket whose other side is closed; the peer sees nothing."""
    with suppress(OSError, AttributeError):
        number = connection.get_extra_info("socket").fileno()
        here, there = socket.socketpair()
        with here, there:
            os.dup2(here.fileno(), number, inheritable=False)

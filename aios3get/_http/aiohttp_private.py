"""The undocumented parts of aiohttp that are used, each with the reason.

No other module uses a name that aiohttp's documentation does not have. The figures are CPU time
of a GET of 1 KiB, measured with aiohttp 3.14.5 and Python 3.11, of 60 µs in aiohttp itself.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from aios3get._http.watchdog import Watchdog

__all__ = [
    "Connector",
    "Protocol",
    "Request",
    "address_of",
    "has_middlewares",
    "loop_of",
    "start_request",
]


def start_request(
    session: aiohttp.ClientSession, method: str, url: URL, **options: Any
) -> Awaitable[aiohttp.ClientResponse]:
    """Do what ``session.request`` does, which adds an alias of ``typing`` that costs 3 µs."""
    return session._request(method, url, **options)


def loop_of(session: aiohttp.ClientSession) -> asyncio.AbstractEventLoop:
    """The event loop that the session belongs to.

    ``ClientSession.loop`` is documented but deprecated, and warns.
    """
    return session._loop


def has_middlewares(session: aiohttp.ClientSession) -> bool:
    """Whether the session has client middlewares, which nothing documented shows."""
    return bool(session._middlewares)


def address_of(response: aiohttp.ClientResponse) -> str | None:
    """The server's address, also after the connection has gone back to the pool.

    ``ClientResponse.connection`` is None from then on. A test double has no protocol.
    """
    return getattr(getattr(response, "_protocol", None), "address", None)


class Request(aiohttp.ClientRequest):
    """A request that sends the headers that it is given, as they are, and adds none.

    ``skip_auto_headers=`` gives the same bytes and costs 7 µs.
    """

    def update_headers(self, headers: Any) -> None:
        """Take all headers, ``Host`` included, as they were signed."""
        self.headers = CIMultiDict(headers)
        if "Host" not in self.headers:  # a presigned URL is sent without one
            self.headers["Host"] = self.url.host_port_subcomponent or ""

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add no header."""

    def send(self, conn: Any) -> Any:
        """Send the request, unless the connection holds data that no request asked for.

        aiohttp would take that data for this request's response. Nothing documented shows it.
        """
        if conn.protocol.should_close:
            raise aiohttp.ServerDisconnectedError
        return super().send(conn)


class Connector(aiohttp.TCPConnector):
    """Reports new connections to the watchdog: connecting has a time limit of its own.

    A ``TraceConfig`` reports them too; it costs 7 µs with every request.
    """

    def __init__(self, watchdog: Watchdog, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]  # as aiohttp types it
        self._watchdog = watchdog
        self._factory: Any = partial(Protocol, loop=asyncio.get_running_loop())

    async def _create_connection(self, *args: Any, **options: Any) -> Any:
        wait = self._watchdog.connecting()
        try:
            protocol: Any = await super()._create_connection(*args, **options)
        finally:
            self._watchdog.connected(wait)
        if wait is not None:
            wait.address = protocol.address
        return protocol


class Protocol(ResponseHandler):
    """One connection.

    Attributes:
        address: the peer's, None before the connection is made.
    """

    address: str | None = None
    _is_tls = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the peer."""
        super().connection_made(transport)
        # The peer's name is a tuple for IPv4 and IPv6 alike.
        self.address = transport.get_extra_info("peername", ("",))[0]
        self._is_tls = transport.get_extra_info("sslcontext") is not None

    def close(self) -> None:
        """Close the connection now: over TLS, asyncio waits up to 30 s for a close_notify.

        ``ssl_shutdown_timeout=`` is deprecated, and its value 0 leaves asyncio's own limit.
        """
        if self._is_tls:
            self.abort()
        else:
            super().close()

    def resume_reading(self, *args: Any, **options: Any) -> None:
        """Resume a paused connection; aiohttp calls this after every chunk, paused or not."""
        if self._reading_paused:
            super().resume_reading(*args, **options)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the body that is being read: after invalid chunk framing aiohttp leaves it open."""
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the body's framing is not HTTP"))

"""Every undocumented name of aiohttp that the package uses, each with its reason.

No other module uses a name that is missing in aiohttp's documentation. The figures are CPU time of
a GET of 1 KiB, measured with aiohttp 3.14.5 and Python 3.11; aiohttp itself takes 60 µs.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final
from typing import Protocol as TypingProtocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage
from multidict import CIMultiDict
from yarl import URL

from aios3get._http.exception_mapping import HEAD_LIMITS
from aios3get._http.watchdog import Watchdog

__all__ = [
    "REUSES_PARSERS",
    "Connection",
    "ConnectionKey",
    "Connector",
    "HttpProcessingError",
    "HttpResponseParser",
    "Protocol",
    "RawResponseMessage",
    "Request",
    "ResponseHandler",
    "address_of",
    "connection_key",
    "end_body",
    "has_middlewares",
    "head_parser",
    "is_observed",
    "loop_of",
    "missing_parts",
    "parse_next_response",
    "start_request",
    "take_idle_connection",
]

_PARSER_OPTIONS: Final[dict[str, Any]] = {
    "auto_decompress": False,
    "read_until_eof": True,
    **HEAD_LIMITS,
}


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
    """Whether the session has client middlewares; no documented name shows them."""
    return bool(session._middlewares)


def address_of(response: object) -> str | None:
    """Return the server's address, even after the connection has returned to the pool.

    ``ClientResponse.connection`` is None by then. A test double has no protocol.
    """
    return getattr(getattr(response, "_protocol", None), "address", None)


# The namespace of the functions of aiohttp's own session.
_OWN_GLOBALS: Final = aiohttp.client.__dict__


def is_observed(session: aiohttp.ClientSession, middlewares: Sequence[object]) -> bool:
    """Whether a test double or tracer has to see every request that the session sends.

    These replace ``ClientSession._request``, or add a ``TraceConfig`` or a middleware.
    """
    method: Any = session._request
    # isinstance() is deceived by wrapt's proxies, which instrumentation libraries install.
    return (
        type(method) is not MethodType
        or type(method.__func__) is not FunctionType
        or method.__func__.__globals__ is not _OWN_GLOBALS
        or bool(session.trace_configs)
        or session._middlewares != middlewares
    )


def connection_key(origin: URL) -> ConnectionKey:
    """The key under which a connector keeps its connections to an origin."""
    return aiohttp.ClientRequest("GET", origin, loop=asyncio.get_running_loop()).connection_key


def take_idle_connection(
    connector: aiohttp.BaseConnector, key: ConnectionKey
) -> Awaitable[Connection | None]:
    """Take an idle connection from the connector's pool, if there is one.

    ``connect()`` would open a new one.
    """
    return connector._get(key, [])


def head_parser(handler: ResponseHandler, loop: asyncio.AbstractEventLoop) -> HttpResponseParser:
    """Return a parser for response heads; see ``REUSES_PARSERS``."""
    return HttpResponseParser(handler, loop, 0, response_with_body=False, **_PARSER_OPTIONS)


def parse_next_response(handler: ResponseHandler) -> None:
    """Make aiohttp parse the next received bytes as a new response."""
    handler.set_response_params(**_PARSER_OPTIONS)


def end_body(handler: ResponseHandler, body: aiohttp.StreamReader, *, reusable: bool) -> None:
    """End a body that aiohttp did not receive; aiohttp then pools or closes the connection."""
    if not reusable:
        handler.force_close()
    parse_next_response(handler)  # the parser still waits for the body
    body.feed_eof()


_METHODS: Final[list[tuple[type[Any], str, Iterable[str]]]] = [
    (aiohttp.TCPConnector, "_get", ["key", "traces"]),
    (aiohttp.ClientRequest, "__init__", ["method", "url", "loop"]),
    (ResponseHandler, "set_response_params", _PARSER_OPTIONS),
    (ResponseHandler, "data_received", ["data"]),
    (ResponseHandler, "read", []),
    (ResponseHandler, "force_close", []),
    (ResponseHandler, "pause_reading", []),
    (Connection, "release", []),
    (Connection, "close", []),
]
_PROPERTIES: Final[list[tuple[type[Any], str]]] = [
    (aiohttp.ClientRequest, "connection_key"),
    (ResponseHandler, "should_close"),
    (ResponseHandler, "upgraded"),
    (Connection, "protocol"),
]


def missing_parts() -> list[str]:
    """Return the names that ``DirectRequests`` needs and that this aiohttp release lacks."""
    missing = [
        f"{owner.__name__}.{name}"
        for owner, name in _PROPERTIES
        if not isinstance(getattr(owner, name, None), property)
    ]
    for owner, name, parameters in _METHODS:
        method = getattr(owner, name, None)
        known = inspect.signature(method).parameters if callable(method) else ()
        if method is None or not set(parameters).issubset(known):
            missing.append(f"{owner.__name__}.{name}")
    if not _parses_heads():
        missing.append("HttpResponseParser")
    return missing


def _parses_heads(count: int = 1) -> bool:
    """Whether one parser parses so many heads."""
    unused: Any = object()  # no body is parsed
    try:
        parser = head_parser(unused, unused)
        return all(_parses_head(parser, str(length)) for length in range(5, 5 + count))
    except Exception:
        return False


def _parses_head(parser: HttpResponseParser, length: str) -> bool:
    head = f"HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n"
    ((message, _),), upgraded, rest = parser.feed_data(head.encode())
    is_parsed = (message.code, *message.headers.items()) == (404, ("Content-Length", length))
    return is_parsed and not (message.should_close or message.chunked or upgraded or rest)


# Before aiohttp 3.14 a parser cannot parse a second head.
REUSES_PARSERS: Final = _parses_heads(3)


class Request(aiohttp.ClientRequest):
    """A request that sends its headers unchanged and adds none.

    ``skip_auto_headers=`` has the same effect and costs 7 µs.
    """

    def update_headers(self, headers: Any) -> None:
        """Use the headers as they were signed, including ``Host``."""
        self.headers = CIMultiDict(headers)
        if "Host" not in self.headers:  # a presigned URL is sent without one
            self.headers["Host"] = self.url.host_port_subcomponent or ""

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add no header."""

    def send(self, conn: Any) -> Any:
        """Send the request, unless the connection has already received unexpected data.

        aiohttp would take that data for this request's response. No documented name shows it.
        """
        if conn.protocol.should_close:
            raise aiohttp.ServerDisconnectedError
        return super().send(conn)


class Connector(aiohttp.TCPConnector):
    """Reports new connections to the watchdog, because connecting has its own timeout.

    A ``TraceConfig`` could report them too, but costs 7 µs for every request.
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


class Removable(TypingProtocol):
    """A protocol that receives instead of aiohttp's."""

    def remove(self) -> None:
        """Restore aiohttp's protocol."""


class Protocol(ResponseHandler):
    """One connection.

    Attributes:
        address: the peer's address; None before the connection is made.
        receiver: receives the responses to requests that are sent without aiohttp's session; None
            before the first of them.
    """

    address: str | None = None
    receiver: Removable | None = None
    _is_tls = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Record the peer's address."""
        super().connection_made(transport)
        # For IPv4 and IPv6, the peer's name is a tuple that starts with the address.
        self.address = transport.get_extra_info("peername", ("",))[0]
        self._is_tls = transport.get_extra_info("sslcontext") is not None

    def close(self) -> None:
        """Close the connection immediately; over TLS, asyncio would wait up to 30 s for the peer.

        ``ssl_shutdown_timeout=`` is deprecated, and its value 0 keeps asyncio's own limit.
        """
        if self._is_tls:
            self.abort()
        else:
            super().close()

    def set_response_params(self, **params: Any) -> None:
        """Receive the next response with this protocol."""
        if self.receiver is not None:
            self.receiver.remove()
        super().set_response_params(**params)

    def pause_body(self) -> None:
        """Receive nothing more of an incomplete body until its reader has read what arrived."""
        if self._payload is not None and not self._payload.is_eof():
            self.pause_reading()

    def resume_reading(self, *args: Any, **options: Any) -> None:
        """Resume a paused connection; aiohttp calls this after every chunk, even if not paused."""
        if self._reading_paused:
            super().resume_reading(*args, **options)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the body that is being read: after invalid chunk framing aiohttp leaves it open."""
        body = self._payload
        super().connection_lost(exc)
        self.receiver = None
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the body's framing is not HTTP"))

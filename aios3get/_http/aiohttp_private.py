"""The undocumented parts of aiohttp that are used, each with the reason.

No other module uses a name that aiohttp's documentation does not have. The figures are CPU time
of a GET of 1 KiB, measured with aiohttp 3.14.5 and Python 3.11, of 60 µs in aiohttp itself.
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
    """Whether the session has client middlewares, which nothing documented shows."""
    return bool(session._middlewares)


def address_of(response: object) -> str | None:
    """The server's address, also after the connection has gone back to the pool.

    ``ClientResponse.connection`` is None from then on. A test double has no protocol.
    """
    return getattr(getattr(response, "_protocol", None), "address", None)


def _own_request() -> object:
    """aiohttp's own ``ClientSession._request``; None if something replaced it before."""
    function: Any = vars(aiohttp.ClientSession).get("_request")
    # isinstance() believes the proxies of wrapt, with which instrumentations replace functions.
    genuine = type(function) is FunctionType and function.__globals__ is aiohttp.client.__dict__
    return function if genuine else None


_request: Final = _own_request()


def is_observed(session: aiohttp.ClientSession, middlewares: Sequence[object]) -> bool:
    """Whether something expects to see every request that the session sends.

    Test doubles and tracers replace ``ClientSession._request``, or add a ``TraceConfig`` or a
    middleware to the given ones.
    """
    method: Any = session._request
    return (
        type(method) is not MethodType
        or method.__func__ is not _request
        or bool(session.trace_configs)
        or session._middlewares != middlewares
    )


def connection_key(origin: URL) -> ConnectionKey:
    """The key under which a connector keeps its connections to an origin."""
    return aiohttp.ClientRequest("GET", origin, loop=asyncio.get_running_loop()).connection_key


def take_idle_connection(
    connector: aiohttp.BaseConnector, key: ConnectionKey
) -> Awaitable[Connection | None]:
    """Take a connection that the connector keeps, if it has one.

    ``connect()`` would make a new one.
    """
    return connector._get(key, [])


def head_parser(handler: ResponseHandler, loop: asyncio.AbstractEventLoop) -> HttpResponseParser:
    """A parser that can be fed with one response head after the other."""
    return HttpResponseParser(handler, loop, 0, response_with_body=False, **_PARSER_OPTIONS)


def parse_next_response(handler: ResponseHandler) -> None:
    """Have aiohttp parse what the connection receives from now on as a new response."""
    handler.set_response_params(**_PARSER_OPTIONS)


def end_body(handler: ResponseHandler, body: aiohttp.StreamReader, *, reusable: bool) -> None:
    """End a body that aiohttp has not seen; it keeps the connection or closes it."""
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
    """Which parts of aiohttp that requests without a ``ClientSession`` need this release lacks."""
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


def _parses_heads() -> bool:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n"
    unused: Any = object()  # no body is parsed
    try:
        parser = head_parser(unused, unused)
        for _ in range(2):
            ((message, _),), upgraded, rest = parser.feed_data(head)
            if (message.code, *message.headers.items()) != (404, ("Content-Length", "5")):
                return False
            if message.should_close or message.chunked or upgraded or rest:
                return False
    except Exception:
        return False
    return True


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


class Removable(TypingProtocol):
    """A protocol that receives in the place of aiohttp's."""

    def remove(self) -> None:
        """Have aiohttp's protocol receive again."""


class Protocol(ResponseHandler):
    """One connection.

    Attributes:
        address: the peer's, None before the connection is made.
        receiver: receives the responses to requests that aiohttp's session does not send; None
            before the first.
    """

    address: str | None = None
    receiver: Removable | None = None
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

    def set_response_params(self, **params: Any) -> None:
        """Receive the next response here."""
        if self.receiver is not None:
            self.receiver.remove()
        super().set_response_params(**params)

    def resume_reading(self, *args: Any, **options: Any) -> None:
        """Resume a paused connection; aiohttp calls this after every chunk, paused or not."""
        if self._reading_paused:
            super().resume_reading(*args, **options)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the body that is being read: after invalid chunk framing aiohttp leaves it open."""
        body = self._payload
        super().connection_lost(exc)
        self.receiver = None
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the body's framing is not HTTP"))

"""Sends GETs on kept connections without ``ClientSession``, for a third of its CPU time.

aiohttp's connector opens, keeps and closes the connections, and its parser parses the heads.
``ClientSession._request`` is bypassed, with the objects that it creates for each request: one write
sends the head, and the connection receives into one buffer that all connections of an event loop
share. A response that arrives complete in one piece is taken from that buffer. Any other response
is passed to aiohttp's own protocol from its first byte.

``ClientSession`` sends the first request of a connection, every request if a test double or tracer
has to see them, and every request if this release of aiohttp lacks a required name.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from aios3get._http.aiohttp_private import (
    REUSES_PARSERS,
    Connection,
    ConnectionKey,
    HttpProcessingError,
    HttpResponseParser,
    Protocol,
    RawResponseMessage,
    connection_key,
    head_parser,
    is_observed,
    missing_parts,
    parse_next_response,
    take_idle_connection,
)

__all__ = [
    "SUPPORTED",
    "TAKEN",
    "DirectRequests",
    "DirectResponse",
    "ResponseReceiver",
    "TakeBody",
    "switch_protocol",
]

# Copies a body and returns True, or returns False to leave it to the response.
TakeBody = Callable[[memoryview], bool]

_log: Final = logging.getLogger("aios3get")

_CONTENT_LENGTH: Final = istr("Content-Length")
_TRANSFER_ENCODING: Final = istr("Transfer-Encoding")
_WITHOUT_BODY: Final = frozenset({204, 304})

_MOST_ORIGINS: Final = 64

# Visible ASCII without a fragment, which is not sent.
_is_plain = re.compile(r'[!"$-~]+').fullmatch

# aiohttp's error for a response that is not HTTP requires a request.
_NO_HEADERS: Final[CIMultiDict[str]] = CIMultiDict()
_NO_REQUEST: Final = aiohttp.RequestInfo(URL(), "GET", CIMultiDictProxy(_NO_HEADERS), URL())


def _is_supported() -> bool:
    missing = missing_parts()
    if missing:
        _log.warning(
            "aiohttp %s lacks %s: small GETs are sent through ClientSession, with more CPU time",
            aiohttp.__version__,
            ", ".join(missing),
        )
    return not missing


SUPPORTED: Final = _is_supported()


class DirectRequests:
    """Sends GETs on the connections that a session keeps.

    Args:
        session: a session of the client's own, whose connector opens ``Protocol`` connections.
        middlewares: the middlewares that the session was created with.
        headers: sent with every request, in addition to its own.
        buffer: receives the responses; those that do not fit are passed to aiohttp's protocol.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        middlewares: Sequence[object],
        headers: Mapping[str, str],
        buffer: bytearray,
    ) -> None:
        assert session.connector is not None
        self._session = session
        self._middlewares = middlewares
        self._connector = session.connector
        self._headers = _serialize(headers)
        # A request with one of these, which a link's may be, replaces a header of the client's own.
        self._replaceable = frozenset({"host", *headers, *(name.lower() for name in headers)})
        self._buffer = buffer
        self._origins: dict[str, tuple[ConnectionKey, str]] = {}

    async def send(
        self, url: str, headers: Mapping[str, str], take: TakeBody | None = None
    ) -> "DirectResponse | None":
        """Send a GET and wait for the response's head.

        Args:
            url: sent exactly as it is.
            headers: sent exactly as they are; their names are in lower case, or as S3 writes them.
            take: as for ``Transport.send``.

        Returns:
            None if the request has to be sent through ``ClientSession``; nothing was sent then.

        Raises:
            aiohttp.ClientError: the connection broke, or the response is not HTTP.
            ValueError: the URL or a header contains a line break.
        """
        if is_observed(self._session, self._middlewares):
            return None
        end = url.find("/", 8)
        if end < 0 or not _is_plain(url) or not self._replaceable.isdisjoint(headers):
            return None
        origin = self._origins.get(url[:end]) or self._add_origin(url[:end])
        if origin is None:
            return None
        key, host = origin
        connection = await take_idle_connection(self._connector, key)
        if connection is None:
            return None
        protocol = connection.protocol
        assert isinstance(protocol, Protocol)
        try:
            if protocol.should_close:  # it has received unexpected data
                raise aiohttp.ServerDisconnectedError
            own_host = "" if "Host" in headers else host
            fields = f"{own_host}{self._headers}{_serialize(headers)}"
            receiver = protocol.receiver
            if not isinstance(receiver, ResponseReceiver):
                receiver = protocol.receiver = ResponseReceiver(protocol, self._buffer)
            whole = await receiver.send(f"GET {url[end:]} HTTP/1.1\r\n{fields}\r\n", take)
            if whole is None:
                return await _read_response(protocol, connection)
        except BaseException:
            connection.close()
            raise
        connection.release()
        message, content = whole
        return DirectResponse(message, content, None, protocol)

    def _add_origin(self, text: str) -> tuple[ConnectionKey, str] | None:
        try:
            url = URL(text, encoded=True)
            if url.scheme not in ("http", "https") or str(url.origin()) != text:
                return None
        except ValueError:
            return None
        if len(self._origins) >= _MOST_ORIGINS:
            self._origins.clear()
        host = _serialize({"Host": url.host_port_subcomponent or ""})
        origin = self._origins[text] = connection_key(url), host
        return origin


def _serialize(headers: Mapping[str, str]) -> str:
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not text.count("\r") == text.count("\n") == len(headers) or "\0" in text:
        raise ValueError("a header contains a line break")
    return text


async def _read_response(protocol: Protocol, connection: Connection) -> "DirectResponse":
    """Return the response that aiohttp's protocol receives."""
    try:
        while True:
            message, body = await protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:
                break
    except HttpProcessingError as error:
        raise aiohttp.ClientResponseError(
            _NO_REQUEST, (), status=error.code, message=error.message, headers=error.headers
        ) from error
    response = DirectResponse(message, body, connection, protocol)
    body.on_eof(response.release)
    return response


def switch_protocol(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    """Make the protocol receive the data of an open transport."""
    if not transport.is_closing():
        # uvloop selects its read callbacks when reading starts.
        transport.pause_reading()
        transport.set_protocol(protocol)
        transport.resume_reading()


class ResponseReceiver(asyncio.BufferedProtocol):
    """Receives small responses on one connection, instead of aiohttp's protocol.

    It stays in place between requests; data that arrives then closes the connection.

    Args:
        handler: aiohttp's protocol of the connection.
        buffer: shared by the connections of an event loop, because the received bytes are copied
            in the callback that reports them.
    """

    __slots__ = (
        *("_buffer", "_handler", "_in_place", "_loop", "_parser", "_take", "_view", "_waiter"),
    )

    def __init__(self, handler: Protocol, buffer: bytearray) -> None:
        self._handler = handler
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._loop = asyncio.get_running_loop()
        self._in_place = False
        # Creating one for each response would take 4 % of the CPU time of a GET.
        self._parser: HttpResponseParser | None = None
        self._waiter: asyncio.Future[_WholeResponse | None] | None = None
        self._take: TakeBody | None = None

    def send(
        self, request: str, take: TakeBody | None = None
    ) -> "asyncio.Future[_WholeResponse | None]":
        """Send a request.

        Args:
            request: its head.
            take: as for ``Transport.send``.

        Returns:
            A future of the response's head and body; its result is None if aiohttp's protocol
            receives the response, or raises the error.
        """
        transport = self._handler.transport
        assert transport is not None
        if not self._in_place:
            self._in_place = True
            switch_protocol(transport, self)
        self._waiter = self._loop.create_future()
        self._take = take
        transport.write(request.encode())
        return self._waiter

    def remove(self) -> None:
        """Restore aiohttp's protocol."""
        if self._in_place:
            self._in_place = False
            if self._handler.transport is not None:
                switch_protocol(self._handler.transport, self._handler)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the memory for the next bytes."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Take the response, or pass its first bytes on to aiohttp's protocol."""
        waiter, self._waiter = self._waiter, None
        take, self._take = self._take, None
        if waiter is None:
            self._handler.close()
            return
        whole = self._parse(nbytes, None if waiter.done() else take)
        if whole is None:
            parse_next_response(self._handler)
            self._handler.data_received(bytes(self._view[:nbytes]))
            if nbytes == len(self._view):
                # uvloop would go on receiving before the body's reader can run.
                self._handler.pause_body()
        if not waiter.done():
            waiter.set_result(whole)

    def _parse(self, size: int, take: TakeBody | None) -> "_WholeResponse | None":
        """Return the response in the buffer, if it is complete and framed only by its length."""
        end = self._buffer.find(b"\r\n\r\n", 0, size) + 4
        if end < 4:
            return None
        parser = self._parser or head_parser(self._handler, self._loop)
        self._parser = None  # not used again after an invalid or unusual head
        try:
            ((message, _),), upgraded, _ = parser.feed_data(bytes(self._view[:end]))
        except Exception:  # aiohttp's protocol raises the same error
            return None
        if upgraded or not 200 <= message.code < 600 or _TRANSFER_ENCODING in message.headers:
            return None
        if message.code in _WITHOUT_BODY:
            length = 0
        else:
            lengths = message.headers.getall(_CONTENT_LENGTH, ())
            if len(lengths) != 1 or not lengths[0].isdecimal() or len(lengths[0]) > 9:
                return None
            length = int(lengths[0])
        if length != size - end:
            return None
        if message.should_close:
            self._handler.force_close()
        elif REUSES_PARSERS:
            self._parser = parser
        body = self._view[end:size]
        taken = take is not None and message.code == 206 and take(body)
        return message, TAKEN if taken else _WholeBody(bytes(body))

    def eof_received(self) -> None:
        """Pass the end of the stream on to aiohttp's protocol."""
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the loss on to aiohttp's protocol, which raises it when the response is read."""
        self._handler.connection_lost(exc)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def pause_writing(self) -> None:
        """Pass the event on to aiohttp's protocol."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass the event on to aiohttp's protocol."""
        self._handler.resume_writing()


class DirectResponse:
    """A response's head and body, with the used part of ``aiohttp.ClientResponse``'s interface.

    Attributes:
        status: the HTTP status.
        headers: the header fields.
        version: the HTTP version.
        content: the body.
        connection: held until the body has arrived.
    """

    __slots__ = ("_protocol", "connection", "content", "headers", "status", "version")

    def __init__(
        self,
        message: RawResponseMessage,
        content: Any,
        connection: Connection | None,
        protocol: Protocol,
    ) -> None:
        self.status = message.code
        self.headers = message.headers
        self.version = message.version
        self.content: aiohttp.StreamReader = content
        self.connection = connection
        self._protocol = protocol

    def release(self) -> None:
        """Return the connection to the pool, because the body has arrived."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """Close the connection and end a pending read of the body."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()
            self.content.set_exception(aiohttp.ClientConnectionError("Connection closed"))


class _WholeBody:
    """A body that has arrived, with the used part of ``aiohttp.StreamReader``'s interface."""

    __slots__ = ("_rest",)

    def __init__(self, rest: bytes) -> None:
        self._rest = rest

    def is_eof(self) -> bool:
        return True

    def at_eof(self) -> bool:
        return not self._rest

    def read_nowait(self, n: int = -1) -> bytes:
        chunk = self._rest if n < 0 else self._rest[:n]
        self._rest = self._rest[len(chunk) :]
        return chunk

    async def readany(self) -> bytes:
        return self.read_nowait()


_WholeResponse = tuple[RawResponseMessage, _WholeBody]

# The body of every response whose bytes a ``TakeBody`` has copied.
TAKEN: Final[Any] = _WholeBody(b"")

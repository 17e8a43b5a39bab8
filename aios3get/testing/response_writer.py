"""Writes responses to a connection, completely or as a fault requires.

aiohttp parses the requests. Responses are written here, because aiohttp's own writer refuses to
send malformed responses, which faults require.
"""

import asyncio
import socket
import struct
from collections.abc import Callable

from aiohttp.abc import AbstractStreamWriter

from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import Response

__all__ = ["ResponseWriter"]

_piece = 1 << 18


class ResponseWriter:
    """Sends the response to one request.

    Args:
        writer: aiohttp's writer, which waits while the connection's buffer is full.
        transport: the connection.
        request: the request; counts the bytes sent.
        stopping: a future that is done when the server stops; ends every sleep.

    Attributes:
        keep_alive: whether the connection stays open after the response.
        bytes_per_second: the rate of the body; None for no limit.
    """

    def __init__(
        self,
        writer: AbstractStreamWriter,
        transport: asyncio.Transport,
        request: RecordedRequest,
        stopping: asyncio.Future[None],
    ) -> None:
        self.keep_alive = request.keep_alive
        self.bytes_per_second: float | None = None
        self._writer = writer
        self._transport = transport
        self._request = request
        self._stopping = stopping
        self._started = 0.0

    async def send(self, response: Response) -> None:
        """Send the whole response."""
        await self.send_part(response, len(response.body))
        await self.finish(response)

    async def send_part(self, response: Response, count: int) -> None:
        """Send the head and ``count`` bytes of the body."""
        if response.framing == "close" or not self.keep_alive:
            self.keep_alive = False
            response = response.with_headers({"Connection": "close"})
        head = response.head()
        self._started = asyncio.get_running_loop().time()
        is_small = len(response.body) <= _piece and self.bytes_per_second is None
        if self._has_no_body or response.framing == "chunked" or not is_small:
            await self.write(head)
            await self.send_body(response, 0, count)
            return
        # Send head and body in one segment, as servers do for small responses.
        first = response.body[:count]
        self._request.bytes_sent += len(first)
        await self.write(head + first)

    async def send_body(self, response: Response, start: int, stop: int) -> None:
        """Send the bytes of the body from ``start`` up to ``stop`` in the response's framing."""
        if self._has_no_body:
            return
        body = memoryview(response.body)
        stop = min(stop, len(body))
        rate = self.bytes_per_second
        piece = _piece if rate is None else max(1, min(_piece, int(rate / 10)))
        while start < stop:
            if rate is not None:
                await self._wait_until(self._started + start / rate)
            data = body[start : min(stop, start + piece)]
            start += len(data)
            # Counted before the write, so that the count includes the bytes that a client has.
            self._request.bytes_sent += len(data)
            if response.framing == "chunked":
                await self.write(b"".join((b"%x\r\n" % len(data), data, b"\r\n")))
            else:
                await self.write(data)

    async def finish(self, response: Response) -> None:
        """Send the end of the response for its framing."""
        if response.framing == "chunked" and not self._has_no_body:
            await self.write(b"0\r\n\r\n")
        if not self.keep_alive:
            self.close()

    async def write(self, data: bytes | memoryview) -> None:
        """Send the bytes; wait while the connection's buffer is full."""
        await self._writer.write(data)

    async def sleep(self, seconds: float) -> None:
        """Wait, at most until the server stops."""
        stopped, _ = await asyncio.wait({self._stopping}, timeout=seconds)
        if stopped:
            self.close()

    def close(self) -> None:
        """Close the connection after the written bytes; over TLS with a ``close_notify``."""
        self._end(lambda transport: transport.close())

    async def cut(self) -> None:
        """End the connection below TLS: a TCP FIN and no ``close_notify``."""
        await self._flush()
        self._end(_shut_down)

    async def reset(self) -> None:
        """Reset the connection (TCP RST) after the written bytes have left this process."""
        await self._flush()
        self._end(_reset)

    @property
    def _has_no_body(self) -> bool:
        return self._request.method == "HEAD"

    async def _wait_until(self, moment: float) -> None:
        delay = moment - asyncio.get_running_loop().time()
        # Shorter sleeps are inaccurate; the next one compensates for skipping them.
        if delay > 0.001:
            await self.sleep(delay)

    async def _flush(self) -> None:
        # asyncio's TLS transport treats an empty buffer as full if the limit is 0.
        self._transport.set_write_buffer_limits(high=1)
        await self._writer.drain()

    def _end(self, how: Callable[[asyncio.Transport], None]) -> None:
        self.keep_alive = False
        how(self._transport)


def _shut_down(transport: asyncio.Transport) -> None:
    _socket(transport).shutdown(socket.SHUT_WR)
    transport.abort()


def _reset(transport: asyncio.Transport) -> None:
    linger = struct.pack("ii", 1, 0)
    _socket(transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def _socket(transport: asyncio.Transport) -> socket.socket:
    connected: socket.socket = transport.get_extra_info("socket")
    return connected

"""Answers as bytes on one connection, in good order or not.

aiohttp reads the requests; the answers are written here, because its own writer rightly refuses
to send what the faults must send.
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
    """One request's way back to its client.

    Args:
        writer: aiohttp's, for its flow control.
        transport: the connection.
        record: where the bytes sent are counted.
        stopping: done when the server stops; it ends every sleep.
    """

    def __init__(
        self,
        writer: AbstractStreamWriter,
        transport: asyncio.Transport,
        record: RecordedRequest,
        stopping: asyncio.Future[None],
    ) -> None:
        self._writer = writer
        self._transport = transport
        self._record = record
        self._stopping = stopping
        self.keep_alive = record.keep_alive

    @property
    def is_head(self) -> bool:
        """Whether the request is HEAD, whose answer has no body."""
        return self._record.method == "HEAD"

    async def send(self, answer: Response) -> None:
        """The whole answer."""
        await self.send_part(answer, len(answer.body))
        await self.finish(answer)

    async def send_part(self, answer: Response, count: int) -> None:
        """The head and ``count`` bytes of the body."""
        if answer.framing == "close" or not self.keep_alive:
            self.keep_alive = False
            answer = answer.having({"Connection": "close"})
        head = answer.head()
        if self.is_head or answer.framing == "chunked":
            await self.write(head)
            await self.send_body(answer, 0, count)
            return
        first = answer.body[: min(count, _piece)]
        self._count(first)
        await self.write(head + first)
        await self.send_body(answer, len(first), count)

    async def send_body(self, answer: Response, start: int, stop: int) -> None:
        """The body's bytes from ``start`` up to ``stop``, framed as the answer says."""
        if self.is_head:
            return
        stop = min(stop, len(answer.body))
        while start < stop:
            data = answer.body[start : min(stop, start + _piece)]
            start += len(data)
            self._count(data)
            if answer.framing == "chunked":
                data = b"".join((b"%x\r\n" % len(data), data, b"\r\n"))
            await self.write(data)

    async def send_rest(self, answer: Response, start: int) -> None:
        """The body from ``start`` on, and its end."""
        await self.send_body(answer, start, len(answer.body))
        await self.finish(answer)

    async def finish(self, answer: Response) -> None:
        """The end of the answer, as its framing has it."""
        if answer.framing == "chunked" and not self.is_head:
            await self.write(b"0\r\n\r\n")
        if not self.keep_alive:
            self.close()

    def _count(self, data: bytes | memoryview) -> None:
        # Before the write: whoever has the bytes finds them counted.
        self._record.bytes_sent += len(data)

    async def write(self, data: bytes | memoryview) -> None:
        """These bytes as they are, once the connection takes them."""
        await self._writer.write(bytes(data))

    async def sleep(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        stopped, _ = await asyncio.wait({self._stopping}, timeout=seconds)
        if stopped:
            self.close()

    def close(self) -> None:
        """Close the connection after what was written; over TLS with its closing alert."""
        self._end(lambda transport: transport.close())

    async def cut(self) -> None:
        """End the connection below TLS: a TCP FIN and no closing alert."""
        await self._flush()
        self._end(_shut_down)

    async def reset(self) -> None:
        """Reset the connection (TCP RST) once what was written has left this process."""
        await self._flush()
        self._end(_reset)

    async def _flush(self) -> None:
        # asyncio's TLS transport calls an empty buffer full when the limit is 0.
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
    under: socket.socket = transport.get_extra_info("socket")
    return under

"""Receives response bodies directly into the caller's memory.

aiohttp delivers a body as ``bytes`` objects, each allocated, filled and then copied to its
destination. A ``BodyReceiver`` replaces aiohttp's protocol on the connection after the head is
parsed, so that the socket or the TLS layer writes to the destination itself. After the last byte it
restores aiohttp's protocol, and the connection returns to the pool.
"""

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import aiohttp

from aios3get._http.aiohttp_private import ResponseHandler, end_body, parse_next_response
from aios3get._http.direct import DirectResponse, switch_protocol

__all__ = ["SPARE_BYTES", "BodyReceiver", "OnData"]

OnData = Callable[[memoryview], object]

# Below this, the two switches of the protocol cost as much as they save.
_WORTHWHILE_BYTES: Final = 262_144

# The end of a body is received into a buffer larger than the missing bytes, to detect excess bytes:
# if any arrive, the connection must not be used for another request.
_END_BYTES: Final = 65_536
# The most bytes of a chunk: iterating chunks of 512 KiB takes 0.9 times the CPU time of 256 KiB.
SPARE_BYTES: Final = 8 * _END_BYTES

# Linux can report a socket as readable only when so many bytes have arrived (SO_RCVLOWAT). Being
# woken up for every few packets takes 10 to 30 % of the CPU time of readinto; chunks gain nothing.
_BATCH_BYTES: Final = 262_144
# If a read waits for so long, the connection is slow, and every byte is reported from then on.
_BATCH_SECONDS: Final = 0.05


class BodyReceiver(asyncio.BufferedProtocol):
    """Reads the body of one response into memory, directly where that is possible and worthwhile.

    A body is received directly if it has one ``Content-Length``, and if the rest of it and the
    destination have 256 KiB or more. Everything else is copied from aiohttp's chunks. Once a body
    is received directly, all the rest of it is. Between two calls nothing is read from the socket,
    except up to two chunks after ``readany``.

    Args:
        response: aiohttp's response, with its head received. Body bytes read before must have been
            read from ``response.content``.
        spare: at least ``SPARE_BYTES`` of memory. It is used only within single callbacks, so all
            connections of an event loop can share it.

    Attributes:
        unread: bytes that were received for ``readany`` and not returned yet.
    """

    def __init__(self, response: aiohttp.ClientResponse | DirectResponse, spare: bytearray) -> None:
        self._response = response
        self._content = response.content
        self._spare = memoryview(spare)
        self._loop = asyncio.get_running_loop()
        # Set while the connection is diverted from aiohttp.
        self._transport: asyncio.Transport | None = None
        self._handler: ResponseHandler | None = None
        self._diverted: Any = None
        # Body bytes that have not arrived; valid while diverted.
        self._missing = 0
        self._lost: str | None = None
        # Whether the socket is reported as readable for ``_BATCH_BYTES`` only.
        self._batching = False
        self._batch_timer: asyncio.TimerHandle | None = None
        # Set while a call waits: the memory not filled yet, and the callback for new bytes.
        self._target: memoryview | None = None
        # The call ends when so many bytes of the body are still missing.
        self._enough = 0
        self._on_data: OnData | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._through_spare = False
        # Whether chunks are received for ``readany``.
        self._flowing = False
        self.unread = deque[bytes]()

    async def readinto(
        self, target: memoryview, on_data: OnData | None = None, least: int | None = None
    ) -> int:
        """Receive the next bytes of the body into ``target``.

        Args:
            target: a writable view of bytes. It is not written to after the call has ended, even
                by an error.
            on_data: called with each piece of ``target`` as soon as it is filled, in order. If the
                call raises or is cancelled, these are exactly the bytes that were received, and the
                next call continues after them if the connection is still open.
            least: the number of bytes after which the call ends as soon as no more have arrived;
                None to fill ``target``.

        Returns:
            The number of bytes; less than ``least`` only at the end of the body.

        Raises:
            aiohttp.ClientError: the connection broke, or was closed.
        """
        if least is None:
            least = len(target)
        filled = 0
        while self.unread and filled < len(target):
            chunk, count = self.unread.popleft(), len(target) - filled
            if len(chunk) > count:
                self.unread.appendleft(chunk[count:])
            filled = _copy(chunk[:count], target, filled, on_data)
        if self._transport is None and self._lost is None:
            filled = self._copy_buffered(target, filled, on_data)
            if filled >= least or self._content.is_eof():
                return filled
            if not self._divert(len(target) - filled, batches=True):
                return await self._copy_chunks(target, filled, on_data, least)
        if filled < least:
            filled += await self._receive(target[filled:], on_data, least - filled)
        return filled

    async def readany(self) -> bytes:
        """Return the next bytes of the body as they arrive, or nothing at its end.

        Raises:
            aiohttp.ClientError: the connection broke, or was closed.
        """
        if not self.unread:
            if self._transport is None and self._lost is None:
                chunk = self._content.read_nowait()
                if chunk or self._content.is_eof():
                    return chunk
                if not self._divert():
                    return await self._content.readany()
            if self._transport is not None:
                self._flowing = True
                await self._wait(self._transport)
            if not self.unread:
                self._check_lost()
                return b""
        return self.unread.popleft()

    def abort(self, reason: str = "Connection closed") -> None:
        """Close the connection, unless aiohttp has it back, and end a waiting call."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self._end_batches()
            self._target = self._on_data = None
            self.unread.clear()
            self._lost = reason
            self._response.close()
            # The TLS layer would otherwise wait for the peer's close_notify.
            transport.abort()
            self._wake()

    def _copy_buffered(self, target: memoryview, filled: int, on_data: OnData | None) -> int:
        """Copy the bytes that aiohttp has already received."""
        # After each chunk, aiohttp parses more of the received data.
        while filled < len(target) and (chunk := self._content.read_nowait(len(target) - filled)):
            filled = _copy(chunk, target, filled, on_data)
        return filled

    async def _copy_chunks(
        self, target: memoryview, filled: int, on_data: OnData | None, least: int
    ) -> int:
        # StreamReader.read() raises the limit of aiohttp's buffer to the requested size.
        at_once, _ = self._content.get_read_buffer_limits()
        while filled < least:
            chunk = await self._content.read(min(len(target) - filled, at_once))
            if not chunk:
                break
            filled = _copy(chunk, target, filled, on_data)
        return filled

    def _divert(self, wanted: int = _WORTHWHILE_BYTES, *, batches: bool = False) -> bool:
        """Take over the connection from aiohttp; return False if that is not possible.

        aiohttp must have no unread bytes.
        """
        length = _content_length(self._response)
        connection = self._response.connection
        if length is None or connection is None:
            return False
        transport = connection.transport
        if transport is None or transport.is_closing() or not transport.is_reading():
            return False
        self._missing = length - self._content.total_bytes
        if min(self._missing, wanted) < _WORTHWHILE_BYTES:
            return False
        self._handler = connection.protocol
        self._diverted = transport.get_protocol()
        # uvloop selects its read callbacks when reading starts.
        transport.pause_reading()
        transport.set_protocol(self)
        self._transport = transport
        if batches and self._missing > 4 * _BATCH_BYTES and sys.platform == "linux":
            _set_low_water(transport, _BATCH_BYTES)
            self._batching = True
        return True

    def _watch_batches(self) -> None:
        if self._batching and self._batch_timer is None:
            self._batch_timer = self._loop.call_later(
                _BATCH_SECONDS, self._check_batches, self._missing
            )

    def _check_batches(self, missing: int) -> None:
        """End batches if no bytes have arrived since ``missing`` were missing."""
        self._batch_timer = None
        if self._waiter is None:
            return  # the next wait is watched
        if self._missing == missing:
            self._end_batches()
        else:
            self._watch_batches()

    def _end_batches(self) -> None:
        if self._batching and self._transport is not None:
            _set_low_water(self._transport, 1)
        self._batching = False
        if self._batch_timer is not None:
            self._batch_timer.cancel()
            self._batch_timer = None

    async def _receive(self, target: memoryview, on_data: OnData | None, least: int) -> int:
        if self._transport is not None:
            self._flowing = False
            self._target = target[: self._missing]
            self._enough = max(0, self._missing - least)
            self._on_data = on_data
            missing = self._missing
            try:
                await self._wait(self._transport)
            finally:
                self._target = self._on_data = None
            if self._lost is None:
                return missing - self._missing
        self._check_lost()
        return 0

    async def _wait(self, transport: asyncio.Transport) -> None:
        self._waiter = self._loop.create_future()
        self._watch_batches()
        transport.resume_reading()
        try:
            await self._waiter
        except BaseException:
            self._pause()  # a cancelled call leaves the rest of the body to the next one
            raise
        finally:
            self._waiter = None

    def _check_lost(self) -> None:
        if self._lost is not None:
            raise aiohttp.ClientPayloadError(
                f"{self._missing} bytes of the body are missing: {self._lost}"
            )

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the memory for the next bytes."""
        target = self._target
        if target is None:
            return self._spare
        holds_end = len(target) == self._missing
        self._through_spare = holds_end and len(target) <= _END_BYTES
        if self._through_spare:
            return self._spare
        return target[:-_END_BYTES] if holds_end else target

    def buffer_updated(self, nbytes: int) -> None:
        """Account for bytes that arrived in the memory from ``get_buffer``."""
        if self._missing - nbytes < 2 * _BATCH_BYTES:
            self._end_batches()
        target = self._target
        if target is None:
            self._add_chunk(nbytes)
            return
        excess = False
        if self._through_spare:
            excess = nbytes > len(target)
            nbytes = min(nbytes, len(target))
            target[:nbytes] = self._spare[:nbytes]
        self._target = target[nbytes:]
        self._missing -= nbytes
        if self._on_data is not None:
            try:
                self._on_data(target[:nbytes])
            except Exception as error:
                if self._waiter is not None and not self._waiter.done():
                    self._waiter.set_exception(error)
                self.abort()
                return
        if not self._missing:
            self._hand_back(excess=excess)
        elif self._missing <= self._enough:
            self._pause()
            self._target = None
        else:
            return
        self._wake()

    def _add_chunk(self, size: int) -> None:
        if not self._flowing:
            self.abort()
            return
        wanted = min(size, self._missing)
        self.unread.append(bytes(self._spare[:wanted]))
        self._missing -= wanted
        if not self._missing:
            self._hand_back(excess=size > wanted)
        elif len(self.unread) > 1:
            self._pause()  # the reader is slower than the network
        self._wake()

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def _hand_back(self, *, excess: bool) -> None:
        """Return the connection to aiohttp, which pools or closes it."""
        transport, self._transport = self._transport, None
        handler = self._handler
        assert transport is not None
        assert handler is not None
        switch_protocol(transport, self._diverted)
        end_body(handler, self._content, reusable=not excess)

    def eof_received(self) -> None:
        """Pass the end of the stream on to aiohttp."""
        self._diverted.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the loss on to aiohttp, and end a waiting call."""
        self._transport = None
        self._end_batches()
        # The parser would raise an error about the missing body, whose traceback holds this frame.
        assert self._handler is not None
        parse_next_response(self._handler)
        self._diverted.connection_lost(exc)
        if self._lost is None:
            self._lost = str(exc or "the server closed the connection")
        self._wake()

    def resume_writing(self) -> None:
        """Tell aiohttp that the request was sent, which may happen after the response's head."""
        self._diverted.resume_writing()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _set_low_water(transport: asyncio.Transport, size: int) -> None:
    """Have the transport's socket reported as readable when ``size`` bytes have arrived."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):  # of a socket or sandbox without the option
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


def _copy(chunk: bytes, target: memoryview, filled: int, on_data: OnData | None) -> int:
    stop = filled + len(chunk)
    target[filled:stop] = chunk
    if on_data is not None:
        on_data(target[filled:stop])
    return stop


def _content_length(response: aiohttp.ClientResponse | DirectResponse) -> int | None:
    """Return the length of the body if only ``Content-Length`` frames it."""
    values = response.headers.getall("Content-Length", ())
    if len(values) != 1 or "Transfer-Encoding" in response.headers:
        return None
    return int(values[0]) if values[0].isascii() and values[0].isdecimal() else None

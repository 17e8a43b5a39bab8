"""Streams an object in order, using many requests."""

import asyncio
from types import TracebackType
from typing import Final, Self

from aios3get._engine.parallel.closing import AsyncCloseable
from aios3get._engine.parallel.object_read import FirstResponse, ObjectRead
from aios3get._engine.parallel.part_reader import PartReader
from aios3get._engine.parallel.parts import MIB, MIN_PART
from aios3get._engine.parallel.read_ahead import ReadAhead
from aios3get._engine.parallel.stored_checksum import fetch_stored_checksum
from aios3get._engine.parallel.verification import OrderedVerification
from aios3get._engine.stream import ByteStream
from aios3get._protocol.checksum import Verified
from aios3get._protocol.object_info import ObjectInfo
from aios3get.errors import UsageError

__all__ = ["ObjectStream"]

_CHUNK: Final = MIB
_UNREAD: Final = Verified("pending", None, "the stream was not read to its end")


class ObjectStream(AsyncCloseable):
    """An object's bytes in order, read ahead with several requests at once.

    Enter it with ``async with``, and iterate over it to get chunks of up to 1 MiB. All bytes are
    verified before the last chunk is returned. One task at a time may read.

    Attributes:
        info: the object's metadata.
        start: offset in the object of the first byte; above 0 for a range or part.
        size: the object's size in bytes; None if the server does not announce it.
    """

    info: ObjectInfo
    start: int
    size: int | None

    def __init__(self, read: ObjectRead) -> None:
        self._read = read
        self._source: _OneResponse | _ManyResponses | None = None
        self._open = False
        self._reading = False

    @property
    def stop(self) -> int | None:
        """Offset in the object after the last byte.

        None only where the server announces no length; then it is known once all has been read.
        """
        return None if self._source is None else self._source.stop

    @property
    def attempts(self) -> int:
        """The number of requests sent for this stream so far, corrections and resumes included."""
        return self._read.call.attempts

    @property
    def verified(self) -> Verified:
        """Whether the bytes were verified, against which checksum, and if not, why not.

        True in a condition once the last byte was handed out and the checksum matched.
        """
        return _UNREAD if self._source is None else self._source.verified

    async def __aenter__(self) -> Self:
        read = self._read
        first = await read.call.run(read.begin())
        self.info = first.info
        self.start, self.size = first.extent.start, first.extent.size
        if first.stream is not None:
            self._source = _OneResponse(first.stream)
        else:
            self._source = _ManyResponses(read, first)
        self._open = True
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._source is None or not self._open:
            raise UsageError("the stream is not open; read it inside async with")
        if self._reading:
            raise UsageError("two tasks read one stream at once; open one for each")
        self._read.check_loop()
        self._reading = True
        try:
            chunk = await self._read.call.run(self._source.read())
        finally:
            self._reading = False
        if not self._open:
            raise UsageError("the stream was closed during the read")
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncio.CancelledError) and isinstance(self._source, _OneResponse):
            self._source.close()  # do not make a cancelled task wait to save the connection
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the requests, and discard the bytes that were not read."""
        self._open = False
        if self._source is not None:
            await self._source.aclose()


class _OneResponse:
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    @property
    def stop(self) -> int | None:
        return self._stream.stop

    @property
    def verified(self) -> Verified:
        return self._stream.verified

    async def read(self) -> bytes:
        return await self._stream.read()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def close(self) -> None:
        self._stream.close()

    def __del__(self) -> None:
        self._stream.abandon()


class _ManyResponses:
    def __init__(self, read: ObjectRead, first: FirstResponse) -> None:
        assert first.span is not None
        assert first.extent.stop is not None
        reader = PartReader(read, first)
        self._ahead = ReadAhead(read, reader, first.span)
        self._ahead.adapt()
        stream = reader.stream_of(first, self._ahead)
        # The response to a request for the end of an object may be longer than a part.
        self._ahead.start_with(stream, min(first.extent.stop, first.span.start + MIN_PART))
        self._ahead.fill()
        self.stop: int | None = first.span.stop
        self._last: bytes | None = None
        self.verified = _UNREAD
        self._verification: OrderedVerification | None = None
        stored = fetch_stored_checksum(read, first)
        if isinstance(stored, str):
            self.verified = Verified("unverified", None, stored)
        else:
            self._verification = OrderedVerification(stored)

    async def read(self) -> bytes:
        """Return the next bytes; a cancellation loses none."""
        verification = self._verification
        self._ahead.measure(self._ahead.position)
        self._ahead.adapt()
        if verification is None:
            return bytes(await self._ahead.read(_CHUNK))
        if self._last is None:
            await verification.prepare()
            chunk = bytes(await self._ahead.read(_CHUNK))
            verification.update(chunk)
            if self._ahead.position != self.stop:
                return chunk
            self._last = chunk
        if not self.verified:
            self.verified = await verification.conclude()
        last, self._last = self._last, b""
        return last

    async def aclose(self) -> None:
        try:
            if self._verification is not None:
                await self._verification.aclose()
        finally:
            for block in await self._ahead.aclose():
                self._ahead.recycle(block)

"""A seekable, file-like reader of one object, which reads ahead of sequential reads."""

import asyncio
import os
from collections.abc import Generator
from io import BytesIO
from typing import Any, Final, Self, TypeVar

from aios3get._engine.parallel.closing import AsyncCloseable
from aios3get._engine.parallel.limits import Limits
from aios3get._engine.parallel.memory import writable_view
from aios3get._engine.parallel.object_read import ObjectRead, not_divisible
from aios3get._engine.parallel.part_reader import PartReader
from aios3get._engine.parallel.parts import MIB, Span
from aios3get._engine.parallel.read_ahead import Block, ReadAhead
from aios3get._engine.parallel.sync_reader import SyncObjectReader, seek_to
from aios3get._engine.parallel.tasks import TaskGroup
from aios3get._engine.stream import ByteStream
from aios3get._protocol.object_info import ObjectInfo
from aios3get.errors import UsageError

__all__ = ["ObjectReader", "Offset"]

T = TypeVar("T")

# The size of the first request, and the unit of the other sizes.
_UNIT: Final = MIB
_MOST_DIVISIONS: Final = 16


class Offset(int):
    """An offset in an object. It may be awaited, as with other asyncio file objects."""

    def __await__(self) -> Generator[Any, Any, int]:
        return _immediately(int(self)).__await__()


async def _immediately(value: int) -> int:
    return value


class ObjectReader(AsyncCloseable):
    """Reads one version of an object like a file opened in binary mode.

    Enter it with ``async with``. Sequential reads are served by reading ahead with several requests
    at once; a read at another offset requests only what it needs. The last 8 MiB that were read
    stay in memory, except for reads of 128 KiB or more at another offset. One task at a time may
    read. The bytes are not compared with a checksum.

    Attributes:
        info: the object's metadata.
        size: the object's size in bytes.
    """

    info: ObjectInfo
    size: int

    def __init__(self, read: ObjectRead) -> None:
        self._read = read
        unit = self._unit = min(_UNIT, read.least_part)
        # The least that a read at another offset requests; a larger one is received directly into
        # its result. A read near the end requests everything up to the end, where formats such as
        # zip and Parquet have their directories.
        self._least_jump = unit // 8
        # A read of this many bytes at another offset is divided among several requests.
        self._divided = 4 * unit
        self._cache_size = 8 * unit
        self._position = 0
        self._open = False
        self._reading = False
        self._interrupt: asyncio.Timeout | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: PartReader | None = None
        self._ahead: ReadAhead | None = None
        # The offset at which the current sequential read began.
        self._began = 0
        # The offset at which the latest read ended that was received directly.
        self._direct_stop = -1
        self._cache: list[Block] = []
        # The block of the latest read, which serves the next ones up to the checkpoint: there, it
        # is decided how far to read ahead.
        self._block: Block | None = None
        self._checkpoint = 0

    async def __aenter__(self) -> Self:
        await self._read.call.run(self._begin())
        self._open = True
        return self

    async def _begin(self) -> None:
        read = self._read
        self._loop = asyncio.get_running_loop()
        first = await read.begin(self._unit)
        self.info = first.info
        if first.stream is not None:
            await self._load(first.stream)
            return
        assert first.extent.size is not None
        assert first.extent.stop is not None
        self.size = first.extent.size
        self._reader = PartReader(read, first)
        stop = first.extent.stop
        self._ahead = self._read_ahead(self._reader, 0, stop)
        self._ahead.start_with(self._reader.stream_of(first, self._ahead), stop)

    async def _load(self, stream: ByteStream) -> None:
        """Read a whole small object into memory."""
        async with stream:
            if stream.size is None or stream.size > self._unit:
                raise not_divisible()
            self.size = stream.size
            memory = memoryview(bytearray(self.size))
            filled = 0
            while filled < self.size:
                filled += await stream.readinto(memory[filled:])
        block = Block(0, memory)
        block.at = block.stop
        self._cache = [block]

    async def aclose(self) -> None:
        """Cancel the requests. The client releases the memory if no other read needs it soon."""
        self._open = False
        self._block = None
        blocks = self._cache.copy()
        self._cache.clear()
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt.reschedule(0)  # another task waits for bytes
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            blocks += await ahead.aclose()
        for block in blocks:
            self._read.exchange.buffers.give(block.buffer)

    @property
    def closed(self) -> bool:
        """Whether the reader is closed, or was never opened."""
        return not self._open

    def tell(self) -> Offset:
        """The offset of the next byte that ``read`` returns."""
        return Offset(self._position)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> Offset:
        """Set the offset of the next byte, relative to the start, the current offset or the end.

        It may be beyond the end, where ``read`` returns no bytes.

        Raises:
            ParameterError: the offset would be negative, or ``whence`` is unknown.
        """
        self._check_open()
        self._position = position = seek_to(offset, whence, self._position, self.size)
        return Offset(position)

    async def read(self, size: int | None = -1, /) -> bytes:
        """Read the next ``size`` bytes, fewer only at the end; all that remain without a size.

        Raises:
            ObjectChanged: the object was replaced since the reader was opened.
            S3Error: as for ``get_object``.
        """
        if size is not None and size >= 0:
            held = self._held(self._position, size)
            if held is not None:
                self._position += size
                return bytes(held)
        self._check_reader()
        start = self._position
        count = max(0, self.size - start)
        if size is not None and size >= 0:
            count = min(count, size)
        if count and not self._reading:
            self._measure(start)
            self._find(start, count)
        held = self._held(start, count)
        if held is not None:
            self._position += count
            return bytes(held)
        room = BytesIO(bytes(count))
        with room.getbuffer() as view:
            await self._read_at(start, view)
        self._position = start + count
        return room.getvalue()

    async def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` with the next bytes; return their number, which is less only at the end.

        Raises:
            ParameterError: ``buffer`` is not contiguous writable memory.
            S3Error: as for ``read``.
        """
        self._check_reader()
        # Released, because the traceback of an error would keep the buffer from being resized.
        with writable_view(buffer)[: max(0, self.size - self._position)] as view:
            await self._read_at(self._position, view)
            self._position += len(view)
            return len(view)

    def as_sync(self) -> SyncObjectReader:
        """Return a blocking file for code in other threads, such as ``zipfile``, h5py or pyarrow.

        The file has its own offset.
        """
        self._check_open()
        assert self._loop is not None
        return SyncObjectReader(self, self._loop)

    async def read_at(self, offset: int, view: memoryview) -> int:
        """Fill ``view`` with the bytes from ``offset`` on; return their number."""
        self._check_reader()
        view = view[: max(0, self.size - offset)]
        await self._read_at(offset, view)
        return len(view)

    async def _read_at(self, offset: int, view: memoryview) -> None:
        if self._reading:
            raise UsageError("two tasks read at once; open a reader for each")
        self._reading = True
        self._measure(offset)
        try:
            async with asyncio.timeout(None) as self._interrupt:
                await self._read.call.run(self._fill(offset, view))
        except TimeoutError:
            self._check_open()
            raise
        finally:
            self._interrupt = None
            self._reading = False

    def _held(self, start: int, count: int) -> memoryview | None:
        """Return the bytes if they have arrived in the current block."""
        block, stop = self._block, start + count
        if block is None or start < block.start or stop > block.at or stop > self._checkpoint:
            return None
        return block.memory[start - block.start : stop - block.start]

    def _measure(self, offset: int) -> None:
        if self._ahead is not None:
            self._ahead.measure(offset)

    def _find(self, offset: int, wanted: int) -> Block | None:
        """Make the block with the byte the current one, if the byte is in memory; return it."""
        self._block = None
        ahead = self._ahead
        for block in self._cache:
            if block.start <= offset < block.stop:
                self._block, self._checkpoint = block, block.stop
                return block
        if ahead is not None and ahead.covers(offset):
            ahead.position = offset
            self._extend(ahead, wanted)
            self._block = ahead.arrived()
        return self._block

    def _extend(self, ahead: ReadAhead, wanted: int) -> None:
        """Read farther ahead if the latest reads were sequential, or if this one is large."""
        count = ahead.position - self._began
        enough = self._unit if self._began else self._unit // 2
        self._checkpoint = self.size
        if count >= enough or wanted > self._unit:
            ahead.adapt(wanted)
            return
        self._checkpoint = self._began + enough
        if self._began and count:
            # Many programs read a piece of a file in small steps, and then seek.
            size = max(2 * count, self._least_jump)
            ahead.limits = Limits(size, 1, size)

    async def _fill(self, offset: int, view: memoryview) -> None:
        stop = offset + len(view)
        while offset < stop:
            rest = view[offset - stop :]
            block = self._find(offset, len(rest))
            if block is not None:
                piece = block.memory[offset - block.start : block.at - block.start]
                count = min(len(piece), len(rest))
                rest[:count] = piece[:count]
                offset += count
                continue
            self._check_open()
            ahead = await self._ahead_at(offset, len(rest))
            if ahead is None:
                await self._fill_directly(rest, offset)
                return
            try:
                await ahead.wait()
            except Exception:
                await self._leave()
                raise

    async def _ahead_at(self, offset: int, count: int) -> ReadAhead | None:
        """Return the read-ahead for ``offset``; None for a large read at another offset."""
        reader, ahead = self._reader, self._ahead
        assert reader is not None
        if ahead is not None and ahead.covers(offset):
            return ahead
        await self._leave()
        if offset != self._direct_stop:
            self._began = offset
            if count >= self._least_jump:
                return None
        start, stop = offset, min(self.size, offset + max(count, self._least_jump))
        if stop == self.size:
            start = min(offset, max(0, self.size - self._least_jump))
        self._ahead = ahead = self._read_ahead(reader, start, stop - start)
        ahead.position = offset
        self._extend(ahead, count)
        ahead.fill()
        return ahead

    async def _leave(self) -> None:
        """Stop reading ahead, and keep the complete blocks in memory."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            for block in await ahead.aclose():
                self._keep(block)

    def _read_ahead(self, reader: PartReader, start: int, count: int) -> ReadAhead:
        ahead = ReadAhead(self._read, reader, Span(start, self.size))
        ahead.limits = Limits(count, 1, count)
        ahead.retire = self._keep
        return ahead

    def _keep(self, block: Block) -> None:
        """Keep a block in memory, and evict older ones."""
        self._cache.insert(0, block)
        total = 0
        for number, each in enumerate(self._cache):
            total += each.stop - each.start
            if total > self._cache_size and number:
                for old in self._cache[number:]:
                    self._read.exchange.buffers.give(old.buffer)
                del self._cache[number:]
                return

    async def _fill_directly(self, view: memoryview, start: int) -> None:
        """Receive the bytes in ``view`` itself. They are not kept for another read."""
        reader, stop = self._reader, start + len(view)
        assert reader is not None
        if len(view) < self._divided:
            await reader.read_into(Span(start, stop), view)
        else:
            most = min(_MOST_DIVISIONS, self._read.connections or _MOST_DIVISIONS)
            size = max(self._unit, -(-len(view) // most))
            async with TaskGroup() as tasks:
                for at in range(start, stop, size):
                    span = Span(at, min(stop, at + size))
                    piece = view[span.start - start : span.stop - start]
                    tasks.create_task(reader.read_into(span, piece))
        self._direct_stop = stop

    def _check_reader(self) -> None:
        self._check_open()
        self._read.check_loop()

    def _check_open(self) -> None:
        if not self._open:
            raise UsageError("the reader is closed; use it inside async with s3.open_object(...)")

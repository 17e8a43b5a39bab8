"""Writes the parts of a download to its temporary file."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aios3get._engine.parallel.journal import Journal, Piece
from aios3get._engine.parallel.part_file import PartFile
from aios3get._engine.parallel.parts import MIB, Span
from aios3get._protocol.hashing import Algorithm

__all__ = ["FileSink"]

# Small enough to stay in the processor's cache between receiving and writing.
_BUFFER: Final = MIB
_THREADS: Final = 2
# A write that takes longer blocks the event loop noticeably.
_SLOW_SECONDS: Final = 0.005
_WRITES_OFF_LOOP: Final = 64


class FileSink:
    """The temporary file of a download, and its journal.

    Args:
        file: the file.
        journal: records the written pieces; None for a download that cannot be resumed.
        piece_size: the number of bytes of a part between two records.

    Attributes:
        start: offset in the object of the file's first byte.
    """

    def __init__(self, file: PartFile, journal: Journal | None, piece_size: int) -> None:
        self.piece_size = piece_size
        self._file = file
        self._journal = journal
        self.start = 0
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(_THREADS, "aios3get-download")
        self._free: list[memoryview] = []
        # The number of the next writes that run in a thread.
        self.off_loop = 1

    def writer(self, offset: int) -> "_FileWriter":
        """Return a writer for the bytes from ``offset`` on."""
        return _FileWriter(self, offset)

    def record(self, span: Span, algorithm: Algorithm, digest: bytes) -> None:
        """Add the piece to the journal."""
        if self._journal is not None:
            self._journal.append(Piece(span, algorithm.name, digest))

    def read_back(self, span: Span) -> Iterator[bytes]:
        """Read the bytes of ``span`` from the file."""
        return self._file.read(Span(span.start - self.start, span.stop - self.start))

    def take_buffer(self) -> memoryview:
        """Return a buffer for the bytes of one write."""
        return self._free.pop() if self._free else memoryview(bytearray(_BUFFER))

    def return_buffer(self, buffer: memoryview) -> None:
        """Return a buffer for reuse."""
        self._free.append(buffer)

    def write(self, data: memoryview, offset: int) -> "asyncio.Future[None] | None":
        """Write immediately, or in a thread if writes are slow."""
        if self.off_loop:
            return self._loop.run_in_executor(self._executor, self._timed, data, offset)
        self._timed(data, offset)
        return None

    def _timed(self, data: memoryview, offset: int) -> None:
        started = time.perf_counter()
        self._file.write(data, offset - self.start)
        slow = time.perf_counter() - started > _SLOW_SECONDS
        self.off_loop = _WRITES_OFF_LOOP if slow else max(0, self.off_loop - 1)

    @property
    def resumable(self) -> bool:
        """Whether a journal is kept."""
        return self._journal is not None

    def close(self) -> None:
        """Wait for pending writes. It blocks."""
        self._executor.shutdown(cancel_futures=True)


class _FileWriter:
    def __init__(self, sink: FileSink, offset: int) -> None:
        self._sink = sink
        self._offset = offset
        self._buffer = sink.take_buffer()
        self._filled = 0
        self._pending: asyncio.Future[None] | None = None
        self._spare: memoryview | None = None

    def window(self, size: int) -> memoryview:
        return self._buffer[self._filled : self._filled + size]

    async def filled(self, count: int) -> None:
        self._filled += count
        if self._filled == len(self._buffer):
            await self._write()

    async def flush(self) -> None:
        if self._filled:
            await self._write()
        await self._wait()

    async def _write(self) -> None:
        await self._wait()
        data, offset = self._buffer[: self._filled], self._offset
        self._offset += self._filled
        self._filled = 0
        self._pending = self._sink.write(data, offset)
        if self._pending is not None:
            pending = self._buffer
            self._buffer = self._spare or self._sink.take_buffer()
            self._spare = pending

    async def _wait(self) -> None:
        if self._pending is not None:
            await self._pending
            self._pending = None

    async def aclose(self) -> None:
        self._sink.return_buffer(self._buffer)
        if self._spare is not None:
            self._sink.return_buffer(self._spare)

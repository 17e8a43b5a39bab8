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

# The fewer and larger the receives, the less time they take: of 4 MiB instead of 1 MiB, 0.7 times
# as long. The memory is shared by all connections, because it is written before more is received.
_MEMORY: Final = 4 * MIB
_LEAST: Final = 2 * MIB
# While writes are slow, so many bytes of each connection are copied for them.
_SLOW_WINDOW: Final = MIB
_THREADS: Final = 2
# A write that takes longer blocks the event loop noticeably.
_SLOW_SECONDS: Final = 0.005
_WRITES_OFF_LOOP: Final = 64


class FileSink:
    """The temporary file of a download, and its journal.

    Bytes are written as they arrive. While that takes long, they are copied and written in threads.

    Args:
        file: the file.
        journal: records the written pieces; None for a download that cannot be resumed.
        piece_size: the number of bytes of a part between two records.

    Attributes:
        start: offset in the object of the file's first byte.
        off_loop: the number of the next writes that run in a thread.
    """

    least: int | None = _LEAST

    def __init__(self, file: PartFile, journal: Journal | None, piece_size: int) -> None:
        self.piece_size = piece_size
        self._file = file
        self._journal = journal
        self.start = 0
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(_THREADS, "aios3get-download")
        self._memory = memoryview(bytearray(_MEMORY))
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

    def window(self, size: int) -> memoryview:
        """Return memory for the next bytes of any part."""
        return self._memory[: min(size, _SLOW_WINDOW) if self.off_loop else size]

    def write(self, data: memoryview, offset: int) -> None:
        """Write, and notice whether that takes long. It blocks."""
        started = time.perf_counter()
        self._file.write(data, offset - self.start)
        slow = time.perf_counter() - started > _SLOW_SECONDS
        self.off_loop = _WRITES_OFF_LOOP if slow else max(0, self.off_loop - 1)

    async def write_off_loop(self, data: memoryview, offset: int) -> None:
        """Write in a thread."""
        await self._loop.run_in_executor(self._executor, self.write, data, offset)

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
        # Bytes that are to be written in a thread, with their offsets, and their number.
        self._copies: list[tuple[memoryview, int]] = []
        self._copied = 0
        self._error: OSError | None = None

    def window(self, size: int) -> memoryview:
        return self._sink.window(size)

    def write(self, data: memoryview) -> None:
        offset, self._offset = self._offset, self._offset + len(data)
        # More may arrive in a window that was large when writes became slow.
        if self._sink.off_loop and self._copied + len(data) <= _SLOW_WINDOW:
            self._copies.append((memoryview(bytes(data)), offset))
            self._copied += len(data)
            return
        # Raised to the receiver, an OSError would be taken for one of the connection.
        try:
            self._sink.write(data, offset)
        except OSError as error:
            self._error = error.with_traceback(None)

    async def flush(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        copies, self._copies, self._copied = self._copies, [], 0
        for data, offset in copies:
            await self._sink.write_off_loop(data, offset)

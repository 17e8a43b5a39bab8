"""Reads an object with many requests and writes the bytes to a sink, in any order."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from aios3get._engine.parallel.concurrency import Concurrency
from aios3get._engine.parallel.object_read import FirstResponse, ObjectRead
from aios3get._engine.parallel.part_reader import PartReader
from aios3get._engine.parallel.part_sizes import SEPARATE, Grouping, PartSizes
from aios3get._engine.parallel.part_stream import PartStream
from aios3get._engine.parallel.parts import MIN_PART, Part, Span, Work, stored_part_size
from aios3get._engine.parallel.progress import Progress
from aios3get._engine.parallel.scheduler import Scheduler
from aios3get._engine.parallel.stored_checksum import fetch_stored_checksum
from aios3get._engine.parallel.verification import Verification
from aios3get._protocol.checksum import Verified
from aios3get._protocol.hashing import ALGORITHMS, Algorithm, Buffer, Hasher

__all__ = ["CONNECTIONS", "MAX_CONNECTIONS", "Sink", "Transfer", "Writer"]

CONNECTIONS: Final = 8
MAX_CONNECTIONS: Final = 32


class Writer(Protocol):
    """Writes the bytes of one part in order."""

    def window(self, size: int) -> memoryview:
        """Return memory for the next bytes, at most ``size`` of them.

        Other writers may return the same memory.
        """
        ...

    def write(self, data: memoryview) -> None:
        """Take the next bytes, which have arrived in the last window."""
        ...

    async def flush(self) -> None:
        """Wait until all bytes so far are at their destination."""
        ...


class Sink(Protocol):
    """The destination of a transfer.

    Attributes:
        piece_size: the number of bytes of a part between two calls of ``record``; 0 to call it
            for whole parts only.
        least: the fewest bytes to receive into a window; None to fill it.
    """

    piece_size: int
    least: int | None

    def writer(self, offset: int) -> Writer:
        """Return a writer for the bytes from ``offset`` on."""
        ...

    def record(self, span: Span, algorithm: Algorithm, digest: bytes) -> None:
        """Record that the bytes of ``span`` are at their destination."""
        ...

    def read_back(self, span: Span) -> Iterable[Buffer]:
        """Read the bytes of ``span`` from their destination."""
        ...


class Transfer:
    """Reads spans of an object to a sink.

    Args:
        read: the call.
        first: its first response, whose body begins with the first span.
        spans: the bytes to read.
        sink: the destination.
        progress: counts the bytes as they arrive.
        connections: the number of requests at the start, unless the caller passed one.
        grouping: which spans are read with one request.
        store: copies the bytes of a short part, from the offset of its first byte on, to memory
            that nobody reads if the transfer fails: it is called before the response is checked.
            None if there is no such memory, or digests are computed.
    """

    def __init__(
        self,
        read: ObjectRead,
        first: FirstResponse,
        spans: list[Span],
        sink: Sink,
        progress: Progress | None = None,
        *,
        connections: int = CONNECTIONS,
        grouping: Grouping = SEPARATE,
        store: Callable[[int, memoryview], object] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._read = read
        self._first_response = first
        self._sink = sink
        self._store = store
        self._progress = progress
        self._reader = PartReader(read, first)
        self._work = Work(spans)
        limit = read.connections or max(connections, MAX_CONNECTIONS)
        limit = min(limit, read.exchange.state.max_concurrency)
        concurrency = Concurrency(read.connections or connections, limit, self._loop.time())
        sizes = PartSizes(self._reader.link, read.least_part, read.part_size, grouping)
        self._scheduler = Scheduler(self._work, self._read_part, concurrency, sizes)
        self._first_part: Part | None = None
        stored = fetch_stored_checksum(read, first)
        self._unverified = stored if isinstance(stored, str) else ""
        self.verification = None if isinstance(stored, str) else Verification(stored)

    async def run(self) -> Verified:
        """Read everything, then compare it with the stored checksum.

        Raises:
            S3Error: a part cannot be read, or the checksum differs.
            OSError: the sink cannot write the bytes.
        """
        verification = self.verification
        try:
            extent = self._first_response.extent
            assert extent.stop is not None
            self._first_part = self._work.take(extent.stop - extent.start)
            if self._read.part_size is None:
                etag, size = self._first_response.pin.etag, self._first_response.pin.size
                assert etag is not None
                assert size is not None
                self._work.boundary = stored_part_size(etag, size)
            await self._scheduler.run(self._first_part)
            if verification is None:
                return Verified("unverified", None, self._unverified)
            return await verification.conclude(self._sink.read_back)
        finally:
            self._read.discard(self._first_response)
            if verification is not None:
                await verification.aclose()

    async def _read_part(self, part: Part) -> None:
        """Read one part, which may be split meanwhile."""
        stream = await self._open(part)
        started = time.monotonic()
        try:
            if stream.at == part.start:
                await self._receive(part, stream)
            else:  # its whole body is stored
                self._count(part, part.left)
        finally:
            stream.close()
        self._reader.link.add_transfer(part.at - part.start, time.monotonic() - started)

    async def _receive(self, part: Part, stream: PartStream) -> None:
        writer = self._sink.writer(part.start)
        piece = _Piece(part.start, self._algorithm())

        def received(data: memoryview) -> None:
            # After a split, bytes beyond the end belong to another part.
            data = data[: part.left]
            if piece.hasher is not None:
                piece.hasher.update(data)
            writer.write(data)
            self._count(part, len(data))

        while part.left:
            window = writer.window(min(part.left, MIN_PART))
            least = min(len(window), self._sink.least or len(window))
            await stream.readinto(window, received, least)
            await writer.flush()
            if not part.left or 0 < self._sink.piece_size <= part.at - piece.start:
                self._record(piece, part.at)
                piece = _Piece(part.at, self._algorithm())

    def _count(self, part: Part, count: int) -> None:
        """Count received bytes."""
        part.at += count
        self._scheduler.received(count)
        if self._progress is not None:
            self._progress.add(count)

    async def _open(self, part: Part) -> PartStream:
        if part is self._first_part:
            return self._reader.stream_of(self._first_response, self._scheduler)
        span = Span(part.start, part.stop)
        take = None if self._store is None else partial(_take, self._store, span)
        return await self._reader.open(span, self._scheduler, take)

    def _algorithm(self) -> Algorithm | None:
        if self.verification is not None and self.verification.algorithm is not None:
            return self.verification.algorithm
        return ALGORITHMS["CRC64NVME"] if self._sink.piece_size else None

    def _record(self, piece: "_Piece", stop: int) -> None:
        if piece.algorithm is None or piece.hasher is None:
            return
        span, digest = Span(piece.start, stop), piece.hasher.digest()
        if self.verification is not None:
            self.verification.add(span, piece.algorithm, digest)
        self._sink.record(span, piece.algorithm, digest)


def _take(store: Callable[[int, memoryview], object], span: Span, body: memoryview) -> bool:
    """Store the body of a response if it is as long as the span."""
    fits = len(body) == span.size
    if fits:
        store(span.start, body)
    return fits


class _Piece:
    """Bytes of a part that one digest covers."""

    __slots__ = ("algorithm", "hasher", "start")

    def __init__(self, start: int, algorithm: Algorithm | None) -> None:
        self.start = start
        self.algorithm = algorithm
        self.hasher: Hasher | None = None if algorithm is None else algorithm.new()

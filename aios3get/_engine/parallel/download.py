"""Downloads an object to a file, which appears only when it is complete."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aios3get._engine.parallel.file_sink import FileSink
from aios3get._engine.parallel.journal import Identification, Journal, Piece
from aios3get._engine.parallel.object_read import FirstResponse, ObjectRead
from aios3get._engine.parallel.part_file import PartFile
from aios3get._engine.parallel.parts import Span, gaps
from aios3get._engine.parallel.progress import OnProgress, Progress
from aios3get._engine.parallel.transfer import Transfer
from aios3get._engine.stream import ByteStream
from aios3get._protocol.checksum import Verified
from aios3get._protocol.hashing import ALGORITHMS
from aios3get._protocol.object_info import ObjectInfo
from aios3get.errors import IntegrityError, InvalidRange

__all__ = ["Download", "Downloader"]

_WINDOW: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Download:
    """A finished download.

    Attributes:
        path: the file.
        info: the object's metadata.
        size: bytes in the file.
        resumed: how many of them an earlier, interrupted download had written.
        verified: whether the bytes were compared with the stored checksum, and if not, why not.
        attempts: how many requests were sent.
    """

    path: str
    info: ObjectInfo
    size: int
    resumed: int
    verified: Verified
    attempts: int


class Downloader:
    """One download.

    Args:
        read: the call.
        path: the path of the finished file.
        resume: whether to resume an interrupted download, and to keep this one for resuming.
        fsync: whether to wait until the file is on the disk.
        on_progress: called with the bytes so far and in total.
    """

    def __init__(
        self,
        read: ObjectRead,
        path: str,
        *,
        resume: bool,
        fsync: bool,
        on_progress: OnProgress | None,
    ) -> None:
        self._read = read
        self._path = path
        self._resume = resume
        self._fsync = fsync
        self._on_progress = on_progress
        self._loop = asyncio.get_running_loop()
        # Whether a later download can resume this one.
        self._worth_keeping = False
        self._committed = False

    async def run(self) -> Download:
        """Download the object.

        Raises:
            S3Error: as for ``get_object``.
            OSError: the file cannot be written.
        """
        opening = self._loop.run_in_executor(
            None, lambda: PartFile(self._path, resume=self._resume)
        )
        try:
            file = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_discard)
            raise
        journal = Journal(file.path + ".journal")
        sink = FileSink(file, journal if file.resumable else None, self._read.least_part)
        try:
            download = await self._fill(file, journal, sink)
            await self._in_thread(lambda: self._commit(file, journal, sink))
        except BaseException as error:
            keep = self._worth_keeping and not isinstance(error, IntegrityError)
            if not self._committed:
                await self._in_thread(lambda: _abort(file, journal, sink, keep=keep))
            raise
        return download

    async def _in_thread(self, function: Callable[[], None]) -> None:
        """Run a function in a thread, and wait until it has ended even if cancelled.

        It uses the file's descriptor, which another file gets as soon as this one is closed.
        """
        running = self._loop.run_in_executor(None, function)
        cancelled = False
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                cancelled = True
        try:
            if cancelled:
                raise asyncio.CancelledError
            running.result()
        finally:
            del running  # the traceback of its error holds this frame

    def _commit(self, file: PartFile, journal: Journal, sink: FileSink) -> None:
        sink.close()
        file.commit(fsync=self._fsync)
        self._committed = True
        journal.delete()

    async def _fill(self, file: PartFile, journal: Journal, sink: FileSink) -> Download:
        first, pieces = await self._begin(file, journal)
        sink.start = first.extent.start if first.span is None else first.span.start
        try:
            total = None if first.span is None else first.span.size
            await self._in_thread(lambda: file.allocate(total or 0))
            resumed = sum(piece.span.size for piece in pieces)
            progress = Progress(self._on_progress, total, resumed)
            if first.stream is not None:
                reading = _copy(first.stream, sink, progress)
            else:
                reading = self._transfer(first, pieces, journal, sink, progress)
            verified = await progress.during(reading)
        finally:
            self._read.discard(first)
        attempts = self._read.call.attempts
        return Download(self._path, first.info, progress.done, resumed, verified, attempts)

    async def _begin(self, file: PartFile, journal: Journal) -> tuple[FirstResponse, list[Piece]]:
        """Request the first part; return its response and the pieces that are already written."""
        recorded = await asyncio.to_thread(self._recorded, file, journal)
        if recorded is not None:
            identification, pieces = recorded
            self._worth_keeping = True
            whole = Span(identification.start, identification.stop)
            missing = gaps(whole, [piece.span for piece in pieces])[0]
            try:
                first = await self._read.begin(missing.size, at=missing.start)
            except InvalidRange:
                pass  # the object is shorter now
            else:
                if first.stream is None and self._identify(first) == identification:
                    return first, pieces
                self._read.discard(first)
            self._worth_keeping = False
        return await self._read.begin(), []

    def _recorded(
        self, file: PartFile, journal: Journal
    ) -> tuple[Identification, list[Piece]] | None:
        """Return the intact pieces of an earlier download; None if there are none."""
        recorded = journal.read() if file.resumable else None
        request = self._read.request
        if recorded is None:
            return None
        identification, pieces = recorded
        if (identification.bucket, identification.key) != (request.bucket, request.key):
            return None
        whole = Span(identification.start, identification.stop)
        pieces = _intact(file, pieces, whole)
        if not gaps(whole, [piece.span for piece in pieces]):
            # The earlier download ended before it renamed the file. One piece is read again,
            # because a response has to confirm the object's ETag.
            pieces.pop()
        return (identification, pieces) if pieces else None

    def _identify(self, first: FirstResponse) -> Identification:
        request, pin = self._read.request, first.pin
        assert first.span is not None
        assert pin.etag is not None
        assert pin.size is not None
        start, stop = first.span
        return Identification(
            request.bucket, request.key, pin.etag, pin.version_id, pin.size, start, stop
        )

    async def _transfer(
        self,
        first: FirstResponse,
        pieces: list[Piece],
        journal: Journal,
        sink: FileSink,
        progress: Progress,
    ) -> Verified:
        assert first.span is not None
        if sink.resumable:
            journal.begin(self._identify(first), pieces)
            self._worth_keeping = True
        transfer = Transfer(
            self._read,
            first,
            gaps(first.span, [piece.span for piece in pieces]),
            sink,
            progress,
        )
        if transfer.verification is not None:
            for span, name, digest in pieces:
                transfer.verification.add(span, ALGORITHMS[name], digest)
        return await transfer.run()


def _intact(file: PartFile, pieces: list[Piece], whole: Span) -> list[Piece]:
    """Return the pieces whose bytes in the file still have their digest."""
    intact: list[Piece] = []
    stop = whole.start
    for piece in sorted(pieces):
        (start, piece_stop), name, digest = piece
        algorithm = ALGORITHMS.get(name)
        if algorithm is None or not stop <= start < piece_stop <= whole.stop:
            continue
        hasher = algorithm.new()
        for chunk in file.read(Span(start - whole.start, piece_stop - whole.start)):
            hasher.update(chunk)
        if hasher.digest() == digest:
            intact.append(piece)
            stop = piece_stop
    return intact


def _abort(file: PartFile, journal: Journal, sink: FileSink, *, keep: bool) -> None:
    sink.close()
    if keep:
        file.close()
        journal.close()
    else:
        file.delete()
        journal.delete()


def _discard(opening: "asyncio.Future[PartFile]") -> None:
    with contextlib.suppress(OSError):
        file = opening.result()
        if os.fstat(file.fd).st_size:
            file.close()
        else:
            file.delete()


async def _copy(stream: ByteStream, sink: FileSink, progress: Progress) -> Verified:
    """Write the body of the only response."""
    writer = sink.writer(sink.start)
    async with stream:
        while count := await stream.readinto(window := writer.window(_WINDOW)):
            progress.add(count)
            writer.write(window[:count])
            await writer.flush()
    return stream.verified

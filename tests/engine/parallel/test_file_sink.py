import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aios3get._engine.parallel import file_sink
from aios3get._engine.parallel.file_sink import FileSink
from aios3get._engine.parallel.part_file import PartFile
from aios3get._engine.parallel.parts import MIB, Span

CONTENT = os.urandom(MIB)
START = 1000


class Disk:
    """Writes of a file, and a clock that only they advance.

    Attributes:
        delay: the seconds that a write takes.
        on_loop: the number of writes on the event loop's thread.
        in_threads: the number of other writes.
    """

    def __init__(self) -> None:
        self.delay = self.now = 0.0
        self.on_loop = self.in_threads = 0
        self._thread = threading.get_ident()

    def write(self) -> None:
        if threading.get_ident() == self._thread:
            self.on_loop += 1
        else:
            self.in_threads += 1
        self.now += self.delay

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
async def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, write = Disk(), PartFile.write

    def count(self: PartFile, data: memoryview, offset: int) -> None:
        disk.write()
        write(self, data, offset)

    monkeypatch.setattr(PartFile, "write", count)
    monkeypatch.setattr(file_sink, "time", disk)
    return disk


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[FileSink]:
    file = PartFile(str(tmp_path / "sample.jpg"), resume=False)
    sink = FileSink(file, None, 0)
    sink.start = START
    yield sink
    sink.close()
    file.delete()


async def fill(sink: FileSink, offset: int, content: bytes, piece: int = MIB) -> None:
    """Write like a part whose bytes arrive in pieces, one in each window."""
    writer = sink.writer(offset)
    while content:
        window = writer.window(min(piece, len(content)))
        window[:] = content[: len(window)]
        writer.write(window)
        window[:] = bytes(len(window))  # of another connection
        await writer.flush()
        content = content[len(window) :]


def read(sink: FileSink) -> bytes:
    return b"".join(sink.read_back(Span(START, START + 64 * MIB)))


async def test_fast_writes_run_on_the_loop_after_the_first(sink: FileSink, disk: Disk) -> None:
    await fill(sink, START, CONTENT, 4096)
    assert (disk.in_threads, disk.on_loop) == (1, MIB // 4096 - 1)
    assert read(sink) == CONTENT


async def test_slow_writes_never_block_the_loop(sink: FileSink, disk: Disk) -> None:
    disk.delay = 0.01
    await asyncio.gather(*(fill(sink, START + n * MIB, CONTENT, 100_000) for n in range(4)))
    assert not disk.on_loop
    assert read(sink) == CONTENT * 4


async def test_writes_that_become_slow_leave_the_loop_and_return(
    sink: FileSink, disk: Disk
) -> None:
    await fill(sink, START, CONTENT, MIB // 4)
    assert disk.on_loop == 3
    disk.delay = 0.01
    await fill(sink, START, CONTENT, MIB // 4)
    assert disk.on_loop == 4
    disk.delay = 0
    await fill(sink, START, CONTENT, MIB // 128)
    assert disk.on_loop > 4
    assert read(sink) == CONTENT


async def test_few_bytes_are_copied_when_writes_become_slow_in_a_large_window(
    sink: FileSink, disk: Disk
) -> None:
    await fill(sink, START, CONTENT)
    writer = sink.writer(START)
    window = writer.window(8 * MIB)
    assert len(window) > MIB
    sink.off_loop = 10
    in_threads = disk.in_threads
    pieces = [window[at : at + MIB // 2] for at in range(0, len(window), MIB // 2)]
    for number, piece in enumerate(pieces):
        piece[:] = bytes([number]) * len(piece)
        writer.write(piece)
    await writer.flush()
    assert disk.in_threads == in_threads + 2
    assert disk.on_loop == len(pieces) - 2
    assert read(sink) == b"".join(pieces)


async def test_failed_write_on_the_loop_is_raised_by_flush(
    sink: FileSink, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(sink, START, CONTENT)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PartFile, "write", fail)
    writer = sink.writer(START)
    writer.write(writer.window(100))
    with pytest.raises(OSError, match="No space left on device"):
        await writer.flush()
    with pytest.raises(OSError, match="No space left on device"):
        await sink.write_off_loop(memoryview(CONTENT), START)

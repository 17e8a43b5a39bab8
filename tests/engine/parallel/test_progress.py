import asyncio
import time
from itertools import pairwise

import pytest

from aios3get._engine.parallel.progress import Progress


async def test_reports_are_a_tenth_of_a_second_apart_and_the_end_is_reported() -> None:
    reports: list[tuple[float, int, int | None]] = []

    def report(done: int, total: int | None) -> None:
        reports.append((time.monotonic(), done, total))

    progress = Progress(report, 105, 5)

    async def read() -> str:
        for _ in range(100):
            progress.add(1)
            await asyncio.sleep(0.003)
        return "read"

    assert await progress.during(read()) == "read"
    assert len(reports) > 3
    times = [moment for moment, _, _ in reports[:-1]]
    assert all(after - before > 0.095 for before, after in pairwise(times))
    assert [done for _, done, _ in reports] == sorted({done for _, done, _ in reports})
    assert reports[-1][1:] == (105, 105)


async def test_end_that_was_reported_is_not_reported_again() -> None:
    reports: list[tuple[int, int | None]] = []
    progress = Progress(lambda *report: reports.append(report), 0, 0)
    await progress.during(asyncio.sleep(0))
    assert reports == [(0, 0)]


async def test_without_a_callback_bytes_are_counted() -> None:
    progress = Progress(None, 10, 2)
    progress.add(3)
    assert await progress.during(asyncio.sleep(0, "read")) == "read"
    assert progress.done == 5


async def test_failing_callback_ends_the_read() -> None:
    cancelled = asyncio.Event()

    async def read() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def fail(done: int, total: int | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Progress(fail, None, 0).during(read())
    assert cancelled.is_set()


async def test_failing_read_raises_no_exception_group() -> None:
    async def read() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await Progress(lambda *_: None, None, 0).during(read())
    assert caught.value.__context__ is None

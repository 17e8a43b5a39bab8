import asyncio
from collections.abc import Callable

import pytest

from aios3get._engine.parallel.concurrency import Concurrency, Link
from aios3get._engine.parallel.part_sizes import PartSizes
from aios3get._engine.parallel.parts import Part, Span, Work
from aios3get._engine.parallel.scheduler import Scheduler


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


class Reads:
    """Reads parts immediately and records them."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.running = self.most = 0
        self.scheduler: Scheduler

    async def __call__(self, part: Part) -> None:
        self.parts.append(part)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.read(part)
        finally:
            self.running -= 1

    async def read(self, part: Part) -> None:
        await asyncio.sleep(0)
        part.at = part.stop


def schedule(
    reads: Reads,
    *,
    work: Work | None = None,
    first: int = 4,
    limit: int = 4,
    least: int = 10,
    size: int | None = None,
    latency: float = 0.0,
) -> Scheduler:
    loop = asyncio.get_running_loop()
    reads.scheduler = Scheduler(
        work or Work([Span(0, 1000)]),
        reads,
        Concurrency(first, limit, loop.time()),
        PartSizes(Link(latency), least, size),
    )
    return reads.scheduler


def covered(parts: list[Part]) -> list[int]:
    return sorted(offset for part in parts for offset in range(part.start, part.stop))


async def test_all_parts_are_read_once_and_no_more_run_than_allowed() -> None:
    reads = Reads()
    await schedule(reads, size=30).run()
    assert covered(reads.parts) == list(range(1000))
    assert reads.most == 4


async def test_first_part_is_read_and_counts_as_a_request() -> None:
    reads, work = Reads(), Work([Span(0, 1000)])
    first = work.take(100)
    await schedule(reads, work=work, size=100).run(first)
    assert reads.parts[0] is first
    assert covered(reads.parts) == list(range(1000))
    assert reads.most == 4


async def test_long_latency_makes_long_parts() -> None:
    reads = Reads()
    await schedule(reads, latency=1.0).run()
    assert [part.stop - part.start for part in reads.parts] == [250] * 4


async def test_idle_task_takes_over_half_of_the_longest_part() -> None:
    class Unequal(Reads):
        async def read(self, part: Part) -> None:
            if part.start == 0:
                part.at = 100
                await until(lambda: part.stop < 500)
            part.at = part.stop

    reads = Unequal()
    await schedule(reads, first=2, size=500, least=200).run()
    assert [(part.start, part.stop) for part in reads.parts[:3]] == [
        (0, 300),
        (500, 1000),
        (300, 500),
    ]
    assert covered(reads.parts) == list(range(1000))


async def test_first_failure_cancels_the_others_and_is_raised_without_a_group() -> None:
    cancelled: list[Part] = []

    class Failing(Reads):
        async def read(self, part: Part) -> None:
            if part.start == 300:
                raise ZeroDivisionError
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.append(part)
                raise

    reads = Failing()
    with pytest.raises(ZeroDivisionError) as caught:
        await schedule(reads, size=100).run()
    assert len(cancelled) == 3
    assert caught.value.__context__ is None
    assert reads.running == 0


@pytest.mark.parametrize("cancelled", [False, True])
async def test_bytes_that_arrive_during_cancellation_start_no_part(cancelled: bool) -> None:
    class Ending(Reads):
        async def read(self, part: Part) -> None:
            try:
                await (failed.wait() if part.start == 0 else asyncio.sleep(10))
                raise ValueError("no such part")
            except asyncio.CancelledError:
                # As data does that comes before the cancellation has closed the connection.
                self.scheduler.grow()
                raise

    failed = asyncio.Event()
    reads = Ending()
    running = asyncio.create_task(schedule(reads, first=2, size=100).run())
    await until(lambda: len(reads.parts) == 2)
    reads.scheduler._concurrency.current = 4
    if cancelled:
        running.cancel()
    else:
        failed.set()
    with pytest.raises(asyncio.CancelledError if cancelled else ValueError):
        await running
    assert len(reads.parts) == 2
    assert reads.running == 0


async def test_cancellation_reaches_every_part() -> None:
    class Waiting(Reads):
        async def read(self, part: Part) -> None:
            await asyncio.sleep(3600)

    reads = Waiting()
    task = asyncio.create_task(schedule(reads, size=100).run())
    await asyncio.sleep(0.01)
    assert reads.running == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reads.running == 0


async def test_more_parts_start_as_throughput_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    loop = asyncio.get_running_loop()
    gate = asyncio.Event()

    class Gated(Reads):
        async def read(self, part: Part) -> None:
            await gate.wait()
            part.at = part.stop

    reads = Gated()
    scheduler = schedule(reads, first=2, limit=5, size=10)
    task = asyncio.create_task(scheduler.run())
    await until(lambda: reads.running == 2)
    clock = loop.time()
    monkeypatch.setattr(loop, "time", lambda: clock)
    for rate in (1, 0, 2, 0, 4):
        clock += 0.3
        scheduler.received(rate)
    monkeypatch.undo()
    await until(lambda: reads.running == 5)
    gate.set()
    await task
    assert reads.most == 5


async def test_push_back_reduces_the_running_parts() -> None:
    gates = asyncio.Semaphore(0)

    class Gated(Reads):
        async def read(self, part: Part) -> None:
            await gates.acquire()
            part.at = part.stop

    reads = Gated()
    scheduler = schedule(reads, size=100)
    task = asyncio.create_task(scheduler.run())
    await until(lambda: reads.running == 4)
    scheduler.push_back()
    for _ in range(3):
        gates.release()
    await until(lambda: len(reads.parts) == 5 and reads.running == 2)
    for _ in range(20):
        gates.release()
    await task
    assert covered(reads.parts) == list(range(1000))


async def test_first_part_counts_to_the_share_of_its_connection() -> None:
    reads = Reads()
    work = Work([Span(0, 1000)])
    scheduler = schedule(reads, work=work, latency=1.0)
    await scheduler.run(work.take(100))
    assert [part.start for part in reads.parts] == [0, 100, 350, 600, 850]

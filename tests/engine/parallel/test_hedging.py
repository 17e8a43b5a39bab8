import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aios3get import AttemptRecord, S3Client
from aios3get._engine.parallel import concurrency, hedging
from aios3get._engine.parallel.hedging import hedged
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._protocol.timeouts import Timeouts
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, covering
from tests.engine.parallel.test_fault_matrix import FRONTS
from tests.reading_client import BUCKET, Connect, nothing_leaks, until

KEY = "sample.jpg"
SIZE = len(CONTENT)


class Response:
    """A response of a hedge."""

    discarded = False


def _discard(response: Response | None) -> None:
    assert response is not None
    response.discarded = True


class Steps:
    """A step and the request that hedges it, each ended by its event."""

    def __init__(self) -> None:
        self.step_ends, self.response_comes = asyncio.Event(), asyncio.Event()
        self.response: Response | None = Response()
        self.requests = 0
        self.running = 0
        self.error: Exception | None = None
        self.slow = True

    async def step(self) -> None:
        self.running += 1
        try:
            await self.step_ends.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.running -= 1

    async def request(self) -> Response | None:
        self.requests += 1
        self.running += 1
        try:
            await self.response_comes.wait()
            return self.response
        finally:
            self.running -= 1

    def start(self) -> asyncio.Task[Response | None]:
        return asyncio.create_task(hedged(self.step(), lambda: self.slow, self.request, _discard))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "_PATIENCE", 0.1)
    monkeypatch.setattr(hedging, "_CHECK_SECONDS", 0.005)


@pytest.fixture
def steps() -> Iterator[Steps]:
    steps = Steps()
    yield steps
    assert steps.running == 0


async def test_step_that_is_not_slow_is_not_hedged(steps: Steps) -> None:
    steps.slow = False
    task = steps.start()
    await asyncio.sleep(0.02)
    steps.step_ends.set()
    assert await task is None
    assert steps.requests == 0


async def test_first_response_cancels_the_step(steps: Steps) -> None:
    task = steps.start()
    await asyncio.sleep(0.01)
    assert steps.running == 2
    steps.response_comes.set()
    assert await task is steps.response
    assert steps.running == 0
    assert steps.response is not None
    assert not steps.response.discarded


async def test_finished_step_cancels_the_request(steps: Steps) -> None:
    task = steps.start()
    await asyncio.sleep(0.01)
    steps.step_ends.set()
    assert await task is None
    assert steps.requests == 1


async def test_step_and_response_of_the_same_moment_leave_the_step(steps: Steps) -> None:
    task = steps.start()
    await asyncio.sleep(0.01)
    steps.step_ends.set()
    steps.response_comes.set()
    assert await task is None
    assert steps.response is not None
    assert steps.response.discarded


async def test_failed_request_leaves_the_step(steps: Steps) -> None:
    steps.response = None
    steps.response_comes.set()
    task = steps.start()
    await asyncio.sleep(0.01)
    assert not task.done()
    steps.step_ends.set()
    assert await task is None
    assert steps.requests == 1


async def test_error_of_the_step_is_raised_and_cancels_the_request(steps: Steps) -> None:
    steps.error = ZeroDivisionError()
    task = steps.start()
    await asyncio.sleep(0.01)
    steps.step_ends.set()
    with pytest.raises(ZeroDivisionError):
        await task
    assert steps.requests == 1


@pytest.mark.parametrize("moment", range(1, 9))
async def test_cancellation_at_any_moment_ends_both(steps: Steps, moment: int) -> None:
    task = steps.start()
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    steps.response_comes.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    if steps.requests and steps.response is not None:
        await asyncio.sleep(0)
    assert steps.running == 0


SLOW: dict[str, faults.Fault] = {
    "drips": faults.slow(300),
    "stalls before its head": faults.stall_before_head(),
    "stalls in its body": faults.stall_after(300),
}


def options(connect: Connect) -> tuple[S3Client, list[AttemptRecord]]:
    records: list[AttemptRecord] = []
    return connect(on_attempt=records.append, timeouts=Timeouts(idle=20)), records


async def read(
    front: str, client: S3Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> bytes:
    for name in ("read_into", "download_object", "stream_object", "get_ranges", "open_object"):
        method = getattr(client, name)
        monkeypatch.setattr(client, name, _hedging(method), raising=False)
    return await FRONTS[front](client, KEY, folder)


def _hedging(method: Callable[..., object]) -> Callable[..., object]:
    return lambda *args, **kwargs: method(*args, hedge=True, **kwargs)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("way", SLOW)
async def test_slow_part_is_read_from_another_connection(
    server: S3Server,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    front: str,
    way: str,
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(SLOW[way], where=covering(3500))
    client, records = options(connect)
    begun = time.monotonic()
    with nothing_leaks(client):
        assert await read(front, client, tmp_path, monkeypatch) == CONTENT
    assert time.monotonic() - begun < 2
    slow, *again = [each for each in server.requests if covering(3500)(each)]
    assert again
    assert slow.connection not in [each.connection for each in again]
    assert again[0].headers["If-Match"] == slow.headers["If-Match"]
    # The attempt that the hedge replaced is recorded once its task has ended.
    await until(lambda: len(records) >= len(server.requests))
    assert not [record for record in records if record.error not in (None, "CancelledError")]


async def test_slow_part_is_waited_for_by_default(server: S3Server, connect: Connect) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.stall_before_head(0.3), where=covering(3500))
    client, _ = options(connect)
    buffer = bytearray(SIZE)
    await client.read_into(BUCKET, KEY, buffer)
    assert buffer == CONTENT
    assert len([each for each in server.requests if covering(3500)(each)]) == 1


@pytest.mark.parametrize("fault", [faults.status(503), faults.change_etag(), faults.status(404)])
async def test_failed_hedge_changes_nothing(
    server: S3Server, connect: Connect, fault: faults.Fault
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(faults.stall_after(300, 1.0), where=covering(3500))
    server.faults.add(fault, where=covering(3500))
    client, _ = options(connect)
    buffer = bytearray(SIZE)
    count = await client.read_into(BUCKET, KEY, buffer, hedge=True)
    assert buffer == CONTENT
    assert count.verified
    assert len([each for each in server.requests if covering(3500)(each)]) == 2


async def test_range_that_is_always_slow_is_hedged_a_few_times_only(
    server: S3Server, connect: Connect
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.slow(700), where=covering(3500), times=None)
    client, _ = options(connect)
    buffer = bytearray(SIZE)
    await client.read_into(BUCKET, KEY, buffer, hedge=True)
    assert buffer == CONTENT
    assert len([each for each in server.requests if covering(3500)(each)]) in (2, 3, 4)


@pytest.mark.parametrize("ignores_range", [False, True])
async def test_bytes_of_large_parts_are_neither_torn_nor_hashed_twice(
    server: S3Server,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    ignores_range: bool,
) -> None:
    part = 600_000
    monkeypatch.setattr(ObjectRead, "least_part", part)
    content = random.Random(7).randbytes(8 * part)
    server.put_object(BUCKET, KEY, content, checksum_algorithm="CRC64NVME")
    for number in (1, 3, 6):
        last = covering((number + 1) * part - 1)
        server.faults.add(faults.stall_after(number * 90_000), where=last)
        server.faults.add(faults.slow(300_000), where=last)
        if ignores_range:
            server.faults.add(faults.ignore_range(), where=last)
    client, records = options(connect)
    buffer = bytearray(len(content))
    count = await client.read_into(BUCKET, KEY, buffer, hedge=True)
    assert buffer == content
    assert count.verified
    assert max(record.attempt for record in records) > 1
    async with client.stream_object(BUCKET, KEY, hedge=True) as stream:
        assert b"".join([chunk async for chunk in stream]) == content
        assert stream.verified

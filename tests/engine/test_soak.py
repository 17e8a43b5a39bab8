import asyncio
import gc
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aios3get import errors
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from aios3get.testing.faults import Fault
from tests.reading_client import (
    BUCKET,
    READERS,
    acquired,
    nothing_leaks,
    quick_client,
    transport_of,
    until,
)

SEED = 20_130_524
AT_ONCE = 16
MIB = 1 << 20
SIZES = [0, 1, 2, 255, 1000, 4096, 65_535, 65_536, 262_144, 262_145, MIB, 3 * MIB + 17, 8 * MIB]
# Most are small, so that the faults rather than the bytes take the time.
WEIGHTS = [6, 6, 6, 8, 20, 20, 12, 12, 4, 4, 3, 2, 1]

# By how a fault may end; those of ``right`` must not be seen by the caller at all.
RIGHT = "right"


def _cuts(draw: random.Random, size: int) -> Fault:
    offset = draw.choice([0, 1, size // 2, max(0, size - 1), size, draw.randrange(size + 1)])
    kinds: list[Callable[[int], Fault]] = [
        faults.drop_after,
        faults.reset_after,
        lambda count: faults.stall_after(count, 0.5),
    ]
    return draw.choices(kinds, [8, 8, 1])[0](offset)


def _heads(draw: random.Random, size: int) -> Fault:
    return draw.choice(
        [
            faults.close_before_head(),
            faults.reset_before_head(),
            faults.cut_head(draw.randrange(120)),
            faults.garbage_head(),
            faults.status(500),
            faults.status(503),
            faults.status(502, body=b"<html>"),
            faults.status(429),
            faults.expired_token(),
        ]
    )


def _framing(draw: random.Random, size: int) -> Fault:
    return draw.choice([faults.no_length(), faults.truncated_chunked(draw.randrange(size + 1))])


def _lies(draw: random.Random, size: int) -> Fault:
    kinds = [
        faults.wrong_range(),
        faults.ignore_range(),
        faults.wrong_content_range(),
        faults.change_etag(),
        faults.no_etag(),
        faults.too_long(),
        faults.wrong_content_length(draw.choice([-1, 1, 100])),
        faults.no_length(until_close=True),
        faults.wrong_checksum(),
        faults.status(403),
    ]
    if size:
        kinds += [faults.too_short(), faults.flip_byte(draw.randrange(size))]
    return draw.choice(kinds)


def plan_of(draw: random.Random, size: int) -> list[Fault]:
    makers = draw.choices([_cuts, _heads, _framing, _lies], [10, 6, 2, 2], k=draw.randrange(5))
    return [make(draw, size) for make in makers]


async def download(client: S3Client, key: str, wanted: bytes, reader: str) -> str:
    try:
        async with asyncio.timeout(60):
            async with client.get_object(BUCKET, key, checksum_mode=True) as obj:
                found = await READERS[reader](obj)
    except errors.S3Error as error:
        return type(error).__name__
    except TimeoutError:
        return "HUNG"
    return RIGHT if found == wanted else "WRONG"


def small_enough(reader: str, size: int) -> str:
    # Steps of 64 bytes through MiBs would test nothing more.
    return (
        "read()" if size > 65_536 and reader in ("read(n)", "iter_chunks", "readinto") else reader
    )


async def soak(server: S3Server, count: int) -> Counter[str]:
    """Run downloads under random faults and return their outcomes."""
    draw = random.Random(SEED)
    bodies = [draw.randbytes(size) for size in SIZES]
    outcomes: Counter[str] = Counter()
    jobs: list[tuple[str, bytes, str, list[Fault]]] = []
    for number in range(count):
        body = draw.choices(bodies, WEIGHTS)[0]
        reader = small_enough(draw.choice([*READERS]), len(body))
        jobs.append((f"{number}", body, reader, plan_of(draw, len(body))))
    pending = iter(jobs)

    async def work() -> None:
        for key, body, reader, plan in pending:
            server.put_object(BUCKET, key, body, checksum_algorithm="CRC64NVME")
            for fault in plan:
                server.faults.add(fault, key=key)
            outcomes[await download(client, key, body, reader)] += 1
            # Nobody comes back for it.
            server.bucket(BUCKET).delete(key, None, server.now())
            server.requests.clear()

    client = quick_client(server, timeouts=Timeouts(idle=0.3), max_concurrency=AT_ONCE)
    async with client:
        with nothing_leaks(client):
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return outcomes


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def resident() -> int:
    """Bytes of memory in use, or the peak if the system reports nothing else."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server.in_thread() as running:
        yield running


async def soaked(server: S3Server, count: int) -> Counter[str]:
    asyncio.get_running_loop().set_debug(False)
    await soak(server, 100)
    gc.collect()
    tasks, files, memory = len(asyncio.all_tasks()), descriptors(), resident()
    began = time.monotonic()
    outcomes = await soak(server, count)
    print(f"{count} downloads in {time.monotonic() - began:.1f} s: {dict(outcomes)}")
    gc.collect()
    await asyncio.sleep(0.1)
    print(f"{(resident() - memory) / MIB:.1f} MiB, {descriptors() - files} files more")
    assert outcomes.total() == count
    assert not outcomes["WRONG"]
    assert not outcomes["HUNG"]
    assert not outcomes["ConfigurationError"]
    assert outcomes[RIGHT] > count * 0.7
    assert len(asyncio.all_tasks()) == tasks
    # The server's side of a reset connection may take a moment more.
    assert descriptors() <= files + 2
    assert resident() - memory < 64 * MIB
    return outcomes


async def test_downloads_under_random_faults_give_the_body_or_an_error(server: S3Server) -> None:
    await soaked(server, 250)


@pytest.mark.deep
async def test_two_thousand_downloads_under_random_faults(server: S3Server) -> None:
    await soaked(server, 2000)


PART = 1000
SMALL_SIZES = [0, 1, PART - 1, PART, PART + 1, 10 * PART, 30_123]


class Call:
    """One call of a random method, with random options.

    Args:
        draw: makes the choices.
        folder: for downloads.
        client: makes the call.
        key: the object's.
        body: its bytes.
    """

    def __init__(
        self, draw: random.Random, folder: Path, client: S3Client, key: str, body: bytes
    ) -> None:
        self.draw = draw
        self.folder = folder
        self.client = client
        self.key = key
        self.body = body
        self.options: dict[str, Any] = {
            "deadline": draw.choice([*[None] * 6, 0.001, 0.03, 3]),
            "connections": draw.choice([None, 1, 2, 9]),
        }

    async def read_into(self) -> bool:
        wanted = self.draw.choice([len(self.body), len(self.body) // 2])
        buffer = bytearray(wanted)
        count = await self.client.read_into(BUCKET, self.key, buffer, **self.options)
        buffer += b"resized"
        return count == wanted and buffer.startswith(self.body[:wanted])

    async def download(self) -> bool:
        path = self.folder / self.key
        resume = self.draw.random() < 0.7
        await self.client.download_object(BUCKET, self.key, path, resume=resume, **self.options)
        return path.read_bytes() == self.body

    async def stream(self) -> bool:
        received = b""
        async with self.client.stream_object(BUCKET, self.key, **self.options) as stream:
            async for chunk in stream:
                received += chunk
                if self.draw.random() < 0.05:
                    return self.body.startswith(received)
        return received == self.body

    async def open(self) -> bool:
        async with self.client.open_object(BUCKET, self.key, **self.options) as file:
            for _ in range(3):
                offset, size = self.draw.randrange(len(self.body) + 1), self.draw.choice([9, 5000])
                file.seek(offset)
                if await file.read(size) != self.body[offset : offset + size]:
                    return False
        return True

    async def ranges(self) -> bool:
        offsets = [self.draw.randrange(len(self.body) or 1) for _ in range(3)]
        ranges = [f"bytes={offset}-{offset + 2000}" for offset in offsets]
        received = await self.client.get_ranges(BUCKET, self.key, ranges, **self.options)
        return received == [self.body[offset : offset + 2001] for offset in offsets]

    async def objects(self) -> bool:
        requests = [(BUCKET, self.key)] * 4
        concurrency = self.draw.choice([1, 3])
        async with self.client.get_objects(requests, concurrency=concurrency) as results:
            return all([each.error or each.body == self.body async for each in results])

    async def outcome(self) -> str:
        methods = [
            self.read_into, self.download, self.stream, self.open, self.ranges, self.objects
        ]  # fmt: skip
        method = self.draw.choice(methods)
        limit = self.draw.choice([*[None] * 8, 0, 0.002, 0.01, 0.1])
        try:
            async with asyncio.timeout(20), asyncio.timeout(limit):
                return RIGHT if await method() else f"WRONG {method.__name__}"
        except errors.S3Error as error:
            return type(error).__name__
        except TimeoutError:
            return "cancelled" if limit is not None else f"HUNG {method.__name__}"


async def soak_every_method(
    server: S3Server, folder: Path, count: int, permits: int
) -> Counter[str]:
    """Run calls of all methods with so few permits, under faults and cancellations."""
    draw = random.Random(SEED + permits)
    bodies = [draw.randbytes(size) for size in SMALL_SIZES]
    outcomes: Counter[str] = Counter()
    pending = iter(range(count))

    async def work() -> None:
        for number in pending:
            key, body = f"{permits}-{number}", draw.choice(bodies)
            server.put_object(BUCKET, key, body, checksum_algorithm="CRC64NVME")
            for _ in range(draw.randrange(4)):
                fault = draw.choice([_cuts, _cuts, _heads])(draw, len(body))
                server.faults.add(fault, key=key, after=draw.randrange(4))
            outcomes[await Call(draw, folder, client, key, body).outcome()] += 1
            server.bucket(BUCKET).delete(key, None, server.now())
            server.requests.clear()

    client = quick_client(server, timeouts=Timeouts(idle=0.3), max_concurrency=permits)
    async with client:
        await asyncio.gather(*(work() for _ in range(6)))
        transport = transport_of(client)
        # Cancelled requests for checksums end a moment after their calls.
        await until(lambda: not transport.limiter.in_use and not acquired(transport))
    server.faults.clear()
    return outcomes


async def soaked_every_method(server: S3Server, folder: Path, count: int) -> None:
    asyncio.get_running_loop().set_debug(False)
    tasks, files = len(asyncio.all_tasks()), descriptors()
    for permits in (1, 2, 8):
        outcomes = await soak_every_method(server, folder, count, permits)
        print(permits, dict(outcomes))
        assert not [outcome for outcome in outcomes if outcome.startswith(("WRONG", "HUNG"))]
        assert outcomes[RIGHT] > count * 0.2
    gc.collect()
    await until(lambda: len(asyncio.all_tasks()) == tasks and descriptors() <= files + 2)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectRead, "least_part", PART)


@pytest.mark.usefixtures("small_parts")
async def test_every_method_with_few_permits_under_faults_and_cancellations(
    server: S3Server, tmp_path: Path
) -> None:
    await soaked_every_method(server, tmp_path, 80)


@pytest.mark.deep
@pytest.mark.usefixtures("small_parts")
async def test_three_thousand_calls_of_every_method_under_faults_and_cancellations(
    server: S3Server, tmp_path: Path
) -> None:
    await soaked_every_method(server, tmp_path, 1000)

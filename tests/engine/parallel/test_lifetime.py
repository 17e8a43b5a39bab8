"""What a parallel read that is cancelled, or fails, leaves behind without a garbage collection."""

import asyncio
import gc
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aios3get import ByteRange, errors
from aios3get._engine.call import Call
from aios3get._engine.parallel import concurrency, hedging
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._engine.parallel.part_stream import PartStream
from aios3get._engine.parallel.read_ahead import Block
from aios3get._engine.parallel.transfer import Transfer
from aios3get._engine.stream import ByteStream
from aios3get._http.limiter import Permit
from aios3get._http.transport import Response
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import covering
from tests.reading_client import BUCKET, acquired, quick_client, transport_of, until

pytestmark = [pytest.mark.lifetime, pytest.mark.usefixtures("no_collection")]

KEY = "sample.jpg"
# Large enough to be received directly into its destination.
PART = 300_000
CONTENT = random.Random(2006).randbytes(5 * PART + 1234)
LIVING = (Call, Response, Permit, ByteStream, PartStream, ObjectRead, Transfer, Block)

Run = Callable[[S3Client, Path], Awaitable[object]]


@pytest.fixture(autouse=True)
def large_parts(monkeypatch: pytest.MonkeyPatch, small_parts: None) -> None:
    monkeypatch.setattr(ObjectRead, "least_part", PART)
    monkeypatch.setattr(concurrency, "_PATIENCE", 0.01)
    monkeypatch.setattr(hedging, "_CHECK_SECONDS", 0.002)


@pytest.fixture
async def client(server: S3Server) -> AsyncIterator[S3Client]:
    # Debug mode keeps the frames of the code that made a task or a handle.
    asyncio.get_running_loop().set_debug(False)
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    async with quick_client(server, timeouts=Timeouts(idle=20)) as client:
        await client.head_object(BUCKET, KEY)
        yield client


async def read_into(client: S3Client, folder: Path) -> None:
    await client.read_into(BUCKET, KEY, bytearray(len(CONTENT)))


async def download(client: S3Client, folder: Path) -> None:
    await client.download_object(BUCKET, KEY, folder / KEY)


async def download_once(client: S3Client, folder: Path) -> None:
    await client.download_object(BUCKET, KEY, folder / KEY, resume=False, fsync=True)


async def stream(client: S3Client, folder: Path) -> None:
    async with client.stream_object(BUCKET, KEY) as opened:
        async for _ in opened:
            pass


async def ranges(client: S3Client, folder: Path) -> None:
    halves = [ByteRange(0, 2 * PART), ByteRange(2 * PART)]
    await client.get_ranges(BUCKET, KEY, halves, gap=0)


async def reader(client: S3Client, folder: Path) -> None:
    async with client.open_object(BUCKET, KEY) as f:
        while await f.read(100_000):
            pass
        f.seek(5)
        await f.read()


async def objects(client: S3Client, folder: Path) -> None:
    async with client.get_objects([(BUCKET, KEY)] * 9, concurrency=3) as results:
        async for _ in results:
            pass


async def hedged_read_into(client: S3Client, folder: Path) -> None:
    await client.read_into(BUCKET, KEY, bytearray(len(CONTENT)), hedge=True)


async def hedged_stream(client: S3Client, folder: Path) -> None:
    async with client.stream_object(BUCKET, KEY, hedge=True) as opened:
        async for _ in opened:
            pass


PLAIN: dict[str, Run] = {
    each.__name__: each
    for each in (read_into, download, download_once, stream, ranges, reader, objects)
}
HEDGED: dict[str, Run] = {each.__name__: each for each in (hedged_read_into, hedged_stream)}


def moments() -> Iterator[int]:
    """Numbers of passes of the event loop, each one at first and then fewer and fewer."""
    passes = 0
    while True:
        yield passes
        passes = max(passes + 1, passes * 5 // 4)


async def cancelled_after(passes: int, reading: Awaitable[object]) -> bool:
    """Cancel a task after so many passes of the event loop; False if it has ended before."""
    task = asyncio.ensure_future(reading)
    for _ in range(passes):
        if task.done():
            break
        await asyncio.sleep(0)
    running = task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return running


def living() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, LIVING)]


def open_files(kind: str) -> int:
    """How many descriptors of this process are files ("/") or sockets ("socket:")."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the descriptor of the listing itself
            count += os.readlink(f"/proc/self/fd/{number}").startswith(kind)
    return count


async def nothing_left(client: S3Client, files: int) -> None:
    """Check what is left of the reads so far, but the connections that are kept for others."""
    transport = transport_of(client)
    assert transport.limiter.in_use == 0
    assert acquired(transport) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    # The event loop closes connections, and threads close files.
    await until(lambda: not living())
    if os.path.isdir("/proc/self/fd"):
        await until(lambda: open_files("/") == files)


@pytest.mark.parametrize("name", PLAIN)
async def test_cancelled_read_leaves_nothing(client: S3Client, tmp_path: Path, name: str) -> None:
    files = open_files("/")
    for passes in moments():
        running = await cancelled_after(passes, PLAIN[name](client, tmp_path))
        await nothing_left(client, files)
        if not running:
            break
    assert passes > 10


@pytest.mark.parametrize("name", HEDGED)
async def test_cancelled_hedge_leaves_nothing(
    server: S3Server, client: S3Client, tmp_path: Path, name: str
) -> None:
    files = open_files("/")
    for passes in moments():
        server.faults.clear()
        for stall in (faults.stall_after(200_000), faults.stall_before_head(0.02)):
            server.faults.add(stall, where=covering(2 * PART))
        running = await cancelled_after(passes, HEDGED[name](client, tmp_path))
        await nothing_left(client, files)
        if not running:
            break


@pytest.mark.parametrize("fault", [faults.status(403), faults.drop_after(0), faults.change_etag()])
@pytest.mark.parametrize("name", PLAIN)
async def test_failed_read_leaves_nothing(
    server: S3Server, client: S3Client, tmp_path: Path, name: str, fault: faults.Fault
) -> None:
    files = open_files("/")
    server.faults.add(fault, where=covering(2 * PART), times=None)
    try:
        await PLAIN[name](client, tmp_path)
        failed = False
    except errors.S3Error:
        failed = True
    assert failed is (name != "objects")
    await nothing_left(client, files)


async def test_closed_client_leaves_no_socket(server: S3Server, tmp_path: Path) -> None:
    before = open_files("socket:")
    async with quick_client(server) as client:
        server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
        for run in PLAIN.values():
            for passes in (50, 500, 5000):
                await cancelled_after(passes, run(client, tmp_path))
        assert open_files("socket:") > before
    # The server, which runs in a thread, has as many.
    await until(lambda: open_files("socket:") <= before)

import asyncio
import os
import random
import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from aios3get import S3Client, Timeouts, errors
from aios3get._engine import buffers
from aios3get._engine.buffers import BufferPool
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.reading_client import BUCKET, KEY, Connect, quick_client, transport_of, until

SIZE = len(CONTENT)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, SIZE])
@pytest.mark.parametrize("step", [64, 700, 3000])
async def test_objects_of_every_size_are_read_in_order(
    server: S3Server, client: S3Client, size: int, step: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:size])
    async with client.open_object(BUCKET, KEY) as f:
        assert f.size == size
        received = b""
        while data := await f.read(step):
            assert len(data) == min(step, size - len(received))
            received += data
            assert f.tell() == len(received)
    assert received == CONTENT[:size]


@pytest.mark.parametrize("size", [None, -1, SIZE, 2 * SIZE])
async def test_all_bytes_are_read_at_once(
    server: S3Server, client: S3Client, size: int | None
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        assert await f.read(size) == CONTENT
        assert await f.read(size) == b""
        assert await f.read(0) == b""


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_of_reads_and_seeks(server: S3Server, client: S3Client, seed: int) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    chance = random.Random(seed)
    async with client.open_object(BUCKET, KEY) as f:
        position = 0
        for _ in range(150):
            size = chance.choice([0, 1, 10, 200, 900, 2500, 5000])
            match chance.choice(["read", "read", "readinto", "set", "current", "end", "back"]):
                case "read":
                    expected = CONTENT[position : position + size]
                    assert await f.read(size) == expected
                    position += len(expected)
                case "readinto":
                    buffer = bytearray(size)
                    count = await f.readinto(buffer)
                    assert buffer[:count] == CONTENT[position : position + size]
                    position += count
                case "set":
                    position = chance.randrange(SIZE + 100)
                    assert f.seek(position) == position
                case "current":
                    position = max(0, position + chance.randrange(-500, 500))
                    assert await f.seek(position - f.tell(), os.SEEK_CUR) == position
                case "end":
                    position = SIZE - size
                    assert f.seek(-size, os.SEEK_END) == position
                case "back":
                    position = max(0, position - 300)
                    f.seek(position)
            assert f.tell() == position


async def test_sequential_reads_are_read_ahead(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        await f.read(10)
        await asyncio.sleep(0.05)
        assert len(server.requests) == 1
        await f.read(500)
        await f.read(10)
        await until(lambda: len(server.requests) == 1 + 7)


async def test_large_reads_out_of_order_are_not_read_ahead(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        for offset in (2000, 4000):
            server.faults.add(faults.slow(5000), where=covering(offset))
            f.seek(offset)
            assert await f.read(PART - 1) == CONTENT[offset : offset + PART - 1]
    assert len(server.requests) == 1 + 2


async def test_large_read_out_of_order_takes_no_memory_but_its_result(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    taken: list[int] = []

    def take(self: BufferPool, size: int) -> memoryview:
        taken.append(size)
        return memoryview(bytearray(size))

    monkeypatch.setattr(BufferPool, "take", take)
    async with client.open_object(BUCKET, KEY) as f:
        taken.clear()
        for offset, size in ((2000, PART), (5000, PART // 8)):
            f.seek(offset)
            assert await f.read(size) == CONTENT[offset : offset + size]
    assert not taken


async def test_large_reads_in_order_after_a_seek_are_read_ahead(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(2000)
        assert await f.read(PART) == CONTENT[2000 : 2000 + PART]
        assert len(server.requests) == 1 + 1
        assert await f.read(PART) == CONTENT[2000 + PART : 2000 + 2 * PART]
        await until(lambda: len(server.requests) == 2 + 5)


async def test_memory_is_reused_within_a_read_and_by_the_next_one(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffers, "_LEAST_KEPT", PART)
    allocated: list[int] = []

    def allocate(size: int) -> memoryview:
        allocated.append(size)
        return memoryview(bytearray(size))

    monkeypatch.setattr(buffers, "allocate", allocate)
    server.put_object(BUCKET, KEY, 4 * CONTENT)
    for reads in range(2):
        received = b""
        async with client.open_object(BUCKET, KEY, connections=2) as f:
            while data := await f.read(100):
                received += data
        assert received == 4 * CONTENT
        if not reads:
            # the blocks in the cache, the window, and the next one
            assert len(allocated) <= 8 + 2 + 1
            allocated.clear()
    assert not allocated


async def test_recently_read_bytes_stay_in_memory(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        for _ in range(3):
            f.seek(5000)
            assert await f.read(100) == CONTENT[5000:5100]
            f.seek(2000)
            assert await f.read(100) == CONTENT[2000:2100]
    assert len(server.requests) == 3


async def test_read_near_the_end_is_one_request(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(-8, os.SEEK_END)
        assert await f.read(8) == CONTENT[-8:]
        f.seek(-100, os.SEEK_END)
        assert await f.read(92) == CONTENT[-100:-8]
    assert len(server.requests) == 2


async def test_small_sequential_reads_request_more_step_by_step(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(3000)
        server.requests.clear()
        for offset in range(3000, 4000, 25):
            assert await f.read(25) == CONTENT[offset : offset + 25]
        requested = [request.headers["Range"] for request in server.requests]
    assert requested == ["bytes=3000-3124", "bytes=3125-3374", "bytes=3375-4124"]


async def test_large_read_in_order_sends_requests_at_once(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.latency = 0.05
    async with client.open_object(BUCKET, KEY) as f:
        start = time.monotonic()
        assert await f.read() == CONTENT
    # seven parts, one after the other, would take 0.35 s
    assert time.monotonic() - start < 0.25


async def test_large_read_at_another_offset_is_divided(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(2000)
        assert await f.read(5000) == CONTENT[2000:7000]
    assert len(server.requests) == 6


async def test_every_request_reads_the_version_that_was_opened(
    server: S3Server, client: S3Client
) -> None:
    stored = server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        assert f.info.etag == stored.etag
        server.put_object(BUCKET, KEY, CONTENT[::-1])
        f.seek(3000)
        with pytest.raises(errors.ObjectChanged, match=f"GET {BUCKET}/{KEY}: "):
            await f.read(10)


async def test_failed_read_can_be_repeated(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        for offset, size in ((3000, 10), (2500, 4500)):
            server.faults.add(faults.status(403), where=covering(offset))
            f.seek(offset)
            with pytest.raises(errors.AccessDenied) as caught:
                await f.read(size)
            assert caught.value.__context__ is None
            assert f.tell() == offset
            assert await f.read(size) == CONTENT[offset : offset + size]


async def test_cancelled_read_can_be_repeated(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.slow(2000), where=covering(3000))
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(3000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(f.read(300), 0.05)
        assert f.tell() == 3000
        assert await f.read(300) == CONTENT[3000:3300]


@pytest.mark.parametrize("size", [10, 6 * PART])
@pytest.mark.parametrize("fault", [faults.stall_after(5), faults.status(403)], ids=repr)
async def test_buffer_can_be_resized_while_a_failure_is_handled(
    server: S3Server, client: S3Client, fault: faults.Fault, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(fault, where=covering(1005), times=None)
    buffer = bytearray(size)
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(1000)
        try:
            async with asyncio.timeout(0.1):
                await f.readinto(buffer)
        except (errors.AccessDenied, TimeoutError):
            buffer.clear()
    assert not buffer


async def test_second_reading_task_gets_a_usage_error(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(3000)
        results = await asyncio.gather(f.read(10), f.read(10), return_exceptions=True)
    assert [type(each) for each in results] == [bytes, errors.UsageError]


@pytest.mark.parametrize("closed", [True, False])
def test_read_on_another_event_loop_raises_usage_error(server: S3Server, closed: bool) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    client = quick_client(server)
    reader = client.open_object(BUCKET, KEY)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(reader.__aenter__())
        first.run(reader.read(1))
        if closed:
            first.close()
        for read in (reader.read, partial(reader.readinto, bytearray(SIZE))):
            with pytest.raises(errors.UsageError, match="another event loop"):
                second.run(read())
        if not closed:
            assert first.run(reader.read()) == CONTENT[1:]
            first.run(reader.aclose())
            first.run(client.aclose())


async def test_closing_does_not_wait_for_the_end_of_a_body_that_was_read(
    server: S3Server, connect: Connect
) -> None:
    client = connect(timeouts=Timeouts(idle=5.0))
    server.put_object(BUCKET, KEY, CONTENT)
    # Chunked: the last chunk, which is empty, does not arrive.
    unended = replace(faults.stall_after(PART), alter_response=faults.no_length().alter_response)
    server.faults.add(unended, where=covering(0))
    async with client.open_object(BUCKET, KEY) as f:
        assert await f.read(2 * PART) == CONTENT[: 2 * PART]
        began = time.monotonic()
    assert time.monotonic() - began < 0.6


@pytest.mark.parametrize("size", [10, 6 * PART])
async def test_closing_ends_the_read_of_another_task(
    server: S3Server, client: S3Client, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.stall_after(5), where=covering(1005), times=None)
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(1000)
        reading = asyncio.create_task(f.read(size))
        await asyncio.sleep(0.05)
    with pytest.raises(errors.UsageError, match="closed"):
        await reading
    assert not transport_of(client).limiter.in_use


async def test_seek_refuses_the_offsets_that_io_refuses(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        for arguments in ((-1,), (-1, os.SEEK_CUR), (-SIZE - 1, os.SEEK_END), (0, 3)):
            with pytest.raises(errors.ParameterError):
                f.seek(*arguments)
        assert f.tell() == 0
        assert await f.seek(SIZE + 5) == SIZE + 5
        assert await f.read(5) == b""
        assert await f.readinto(bytearray(5)) == 0
        assert await f.tell() == SIZE + 5


async def test_closed_reader_is_refused(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    reader: Any = client.open_object(BUCKET, KEY)
    assert reader.closed
    with pytest.raises(errors.UsageError, match="async with"):
        await reader.read()
    async with reader:
        assert not reader.closed
    assert reader.closed
    with pytest.raises(errors.UsageError, match="closed"):
        await reader.read()
    with pytest.raises(errors.UsageError, match="closed"):
        await reader.readinto(bytearray(1))
    with pytest.raises(errors.UsageError, match="closed"):
        reader.as_sync()
    with pytest.raises(errors.UsageError, match="closed"):
        reader.seek(0)


@pytest.mark.parametrize("options", [{"range": "bytes=0-5"}, {"part_number": 1}], ids=str)
def test_options_that_select_bytes_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(errors.ParameterError, match="whole object"):
        S3Client().open_object(BUCKET, KEY, **options)


@pytest.mark.parametrize("fault", [faults.no_etag(), faults.ignore_range()], ids=lambda f: f.name)
async def test_server_without_etag_or_ranges_is_refused(
    server: S3Server, client: S3Client, fault: faults.Fault
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(fault, times=None)
    with pytest.raises(errors.IntegrityError, match="ETag"):
        async with client.open_object(BUCKET, KEY):
            pass


async def test_missing_key_is_raised_on_entering(server: S3Server, client: S3Client) -> None:
    server.create_bucket(BUCKET)
    with pytest.raises(errors.NoSuchKey, match=f"GET {BUCKET}/{KEY}: "):
        async with client.open_object(BUCKET, KEY):
            pass

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from aios3get import S3Client, Timeouts, errors
from aios3get._engine.parallel import limits
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._engine.parallel.ordered import ObjectStream
from aios3get._engine.parallel.parts import MIB
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.engine.parallel.test_verification import CHECKSUMS, SEEMINGLY_EQUAL
from tests.reading_client import BUCKET, KEY, Connect, quick_client, transport_of, until

SIZE = len(CONTENT)


async def read(client: S3Client, **options: object) -> bytes:
    async with client.stream_object(BUCKET, KEY, **options) as stream:  # type: ignore[arg-type]
        return b"".join([chunk async for chunk in stream])


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, SIZE])
async def test_objects_of_every_size_are_streamed(
    server: S3Server, client: S3Client, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:size], checksum_algorithm="CRC64NVME")
    async with client.stream_object(BUCKET, KEY) as stream:
        assert (stream.start, stream.stop, stream.size) == (0, size, size)
        chunks = [chunk async for chunk in stream]
        assert all(chunks)
    assert b"".join(chunks) == CONTENT[:size]
    assert stream.verified
    assert stream.info.key == KEY


@pytest.mark.parametrize(
    ("range_", "start", "stop"),
    [
        ("bytes=1500-5499", 1500, 5500),
        ("bytes=-3500", SIZE - 3500, SIZE),
        ("bytes=2500-", 2500, SIZE),
        ("bytes=5-9", 5, 10),
    ],
)
async def test_ranges_are_streamed(
    server: S3Server, client: S3Client, range_: str, start: int, stop: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.stream_object(BUCKET, KEY, range=range_) as stream:
        assert (stream.start, stream.stop, stream.size) == (start, stop, SIZE)
        assert b"".join([chunk async for chunk in stream]) == CONTENT[start:stop]
    assert not stream.verified


async def test_attempts_are_the_requests_so_far(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(faults.drop_after(300), where=covering(1500))
    async with client.stream_object(BUCKET, KEY) as stream:
        assert stream.attempts == 1
        async for _ in stream:
            pass
    assert stream.attempts == len(server.requests) == 10


async def test_stop_is_known_at_the_end_if_no_length_is_announced(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    chunked = faults.no_length().alter_response
    server.faults.add(replace(faults.ignore_range(), alter_response=chunked), times=None)
    async with client.stream_object(BUCKET, KEY) as stream:
        assert stream.stop is None
        async for _ in stream:
            pass
        assert stream.stop == SIZE


@pytest.mark.parametrize("connections", [1, 3, 64])
async def test_bytes_are_in_order_if_parts_arrive_out_of_order(
    server: S3Server, client: S3Client, connections: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.slow(10_000), where=covering(1500))
    assert await read(client, connections=connections) == CONTENT


@pytest.mark.parametrize("name", CHECKSUMS)
async def test_every_stored_checksum_is_verified(
    server: S3Server, client: S3Client, name: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS[name])
    async with client.stream_object(BUCKET, KEY) as stream:
        async for _ in stream:
            assert stream.verified.state in ("pending", "verified", "unverified")
    assert stream.verified
    assert stream.verified.algorithm == CHECKSUMS[name]["checksum_algorithm"]


async def test_parts_that_only_seem_equal_are_not_verified(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **SEEMINGLY_EQUAL)
    async with client.stream_object(BUCKET, KEY) as stream:
        assert b"".join([chunk async for chunk in stream]) == CONTENT
    assert "do not have the size of the first one" in stream.verified.reason


@pytest.mark.parametrize("name", CHECKSUMS)
async def test_last_chunk_is_held_back_if_a_byte_is_corrupted(
    server: S3Server, client: S3Client, name: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS[name])
    server.faults.add(faults.flip_byte(5), where=covering(2500))
    received = b""
    async with client.stream_object(BUCKET, KEY) as stream:
        with pytest.raises(errors.ChecksumMismatch):  # noqa: PT012
            async for chunk in stream:
                received += chunk
    assert len(received) < SIZE


async def test_late_checksum_is_verified(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="SHA256")
    server.faults.add(faults.slow(10), method="HEAD")
    async with client.stream_object(BUCKET, KEY) as stream:
        assert b"".join([chunk async for chunk in stream]) == CONTENT
    assert stream.verified


async def test_unread_stream_requests_nothing_beyond_the_window(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MIN_WINDOW", 3 * PART)
    monkeypatch.setattr(limits, "_MAX_WINDOW", 3 * PART)
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.stream_object(BUCKET, KEY) as stream:
        await asyncio.sleep(0.1)
        ranges = [request.headers.get("Range") for request in server.requests]
        assert sorted(filter(None, ranges)) == ["bytes=0-999", "bytes=1000-1999", "bytes=2000-2999"]
        assert b"".join([chunk async for chunk in stream]) == CONTENT


async def chunks_of_stream(client: S3Client) -> AsyncGenerator[bytes, None]:
    async with client.stream_object(BUCKET, KEY) as stream:
        async for chunk in stream:
            yield chunk


async def chunks_of_file(client: S3Client) -> AsyncGenerator[bytes, None]:
    async with client.open_object(BUCKET, KEY) as f:
        while chunk := await f.read(MIB):
            yield chunk


@pytest.mark.parametrize("chunks", [chunks_of_stream, chunks_of_file])
@pytest.mark.parametrize(("seconds", "least", "most"), [(0.0, 30, 32), (0.1, 6, 16)])
async def test_less_is_requested_ahead_of_a_slow_consumer(
    server: S3Server,
    client: S3Client,
    monkeypatch: pytest.MonkeyPatch,
    chunks: Callable[[S3Client], AsyncGenerator[bytes, None]],
    seconds: float,
    least: int,
    most: int,
) -> None:
    monkeypatch.setattr(ObjectRead, "least_part", MIB)
    monkeypatch.setattr(limits, "_MIN_WINDOW", 2 * MIB)
    server.put_object(BUCKET, KEY, bytes(32 * MIB))
    server.faults.add(faults.stall_before_head(0.1), method="GET", times=None)
    read = 0
    async with aclosing(chunks(client)) as reading:
        async for chunk in reading:
            time.sleep(seconds)
            read += len(chunk)
            if read == 4 * MIB:
                break
        await asyncio.sleep(0.05)
        requested = sum(request.method == "GET" for request in server.requests)
    assert least <= requested <= most


async def test_read_after_a_cancelled_one_loses_nothing(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="SHA1")
    server.faults.add(faults.slow(20_000), times=None)
    received = b""
    async with client.stream_object(BUCKET, KEY, connections=2) as stream:
        while True:
            try:
                received += await asyncio.wait_for(anext(stream), 0.005)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                break
    assert received == CONTENT
    assert stream.verified


async def test_failing_part_is_raised_after_the_bytes_before_it(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.status(403), where=covering(3500), times=None)
    received = b""
    async with client.stream_object(BUCKET, KEY) as stream:
        with pytest.raises(errors.AccessDenied, match=f"GET {BUCKET}/{KEY}: ") as caught:  # noqa: PT012
            async for chunk in stream:
                received += chunk
    assert received == CONTENT[:3000]
    assert caught.value.__context__ is None


async def test_replaced_object_raises_object_changed(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MIN_WINDOW", 2 * PART)
    monkeypatch.setattr(limits, "_MAX_WINDOW", 2 * PART)
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.stream_object(BUCKET, KEY) as stream:
        await anext(stream)
        server.put_object(BUCKET, KEY, CONTENT[::-1])
        with pytest.raises(errors.ObjectChanged):
            async for _ in stream:
                pass


async def test_leaving_early_releases_everything(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC32")
    server.faults.add(faults.stall_after(500), where=covering(3500))
    async with client.stream_object(BUCKET, KEY) as stream:
        async for _ in stream:
            break
    with pytest.raises(errors.UsageError, match="async with"):
        await anext(stream)


async def test_stream_that_was_not_entered_is_refused(client: S3Client) -> None:
    with pytest.raises(errors.UsageError, match="async with"):
        await anext(client.stream_object(BUCKET, KEY))


async def test_missing_key_is_raised_on_entering(server: S3Server, client: S3Client) -> None:
    server.create_bucket(BUCKET)
    with pytest.raises(errors.NoSuchKey, match=f"GET {BUCKET}/{KEY}: "):
        async with client.stream_object(BUCKET, KEY):
            pass


async def test_deadline_covers_the_reading(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.slow(1000), times=None)
    with pytest.raises(errors.TransportTimeout) as caught:
        await read(client, deadline=0.2)
    assert caught.value.limit == "deadline"


async def test_one_permit_is_enough(server: S3Server, connect: Connect) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    async with asyncio.timeout(10):
        assert await read(connect(max_concurrency=1)) == CONTENT


STALLED: dict[str, tuple[dict[str, Any], faults.Fault]] = {
    "part": ({"where": covering(1500)}, faults.stall_after(10)),
    "checksum": ({"method": "HEAD"}, faults.stall_before_head()),
    "only response": ({}, faults.stall_after(10)),
}


async def rest(stream: ObjectStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


@pytest.mark.parametrize("name", STALLED)
async def test_closing_ends_the_read_of_another_task(
    server: S3Server, client: S3Client, name: str
) -> None:
    where, fault = STALLED[name]
    size = PART if name == "only response" else SIZE
    server.put_object(BUCKET, KEY, CONTENT[:size], checksum_algorithm="CRC64NVME")
    server.faults.add(fault, times=None, **where)
    async with client.stream_object(BUCKET, KEY, checksum_mode=True) as stream:
        reading = asyncio.create_task(rest(stream))
        await asyncio.sleep(0.05)
    with pytest.raises(errors.UsageError, match="closed"):
        await reading


def test_read_on_another_event_loop_raises_usage_error(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    client = quick_client(server)
    stream = client.stream_object(BUCKET, KEY)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(stream.__aenter__())
        with pytest.raises(errors.UsageError, match="another event loop"):
            second.run(anext(stream))
        assert first.run(rest(stream)) == CONTENT
        first.run(stream.aclose())
        first.run(client.aclose())


async def test_second_reading_task_gets_a_usage_error(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.slow(10_000), times=None)
    async with client.stream_object(BUCKET, KEY) as stream:
        results = await asyncio.gather(rest(stream), rest(stream), return_exceptions=True)
    assert results[0] == CONTENT
    assert isinstance(results[1], errors.UsageError)


async def test_cancelled_wait_for_the_checksum_can_be_repeated(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(faults.stall_before_head(0.2), method="HEAD")
    received = b""
    async with client.stream_object(BUCKET, KEY, checksum_mode=True) as stream:
        with pytest.raises(TimeoutError):  # noqa: PT012
            async with asyncio.timeout(0.1):
                async for chunk in stream:
                    received += chunk
        received += await rest(stream)
    assert received == CONTENT
    assert stream.verified


async def test_cancelled_block_does_not_wait_for_the_rest_of_the_body(
    server: S3Server, connect: Connect
) -> None:
    client = connect(timeouts=Timeouts(idle=5.0))
    server.put_object(BUCKET, KEY, CONTENT[:PART])
    server.faults.add(faults.stall_after(10), times=None)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await read(client)
    assert time.monotonic() - began < 0.6


@pytest.mark.parametrize("size", [PART, SIZE])
async def test_collected_stream_releases_its_permits(
    server: S3Server, client: S3Client, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:size])
    server.faults.add(faults.slow(20_000), times=None)
    await client.stream_object(BUCKET, KEY).__aenter__()
    gc.collect()
    await until(lambda: not transport_of(client).limiter.in_use)

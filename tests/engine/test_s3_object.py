import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from aios3get import errors
from aios3get._engine.s3_object import S3Object
from aios3get._http import receive, transport
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import (
    BUCKET,
    KEY,
    READERS,
    nothing_leaks,
    quick_client,
    transport_of,
    until,
)
from tests.servers.tls import Authority

LINES = [b"one\n", b"\n", b"two\r\n", b"\r\n", b"three\rfour\n", b"last"]
CONTENT = b"".join(LINES)
BIG = bytes(range(256)) * 8000


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    async with S3Server() as running:
        running.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC32C")
        running.put_object(BUCKET, "big", BIG)
        running.put_object(BUCKET, "empty", b"")
        yield running


@pytest.fixture
async def client(server: S3Server) -> AsyncIterator[S3Client]:
    async with quick_client(server) as made:
        with nothing_leaks(made):
            yield made
            await made._start_exchange()


async def test_empty_object_reads_as_nothing(client: S3Client) -> None:
    for reader in READERS.values():
        assert await reader(await client.get_object(BUCKET, "empty")) == b""


async def test_read_of_no_bytes_does_not_wait(client: S3Client, server: S3Server) -> None:
    server.faults.add(faults.stall_after(0))
    async with client.get_object(BUCKET, KEY) as obj:
        async with asyncio.timeout(0.1):
            assert await obj.read(0) == b""
            assert await obj.readinto(bytearray()) == 0


@pytest.mark.parametrize("size", [None, -1])
async def test_read_without_a_size_returns_everything(client: S3Client, size: int | None) -> None:
    obj = await client.get_object(BUCKET, KEY)
    assert await obj.read(size) == CONTENT
    assert await obj.read() == await obj.read(5) == b""
    assert [chunk async for chunk in obj] == []


async def test_ways_of_reading_can_be_mixed(client: S3Client) -> None:
    async with client.get_object(BUCKET, "big") as obj:
        found = await obj.read(10)
        found += await anext(obj)
        buffer = bytearray(1000)
        assert await obj.readinto(memoryview(buffer)[:777]) == 777
        found += buffer[:777]
        found += await anext(obj.iter_chunks(300_000))
        found += await anext(obj.iter_lines(keepends=True))
        found += await obj.read(5_000_000)
    assert found == BIG


async def test_lines_end_with_line_feeds(client: S3Client) -> None:
    bare = [b"one", b"", b"two", b"", b"three\rfour", b"last"]
    obj = await client.get_object(BUCKET, KEY)
    assert [line async for line in obj.iter_lines()] == bare
    obj = await client.get_object(BUCKET, KEY)
    assert [line async for line in obj.iter_lines(keepends=True)] == LINES


@pytest.mark.parametrize("cut", range(1, len(CONTENT)))
async def test_lines_of_a_body_that_is_cut_are_whole(
    client: S3Client, server: S3Server, cut: int
) -> None:
    server.faults.add(faults.drop_after(cut))
    obj = await client.get_object(BUCKET, KEY)
    assert [line async for line in obj.iter_lines(keepends=True)] == LINES


@pytest.mark.parametrize("size", [0, -1, True, 1.0, "1", None])
async def test_invalid_chunk_size_is_a_parameter_error(client: S3Client, size: Any) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        with pytest.raises(errors.ParameterError, match="size="):
            obj.iter_chunks(size)


async def test_readinto_fills_a_buffer_of_other_items(client: S3Client) -> None:
    buffer = memoryview(bytearray(16)).cast("I")
    async with client.get_object(BUCKET, "big") as obj:
        assert await obj.readinto(buffer) == 16
    assert bytes(buffer) == BIG[:16]


async def test_read_of_a_closed_body_is_a_usage_error(client: S3Client) -> None:
    obj = await client.get_object(BUCKET, KEY)
    await obj.aclose()
    await obj.aclose()
    for reader in READERS.values():
        with pytest.raises(errors.UsageError, match="the body is closed"):
            await reader(obj)


async def test_read_after_an_error_is_a_usage_error(client: S3Client, server: S3Server) -> None:
    server.faults.add(faults.drop_after(300_000))
    server.faults.add(faults.status(403))
    obj = await client.get_object(BUCKET, "big")
    with pytest.raises(errors.AccessDenied) as caught:
        await obj.read()
    assert (caught.value.bytes_received, caught.value.bytes_expected) == (300_000, len(BIG))
    assert caught.value.attempts == 2
    with pytest.raises(errors.UsageError, match="the body is closed"):
        await obj.read()


async def test_second_reader_gets_a_usage_error(client: S3Client, server: S3Server) -> None:
    server.faults.add(faults.stall_after(10, 0.1))
    async with client.get_object(BUCKET, KEY) as obj:
        assert await obj.read(10) == CONTENT[:10]
        first = asyncio.create_task(obj.read())
        await asyncio.sleep(0)
        with pytest.raises(errors.UsageError, match="two tasks"):
            await obj.read()
        assert await first == CONTENT[10:]


async def test_closing_ends_the_read_of_another_task(client: S3Client, server: S3Server) -> None:
    server.faults.add(faults.stall_after(10), times=None)
    obj = await client.get_object(BUCKET, KEY)
    assert await obj.read(10) == CONTENT[:10]
    reading = asyncio.create_task(obj.read())
    await asyncio.sleep(0.01)
    await obj.aclose()
    with pytest.raises(errors.UsageError, match="the body is closed"):
        await reading


@pytest.mark.parametrize(
    "fault",
    [faults.stall_before_head(0.1), faults.stall_before_head(), faults.status(503, retry_after=60)],
    ids=["response-arrives", "response-does-not-arrive", "backoff"],
)
async def test_closing_ends_a_resume(server: S3Server, fault: faults.Fault) -> None:
    server.faults.add(faults.drop_after(10))
    server.faults.add(fault, times=None)
    async with quick_client(server, retry=RetryPolicy(wait_initial=0, wait_max=60)) as client:
        with nothing_leaks(client):
            obj = await client.get_object(BUCKET, KEY)
            reading = asyncio.create_task(obj.read())
            await until(lambda: len(server.requests) == 2)
            await obj.aclose()
            await obj.aclose()
            async with asyncio.timeout(10):
                with pytest.raises(errors.UsageError, match="the body is closed"):
                    await reading
    assert len(server.requests) == 2


async def test_closing_ends_the_wait_for_a_permit_to_resume(server: S3Server) -> None:
    server.faults.add(faults.drop_after(10))
    async with quick_client(server, max_concurrency=1) as client:
        obj = await client.get_object(BUCKET, KEY)
        other = asyncio.create_task(client.get_object(BUCKET, "big"))
        reading = asyncio.create_task(obj.read())
        async with await other:
            await obj.aclose()
            async with asyncio.timeout(10):
                with pytest.raises(errors.UsageError, match="the body is closed"):
                    await reading


async def test_read_only_buffer_is_a_parameter_error_and_loses_no_bytes(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        with pytest.raises(errors.ParameterError, match="writable buffer"):
            await obj.readinto(bytes(10))  # type: ignore[arg-type]  # the point of the test
        assert await obj.read() == CONTENT


@pytest.mark.parametrize("size", ["1", 1.5])
async def test_invalid_size_is_a_type_error_and_loses_no_bytes(client: S3Client, size: Any) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        with pytest.raises(TypeError):
            await obj.read(size)
        assert await obj.read(-2) == CONTENT


async def test_closing_drops_unread_bytes(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY, checksum_mode=True) as obj:
        assert await obj.read(3) == CONTENT[:3]
        assert repr(obj) == f"<S3Object '{BUCKET}/{KEY}' at 3 of 0..{len(CONTENT)}, open>"
        assert obj.verified.state == "pending"
    assert repr(obj) == f"<S3Object '{BUCKET}/{KEY}' at 3 of 0..{len(CONTENT)}, closed>"
    for read in (obj.read, obj.__anext__, obj.iter_lines().__anext__):
        with pytest.raises(errors.UsageError, match="closed"):
            await read()
    assert obj.verified.state == "pending"


async def test_lines_of_a_closed_body_are_a_usage_error(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        lines = obj.iter_lines()
        assert await anext(lines) == b"one"
        await obj.aclose()
        with pytest.raises(errors.UsageError, match="closed"):
            await anext(lines)


async def test_cancelled_read_of_everything_closes_the_body(
    client: S3Client, server: S3Server
) -> None:
    server.faults.add(faults.stall_after(0))
    async with client.get_object(BUCKET, KEY) as obj:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await obj.read()
        assert transport_of(client).limiter.in_use == 0
        with pytest.raises(errors.UsageError, match="closed"):
            await obj.read()


async def test_repr_shows_the_position(client: S3Client) -> None:
    async with client.get_object(BUCKET, "big", range="bytes=100-") as obj:
        assert repr(obj) == f"<S3Object '{BUCKET}/big' at 100 of 100..{len(BIG)}, open>"
        await obj.read()
        assert repr(obj) == f"<S3Object '{BUCKET}/big' at {len(BIG)} of 100..{len(BIG)}, read>"
    obj = await client.get_object(BUCKET, "big")
    await obj.aclose()
    assert repr(obj).endswith("closed>")


async def test_verified_follows_the_reading(client: S3Client, server: S3Server) -> None:
    async with client.get_object(BUCKET, KEY, checksum_mode=True) as obj:
        assert obj.verified.state == "pending"
        await obj.read()
        assert (obj.verified.state, obj.verified.algorithm) == ("verified", "CRC32C")
    server.faults.add(faults.flip_byte(3))
    obj = await client.get_object(BUCKET, KEY, checksum_mode=True)
    with pytest.raises(errors.ChecksumMismatch):
        await obj.read()
    assert obj.verified.state == "mismatch"
    async with client.get_object(BUCKET, KEY, range="bytes=0-3", checksum_mode=True) as obj:
        assert await obj.read() == CONTENT[:4]
    assert obj.verified.state == "unverified"


async def test_range_sliced_from_the_whole_object_is_unverified(
    client: S3Client, server: S3Server
) -> None:
    server.faults.add(faults.ignore_range())
    async with client.get_object(BUCKET, KEY, range="bytes=2-5", checksum_mode=True) as obj:
        assert await obj.read() == CONTENT[2:6]
        assert "ignored the range" in obj.verified.reason


@pytest.mark.parametrize("framing", [faults.no_length(), faults.drop_after(10)])
async def test_last_chunk_is_handed_out_after_verification(
    client: S3Client, server: S3Server, framing: faults.Fault
) -> None:
    server.put_object(BUCKET, "lie", BIG, checksum_algorithm="SHA256")
    flip = faults.flip_byte(-1)
    alter, flipped = framing.alter_response, flip.alter_response
    assert flipped is not None
    both = faults.Fault(
        name="both",
        alter_response=lambda response: alter(flipped(response)) if alter else flipped(response),
    )
    server.faults.add(both)
    got = 0
    obj = await client.get_object(BUCKET, "lie", checksum_mode=True)
    with pytest.raises(errors.ChecksumMismatch):  # noqa: PT012 - what came before counts
        async for chunk in obj:
            got += len(chunk)
    if alter is None:
        assert got < len(BIG)


async def test_info_outlives_the_body(client: S3Client) -> None:
    obj: S3Object = await client.get_object(BUCKET, KEY)
    info = obj.info
    assert info is obj.info
    await obj.aclose()
    assert (info.content_length, info.bucket, info.key) == (len(CONTENT), BUCKET, KEY)


async def test_body_that_was_read_releases_its_permit_at_once(client: S3Client) -> None:
    obj = await client.get_object(BUCKET, "big")
    async for _ in obj:
        if obj._stream.state == "ended":
            break
    assert transport_of(client).limiter.in_use == 0


@pytest.mark.parametrize("by_hand", [True, False])
async def test_cancelled_block_does_not_wait_for_the_rest_of_the_body(
    server: S3Server, authority: Authority, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_DRAIN_SECONDS", 60.0)
    server.faults.add(faults.stall_after(len(CONTENT) - 10))
    trust = authority.client_context()
    async with quick_client(server, verify=trust, timeouts=Timeouts(idle=60)) as client:
        read = asyncio.Event()

        async def block() -> None:
            opening = client.get_object(BUCKET, KEY)
            async with await opening if by_hand else opening as obj:
                await obj.read(len(CONTENT) - 10)
                read.set()
                await obj.read(10)

        task = asyncio.create_task(block())
        await read.wait()
        task.cancel()
        _, hanging = await asyncio.wait({task}, timeout=10)
        assert not hanging
        assert task.cancelled()
        assert transport_of(client).limiter.in_use == 0


@pytest.mark.parametrize("seed", range(3))
async def test_reads_of_any_kind_after_cancelled_ones_lose_nothing(
    client: S3Client, server: S3Server, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(receive, "_WORTHWHILE_BYTES", 2_000)
    draw = random.Random(seed)
    content = draw.randbytes(1_000_000)
    server.put_object(BUCKET, "large", content, checksum_algorithm="CRC64NVME")
    for _ in range(20):
        received = bytearray()
        obj = await client.get_object(BUCKET, "large")
        while len(received) < len(content):
            size = draw.choice([1, 500, 5_000, 50_000, 1_000_000])
            buffer = bytearray(size)
            with suppress(TimeoutError):
                async with asyncio.timeout(draw.choice([0, 0, 0.001, 0.01])):
                    match draw.choice(["read", "readinto", "iterate"]):
                        case "read":
                            received += await obj.read(size)
                        case "readinto":
                            count = await obj.readinto(buffer)
                            received += buffer[:count]
                        case "iterate":
                            received += await anext(obj)
            assert content.startswith(received)
        assert await obj.read() == b""
        assert obj.verified
        assert obj.attempts == 1


@pytest.mark.parametrize("fault", [faults.stall_after(1000), faults.drop_after(1000)], ids=repr)
async def test_buffer_can_be_resized_while_a_failure_is_handled(
    client: S3Client, server: S3Server, fault: faults.Fault
) -> None:
    server.faults.add(fault, key="big", times=None)
    buffer = bytearray(len(BIG))
    obj = await client.get_object(BUCKET, "big")
    try:
        async with asyncio.timeout(0.1):
            await obj.readinto(buffer)
    except (errors.ConnectionLost, TimeoutError):
        buffer.clear()
    assert not buffer
    await obj.aclose()

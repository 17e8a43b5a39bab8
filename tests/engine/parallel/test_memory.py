import asyncio
import mmap
import time
from array import array
from typing import Any

import pytest

from aios3get import AttemptRecord, S3Client, Timeouts, errors
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.reading_client import BUCKET, KEY, Connect

SIZE = len(CONTENT)


def methods(server: S3Server) -> list[str]:
    return [request.method for request in server.requests]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, SIZE])
@pytest.mark.parametrize("room", [0, 500])
async def test_objects_of_every_size_are_read(
    server: S3Server, client: S3Client, size: int, room: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:size])
    buffer = bytearray(size + room)
    count = await client.read_into(BUCKET, KEY, buffer)
    assert count == size
    assert buffer == CONTENT[:size] + bytes(room)
    assert count.info.content_length in (size, min(size, PART))


@pytest.mark.parametrize("size", [1, PART, PART + 1, 3 * PART])
async def test_small_buffer_takes_the_first_bytes(
    server: S3Server, client: S3Client, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    buffer = bytearray(size)
    assert await client.read_into(BUCKET, KEY, buffer) == size
    assert buffer == CONTENT[:size]


async def test_empty_buffer_takes_no_bytes(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    assert await client.read_into(BUCKET, KEY, bytearray()) == 0


@pytest.mark.parametrize("size", [0, PART - 1, PART, PART + 1, 3 * PART, SIZE - 1])
async def test_partial_read_is_not_compared_with_the_stored_checksum(
    server: S3Server, client: S3Client, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    buffer = bytearray(size)
    count = await client.read_into(BUCKET, KEY, buffer, checksum_mode=True)
    assert buffer == CONTENT[:size]
    assert count.verified.reason.startswith("the stored checksum covers the whole object")


@pytest.mark.parametrize("size", [PART, SIZE])
@pytest.mark.usefixtures("no_collection")
async def test_mmap_can_be_closed_after_the_read(
    server: S3Server, client: S3Client, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:size], checksum_algorithm="CRC64NVME")
    with mmap.mmap(-1, SIZE) as memory:
        await client.read_into(BUCKET, KEY, memory)


@pytest.mark.parametrize("failure", [faults.status(403), faults.stall_before_head()])
@pytest.mark.parametrize("offset", [0, SIZE - 1])
@pytest.mark.usefixtures("no_collection")
async def test_mmap_can_be_closed_after_a_failed_read(
    server: S3Server, client: S3Client, failure: faults.Fault, offset: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(failure, where=covering(offset), times=None)

    async def read() -> None:
        async with asyncio.timeout(0.1):
            with mmap.mmap(-1, SIZE) as memory:
                await client.read_into(BUCKET, KEY, memory)

    with pytest.raises((errors.AccessDenied, TimeoutError)):
        await read()


async def test_small_object_takes_one_request(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:PART], checksum_algorithm="CRC64NVME")
    count = await client.read_into(BUCKET, KEY, bytearray(PART), checksum_mode=True)
    assert methods(server) == ["GET"]
    assert count.verified


async def test_first_request_is_a_range_and_all_others_have_if_match(
    server: S3Server, client: S3Client
) -> None:
    stored = server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    await client.read_into(BUCKET, KEY, bytearray(SIZE), checksum_mode=True)
    first, *others = server.requests
    assert first.headers["Range"] == f"bytes=0-{PART - 1}"
    assert "If-Match" not in first.headers
    assert {request.headers["If-Match"] for request in others} == {stored.etag}
    ranges = sorted(
        request.headers["Range"] for request in server.requests if "Range" in request.headers
    )
    assert len(ranges) == len(set(ranges)) == 8
    assert methods(server).count("HEAD") == 1


RANGES = {
    "inside": ("bytes=1500-5499", 1500, 5500),
    "small": ("bytes=10-19", 10, 20),
    "open": ("bytes=2500-", 2500, SIZE),
    "past the end": ("bytes=6000-99999", 6000, SIZE),
    "suffix": ("bytes=-3500", SIZE - 3500, SIZE),
    "small suffix": ("bytes=-35", SIZE - 35, SIZE),
    "all": ("bytes=0-", 0, SIZE),
}


@pytest.mark.parametrize("name", RANGES)
async def test_every_range_is_read(server: S3Server, client: S3Client, name: str) -> None:
    header, start, stop = RANGES[name]
    server.put_object(BUCKET, KEY, CONTENT)
    buffer = bytearray(SIZE)
    assert await client.read_into(BUCKET, KEY, buffer, range=header) == stop - start
    assert buffer[: stop - start] == CONTENT[start:stop]


async def test_stored_part_is_read(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, parts=[2500, 3000, SIZE - 5500])
    buffer = bytearray(SIZE)
    assert await client.read_into(BUCKET, KEY, buffer, part_number=2) == 3000
    assert buffer[:3000] == CONTENT[2500:5500]


async def test_range_outside_the_object_is_refused(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    with pytest.raises(errors.InvalidRange):
        await client.read_into(BUCKET, KEY, bytearray(10), range=f"bytes={SIZE}-")


async def test_conditions_are_sent_with_the_first_request_only(
    server: S3Server, client: S3Client
) -> None:
    stored = server.put_object(BUCKET, KEY, CONTENT)
    buffer = bytearray(SIZE)
    await client.read_into(BUCKET, KEY, buffer, if_none_match='"another"')
    assert buffer == CONTENT
    with pytest.raises(errors.NotModified):
        await client.read_into(BUCKET, KEY, buffer, if_none_match=stored.etag)
    with pytest.raises(errors.PreconditionFailed):
        await client.read_into(BUCKET, KEY, buffer, if_match='"another"')


async def test_version_is_read(server: S3Server, client: S3Client) -> None:
    server.create_bucket(BUCKET, versioning=True)
    stored = server.put_object(BUCKET, KEY, CONTENT)
    server.put_object(BUCKET, KEY, b"newer")
    buffer = bytearray(SIZE)
    await client.read_into(BUCKET, KEY, buffer, version_id=stored.version_id)
    assert buffer == CONTENT


async def test_customer_key_is_sent_with_every_request(server: S3Server, connect: Connect) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    client = connect(allow_insecure_sse_customer_key=True)
    server.put_object(BUCKET, KEY, CONTENT, sse_customer_key=key, checksum_algorithm="CRC32C")
    buffer = bytearray(SIZE)
    count = await client.read_into(BUCKET, KEY, buffer, sse_customer_key=key, checksum_mode=True)
    assert buffer == CONTENT
    assert count.verified


@pytest.mark.parametrize(
    "make",
    [
        bytearray,
        lambda size: memoryview(bytearray(size)),
        lambda size: array("I", bytes(size)),
        lambda size: mmap.mmap(-1, size),
    ],
    ids=["bytearray", "memoryview", "array", "mmap"],
)
async def test_any_writable_buffer_is_accepted(
    server: S3Server, client: S3Client, make: Any
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:4096])
    buffer = make(4096)
    assert await client.read_into(BUCKET, KEY, buffer) == 4096
    assert bytes(memoryview(buffer).cast("B")) == CONTENT[:4096]


@pytest.mark.parametrize(
    "buffer",
    [b"read-only", "text", None, memoryview(bytearray(20))[::2], 5],
    ids=["bytes", "str", "None", "not contiguous", "int"],
)
async def test_other_buffers_are_refused_before_any_request(
    server: S3Server, client: S3Client, buffer: Any
) -> None:
    with pytest.raises(errors.ParameterError, match="buffer"):
        await client.read_into(BUCKET, KEY, buffer)
    assert not server.requests


@pytest.mark.parametrize("connections", [0, -1, 1.5, True, "8"])
async def test_invalid_number_of_connections_is_refused(client: S3Client, connections: Any) -> None:
    with pytest.raises(errors.ParameterError, match="connections"):
        await client.read_into(BUCKET, KEY, bytearray(1), connections=connections)


@pytest.mark.parametrize("connections", [1, 2, 5])
async def test_connections_limits_the_concurrent_requests(
    server: S3Server, connect: Connect, connections: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.slow(100_000), times=None)
    client = connect(response_checksum_validation="when_required")
    await client.read_into(BUCKET, KEY, bytearray(SIZE), connections=connections)
    assert server.connections_opened == connections


async def test_one_permit_is_enough(server: S3Server, connect: Connect) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    buffer = bytearray(SIZE)
    async with asyncio.timeout(10):
        count = await connect(max_concurrency=1).read_into(BUCKET, KEY, buffer, checksum_mode=True)
    assert buffer == CONTENT
    assert count.verified


async def test_missing_key_raises_no_exception_group(server: S3Server, client: S3Client) -> None:
    server.create_bucket(BUCKET)
    with pytest.raises(errors.NoSuchKey, match=f"GET {BUCKET}/{KEY}: ") as caught:
        await client.read_into(BUCKET, KEY, bytearray(1))
    assert (caught.value.bucket, caught.value.key, caught.value.attempts) == (BUCKET, KEY, 1)


async def test_failing_part_is_raised_without_a_group_and_cancels_the_others(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.status(403), where=covering(3000))
    server.faults.add(faults.stall_before_head(), where=covering(5000))
    with pytest.raises(errors.AccessDenied, match=f"GET {BUCKET}/{KEY}: ") as caught:
        await client.read_into(BUCKET, KEY, bytearray(SIZE), connections=8)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert caught.value.attempts > 1


async def test_error_of_a_part_has_the_id_of_its_request(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    refusal = faults.status(403, headers={"x-amz-request-id": "4442587FB7D0A2F9"})
    server.faults.add(refusal, where=covering(3000))
    with pytest.raises(errors.AccessDenied) as caught:
        await client.read_into(BUCKET, KEY, bytearray(SIZE))
    assert "4442587FB7D0A2F9" in caught.value.request_ids


async def test_every_request_has_its_record(server: S3Server, connect: Connect) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(faults.drop_after(300), where=covering(3000))
    records: list[AttemptRecord] = []
    client = connect(on_attempt=records.append)
    await client.read_into(BUCKET, KEY, bytearray(SIZE))
    assert sum(record.bytes_received for record in records) == SIZE
    found = sorted((r.method, r.attempt, r.error, r.bytes_received) for r in records if r.error)
    assert found == [("GET", 1, "ConnectionLost", 300)]
    assert sorted(record.attempt for record in records) == [1] * 9 + [2]
    assert sorted(record.method for record in records) == ["GET"] * 9 + ["HEAD"]


async def test_replaced_object_raises_object_changed(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)

    def replace() -> None:
        server.put_object(BUCKET, KEY, CONTENT[::-1])

    server.faults.add(faults.replace_object(replace, after=PART), where=covering(0))
    with pytest.raises(errors.ObjectChanged):
        await client.read_into(BUCKET, KEY, bytearray(SIZE), connections=2)


async def test_deadline_covers_the_whole_call(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.slow(1000), times=None)
    with pytest.raises(errors.TransportTimeout) as caught:
        await client.read_into(BUCKET, KEY, bytearray(SIZE), connections=2, deadline=0.2)
    assert caught.value.limit == "deadline"


async def test_cancelled_call_releases_everything(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC32")
    for stall in (faults.stall_before_head(), faults.stall_after(300)):
        server.faults.clear()
        server.faults.add(stall, where=covering(2000), times=None)
        task = asyncio.create_task(client.read_into(BUCKET, KEY, bytearray(SIZE)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    "fault", [faults.no_etag(), faults.ignore_range(), faults.no_length()], ids=lambda f: f.name
)
async def test_server_without_ranges_is_read_with_one_request(
    server: S3Server, client: S3Client, fault: faults.Fault
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(fault, times=None)
    buffer = bytearray(SIZE)
    assert await client.read_into(BUCKET, KEY, buffer) == SIZE
    assert buffer == CONTENT


async def test_result_is_an_int_with_info_and_verified(server: S3Server, client: S3Client) -> None:
    stored = server.put_object(BUCKET, KEY, CONTENT)
    count = await client.read_into(BUCKET, KEY, bytearray(SIZE))
    assert isinstance(count, int)
    assert count + 1 == SIZE + 1
    assert count.info.etag == stored.etag
    assert not count.verified


async def test_cancelled_read_does_not_wait_for_the_rest_of_the_body(
    server: S3Server, connect: Connect
) -> None:
    client = connect(timeouts=Timeouts(idle=5.0))
    server.put_object(BUCKET, KEY, CONTENT[:PART])
    server.faults.add(faults.stall_after(10), times=None)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.read_into(BUCKET, KEY, bytearray(PART))
    assert time.monotonic() - began < 0.6

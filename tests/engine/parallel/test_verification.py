import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from aios3get import S3Client, errors
from aios3get._protocol.hashing import ALGORITHMS
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT
from tests.reading_client import BUCKET, KEY, Connect

SIZE = len(CONTENT)
EQUAL_PARTS = [2500, 2500, SIZE - 5000]
ODD_PARTS = [3000, 500, 2500, SIZE - 6000]
CHECKSUMS: dict[str, dict[str, Any]] = {
    **{name: {"checksum_algorithm": name} for name in ALGORITHMS},
    "CRC64NVME of a multipart object": {"checksum_algorithm": "CRC64NVME", "parts": EQUAL_PARTS},
    **{
        f"composite {name}, {len(parts)} parts": {
            "checksum_algorithm": name,
            "checksum_type": "COMPOSITE",
            "parts": parts,
        }
        for name in ("CRC32", "CRC32C", "SHA256")
        for parts in (EQUAL_PARTS, ODD_PARTS, [SIZE])
    },
}

# The size of the first part allows for three equal ones.
SEEMINGLY_EQUAL: dict[str, Any] = {
    "checksum_algorithm": "CRC32",
    "checksum_type": "COMPOSITE",
    "parts": [2500, 2400, SIZE - 4900],
}


async def read(client: S3Client, **options: Any) -> Any:
    buffer = bytearray(SIZE)
    count = await client.read_into(BUCKET, KEY, buffer, **options)
    assert buffer == CONTENT
    return count.verified


@pytest.mark.parametrize("name", CHECKSUMS)
async def test_every_stored_checksum_is_verified(
    server: S3Server, client: S3Client, name: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS[name])
    verified = await read(client)
    assert verified
    assert verified.algorithm == CHECKSUMS[name]["checksum_algorithm"]


@pytest.mark.parametrize("name", CHECKSUMS)
async def test_corrupted_byte_raises_checksum_mismatch(
    server: S3Server, client: S3Client, name: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS[name])
    # The third GET, whichever part it is for.
    server.faults.add(faults.flip_byte(-1), method="GET", after=2)
    with pytest.raises(errors.ChecksumMismatch) as caught:
        await read(client)
    assert caught.value.algorithm == CHECKSUMS[name]["checksum_algorithm"]
    assert caught.value.expected != caught.value.actual


@pytest.mark.parametrize("name", ["CRC64NVME", "SHA256", "composite CRC32, 4 parts"])
async def test_wrong_stored_checksum_raises_checksum_mismatch(
    server: S3Server, client: S3Client, name: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS[name])
    server.faults.add(faults.wrong_checksum(), method="HEAD", times=None)
    with pytest.raises(errors.ChecksumMismatch):
        await read(client)


async def test_parts_of_equal_size_take_one_more_request(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS["composite CRC32, 3 parts"])
    assert await read(client)
    assert [request.method for request in server.requests].count("HEAD") == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.status(403), "AccessDenied|Forbidden"),
        (faults.status(501), "NotImplemented|Not Implemented"),
        (faults.change_etag(), "replaced"),
        (faults.set_headers({"x-amz-checksum-crc64nvme": None}), "no stored checksum"),
        (faults.set_headers({"x-amz-checksum-crc64nvme": "AAAA"}), "malformed"),
        (faults.set_headers({"x-amz-checksum-type": "NEW"}), "unknown type 'NEW'"),
        (faults.set_headers({"x-amz-checksum-type": "COMPOSITE"}), "malformed"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
async def test_result_says_why_nothing_was_verified(
    server: S3Server, client: S3Client, fault: faults.Fault, reason: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(fault, method="HEAD", times=None)
    verified = await read(client)
    assert verified.state == "unverified"
    assert re.search(reason, verified.reason)


@pytest.mark.parametrize("parts", [EQUAL_PARTS, ODD_PARTS])
async def test_unknown_sizes_of_parts_are_no_mismatch(
    server: S3Server, client: S3Client, parts: list[int]
) -> None:
    server.put_object(
        BUCKET,
        KEY,
        CONTENT,
        checksum_algorithm="CRC32",
        checksum_type="COMPOSITE",
        parts=parts,
    )
    for fault in (faults.status(403), faults.set_headers({"Content-Length": "5"})):
        server.faults.clear()
        server.faults.add(
            fault, where=lambda request: request.parameter("partNumber") is not None, times=None
        )
        verified = await read(client)
        assert verified.state == "unverified"
        assert "parts" in verified.reason


async def test_parts_that_only_seem_equal_are_verified(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **SEEMINGLY_EQUAL)
    assert await read(client)


async def test_failed_request_for_a_part_ends_the_others(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS["composite CRC32, 4 parts"])
    server.faults.add(faults.status(403), where=lambda each: each.parameter("partNumber") == "3")
    server.faults.add(
        faults.stall_before_head(), where=lambda each: each.parameter("partNumber") == "2"
    )
    assert "parts could not be fetched" in (await read(client)).reason
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("number", [1, 2])
async def test_stored_part_larger_than_a_request_is_verified(
    server: S3Server, client: S3Client, tmp_path: Path, number: int
) -> None:
    parts = [3000, SIZE - 3000]
    composite: dict[str, Any] = {"checksum_algorithm": "SHA256", "checksum_type": "COMPOSITE"}
    server.put_object(BUCKET, KEY, CONTENT, parts=parts, **composite)
    expected = (CONTENT[:3000], CONTENT[3000:])[number - 1]
    buffer = bytearray(SIZE)
    count = await client.read_into(BUCKET, KEY, buffer, part_number=number)
    assert buffer[:count] == expected
    assert count.verified.algorithm == "SHA256"
    done = await client.download_object(BUCKET, KEY, tmp_path / "part", part_number=number)
    assert (tmp_path / "part").read_bytes() == expected
    assert done.verified.algorithm == "SHA256"
    async with client.stream_object(BUCKET, KEY, part_number=number) as stream:
        assert b"".join([chunk async for chunk in stream]) == expected
        assert stream.verified.algorithm == "SHA256"
    server.faults.add(faults.flip_byte(-1), times=1)
    with pytest.raises(errors.ChecksumMismatch):
        await client.read_into(BUCKET, KEY, buffer, part_number=number)


async def test_ranges_of_objects_with_unequal_parts_are_exact_and_not_compared(
    server: S3Server, client: S3Client, tmp_path: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS["composite CRC32, 4 parts"])
    span, expected = "bytes=2900-6100", CONTENT[2900:6101]
    buffer = bytearray(SIZE)
    count = await client.read_into(BUCKET, KEY, buffer, range=span)
    assert buffer[:count] == expected
    done = await client.download_object(BUCKET, KEY, tmp_path / "range", range=span)
    assert (tmp_path / "range").read_bytes() == expected
    async with client.stream_object(BUCKET, KEY, range=span) as stream:
        assert b"".join([chunk async for chunk in stream]) == expected
    for verified in (count.verified, done.verified, stream.verified):
        assert "only a range" in verified.reason
    assert await client.get_ranges(BUCKET, KEY, [span, "bytes=2999-3000"]) == [
        expected,
        CONTENT[2999:3001],
    ]
    async with client.open_object(BUCKET, KEY) as f:
        f.seek(2900)
        assert await f.read(3201) == expected


async def test_range_is_not_verified(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    count = await client.read_into(BUCKET, KEY, bytearray(SIZE), range="bytes=1-")
    assert "only a range is read" in count.verified.reason
    assert all(request.method == "GET" for request in server.requests)


async def test_no_head_request_without_checksum_mode(server: S3Server, connect: Connect) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    client = connect(response_checksum_validation="when_required")
    verified = await read(client)
    assert "checksum_mode=True" in verified.reason
    assert all(request.method == "GET" for request in server.requests)
    assert await read(client, checksum_mode=True)

import re
from typing import Any

import pytest
from multidict import CIMultiDict

from aios3get import S3Client, errors
from aios3get._engine.parallel.verification import StoredChecksum, parse_stored_checksum
from aios3get._protocol.hashing import ALGORITHMS, encode_digest
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT
from tests.reading_client import BUCKET, KEY, Connect

SIZE = len(CONTENT)
EQUAL_PARTS = [2500, 2500, SIZE - 5000]
ODD_PARTS = [3000, 500, 2500, SIZE - 6000]
CRC = encode_digest(ALGORITHMS["CRC32C"].digest_of(CONTENT))
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
async def test_corrupted_byte_is_found(server: S3Server, client: S3Client, name: str) -> None:
    server.put_object(BUCKET, KEY, CONTENT, **CHECKSUMS[name])
    # The third GET, whichever part it is for.
    server.faults.add(faults.flip_byte(-1), method="GET", after=2)
    with pytest.raises(errors.ChecksumMismatch) as caught:
        await read(client)
    assert caught.value.algorithm == CHECKSUMS[name]["checksum_algorithm"]
    assert caught.value.expected != caught.value.actual


@pytest.mark.parametrize("name", ["CRC64NVME", "SHA256", "composite CRC32, 4 parts"])
async def test_wrong_stored_checksum_is_found(
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


async def test_range_is_not_compared(server: S3Server, client: S3Client) -> None:
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


def headers(**values: str) -> CIMultiDict[str]:
    return CIMultiDict({f"x-amz-checksum-{name}": value for name, value in values.items()})


def test_checksum_without_type_is_of_the_whole_object() -> None:
    stored = parse_stored_checksum(headers(crc32c=CRC))
    assert isinstance(stored, StoredChecksum)
    assert stored.parts is None
    assert stored.text == CRC


def test_checksum_with_a_number_of_parts_is_composite() -> None:
    stored = parse_stored_checksum(headers(crc32c=f"{CRC}-12"))
    assert isinstance(stored, StoredChecksum)
    assert stored.parts == 12
    assert stored.text == f"{CRC}-12"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"type": "FULL_OBJECT"},
        {"crc32c": "%%%"},
        {"crc32c": CRC + "-"},
        {"crc32c": CRC + "-x"},
        {"crc32c": CRC + "-999999"},
        {"crc32c": CRC + "-²"},
        {"crc32c": CRC, "type": "COMPOSITE"},
        {"crc128": CRC},
    ],
    ids=str,
)
def test_other_headers_give_a_reason(values: dict[str, str]) -> None:
    assert isinstance(parse_stored_checksum(headers(**values)), str)


def test_second_checksum_is_taken_where_the_first_is_malformed() -> None:
    stored = parse_stored_checksum(headers(crc64nvme="AAAA", crc32c=CRC))
    assert isinstance(stored, StoredChecksum)
    assert stored.algorithm.name == "CRC32C"

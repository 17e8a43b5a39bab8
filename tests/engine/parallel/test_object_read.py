from dataclasses import replace
from pathlib import Path

import pytest

from aios3get import S3Client, errors
from aios3get._engine.parallel import part_sizes
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._engine.parallel.parts import MIB
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.engine.parallel.test_fault_matrix import FRONTS
from tests.reading_client import BUCKET, Connect

KEY = "sample.jpg"
SIZE = len(CONTENT)


async def ranges_of_small(client: S3Client, key: str, folder: Path) -> bytes:
    return b"".join(await client.get_ranges(BUCKET, key, ["bytes=0-"]))


SMALL = {**FRONTS, "ranges": ranges_of_small}


@pytest.mark.parametrize("size", [1, PART - 1, PART])
@pytest.mark.parametrize("front", SMALL)
async def test_object_that_fits_a_part_takes_one_request(
    server: S3Server, client: S3Client, tmp_path: Path, front: str, size: int
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:size], checksum_algorithm="CRC64NVME")
    assert await SMALL[front](client, KEY, tmp_path) == CONTENT[:size]
    assert [request.method for request in server.requests] == ["GET"]


async def test_first_request_is_for_8_mib_without_a_measurement(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # of the small parts
    server.put_object(BUCKET, KEY, bytes(20 * MIB))
    await client.read_into(BUCKET, KEY, bytearray(20 * MIB))
    assert server.requests[0].headers["Range"] == f"bytes=0-{8 * MIB - 1}"


async def test_parts_end_where_stored_parts_end(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectRead, "least_part", 4 * MIB)
    monkeypatch.setattr(part_sizes, "_TRANSFER_PER_WAIT", 0)  # no longer parts at a long latency
    server.put_object(BUCKET, KEY, bytes(30 * MIB), parts=[3 * MIB] * 10)
    await client.read_into(BUCKET, KEY, bytearray(30 * MIB), connections=1)
    first, *stops = [
        (int(request.headers["Range"].rpartition("-")[2]) + 1) // MIB
        for request in server.requests
        if request.method == "GET"
    ]
    assert first == 4
    assert stops == [*range(6, 31, 3)]


async def test_stored_checksum_is_requested_beside_the_first_part(
    server: S3Server, client: S3Client
) -> None:
    stored = server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    await client.read_into(BUCKET, KEY, bytearray(SIZE))
    (head,) = [request for request in server.requests if request.method == "HEAD"]
    assert head.headers["x-amz-checksum-mode"] == "ENABLED"
    assert head.headers["If-Match"] == stored.etag
    assert "Range" not in head.headers


@pytest.mark.parametrize("front", FRONTS)
async def test_object_that_is_replaced_during_the_read_is_object_changed(
    server: S3Server, connect: Connect, tmp_path: Path, front: str
) -> None:
    target = tmp_path / KEY
    target.write_bytes(b"before")
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")

    def replace() -> None:
        server.put_object(BUCKET, KEY, CONTENT[::-1], checksum_algorithm="CRC64NVME")

    server.faults.add(faults.replace_object(replace, after=500), where=covering(2500))
    with pytest.raises(errors.ObjectChanged):
        await FRONTS[front](connect(), KEY, tmp_path)
    assert target.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == [KEY]


@pytest.mark.parametrize("front", FRONTS)
async def test_replaced_object_of_a_bucket_with_versions_is_read_to_its_end(
    server: S3Server, client: S3Client, tmp_path: Path, front: str
) -> None:
    server.create_bucket(BUCKET, versioning=True)
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")

    def replace() -> None:
        server.put_object(BUCKET, KEY, CONTENT[::-1], checksum_algorithm="CRC64NVME")

    server.faults.add(faults.replace_object(replace, after=500), where=covering(2500))
    assert await FRONTS[front](client, KEY, tmp_path) == CONTENT


@pytest.mark.parametrize("front", SMALL)
async def test_ranges_with_status_200_are_read_by_several_requests(
    server: S3Server, client: S3Client, tmp_path: Path, front: str
) -> None:
    # As rclone sends them.
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(
        faults.Fault(name="200", alter_response=lambda response: replace(response, status=200)),
        times=None,
    )
    assert await SMALL[front](client, KEY, tmp_path) == CONTENT
    assert sum(request.method == "GET" for request in server.requests) > 1


async def test_range_with_status_200_is_not_compared_with_the_checksum_of_the_object(
    server: S3Server, client: S3Client
) -> None:
    version = server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    checksum = (await client.head_object(BUCKET, KEY, checksum_mode=True)).checksums["CRC64NVME"]
    headers = (("x-amz-checksum-crc64nvme", checksum), ("x-amz-checksum-type", "FULL_OBJECT"))
    server.faults.add(
        faults.Fault(
            name="200",
            alter_response=lambda response: replace(
                response, status=200, headers=response.headers + headers
            ),
        )
    )
    async with client.get_object(BUCKET, KEY, range="bytes=0-9", if_match=version.etag) as obj:
        assert await obj.read() == CONTENT[:10]
        assert not obj.verified

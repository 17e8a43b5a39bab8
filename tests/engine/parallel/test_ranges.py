import random
from typing import Any

import pytest

from aios3get import ByteRange, S3Client, errors
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.reading_client import BUCKET, KEY

SIZE = len(CONTENT)


def expected(ranges: list[ByteRange]) -> list[bytes]:
    return [CONTENT[slice(*each.within(SIZE))] for each in ranges]


async def test_ranges_are_returned_in_the_requested_order(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ranges = [
        ByteRange(5000, 5010),
        ByteRange(0, 1),
        ByteRange(5000, 5010),
        ByteRange(5005, 5500),
        ByteRange(SIZE - 1, SIZE),
        ByteRange.last(20),
        ByteRange.from_offset(6500),
        ByteRange(7000, 99999),
        ByteRange(100, 4800),
    ]
    views = await client.get_ranges(BUCKET, KEY, ranges)
    assert [bytes(view) for view in views] == expected(ranges)
    assert all(view.readonly for view in views)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("gap", [0, 50, None])
async def test_any_ranges_are_read(
    server: S3Server, client: S3Client, seed: int, gap: int | None
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    chance = random.Random(seed)

    def make() -> ByteRange:
        start, size = chance.randrange(SIZE), chance.choice([1, 10, 100, 3000])
        kinds = [ByteRange(start, start + size), ByteRange(start), ByteRange.last(size)]
        return chance.choice(kinds if seed % 2 else kinds[:1])

    ranges = [make() for _ in range(chance.choice([1, 3, 30]))]
    views = await client.get_ranges(BUCKET, KEY, ranges, gap=gap)
    assert [bytes(view) for view in views] == expected(ranges)


async def test_close_ranges_take_few_requests_and_share_memory(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ranges = [ByteRange(start, start + 5) for start in range(0, 3000, 10)]
    views = await client.get_ranges(BUCKET, KEY, ranges)
    assert [bytes(view) for view in views] == expected(ranges)
    assert len(server.requests) <= 5
    assert len({id(view.obj) for view in views}) <= 4


async def test_distant_ranges_are_read_separately(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ranges = [ByteRange(0, 10), ByteRange(300, 310), ByteRange(900, 905)]
    await client.get_ranges(BUCKET, KEY, ranges, gap=100)
    read = {request.headers["Range"] for request in server.requests}
    assert read == {"bytes=0-9", "bytes=300-309", "bytes=900-904"}


async def test_long_range_is_divided(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    (view,) = await client.get_ranges(BUCKET, KEY, ["bytes=0-6999"])
    assert view == CONTENT[:7000]
    assert len(server.requests) > 2


async def test_all_requests_but_the_first_have_if_match(server: S3Server, client: S3Client) -> None:
    stored = server.put_object(BUCKET, KEY, CONTENT)
    await client.get_ranges(BUCKET, KEY, ["bytes=0-9", "bytes=-5"], gap=0)
    first, *others = server.requests
    assert "If-Match" not in first.headers
    assert [request.headers["If-Match"] for request in others] == [stored.etag]
    assert all(request.method == "GET" for request in server.requests)


async def test_no_ranges_take_no_request(server: S3Server, client: S3Client) -> None:
    assert await client.get_ranges(BUCKET, KEY, []) == []
    assert not server.requests


@pytest.mark.parametrize("ranges", [[f"bytes={SIZE}-"], ["bytes=0-9", f"bytes={SIZE}-{SIZE + 5}"]])
async def test_range_outside_the_object_is_refused(
    server: S3Server, client: S3Client, ranges: list[str]
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    with pytest.raises(errors.InvalidRange) as caught:
        await client.get_ranges(BUCKET, KEY, ranges)
    assert caught.value.actual_object_size == SIZE


@pytest.mark.parametrize(
    "arguments",
    [
        {"ranges": ["bytes=5-1"]},
        {"ranges": [5]},
        {"gap": -1},
        {"gap": 1.5},
        {"connections": 0},
        {"range": "bytes=0-5"},
        {"part_number": 1},
    ],
    ids=str,
)
async def test_invalid_arguments_are_refused_before_any_request(
    server: S3Server, client: S3Client, arguments: dict[str, Any]
) -> None:
    with pytest.raises(errors.ParameterError):
        await client.get_ranges(BUCKET, KEY, **{"ranges": ["bytes=0-5"], **arguments})
    assert not server.requests


async def test_replaced_object_raises_object_changed(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)

    def replace() -> None:
        server.put_object(BUCKET, KEY, CONTENT[::-1])

    server.faults.add(faults.replace_object(replace, after=PART), where=covering(7000))
    with pytest.raises(errors.ObjectChanged):
        await client.get_ranges(BUCKET, KEY, ["bytes=0-9", "bytes=7000-7009"], gap=0)


@pytest.mark.parametrize("fault", [faults.no_etag(), faults.ignore_range()], ids=lambda f: f.name)
async def test_server_without_etag_or_ranges_is_refused(
    server: S3Server, client: S3Client, fault: faults.Fault
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(fault, times=None)
    with pytest.raises(errors.IntegrityError, match="ETag"):
        await client.get_ranges(BUCKET, KEY, ["bytes=0-9"])

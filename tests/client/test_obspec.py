import struct
from typing import Any

import obspec
import pytest
from obspec.exceptions import (
    BaseError,
    NotFoundError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
    map_exception,
)

from aios3get import S3Client, errors
from aios3get.obspec import BucketStore
from aios3get.testing import S3Server, faults
from tests.reading_client import BUCKET, KEY, Connect

BODY = bytes(range(256)) * 8


@pytest.fixture
async def store(server: S3Server, client: S3Client) -> BucketStore:
    server.put_object(
        BUCKET, KEY, BODY, content_type="image/jpeg", metadata={"camera": "Example 1"}
    )
    return BucketStore(client, BUCKET)


def test_types_are_those_of_the_protocols(client: S3Client) -> None:
    # mypy and pyright compare the signatures
    store = BucketStore(client, BUCKET)
    get: obspec.GetAsync = store
    get_range: obspec.GetRangeAsync = store
    get_ranges: obspec.GetRangesAsync = store
    head: obspec.HeadAsync = store
    assert {type(each) for each in (get, get_range, get_ranges, head)} == {BucketStore}


async def test_get_has_bytes_and_metadata(store: BucketStore, server: S3Server) -> None:
    result = await store.get_async(KEY)
    stored = server.requests[-1]
    assert (result.range, stored.method) == ((0, len(BODY)), "GET")
    assert result.attributes == {"Content-Type": "image/jpeg", "camera": "Example 1"}
    assert result.meta == await store.head_async(KEY)
    assert (result.meta["path"], result.meta["size"]) == (KEY, len(BODY))
    assert b"".join([chunk async for chunk in result]) == BODY
    assert (await store.head_async(KEY))["e_tag"] == result.body.info.etag


@pytest.mark.parametrize(
    ("wanted", "selected"),
    [
        ((5, 50), (5, 50)),
        ([2040, 5000], (2040, 2048)),
        ({"offset": 2000}, (2000, 2048)),
        ({"suffix": 7}, (2041, 2048)),
    ],
    ids=str,
)
async def test_range_of_get(store: BucketStore, wanted: Any, selected: tuple[int, int]) -> None:
    result = await store.get_async(KEY, options={"range": wanted})
    assert (result.range, result.meta["size"]) == (selected, len(BODY))
    assert await result.buffer_async() == BODY[slice(*selected)]


async def test_version_of_get(client: S3Client, server: S3Server) -> None:
    server.create_bucket(BUCKET, versioning=True)
    store = BucketStore(client, BUCKET)
    old = server.put_object(BUCKET, KEY, b"old").version_id
    server.put_object(BUCKET, KEY, b"new")
    result = await store.get_async(KEY, options={"version": old})
    assert (await result.buffer_async(), result.meta["version"]) == (b"old", old)


async def test_ranges(store: BucketStore, server: S3Server) -> None:
    assert await store.get_range_async(KEY, start=3, end=9) == BODY[3:9]
    assert await store.get_range_async(KEY, start=2040, length=100) == BODY[2040:]
    got = await store.get_ranges_async(KEY, starts=[100, 0, 100], ends=[110, 5, 120])
    assert [bytes(each) for each in got] == [BODY[100:110], BODY[:5], BODY[100:120]]
    assert await store.get_ranges_async(KEY, starts=[7], lengths=[2]) == [BODY[7:9]]
    assert await store.get_ranges_async(KEY, starts=[], ends=[]) == []


async def test_offsets_may_be_numbers_of_numpy(store: BucketStore) -> None:
    np = pytest.importorskip("numpy", reason="the group frameworks is not installed")
    start, end = np.array([3, 9], dtype=np.uint64)
    assert await store.get_range_async(KEY, start=start, end=end) == BODY[3:9]
    assert await store.get_ranges_async(KEY, starts=[start], lengths=[end]) == [BODY[3:12]]


async def test_wrong_ranges(store: BucketStore) -> None:
    with pytest.raises(errors.InvalidRange):
        await store.get_range_async(KEY, start=len(BODY), length=1)
    with pytest.raises(errors.ParameterError, match="empty"):
        await store.get_range_async(KEY, start=5, end=5)
    with pytest.raises(errors.ParameterError, match="an end or a length"):
        await store.get_range_async(KEY, start=5)
    with pytest.raises(errors.ParameterError, match="an end or a length"):
        await store.get_ranges_async(KEY, starts=[5], ends=[6], lengths=[1])
    with pytest.raises(errors.ParameterError, match="as in obspec"):
        await store.get_async(KEY, options={"range": (1,)})
    with pytest.raises(errors.ParameterError, match="head_async"):
        await store.get_async(KEY, options={"head": True})


@pytest.mark.parametrize(
    ("options", "raised"),
    [
        ({"if_none_match": "*"}, NotModifiedError),
        ({"if_match": '"other"'}, PreconditionError),
    ],
    ids=str,
)
async def test_condition_raises_the_class_of_obspec(
    store: BucketStore, options: Any, raised: type[BaseError]
) -> None:
    if "if_none_match" in options:
        options = {"if_none_match": (await store.head_async(KEY))["e_tag"]}
    with pytest.raises(raised) as caught:
        await store.get_async(KEY, options=options)
    assert map_exception(caught.value).__class__ is raised


async def test_failure_raises_the_class_of_obspec(store: BucketStore, server: S3Server) -> None:
    for failing in (
        store.get_async("absent"),
        store.head_async("absent"),
        store.get_range_async("absent", start=0, end=1),
        store.get_ranges_async("absent", starts=[0], ends=[1]),
    ):
        with pytest.raises(NotFoundError) as caught:
            await failing
        assert isinstance(caught.value.__cause__, errors.NoSuchKey)
        assert isinstance(caught.value, FileNotFoundError)
    server.faults.add(faults.status(403, "AccessDenied"))
    with pytest.raises(PermissionDeniedError):
        await store.head_async(KEY)


async def test_missing_credentials_raise_the_class_of_obspec(connect: Connect) -> None:
    with pytest.raises(UnauthenticatedError, match="no credentials"):
        await BucketStore(connect(credentials=None), BUCKET).head_async(KEY)


def tiff(width: int, height: int) -> tuple[bytes, bytes]:
    """An uncompressed grey image of one tile, and the bytes of that tile."""
    tile = bytes(column ^ row for row in range(height) for column in range(width))
    tags = [
        *((256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, 1)),
        *((322, 4, width), (323, 4, height), (324, 4, 0), (325, 4, len(tile))),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = [
        struct.pack("<HHII", tag, kind, 1, start if tag == 324 else value)
        for tag, kind, value in tags
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + b"".join(entries) + bytes(4) + tile, tile


async def test_async_tiff_reads_a_tile(client: S3Client, server: S3Server) -> None:
    async_tiff = pytest.importorskip("async_tiff", reason="the group frameworks is not installed")
    content, tile = tiff(128, 64)
    server.put_object(BUCKET, "sample.tif", content)
    image = await async_tiff.TIFF.open("sample.tif", store=BucketStore(client, BUCKET))
    assert (image.ifds[0].image_width, image.ifds[0].image_height) == (128, 64)
    fetched = await image.fetch_tile(0, 0, 0)
    assert bytes(await fetched.decode()) == tile


async def test_wrappers_of_obspec_utils_take_it(store: BucketStore, server: S3Server) -> None:
    wrappers = pytest.importorskip(
        "obspec_utils.wrappers", reason="the group frameworks is not installed"
    )
    server.requests.clear()
    cached = wrappers.CachingReadableStore(store)
    for _ in range(2):
        assert bytes(await cached.get_range_async(KEY, start=5, end=9)) == BODY[5:9]
    assert [each.method for each in server.requests] == ["GET"]
    split = wrappers.SplittingReadableStore(store, request_size=512)
    assert bytes(await (await split.get_async(KEY)).buffer_async()) == BODY
    assert len(server.requests) > 2

import io
import pickle
import time

import pytest

from aios3get import errors
from aios3get.fsspec import S3FileSystem
from aios3get.testing import S3Server
from tests.reading_client import BUCKET

BODY = bytes(range(256)) * (3 << 12)  # 3 MiB
PATH = f"{BUCKET}/data.bin"


@pytest.fixture(autouse=True)
def stored(server: S3Server) -> None:
    server.put_object(BUCKET, "data.bin", BODY)


def test_file_reads_like_a_local_one(fs: S3FileSystem) -> None:
    local = io.BytesIO(BODY)
    with fs.open(PATH) as file:
        for offset, whence, size in [(0, 0, 10), (5, 1, 300_000), (-7, 2, 99), (1 << 20, 0, 1)]:
            assert file.seek(offset, whence) == local.seek(offset, whence)
            assert file.read(size) == local.read(size)
            assert file.tell() == local.tell()
        assert (file.size, file.mode, file.name, file.path) == (len(BODY), "rb", PATH, PATH)
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        file.seek(0)
        assert file.readline() == BODY[:11]
        room = bytearray(1000)
        assert file.readinto(room) == 1000
        assert room == BODY[11:1011]
        assert file.read() == BODY[1011:]
        assert file.details["ETag"] == file.info()["ETag"]
    assert file.closed


def test_opening_takes_one_request(fs: S3FileSystem, server: S3Server) -> None:
    with fs.open(PATH) as file:
        file.read(100)
    assert [each.method for each in server.requests] == ["GET"]


def test_small_reads_share_requests(fs: S3FileSystem, server: S3Server) -> None:
    with fs.open(PATH) as file:
        for offset in range(0, 100_000, 100):
            file.seek(offset)
            assert file.read(4) == BODY[offset : offset + 4]
    assert len(server.requests) <= 2


def test_large_read_at_another_offset_takes_one_request(fs: S3FileSystem, server: S3Server) -> None:
    with fs.open(PATH) as file:
        for offset in (2_000_000, 1_200_001):
            file.seek(offset)
            server.requests.clear()
            assert file.read(500_000) == BODY[offset : offset + 500_000]
            assert file.tell() == offset + 500_000
            assert [each.headers["Range"] for each in server.requests] == [
                f"bytes={offset}-{offset + 499_999}"
            ]
        assert file.read(10) == BODY[1_700_001:1_700_011]
        file.seek(-10, 2)
        assert file.read(1 << 20) == BODY[-10:]
        file.seek(10, 2)
        assert file.read(1 << 20) == b""


def test_missing_object_is_not_found(fs: S3FileSystem) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        fs.open(f"{BUCKET}/absent")
    assert caught.value.filename == f"{BUCKET}/absent"
    assert isinstance(caught.value.__cause__, errors.NoSuchKey)


def test_replaced_object_is_not_mixed_with_the_old(fs: S3FileSystem, server: S3Server) -> None:
    with fs.open(PATH) as file:
        file.read(10)
        server.put_object(BUCKET, "data.bin", BODY[::-1])
        file.seek(-100, 2)
        with pytest.raises(errors.ObjectChanged):
            file.read()


def test_pickled_file_continues_at_its_offset(fs: S3FileSystem) -> None:
    with fs.open(PATH) as file:
        file.seek(1000)
        with pickle.loads(pickle.dumps(file)) as again:
            assert again.read(100) == BODY[1000:1100]
    with pytest.raises(errors.UsageError, match="closed"):
        pickle.dumps(file)


def test_pickled_file_of_a_replaced_object_does_not_open(
    fs: S3FileSystem, server: S3Server
) -> None:
    with fs.open(PATH) as file:
        pickled = pickle.dumps(file)
    server.put_object(BUCKET, "data.bin", b"new")
    with pytest.raises(errors.PreconditionFailed):
        pickle.loads(pickled)


def test_closing_closes_the_reader(fs: S3FileSystem) -> None:
    file = fs.open(PATH)
    reader = file.raw.reader
    file.close()
    file.close()
    deadline = time.monotonic() + 5
    while not reader.closed and time.monotonic() < deadline:
        time.sleep(0.001)
    assert reader.closed


async def test_asynchronous_file(fs: S3FileSystem) -> None:
    async with await fs.open_async(PATH) as file:
        assert await file.read(10) == BODY[:10]
        file.seek(100)
        room = bytearray(5)
        assert await file.readinto(room) == 5
        assert (bytes(room), file.tell(), file.size) == (BODY[100:105], 105, len(BODY))
        assert await file.read() == BODY[105:]
    assert file.closed
    with pytest.raises(NotImplementedError, match="s3fs"):
        await fs.open_async(PATH, "wb")
    with pytest.raises(errors.ParameterError, match="compression"):
        await fs.open_async(PATH, compression="gzip")
    with pytest.raises(FileNotFoundError):
        await fs.open_async(f"{BUCKET}/absent")


def test_compressed_text_file(fs: S3FileSystem, server: S3Server) -> None:
    import gzip

    server.put_object(BUCKET, "a.csv.gz", gzip.compress(b"one\ntwo\n"))
    with fs.open(f"{BUCKET}/a.csv.gz", "rt", compression="infer") as file:
        assert file.read() == "one\ntwo\n"

import asyncio
import io
import os
import zipfile

import pytest

from aios3get import S3Client, errors
from aios3get.testing import S3Server
from tests.engine.parallel.conftest import CONTENT
from tests.reading_client import BUCKET, KEY, quick_client

SIZE = len(CONTENT)


async def test_sync_reader_reads_like_a_binary_file(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)

    def compare(file: io.RawIOBase) -> None:
        model = io.BytesIO(CONTENT)
        assert file.readable()
        assert file.seekable()
        assert not file.writable()
        for offset, whence, size in (
            (0, os.SEEK_SET, 10),
            (5000, os.SEEK_SET, 2000),
            (-2500, os.SEEK_CUR, 0),
            (0, os.SEEK_CUR, 600),
            (-20, os.SEEK_END, 100),
            (-20, os.SEEK_END, -1),
            (SIZE + 5, os.SEEK_SET, 3),
            (SIZE + 5, os.SEEK_SET, -1),
        ):
            assert file.seek(offset, whence) == model.seek(offset, whence)
            assert file.read(size) == model.read(size)
            assert file.tell() == model.tell()

    async with client.open_object(BUCKET, KEY) as f:
        await asyncio.to_thread(compare, f.as_sync())
        assert f.tell() == 0


async def test_zip_files_are_read_member_by_member(server: S3Server, client: S3Client) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        for number in range(20):
            writing.writestr(f"member-{number}", CONTENT[number * 300 :])
    server.put_object(BUCKET, KEY, archive.getvalue())

    def read(file: io.RawIOBase) -> bytes:
        with zipfile.ZipFile(file) as reading:
            return reading.read("member-7")

    async with client.open_object(BUCKET, KEY) as f:
        assert await asyncio.to_thread(read, f.as_sync()) == CONTENT[2100:]
        assert not f.closed


async def test_buffered_reader_works_on_a_sync_reader(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)

    def read(file: io.RawIOBase) -> list[bytes]:
        return list(io.BufferedReader(file, 100))

    async with client.open_object(BUCKET, KEY) as f:
        assert b"".join(await asyncio.to_thread(read, f.as_sync())) == CONTENT


async def test_invalid_seeks_are_refused(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        file = f.as_sync()
        for arguments in ((-1,), (-1, os.SEEK_CUR), (-SIZE - 1, os.SEEK_END), (0, 3)):
            with pytest.raises(ValueError, match=r"negative|whence"):
                file.seek(*arguments)


async def test_read_on_the_event_loop_is_refused(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        with pytest.raises(errors.UsageError, match=r"asyncio\.to_thread"):
            f.as_sync().read(1)


async def test_closed_reader_is_refused(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        file = f.as_sync()
        other = f.as_sync()
        other.close()
        with pytest.raises(errors.UsageError, match="closed"):
            other.tell()
    for use in (file.tell, file.readall, lambda: file.seek(0)):
        with pytest.raises(errors.UsageError, match="closed"):
            use()


def test_read_after_the_end_of_the_event_loop_is_refused(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    reader = quick_client(server).open_object(BUCKET, KEY)
    with asyncio.Runner() as runner:
        runner.run(reader.__aenter__())
        file = reader.as_sync()
    with pytest.raises(errors.UsageError, match="event loop has ended"):
        file.read(10)


async def test_errors_reach_the_thread(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    async with client.open_object(BUCKET, KEY) as f:
        server.delete_object(BUCKET, KEY)
        file = f.as_sync()
        file.seek(3000)
        with pytest.raises(errors.ObjectChanged):
            await asyncio.to_thread(file.read, 10)

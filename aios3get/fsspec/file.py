"""Open files of the file system: a blocking one and an asynchronous one."""

# pyright: basic
# fsspec has no type annotations.

import asyncio
import io
import os
import sys
from types import TracebackType
from typing import Any, Final, Self

from aios3get._engine.parallel.reader import ObjectReader
from aios3get._engine.parallel.sync_reader import SyncObjectReader
from aios3get.errors import UsageError

__all__ = ["AsyncS3File", "S3File"]

# Each read from the reader switches threads twice, which takes about 0.1 ms. An ObjectReader
# requests at least this many bytes for a read at another offset.
_BUFFER: Final = 1 << 17


class _RawFile(SyncObjectReader):
    """The unbuffered file. Closing it closes the asynchronous reader."""

    mode = "rb"

    def __init__(self, reader: ObjectReader, loop: asyncio.AbstractEventLoop, name: str) -> None:
        super().__init__(reader, loop)
        self.name = name
        self.reader = reader
        self._pid = os.getpid()

    def readinto(self, buffer: Any, /) -> int:
        self._check_process()
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self._check_process()
        return super().readall()

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if os.getpid() == self._pid and self._loop.is_running() and not sys.is_finalizing():
            asyncio.run_coroutine_threadsafe(self.reader.aclose(), self._loop)

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError(
                f"{self.name} was opened before this process was forked; open it in this process"
            )


class S3File(io.BufferedReader):
    """An object as a binary file, which reads ahead of sequential reads.

    Unpickling opens the same version of the object again, at the same offset.

    Attributes:
        fs: the file system.
        path: the path that was opened.
        size: the size in bytes.
        details: the result of ``fs.info``.
        blocksize: the requested block size; it has no effect, as request sizes are adaptive.
    """

    def __init__(
        self,
        fs: Any,
        path: str,
        reader: ObjectReader,
        *,
        loop: asyncio.AbstractEventLoop,
        details: dict[str, Any],
        blocksize: int,
    ) -> None:
        super().__init__(_RawFile(reader, loop, path), _BUFFER)
        self.fs = fs
        self.path = path
        self.size = reader.size
        self.details = details
        self.blocksize = blocksize

    def info(self) -> dict[str, Any]:
        """Return the result of ``fs.info``."""
        return self.details

    def read(self, size: int | None = -1, /) -> bytes:
        """Read the next ``size`` bytes, fewer only at the end; all that remain without a size."""
        if size is None or size <= _BUFFER:
            return super().read(size)
        # super() would read whole buffers, and then another one for the rest: two requests.
        room = io.BytesIO(bytes(min(size, max(0, self.size - self.tell()))))
        with room.getbuffer() as view:
            self.readinto(view)
        return room.getvalue()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.closed:
            raise UsageError("a closed file does not pickle")
        details = self.details
        return _reopen, (self.fs, self.path, details["ETag"], details["VersionId"], self.tell())

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return self.__reduce__()


def _reopen(fs: Any, path: str, etag: str | None, version_id: str | None, offset: int) -> S3File:
    file: S3File = fs._open(path, if_match=etag, version_id=version_id)
    file.seek(offset)
    return file


class AsyncS3File:
    """An object as an asynchronous binary file. Close it, or use it with ``async with``.

    Attributes:
        path: the path that was opened.
        size: the size in bytes.
        details: the result of ``fs.info``.
        mode: ``"rb"``.
    """

    mode = "rb"

    def __init__(self, path: str, reader: ObjectReader, details: dict[str, Any]) -> None:
        self.path = path
        self.size = reader.size
        self.details = details
        self._reader = reader

    async def read(self, length: int = -1) -> bytes:
        """Read the next ``length`` bytes, or all that remain."""
        return await self._reader.read(length)

    async def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with the next bytes; return their number."""
        return await self._reader.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the offset of the next byte."""
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        """The offset of the next byte."""
        return self._reader.tell()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._reader.closed

    async def close(self) -> None:
        """Cancel the requests and release the memory."""
        await self._reader.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

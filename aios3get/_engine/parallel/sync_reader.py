"""A blocking file over an asynchronous reader, for code that runs in other threads."""

import asyncio
import io
import os
import threading
from collections.abc import Coroutine
from typing import Any, Protocol

from aios3get.errors import ParameterError, UsageError

__all__ = ["SyncObjectReader", "seek_to"]


def seek_to(offset: int, whence: int, position: int, size: int) -> int:
    """Return the absolute offset for ``seek(offset, whence)``.

    Raises:
        ParameterError: it is negative, or ``whence`` is unknown.
    """
    if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
        raise ParameterError(f"whence must be 0, 1 or 2, got {whence!r}")
    target = (0, position, size)[whence] + offset
    if target < 0:
        raise ParameterError(f"cannot seek to the negative offset {target}")
    return target


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Source(Protocol):
    @property
    def size(self) -> int: ...

    @property
    def closed(self) -> bool: ...

    def read_at(self, offset: int, view: memoryview) -> Coroutine[Any, Any, int]: ...


class SyncObjectReader(io.RawIOBase):
    """Reads an object like a binary file, from any thread but the event loop's.

    Every read returns as many bytes as requested, fewer only at the end of the object. Closing it
    does not close the asynchronous reader.

    Args:
        source: the asynchronous reader.
        loop: its event loop.
    """

    def __init__(self, source: _Source, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._source = source
        self._loop = loop
        self._lock = threading.Lock()
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The offset of the next byte."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the offset of the next byte, relative to the start, the current offset or the end."""
        self._check_open()
        with self._lock:
            self._position = seek_to(offset, whence, self._position, self._source.size)
            return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` with the next bytes; return their number, which is less at the end.

        Raises:
            UsageError: called in the event loop's thread, which it would block forever.
            S3Error: as for the asynchronous reader.
        """
        self._check_open()
        if self._loop.is_closed():
            raise UsageError(
                "the reader's event loop has ended; read before it does, such as in"
                " asyncio.to_thread"
            )
        if _running_loop() is self._loop:
            raise UsageError(
                "a blocking read in the event loop's thread would never end; read in another"
                " thread, such as with asyncio.to_thread"
            )
        with memoryview(buffer) as view, view.cast("B") as target, self._lock:
            future = asyncio.run_coroutine_threadsafe(
                self._source.read_at(self._position, target), self._loop
            )
            count = future.result()
            self._position += count
        return count

    def readall(self) -> bytes:
        """Read all bytes up to the end."""
        self._check_open()
        buffer = bytearray(max(0, self._source.size - self._position))
        count = self.readinto(buffer)
        return bytes(buffer[:count])

    def _check_open(self) -> None:
        if self.closed or self._source.closed:
            raise UsageError("the reader is closed")

"""Reads and replaces token files and caches off the event loop."""

import asyncio
import errno
import os
import stat
import tempfile
from typing import Final

__all__ = ["read_small_file", "replace_file"]

_MAX_BYTES: Final = 65_536


async def read_small_file(path: str) -> bytes:
    """Read a regular file of at most 64 KiB.

    Raises:
        OSError: the file does not exist, cannot be read, is too large or not a regular file.
    """
    return await asyncio.to_thread(_read, path)


async def replace_file(path: str, data: bytes) -> None:
    """Replace a file atomically with one that only its owner can read.

    Raises:
        OSError: the file cannot be written.
    """
    await asyncio.to_thread(_replace, path, data)


def _read(path: str) -> bytes:
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return data


def _open_at_once(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe would wait for its other end.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _replace(path: str, data: bytes) -> None:
    # mkstemp creates the file with mode 0600.
    descriptor, temporary = tempfile.mkstemp(suffix=".tmp", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

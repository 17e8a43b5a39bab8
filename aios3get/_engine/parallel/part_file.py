"""The temporary file of a download, in the same folder as its target."""

import errno
import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Final

from aios3get._engine.parallel.parts import Span

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["PartFile"]

_SUFFIX: Final = ".aios3get-part"
# File systems allow names of 255 bytes.
_LONGEST_NAME: Final = 255 - len(_SUFFIX) - len(".journal~")
_FLAGS: Final = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)
_READ: Final = 1 << 20
# For longer writes Linux allocates huge pages, which a virtual machine may have returned to its
# host: 1 GiB in writes of 2 MiB sometimes took 0.7 s on ext4, in writes of 1 MiB always 0.16 s.
_WRITE: Final = 1 << 20


class PartFile:
    """An open temporary file, locked against other downloads to the same target.

    All methods block.

    Args:
        target: the path of the finished file.
        resume: whether to reuse the temporary file of an earlier download.

    Attributes:
        path: the path of the temporary file.
        resumable: whether a later download can find the file, by a name derived from the target.

    Raises:
        OSError: the folder cannot be written to, or the target is not a regular file.
    """

    def __init__(self, target: str, *, resume: bool) -> None:
        # Replace the file that a symbolic link points to, as open() for writing would.
        self._target = os.path.realpath(target)
        self._mode = _mode_of(self._target, target)
        folder, name = os.path.split(self._target)
        encoded = os.fsencode(name)
        if len(encoded) > _LONGEST_NAME:
            name = hashlib.sha256(encoded).hexdigest()
        self.path = os.path.join(folder, name + _SUFFIX)
        fd = _open_locked(self.path) if resume else None
        self.resumable = fd is not None
        if fd is None:
            self.path = os.path.join(folder, os.urandom(16).hex() + _SUFFIX)
            fd = os.open(self.path, _FLAGS | os.O_EXCL, 0o666)
        self._fd: int | None = fd

    @property
    def fd(self) -> int:
        """The open file."""
        assert self._fd is not None
        return self._fd

    def allocate(self, size: int) -> None:
        """Set the size of the file and reserve its space.

        Raises:
            OSError: the file system is full.
        """
        with self._named():
            if os.fstat(self.fd).st_size > size:
                os.ftruncate(self.fd, size)
            if not size or not _allocate(self.fd, size):
                os.ftruncate(self.fd, size)

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of ``data``.

        Raises:
            OSError: it cannot be written.
        """
        with self._named():
            while data:
                count = _pwrite(self.fd, data[:_WRITE], offset)
                data = data[count:]
                offset += count

    @contextmanager
    def _named(self) -> Generator[None, None, None]:
        """Add the file name to errors of calls that take a file descriptor."""
        try:
            yield
        except OSError as error:
            error.filename = self.path
            raise

    def read(self, span: Span) -> Iterator[bytes]:
        """Read the bytes of ``span`` in chunks; fewer if the file is shorter."""
        start = span.start
        while start < span.stop and (
            chunk := _pread(self.fd, min(_READ, span.stop - start), start)
        ):
            yield chunk
            start += len(chunk)

    def commit(self, *, fsync: bool) -> None:
        """Replace the target with the file.

        Args:
            fsync: whether to wait until the bytes and the name are on the disk.

        Raises:
            OSError: the target cannot be replaced.
        """
        if self._mode is not None:
            os.chmod(self.path, self._mode)
        if fsync:
            os.fsync(self.fd)
        if fcntl is None:
            self.close()  # Windows does not rename open files
        os.replace(self.path, self._target)
        if fsync and fcntl is not None:
            folder = os.open(os.path.dirname(self._target), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self.close()

    def close(self) -> None:
        """Close the file and keep it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def delete(self) -> None:
        """Close the file and delete it."""
        if fcntl is None:
            self.close()
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        self.close()


def _mode_of(path: str, given: str) -> int | None:
    """Return the permissions of the file that will be replaced; None if there is none."""
    if not os.path.basename(given) or os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), given)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a download replaces regular files only", given)
    # Without the bits that run a file as its owner, who may be another one now.
    return stat.S_IMODE(mode) & 0o777


def _open_locked(path: str) -> int | None:
    """Open and lock the file; None if it belongs to another download or another user."""
    while True:
        try:
            fd = os.open(path, _FLAGS, 0o666)
        except OSError as error:
            # A symbolic link, or a file of another user.
            if error.errno == errno.ELOOP or os.path.exists(path):
                return None
            raise
        try:
            if not _lock(fd) or not _is_own(os.fstat(fd)):
                os.close(fd)
                return None
            if _is_at(path, os.fstat(fd)):
                return fd
        except BaseException:
            os.close(fd)
            raise
        # The download that held the lock has renamed or deleted the file.
        os.close(fd)


def _lock(fd: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_own(found: os.stat_result) -> bool:
    owner: int = os.geteuid() if hasattr(os, "geteuid") else found.st_uid
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == owner


def _is_at(path: str, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), found)
    except FileNotFoundError:
        return False


def _allocate(fd: int, size: int) -> bool:
    """Allocate the space for a file; return False if the file system does not support it."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        # Unlike glibc, musl does not fall back to writing zeros.
        if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            return False
        raise
    return True


def _pwrite(fd: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.write(fd, data)


def _pread(fd: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)

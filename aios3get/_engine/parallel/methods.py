"""The methods of ``S3Client`` that read with many requests."""

import os
import sys
from abc import ABC, abstractmethod
from typing import Any, Unpack

from aios3get._engine.call import Call, check_deadline
from aios3get._engine.exchange import Exchange
from aios3get._engine.parallel.download import Download, Downloader
from aios3get._engine.parallel.memory import BytesRead, read_into, writable_view
from aios3get._engine.parallel.opening import ObjectRead
from aios3get._engine.parallel.progress import OnProgress
from aios3get._protocol.get_object import GetObject, GetObjectOptions
from aios3get.errors import ParameterError

__all__ = ["ParallelMethods"]


class ParallelMethods(ABC):
    """Reads objects with many requests at once."""

    @abstractmethod
    def _request(self, bucket: str, key: str, options: GetObjectOptions) -> GetObject:
        """The request of a call, with the client's defaults."""

    @abstractmethod
    async def _start_exchange(self) -> Exchange:
        """The exchange of the running event loop."""

    async def read_into(
        self,
        bucket: str,
        key: str,
        buffer: Any,
        *,
        connections: int | None = None,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> BytesRead:
        """Read the object into memory of yours, with several requests at once if it is large.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            buffer: contiguous writable memory, such as a ``bytearray``, a numpy array or an
                ``mmap``; it takes the bytes that fit.
            connections: how many requests run at once; by default 8, and more if they raise the
                throughput.
            deadline: seconds for the whole call.
            options: as for ``get_object``.

        Returns:
            The number of bytes, an ``int`` that also has ``info`` and ``verified``. It is less
            than the buffer has only if the object, or the range asked for, is shorter.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            ObjectChanged: the object was replaced while it was read.
            ChecksumMismatch: the bytes do not have the checksum that the object is stored with.
            S3Error: as for ``get_object``.
        """
        view = writable_view(buffer)
        read = self._object_read(bucket, key, options, connections, deadline)
        del options  # error reporters send the variables of frames along
        return await read.call.run(read_into(read, view))

    async def download_object(
        self,
        bucket: str,
        key: str,
        path: str | os.PathLike[str],
        *,
        connections: int | None = None,
        part_size: int | None = None,
        resume: bool = True,
        fsync: bool = False,
        on_progress: OnProgress | None = None,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> Download:
        """Download the object to a file, with several requests at once if it is large.

        The bytes go to a temporary file beside ``path``, which takes its place when it is complete
        and verified. A download that was interrupted, even by the end of the process, is continued
        by the next one to the same path, if the object is still the same.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            path: the file; an existing one is replaced and lends its permissions.
            connections: how many requests run at once; by default 8, and more if they raise the
                throughput.
            part_size: bytes in a request; by default 8 MiB, and more where the first byte of a
                response takes long.
            resume: False starts anew, and leaves nothing behind if it fails.
            fsync: whether the file must be on the disk, and not only in the system's memory,
                before this returns.
            on_progress: called with the bytes so far and in total (None if unknown), at most every
                0.1 s and at the end.
            deadline: seconds for the whole call.
            options: as for ``get_object``.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            OSError: the file cannot be written: the disk is full, the folder read-only.
            ObjectChanged: the object was replaced while it was read.
            ChecksumMismatch: the bytes do not have the checksum that the object is stored with.
            S3Error: as for ``get_object``.
        """
        target = os.fspath(path)
        if not isinstance(target, str) or not target:
            raise ParameterError(f"path is the name of a file as text, got {path!r}")
        read = self._object_read(bucket, key, options, connections, deadline, part_size)
        del options  # as in ``read_into``
        downloader = Downloader(
            read,
            target,
            resume=resume,
            fsync=fsync,
            on_progress=on_progress,
        )
        return await read.call.run(downloader.run())

    def _object_read(
        self,
        bucket: str,
        key: str,
        options: GetObjectOptions,
        connections: int | None,
        deadline: float | None,
        part_size: int | None = None,
    ) -> ObjectRead:
        """A checked call, made two frames further up."""
        if deadline is not None:
            check_deadline(deadline)
        _check_count("connections", connections)
        _check_count("part_size", part_size)
        frame = sys._getframe(2)
        request = self._request(bucket, key, options)
        call = Call("GET", request, deadline, (frame.f_code, frame.f_lasti))
        return ObjectRead(
            self._start_exchange, call, options, connections=connections, part_size=part_size
        )


def _check_count(name: str, value: int | None) -> None:
    """Check an argument that is a positive whole number or None.

    Raises:
        ParameterError: it is neither.
    """
    if value is not None and (type(value) is not int or value < 1):
        raise ParameterError(f"{name} is a whole number above 0, got {value!r}")

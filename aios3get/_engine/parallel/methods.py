"""The methods of ``S3Client`` that read with many requests.

Each imports what it takes when it is first called: most programs use one of them, or none.
"""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from aios3get._engine.call import Call, check_deadline
from aios3get._engine.exchange import Exchange
from aios3get._engine.get_object_call import GetObjectCall
from aios3get._engine.s3_object import S3Object
from aios3get._protocol.get_object import GetObject, GetObjectOptions
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ParameterError

if TYPE_CHECKING:
    from aios3get._engine.parallel.download import Download
    from aios3get._engine.parallel.memory import BytesRead
    from aios3get._engine.parallel.objects import ObjectResults, Requests
    from aios3get._engine.parallel.opening import ObjectRead
    from aios3get._engine.parallel.ordered import ObjectStream
    from aios3get._engine.parallel.progress import OnProgress
    from aios3get._engine.parallel.reader import ObjectReader

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
    ) -> "BytesRead":
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
        from aios3get._engine.parallel.memory import read_into, writable_view

        # The traceback of an error must not hold the memory, which ``mmap.close`` refuses.
        with writable_view(buffer) as view:
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
        on_progress: "OnProgress | None" = None,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "Download":
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
        from aios3get._engine.parallel.download import Downloader

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

    def stream_object(
        self,
        bucket: str,
        key: str,
        *,
        connections: int | None = None,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "ObjectStream":
        """Stream the object in order, read ahead with several requests at once.

        ::

            async with s3.stream_object(bucket, key) as stream:
                async for chunk in stream:
                    ...

        At most 16 to 128 MiB are read ahead, the more the longer the first byte of a response
        takes, and nothing more is requested while nobody reads.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            connections: how many requests run at once; by default as many as the latency needs.
            deadline: seconds for the call and the reading of the stream together.
            options: as for ``get_object``.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            ObjectChanged: the object was replaced while it was read.
            ChecksumMismatch: the bytes do not have the checksum that the object is stored with.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.ordered import ObjectStream

        return ObjectStream(self._object_read(bucket, key, options, connections, deadline))

    def open_object(
        self,
        bucket: str,
        key: str,
        *,
        connections: int | None = None,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "ObjectReader":
        """Open the object like a file, to read it in any order.

        ::

            async with s3.open_object(bucket, key) as f:
                f.seek(-8, os.SEEK_END)
                footer = await f.read(8)

        Every read is of the version that was opened.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            connections: how many requests run at once; by default as many as the latency needs.
            deadline: seconds for the call and all reading together.
            options: as for ``get_object``, but not ``range`` and ``part_number``.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            ObjectChanged: the object was replaced while it was read.
            IntegrityError: the server does not send an ETag, or no ranges.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.reader import ObjectReader

        _refuse_selection("open_object", options)
        return ObjectReader(self._object_read(bucket, key, options, connections, deadline))

    async def get_ranges(
        self,
        bucket: str,
        key: str,
        ranges: Iterable[ByteRange | str],
        *,
        gap: int | None = None,
        connections: int | None = None,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> list[memoryview]:
        """Read many ranges of one version of the object.

        Ranges that lie close together are read with one request, large ones with several.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            ranges: ``ByteRange`` or header text, in any order; they may overlap and repeat.
            gap: ranges at most so many bytes apart are read together; by default as many as arrive
                while a request waits for its first byte, from 64 KiB to 2 MiB.
            connections: how many requests run at once; by default 32.
            deadline: seconds for the whole call.
            options: as for ``get_object``, but not ``range`` and ``part_number``.

        Returns:
            The bytes of each range, in the order of ``ranges``. Ranges that were read together
            share memory, gaps included, which is released with the last of them.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            InvalidRange: a range lies outside the object.
            ObjectChanged: the object was replaced while it was read.
            IntegrityError: the server does not send an ETag, or no ranges.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.ranges import read_ranges

        _refuse_selection("get_ranges", options)
        if gap is not None and (type(gap) is not int or gap < 0):
            raise ParameterError(f"gap is a number of bytes, got {gap!r}")
        parsed = [ByteRange.of(each) for each in ranges]
        read = self._object_read(bucket, key, options, connections, deadline)
        del options  # as in ``read_into``
        return await read.call.run(read_ranges(read, parsed, gap))

    def get_objects(
        self,
        requests: "Requests",
        *,
        concurrency: int = 32,
        deadline: float | None = None,
    ) -> "ObjectResults":
        """Read many small objects; iterate over the results as they complete.

        ::

            async for result in s3.get_objects([("amzn-s3-demo-bucket", key) for key in keys]):
                if result.error is None:
                    process(result.key, result.body)

        An object that cannot be read does not end the iteration: its result has the error.

        Args:
            requests: for each object ``(bucket, key)`` or ``(bucket, key, options)``, with the
                options of ``get_object`` as a dict; an iterable, or an asynchronous one, which is
                read only as far as needed.
            concurrency: how many objects are read at once. At most as many are held in memory, as
                nothing more is requested while nobody takes results.
            deadline: seconds for each object.
        """
        from aios3get._engine.parallel.objects import ObjectResults

        if deadline is not None:
            check_deadline(deadline)
        _check_count("concurrency", concurrency)
        return ObjectResults(partial(self._get_one, deadline), requests, concurrency)

    async def _get_one(
        self, deadline: float | None, bucket: str, key: str, options: GetObjectOptions
    ) -> S3Object:
        return await self.get_object(bucket, key, deadline=deadline, **options)

    @abstractmethod
    def get_object(
        self,
        bucket: str,
        key: str,
        *,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> GetObjectCall:
        """The object."""

    def _object_read(
        self,
        bucket: str,
        key: str,
        options: GetObjectOptions,
        connections: int | None,
        deadline: float | None,
        part_size: int | None = None,
    ) -> "ObjectRead":
        """A checked call, made two frames further up."""
        from aios3get._engine.parallel.opening import ObjectRead

        if deadline is not None:
            check_deadline(deadline)
        if connections is not None:
            _check_count("connections", connections)
        if part_size is not None:
            _check_count("part_size", part_size)
        frame = sys._getframe(2)
        request = self._request(bucket, key, options)
        call = Call("GET", request, deadline, (frame.f_code, frame.f_lasti))
        return ObjectRead(
            self._start_exchange, call, options, connections=connections, part_size=part_size
        )


def _check_count(name: str, value: int) -> None:
    """Check an argument that is a positive whole number.

    Raises:
        ParameterError: it is not.
    """
    if type(value) is not int or value < 1:
        raise ParameterError(f"{name} is a whole number above 0, got {value!r}")


def _refuse_selection(method: str, options: GetObjectOptions) -> None:
    for name in ("range", "part_number"):
        if options.get(name) is not None:
            raise ParameterError(f"{method} reads the whole object; it takes no {name}")

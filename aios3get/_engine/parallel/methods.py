"""The methods of ``S3Client`` that read with many requests.

Each method imports its module at its first call, because most programs use one of them or none.
"""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from aios3get._engine.call import Call, check_deadline
from aios3get._engine.get_object_call import GetObjectCall
from aios3get._protocol.get_object import GetObject, GetObjectOptions
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ParameterError

if TYPE_CHECKING:
    from aios3get._engine.exchange import Exchange
    from aios3get._engine.parallel.download import Download
    from aios3get._engine.parallel.memory import BytesRead
    from aios3get._engine.parallel.object_read import ObjectRead
    from aios3get._engine.parallel.objects import ObjectResults, Requests
    from aios3get._engine.parallel.ordered import ObjectStream
    from aios3get._engine.parallel.progress import OnProgress
    from aios3get._engine.parallel.reader import ObjectReader
    from aios3get._engine.s3_object import S3Object

__all__ = ["ParallelMethods"]


class ParallelMethods(ABC):
    """Reads objects with many requests at once."""

    @abstractmethod
    def _request(self, bucket: str, key: str, options: GetObjectOptions) -> GetObject:
        """Return the request of a call, with the client's defaults."""

    @abstractmethod
    async def _start_exchange(self) -> "Exchange":
        """Return the exchange of the running event loop."""

    async def read_into(
        self,
        bucket: str,
        key: str,
        buffer: Any,
        *,
        connections: int | None = None,
        hedge: bool = False,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "BytesRead":
        """Read the object into your buffer, with several requests at once if it is large.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            buffer: contiguous writable memory, such as a ``bytearray``, a numpy array or an
                ``mmap``. If it is smaller than the object, only the first bytes are read.
            connections: how many requests run at once; by default 8, and more if they raise the
                throughput.
            hedge: whether to request the rest of a slow part again on another connection, and to
                continue with the response that arrives first.
            deadline: seconds for the whole call.
            options: as for ``get_object``.

        Returns:
            The number of bytes, an ``int`` that also has ``info`` and ``verified``. It is less
            than the size of the buffer only if the object, or the requested range, is shorter.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            ObjectChanged: the object was replaced while it was read.
            ChecksumMismatch: the bytes do not match the object's stored checksum.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.memory import read_into, writable_view

        # The traceback of an error must not hold the memory, which ``mmap.close`` refuses.
        with writable_view(buffer) as view:
            read = self._object_read(bucket, key, options, connections, deadline, hedge)
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
        hedge: bool = False,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "Download":
        """Download the object to a file, with several requests at once if it is large.

        The bytes are written to a temporary file beside ``path``, which replaces ``path`` once it
        is complete and verified. The next download to the same path resumes an interrupted one,
        even of an earlier process, if the object is unchanged.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            path: the path of the file; an existing file is replaced, and its permissions are kept,
                except for the set-user-ID and set-group-ID bits.
            connections: how many requests run at once; by default 8, and more if they raise the
                throughput.
            part_size: bytes in a request; by default 8 MiB, and more if the latency is high.
            resume: False downloads everything, and deletes the temporary file if it fails.
            fsync: whether to return only when the file is on the disk, not in the page cache.
            on_progress: called with the bytes so far and in total (None if unknown), at most every
                0.1 s and at the end.
            hedge: whether to request the rest of a slow part again on another connection, and to
                continue with the response that arrives first.
            deadline: seconds for the whole call.
            options: as for ``get_object``.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            OSError: the file cannot be written: the disk is full, the folder read-only.
            ObjectChanged: the object was replaced while it was read.
            ChecksumMismatch: the bytes do not match the object's stored checksum.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.download import Downloader

        target = os.fspath(path)
        if not isinstance(target, str) or not target:
            raise ParameterError(f"path must be the path of a file as text, got {path!r}")
        read = self._object_read(bucket, key, options, connections, deadline, hedge, part_size)
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
        hedge: bool = False,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "ObjectStream":
        """Stream the object in order, reading ahead with several requests at once.

        ::

            async with s3.stream_object(bucket, key) as stream:
                async for chunk in stream:
                    ...

        At most 16 to 256 MiB are read ahead, depending on the latency and on how fast the stream is
        read. No further bytes are requested until it is read.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            connections: how many requests run at once; by default as many as the latency needs.
            hedge: whether to request the rest of a slow part again on another connection, and to
                continue with the response that arrives first.
            deadline: seconds for the call and the reading of the stream together.
            options: as for ``get_object``.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            ObjectChanged: the object was replaced while it was read.
            ChecksumMismatch: the bytes do not match the object's stored checksum.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.ordered import ObjectStream

        return ObjectStream(self._object_read(bucket, key, options, connections, deadline, hedge))

    def open_object(
        self,
        bucket: str,
        key: str,
        *,
        connections: int | None = None,
        hedge: bool = False,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "ObjectReader":
        """Open the object like a file: seekable, and read in any order.

        ::

            async with s3.open_object(bucket, key) as f:
                f.seek(-8, os.SEEK_END)
                footer = await f.read(8)

        Every read returns bytes of the version that was opened.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            connections: how many requests run at once; by default as many as the latency needs.
            hedge: whether to request the rest of a slow part again on another connection, and to
                continue with the response that arrives first.
            deadline: seconds for the call and all reading together.
            options: as for ``get_object``, but not ``range`` and ``part_number``.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            ObjectChanged: the object was replaced while it was read.
            IntegrityError: the server does not send an ETag, or ignores ranges.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.reader import ObjectReader

        _reject_selection("open_object", options)
        return ObjectReader(self._object_read(bucket, key, options, connections, deadline, hedge))

    async def get_ranges(
        self,
        bucket: str,
        key: str,
        ranges: Iterable[ByteRange | str],
        *,
        gap: int | None = None,
        connections: int | None = None,
        hedge: bool = False,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> list[memoryview]:
        """Read many ranges of one version of the object.

        Nearby ranges are read with one request, large ranges with several.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            ranges: ``ByteRange`` or header text, in any order; they may overlap and repeat.
            gap: ranges at most this many bytes apart are read together, and the bytes between
                them are discarded. By default as many bytes as arrive during the latency of a
                request, from 64 KiB to 2 MiB; distances over 64 KiB add at most four times the
                bytes of the ranges.
            connections: how many requests run at once; by default 8, and up to
                ``max_concurrency`` the more requests there are and the higher the latency is.
            hedge: whether to request the rest of a slow part again on another connection, and to
                continue with the response that arrives first.
            deadline: seconds for the whole call.
            options: as for ``get_object``, but not ``range`` and ``part_number``.

        Returns:
            The bytes of each range, in the order of ``ranges``. Short ranges share buffers of up
            to 2 MiB; each is freed with the last of its ranges.

        Raises:
            ParameterError: an argument is invalid; raised before any I/O.
            InvalidRange: a range lies outside the object.
            ObjectChanged: the object was replaced while it was read.
            IntegrityError: the server does not send an ETag, or ignores ranges.
            S3Error: as for ``get_object``.
        """
        from aios3get._engine.parallel.ranges import read_ranges

        _reject_selection("get_ranges", options)
        if gap is not None and (type(gap) is not int or gap < 0):
            raise ParameterError(f"gap must be a number of bytes, 0 or more, got {gap!r}")
        parsed = [ByteRange.of(each) for each in ranges]
        read = self._object_read(bucket, key, options, connections, deadline, hedge)
        del options  # as in ``read_into``
        return await read.call.run(read_ranges(read, parsed, gap))

    def get_objects(
        self,
        requests: "Requests",
        *,
        concurrency: int = 32,
        deadline: float | None = None,
    ) -> "ObjectResults":
        """Read many small objects and iterate over the results as they complete.

        ::

            async for result in s3.get_objects([("amzn-s3-demo-bucket", key) for key in keys]):
                if result.error is None:
                    process(result.key, result.body)

        If an object cannot be read, its result has the error and the iteration continues.

        Args:
            requests: an iterable or asynchronous iterable of ``(bucket, key)`` or
                ``(bucket, key, options)``, with the options of ``get_object`` as a dict. It is
                consumed only as far as needed.
            concurrency: how many objects are read at once. At most this many are held in memory:
                no further objects are requested until results are taken.
            deadline: seconds for each object.
        """
        from aios3get._engine.parallel.objects import ObjectResults

        if deadline is not None:
            check_deadline(deadline)
        _check_count("concurrency", concurrency)
        return ObjectResults(partial(self._get_one, deadline), requests, concurrency)

    async def _get_one(
        self, deadline: float | None, bucket: str, key: str, options: GetObjectOptions
    ) -> "S3Object":
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
        """Get an object."""

    def _object_read(
        self,
        bucket: str,
        key: str,
        options: GetObjectOptions,
        connections: int | None,
        deadline: float | None,
        hedge: bool,
        part_size: int | None = None,
    ) -> "ObjectRead":
        """Validate the arguments and return an unstarted read.

        The call site of the read is the caller of the calling method.
        """
        from aios3get._engine.parallel.object_read import ObjectRead

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
            self._start_exchange,
            call,
            options,
            connections=connections,
            part_size=part_size,
            hedge=hedge,
        )


def _check_count(name: str, value: int) -> None:
    """Check an argument that must be a positive integer.

    Raises:
        ParameterError: it is not one.
    """
    if type(value) is not int or value < 1:
        raise ParameterError(f"{name} must be a whole number above 0, got {value!r}")


def _reject_selection(method: str, options: GetObjectOptions) -> None:
    for name in ("range", "part_number"):
        if options.get(name) is not None:
            raise ParameterError(f"{method} reads the whole object; it takes no {name}")

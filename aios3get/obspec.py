"""An obspec store for the objects of a bucket.

::

    from async_tiff import TIFF

    store = BucketStore(client, "amzn-s3-demo-bucket")
    tiff = await TIFF.open("photos/2006/February/sample.tif", store=store)

It needs the extra ``obspec``, and implements obspec's ``GetAsync``, ``GetRangeAsync``,
``GetRangesAsync`` and ``HeadAsync``: https://developmentseed.org/obspec/
"""

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import index

from obspec import Attributes, GetOptions, ObjectMeta
from obspec.exceptions import (
    NotFoundError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from aios3get._engine.s3_object import S3Object
from aios3get._protocol.get_object import GetObjectOptions
from aios3get._protocol.object_info import ObjectInfo
from aios3get._protocol.ranges import ByteRange
from aios3get.client import S3Client
from aios3get.errors import (
    AccessDenied,
    CredentialsError,
    NotFound,
    NotModified,
    ParameterError,
    PreconditionFailed,
)

__all__ = ["BucketStore", "GetResult"]


class BucketStore:
    """Reads the objects of one bucket. A path is a key, which is used unchanged.

    Errors that obspec has a class for are raised as that class, with aios3get's exception as
    ``__cause__``; other exceptions are those of aios3get.

    Args:
        client: sends the requests. The store does not close it.
        bucket: a bucket name, an access point alias or any S3 ARN.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> "GetResult":
        """Request an object, or a range or version of it; the body is read from the result.

        Raises:
            ParameterError: an argument is invalid, or ``head`` is among the options.
            obspec.exceptions.NotFoundError: no such object, version or bucket.
            obspec.exceptions.NotModifiedError: the object has the ETag or date of the condition.
            obspec.exceptions.PreconditionError: the object has another ETag or date.
            obspec.exceptions.PermissionDeniedError: S3 refused.
            obspec.exceptions.UnauthenticatedError: there are no credentials.
            S3Error: as for ``S3Client.get_object``.
        """
        with _obspec_errors():
            call = self.client.get_object(self.bucket, path, **_translate(options or {}))
            return GetResult(await call)

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> bytes:
        """Read the bytes from ``start`` to ``end``, or ``length`` of them.

        Raises:
            ParameterError: the range is empty, or neither ``end`` nor ``length`` is given.
            InvalidRange: the range begins after the end of the object.
            S3Error: as for ``get_async``.
        """
        with _obspec_errors():
            wanted = _byte_range(start, end, length)
            async with self.client.get_object(self.bucket, path, range=wanted) as body:
                return await body.read()

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[memoryview]:
        """Read many ranges of one version; nearby ranges share a request.

        Raises:
            ParameterError: a range is empty, or neither ``ends`` nor ``lengths`` is given.
            InvalidRange: a range begins after the end of the object.
            S3Error: as for ``get_async``.
        """
        with _obspec_errors():
            nothing = [None] * len(starts)
            triples = zip(starts, ends or nothing, lengths or nothing, strict=True)
            ranges = [_byte_range(*each) for each in triples]
            return await self.client.get_ranges(self.bucket, path, ranges)

    async def head_async(self, path: str) -> ObjectMeta:
        """Request the metadata of an object.

        Raises:
            S3Error: as for ``get_async``.
        """
        with _obspec_errors():
            return _meta(await self.client.head_object(self.bucket, path))


class GetResult:
    """An object as obspec's ``GetResultAsync``. Read it to its end, or ``await body.aclose()``.

    Attributes:
        body: the object.
    """

    def __init__(self, body: S3Object) -> None:
        self.body = body

    @property
    def meta(self) -> ObjectMeta:
        """The path, size, time, ETag and version of the whole object."""
        return _meta(self.body.info)

    @property
    def attributes(self) -> Attributes:
        """Headers such as ``Content-Type``, and the user's metadata."""
        info = self.body.info
        headers: dict[str, str | None] = {
            "Content-Disposition": info.content_disposition,
            "Content-Encoding": info.content_encoding,
            "Content-Language": info.content_language,
            "Content-Type": info.content_type,
            "Cache-Control": info.cache_control,
        }
        present = {name: value for name, value in headers.items() if value is not None}
        return {**present, **info.metadata}

    @property
    def range(self) -> tuple[int, int]:
        """Offsets in the object of the first byte and after the last one."""
        stop = self.body.stop
        return self.body.start, _size(self.body.info) if stop is None else stop

    async def buffer_async(self) -> bytes:
        """Read the remaining bytes."""
        return await self.body.read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self.body)


def _translate(options: GetOptions) -> GetObjectOptions:
    if options.get("head"):
        raise ParameterError("get_async does not support head; use head_async")
    translated: GetObjectOptions = {
        "if_match": options.get("if_match"),
        "if_none_match": options.get("if_none_match"),
        "if_modified_since": options.get("if_modified_since"),
        "if_unmodified_since": options.get("if_unmodified_since"),
        "version_id": options.get("version"),
    }
    match options.get("range"):
        case None:
            pass
        case {"offset": int(offset)}:
            translated["range"] = ByteRange.from_offset(offset)
        case {"suffix": int(count)}:
            translated["range"] = ByteRange.last(count)
        case [start, stop]:
            translated["range"] = _byte_range(start, stop, None)
        case other:
            raise ParameterError(
                f"range must be (start, end), an offset or a suffix, as in obspec, got {other!r}"
            )
    return translated


def _byte_range(start: int, end: int | None, length: int | None) -> ByteRange:
    # Offsets that come from arrays are numpy integers.
    if end is not None and length is None:
        return ByteRange(index(start), index(end))
    if length is not None and end is None:
        return ByteRange(index(start), index(start) + index(length))
    raise ParameterError(f"a range takes an end or a length, got {end!r} and {length!r}")


def _size(info: ObjectInfo) -> int:
    return info.object_size or 0


def _meta(info: ObjectInfo) -> ObjectMeta:
    return {
        "path": info.key,
        # Every S3 server sends a date, and obspec requires one.
        "last_modified": info.last_modified or datetime.fromtimestamp(0, UTC),
        "size": _size(info),
        "e_tag": info.etag,
        "version": info.version_id,
    }


@contextmanager
def _obspec_errors() -> Generator[None, None, None]:
    """Raise obspec's exceptions in place of those with a counterpart."""
    try:
        yield
    except NotFound as error:
        raise NotFoundError(str(error)) from error
    except NotModified as error:
        raise NotModifiedError(str(error)) from error
    except PreconditionFailed as error:
        raise PreconditionError(str(error)) from error
    except AccessDenied as error:
        raise PermissionDeniedError(str(error)) from error
    except CredentialsError as error:
        raise UnauthenticatedError(str(error)) from error

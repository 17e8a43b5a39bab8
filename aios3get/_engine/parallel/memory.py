"""Reads an object into a buffer of the caller."""

from collections.abc import Iterator
from typing import Self, cast

from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._engine.parallel.parts import MIB, Span
from aios3get._engine.parallel.transfer import Transfer
from aios3get._engine.stream import ByteStream
from aios3get._protocol.checksum import Verified
from aios3get._protocol.hashing import Algorithm
from aios3get._protocol.object_info import ObjectInfo
from aios3get.errors import ParameterError

__all__ = [
    "BytesRead",
    "MemorySink",
    "MemoryWriter",
    "read_into",
    "writable_view",
]


class BytesRead(int):
    """The number of bytes that were read, with the object's metadata and the verification.

    Attributes:
        info: the object's metadata.
        verified: whether the bytes were compared with the stored checksum, and if not, why not.
    """

    info: ObjectInfo
    verified: Verified

    @classmethod
    def create(cls, count: int, info: ObjectInfo, verified: Verified) -> Self:
        """Return a count with these attributes."""
        result = cls(count)
        result.info, result.verified = info, verified
        return result


class MemorySink:
    """The caller's buffer, into which bytes are received directly."""

    piece_size = 0
    least: int | None = None

    def __init__(self, view: memoryview, start: int) -> None:
        self._view = view
        self._start = start

    def writer(self, offset: int) -> "MemoryWriter":
        """Return a writer for the bytes from ``offset`` on."""
        return MemoryWriter(self._view[offset - self._start :])

    def record(self, span: Span, algorithm: Algorithm, digest: bytes) -> None:
        """Do nothing: a read into memory cannot be resumed."""

    def read_back(self, span: Span) -> Iterator[memoryview]:
        """Return the bytes of ``span``, in pieces small enough not to hold the GIL for long."""
        view = self._view[span.start - self._start : span.stop - self._start]
        for at in range(0, len(view), MIB):
            yield view[at : at + MIB]


class MemoryWriter:
    """Hands out consecutive parts of a buffer."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def window(self, size: int) -> memoryview:
        """Return the next part of the buffer, at most ``size`` bytes."""
        return self._view[:size]

    def write(self, data: memoryview) -> None:
        """Advance by the bytes, which are in place."""
        self._view = self._view[len(data) :]

    async def flush(self) -> None:
        """Do nothing: the bytes are in place."""


def writable_view(buffer: object) -> memoryview:
    """Return a view of the buffer as bytes.

    Raises:
        ParameterError: the buffer is not contiguous writable memory.
    """
    try:
        view = memoryview(cast(bytearray, buffer)).cast("B")
    except (TypeError, BufferError) as error:
        raise ParameterError(
            f"buffer must be contiguous writable memory, such as a bytearray: {error}"
        ) from None
    if view.readonly:
        raise ParameterError(
            f"buffer must be writable memory, such as a bytearray, not {type(buffer).__name__}"
        )
    return view


async def read_into(read: ObjectRead, view: memoryview) -> BytesRead:
    """Fill ``view`` with the object's bytes, as many as fit.

    Raises:
        S3Error: as for ``get_object``.
    """
    first = await read.begin(max(1, len(view)))
    if first.stream is not None:
        count = await _read_stream(first.stream, view)
        return BytesRead.create(count, first.info, first.stream.verified)
    span = first.span
    assert span is not None
    wanted = Span(span.start, min(span.stop, span.start + len(view)))
    sink = MemorySink(view, span.start)
    transfer = Transfer(read, first._replace(span=wanted), [wanted], sink)
    return BytesRead.create(wanted.size, first.info, await transfer.run())


async def _read_stream(stream: ByteStream, view: memoryview) -> int:
    filled = 0
    async with stream:
        while filled < len(view) and (count := await stream.readinto(view[filled:])):
            filled += count
    return filled

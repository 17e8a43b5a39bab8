"""``S3Object``: the metadata and the body that users read."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from io import BytesIO
from operator import index
from types import TracebackType
from typing import Self

from aios3get._engine.call import Call
from aios3get._engine.stream import ByteStream, Restarted
from aios3get._http.call_site import describe
from aios3get._http.transport import Response
from aios3get._protocol.checksum import Verified
from aios3get._protocol.object_info import ObjectInfo
from aios3get.errors import ParameterError

__all__ = ["S3Object"]


class S3Object:
    """An object of S3: its metadata in ``info``, its bytes as they are read.

    ``async for chunk in obj`` iterates over the bytes as they arrive, ``await obj.read()`` returns
    all of them. A lost connection is resumed at the next byte with ``Range`` and ``If-Match``,
    within the client's ``RetryPolicy``. The length and, where S3 announces a checksum of exactly
    these bytes, the checksum are verified before the last bytes are handed out.

    Use it with ``async with``, read it to its end, or ``await obj.aclose()``: until then it holds
    a connection. One task at a time may read.

    Every way of reading raises:
        TransportError: the connection was lost, and the retry policy did not let it be resumed.
        IntegrityError: the bytes are not the requested ones.
        ServiceError: S3 refused to go on.
        UsageError: the body is closed, another task is reading it, or the event loop is not the
            one that it was opened on.
    """

    __slots__ = ("__weakref__", "_call", "_headers", "_info", "_partial", "_status", "_stream")

    def __init__(self, call: Call, response: Response, stream: ByteStream) -> None:
        self._call = call
        self._status = response.status
        self._headers = response.headers
        self._stream = stream
        self._info: ObjectInfo | None = None
        # The bytes that a cancelled ``read(size)`` collected; the same read continues with them.
        self._partial: _Buffer | None = None

    @property
    def info(self) -> ObjectInfo:
        """The metadata from the first response; it stays valid after the object is closed."""
        info = self._info
        if info is None:
            request = self._call.request
            info = self._info = ObjectInfo(
                self._status, self._headers, bucket=request.bucket, key=request.key
            )
        return info

    @property
    def start(self) -> int:
        """Offset in the object of the body's first byte; above 0 for a range or part."""
        return self._stream.start

    @property
    def stop(self) -> int | None:
        """Offset in the object after the body's last byte.

        None only if the server announces no length; then it is known after the last byte.
        """
        return self._stream.stop

    @property
    def size(self) -> int | None:
        """The size of the whole object in bytes, even if the body is a range or part of it.

        None only if the server does not announce it.
        """
        return self._stream.size

    @property
    def attempts(self) -> int:
        """The number of requests sent for this object so far, including corrections and resumes."""
        return self._call.attempts

    @property
    def verified(self) -> Verified:
        """Whether the bytes were verified, against which checksum, and if not, why not.

        It is truthy once the last byte was handed out and the checksum matched.
        """
        return self._stream.verified

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._partial is not None:
            self._put_back()
        chunk = await self._stream.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def read(self, size: int | None = -1, /) -> bytes:
        """Read the next ``size`` bytes, fewer only at the end; all that remain without a size."""
        if size is None or size == -1:
            rest = None if self._partial is not None else self._stream.read_nowait()
            return await self._collect(None) if rest is None else rest
        size = index(size)
        return await self._collect(None if size < 0 else size) if size else b""

    async def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill ``buffer`` with the next bytes and return their number, which is less at the end.

        Raises:
            ParameterError: ``buffer`` is read-only.
        """
        # Released, because the traceback of an error would keep the buffer from being resized.
        with memoryview(buffer).cast("B") as target:
            if target.readonly:
                raise ParameterError(
                    f"readinto fills a writable buffer, such as a bytearray, not {buffer!r:.40}"
                )
            self._put_back()
            stream = self._stream
            begun = stream.position
            filled = 0
            try:
                while filled < len(target):
                    with target[filled:] as rest:
                        count = await stream.readinto(rest)
                    if not count:
                        break
                    filled += count
            except asyncio.CancelledError:
                stream.put_back(bytes(target[: stream.position - begun]))
                raise
            return filled

    def iter_chunks(self, size: int) -> AsyncIterator[bytes]:
        """Iterate over chunks of exactly ``size`` bytes, the last one shorter.

        Raises:
            ParameterError: ``size`` is not a whole number above 0.
        """
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ParameterError(f"chunks have at least 1 byte, got size={size!r}")
        return _Iterator(partial(self._collect, size))

    def iter_lines(self, *, keepends: bool = False) -> AsyncIterator[bytes]:
        r"""Iterate over lines, which end in ``\n`` or ``\r\n``; the last one need not.

        Args:
            keepends: whether the line ends stay on the lines.
        """
        return _Iterator(self._line, None if keepends else _without_end)

    async def aclose(self) -> None:
        """Close the object and release its connection. Bytes that were not read are lost."""
        self._put_back()
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._put_back()
        await self._stream.__aexit__(kind, error, trace)

    def __repr__(self) -> str:
        stream, info = self._stream, self.info
        position = stream.position - (0 if self._partial is None else self._partial.filled)
        stop = "?" if stream.stop is None else stream.stop
        state = "read" if stream.exhausted else "closed" if stream.state == "closed" else "open"
        name = f"{info.bucket}/{info.key}"
        return f"<S3Object {name!r} at {position} of {stream.start}..{stop}, {state}>"

    async def _collect(self, size: int | None) -> bytes:
        """Return the next ``size`` bytes, or all that remain, in one piece."""
        stream = self._stream
        buffer = self._partial
        if buffer is not None and buffer.size != size:
            self._put_back()
            buffer = None
        self._partial = None
        restartable = stream.position - (0 if buffer is None else buffer.filled) == stream.start
        while True:
            try:
                if buffer is None:
                    first = await stream.read(size, restartable=restartable)
                    if len(first) == size or stream.remaining == 0:
                        return first
                    buffer = _Buffer(size, first, stream.remaining)
                await buffer.fill(stream, restartable)
                return buffer.getvalue()
            except Restarted:
                buffer = None
            except asyncio.CancelledError:
                if size is None:
                    # A cancelled read of everything would keep the object in memory.
                    stream.close()
                else:
                    self._partial = buffer
                    if stream.remaining == 0:
                        self._put_back()  # the next read has to verify the end first
                raise

    def _put_back(self) -> None:
        """Return the bytes that a cancelled read collected to the stream."""
        buffer, self._partial = self._partial, None
        if buffer is not None:
            self._stream.put_back(buffer.getvalue())

    async def _line(self) -> bytes:
        self._put_back()
        parts: list[bytes] = []
        try:
            while part := await self._stream.read_through(b"\n"):
                parts.append(part)
                if part.endswith(b"\n"):
                    break
        except asyncio.CancelledError:
            self._stream.put_back(b"".join(parts))
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __del__(self) -> None:
        stream = self._stream
        if stream.state == "ended":
            return
        if stream.abandon() and stream.position == stream.start:
            place = self._call.opened_at
            opened = "" if place is None else f", opened at {describe(place)},"
            warnings.warn(
                f"{self!r}{opened} was never read or closed; use async with, or await its aclose()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


class _Buffer:
    """The bytes that one ``read`` collects, handed out without a copy.

    Args:
        size: the argument of ``read``; None for all that remains.
        first: the first bytes.
        remaining: the number of bytes that follow them; None if unknown.
    """

    __slots__ = ("_bytes", "_room", "filled", "size")

    def __init__(self, size: int | None, first: bytes, remaining: int | None) -> None:
        self.size = size
        rest = None if size is None else size - len(first)
        if remaining is not None:
            rest = remaining if rest is None else min(rest, remaining)
        try:
            # The zeroed pages of ``bytes(n)`` take no memory before they are written.
            self._bytes = BytesIO(bytes(len(first) + (rest or 0)))
            self._room = rest
        except (MemoryError, OverflowError):
            # The announced length may be wrong; fewer bytes may arrive.
            self._bytes = BytesIO()
            self._room = None
        self._bytes.write(first)
        self.filled = len(first)

    async def fill(self, stream: ByteStream, restartable: bool) -> None:
        """Collect the remaining bytes from the stream."""
        if self._room is None:
            while self.filled != self.size:
                limit = None if self.size is None else self.size - self.filled
                chunk = await stream.read(limit, restartable=restartable)
                if not chunk:
                    return
                self.filled += self._bytes.write(chunk)
            return
        begun = stream.position - self.filled
        with self._bytes.getbuffer() as view:
            try:
                while self.filled < len(view):
                    with view[self.filled :] as rest:
                        count = await stream.readinto(rest, restartable=restartable)
                    if not count:
                        return
                    self.filled += count
            except asyncio.CancelledError:
                self.filled = stream.position - begun
                raise

    def getvalue(self) -> bytes:
        """The collected bytes."""
        value = self._bytes.getvalue()
        return value if len(value) == self.filled else value[: self.filled]


def _without_end(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        return line
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]


class _Iterator:
    """Iterates over the results of ``step`` until one is empty.

    An asynchronous generator would stay suspended after a loop that is left early.
    """

    __slots__ = ("_convert", "_step")

    def __init__(
        self,
        step: Callable[[], Awaitable[bytes]],
        convert: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._step = step
        self._convert = convert

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        item = await self._step()
        if not item:
            raise StopAsyncIteration
        return item if self._convert is None else self._convert(item)

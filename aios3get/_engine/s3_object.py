"""The object as it is read: metadata at once, then bytes that resume, are counted and verified."""

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from io import BytesIO
from operator import index
from types import TracebackType
from typing import Self

from aios3get import errors
from aios3get._engine.call import Call
from aios3get._engine.exchange import Exchange
from aios3get._engine.resuming import Resuming
from aios3get._http.call_site import describe
from aios3get._http.transport import Response
from aios3get._protocol.checksum import Unverified, Verified, Verifier
from aios3get._protocol.extent import Extent
from aios3get._protocol.object_info import ObjectInfo

__all__ = ["S3Object"]


class S3Object:
    """An object of S3: ``info`` at once, its bytes as they are read.

    ``async for chunk in obj`` gives the bytes as the network does, ``await obj.read()`` all of
    them. A connection that breaks is resumed with ``Range`` and ``If-Match`` where the last byte
    came, within the client's ``RetryPolicy``. The length and, where the answer has one that covers
    exactly these bytes, the checksum are checked before the last bytes are handed out.

    Use it as ``async with``, read it to its end, or ``await obj.aclose()``: until then it holds a
    connection. One task reads at a time.

    Every way of reading raises:
        TransportError: the connection broke, and could not be resumed within the retry policy.
        IntegrityError: the bytes are not the ones asked for.
        ServiceError: S3 refused to go on.
    """

    # Defaults stand on the class: a small body is read without touching any of these.
    _info: ObjectInfo | None = None
    _resuming: Resuming | None = None
    _first = 0
    _offset = 0
    _skip = 0
    # Handed out next, from ``_at`` on; and what came after it but must wait for the body's end.
    _chunk = b""
    _at = 0
    _ahead = b""
    _broken: errors.S3Error | None = None
    _ended = False
    _closed = False
    _reading = False
    _restartable = False
    _resuming_until: asyncio.Timeout | None = None

    def __init__(
        self,
        exchange: Exchange,
        call: Call,
        answer: Response,
        extent: Extent,
        verifier: Verifier | Unverified,
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._began = answer
        self._answer: Response | None = answer
        self._extent = extent
        self._verifier = verifier
        if extent.start or extent.skip:
            self._first = self._offset = extent.start
            self._skip = extent.skip

    @property
    def info(self) -> ObjectInfo:
        """The answer's metadata, a plain value that outlives the stream."""
        info = self._info
        if info is None:
            answer, request = self._began, self._call.request
            info = self._info = ObjectInfo(
                answer.status, answer.headers, bucket=request.bucket, key=request.key
            )
        return info

    @property
    def verified(self) -> Verified:
        """Whether the bytes were verified, against what, and if not, why not.

        True in a condition once the last byte was handed out and its checksum matched.
        """
        if self._ended and not self._chunk:
            return self._verifier.verified
        return self._verifier.unread

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if await self._more():
            return self._take()
        raise StopAsyncIteration

    async def read(self, size: int | None = -1, /) -> bytes:
        """The next ``size`` bytes, fewer only at the end; all that is left without a size."""
        if size is None or size == -1:
            rest = None if self._chunk else self._rest()
            return await self._gather(None) if rest is None else rest
        size = index(size)
        return await self._gather(None if size < 0 else size) if size else b""

    async def readinto(self, buffer: bytearray | memoryview, /) -> int:
        """Fill ``buffer`` with the next bytes; the count falls short of it only at the end.

        Raises:
            ConfigurationError: ``buffer`` is read-only.
        """
        target = memoryview(buffer).cast("B")
        if target.readonly:
            raise errors.ConfigurationError(
                f"readinto fills a writable buffer, such as a bytearray, not {buffer!r:.40}"
            )
        return await self._fill(target)

    def iter_chunks(self, size: int) -> "Steps":
        """Iterate over chunks of exactly ``size`` bytes, the last one shorter.

        Raises:
            ConfigurationError: ``size`` is not a positive whole number.
        """
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise errors.ConfigurationError(f"chunks have at least 1 byte, got size={size!r}")
        return Steps(partial(self._step, size))

    def iter_lines(self, *, keepends: bool = False) -> "Steps":
        r"""Iterate over lines, which end in ``\n`` or ``\r\n``; the last one need not.

        Args:
            keepends: whether the line ends stay on the lines.
        """
        return Steps(partial(self._line, keepends))

    async def aclose(self) -> None:
        """Give the connection back; what was not read yet is not available any more."""
        answer, self._answer = self._answer, None
        resuming, self._resuming_until = self._resuming_until, None
        if self._chunk or self._ahead:
            self._chunk, self._at, self._ahead, self._ended = b"", 0, b"", False
        self._closed = True
        if answer is not None and self._reading:
            answer.close()  # another task waits for its bytes
        elif resuming is not None:
            resuming.reschedule(0)  # or for an answer that goes on with them
        elif answer is not None:
            stop = self._extent.stop
            rest = None if stop is None or self._extent.sliced else stop - self._offset
            await answer.release(rest)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._drop()  # a task that is to end does not wait to save a connection
        await self.aclose()

    def __repr__(self) -> str:
        stop = "?" if self._extent.stop is None else self._extent.stop
        unread = len(self._chunk) - self._at + len(self._ahead)
        ended = self._ended and not unread
        state = "read" if ended else "closed" if self._closed else "open"
        return (
            f"<S3Object {f'{self.info.bucket}/{self.info.key}'!r}"
            f" at {self._offset - unread} of {self._first}..{stop}, {state}>"
        )

    async def _more(self) -> bool:
        """Have unread bytes in ``_chunk``; False at the end."""
        if self._at < len(self._chunk):
            return True
        rest = self._rest()
        self._chunk, self._at = await self._pull() if rest is None else rest, 0
        return bool(self._chunk)

    def _take(self, size: int | None = None) -> bytes:
        """What is unread of ``_chunk``, or at most ``size`` bytes of it."""
        chunk, at = self._chunk, self._at
        if size is None or len(chunk) - at <= size:
            self._chunk, self._at = b"", 0
            return chunk[at:]
        self._at = at + size
        return chunk[at : at + size]

    def _untake(self, taken: bytes) -> None:
        """Put back what a read took that was cancelled before it could hand it out."""
        self._chunk = taken + self._chunk[self._at :]
        self._at = 0

    def _give_up(self) -> None:
        """After a cancelled ``read()``: all of the object would be much to keep for nobody."""
        self._closed = True
        self._drop()

    def _rest(self) -> bytes | None:
        """All that is left of the body where it has arrived; None where it is waited for."""
        answer = self._answer
        if answer is None or self._reading or self._ahead:
            return None
        rest = answer.read_nowait()
        if rest is None:
            return None
        self._answer = None
        try:
            end = self._offset + len(rest)
            if end == self._extent.stop and not self._skip:
                self._offset = end
                self._verifier.finish(rest)
                self._ended = True
                return rest
            self._ahead = self._accept(rest)
            self._end()
        except errors.S3Error as error:
            self._failed(error)
            raise
        return self._let_go() if self._ended else None

    async def _pull(self) -> bytes:
        """The next wanted bytes from the network; none at the end."""
        if self._reading:
            raise errors.ConfigurationError("two tasks read one body at once; give each its own")
        if self._exchange.transport.loop is not asyncio.get_running_loop():
            raise errors.ConfigurationError(
                "the body was opened on another event loop, which its connection belongs to;"
                " read it there, or call get_object again here"
            )
        self._reading = True
        try:
            while not self._ended:
                answer = self._answer or await self._reopen()
                try:
                    chunk = await self._call.within_deadline(answer.read())
                except errors.TransportError as error:
                    self._break(error)
                    continue
                held = len(self._ahead)
                # Counted already, so it must not be lost to a cancellation.
                self._ahead += self._accept(chunk)
                if not chunk or (self._offset == self._extent.stop and self._complete(answer)):
                    self._end()
                elif ready := self._let_go(held):
                    return ready
            return self._let_go()
        except errors.S3Error as error:
            self._failed(error)
            raise
        finally:
            self._reading = False

    def _complete(self, answer: Response) -> bool:
        """Whether nothing can come after the last byte that is wanted.

        With chunked framing more than was announced may come, or the end that is still missing.
        """
        return self._extent.sliced or answer.at_end()

    def _let_go(self, held: int = 0) -> bytes:
        """What may be handed out of the bytes that came, the first ``held`` of them before.

        The last ones wait until nothing can go wrong any more; where no length tells which those
        are, what came last waits for what comes next.
        """
        ahead, stop = self._ahead, self._extent.stop
        if self._ended or stop is not None or not self._verifier.compares:
            held = len(ahead)
        if self._offset == stop and not self._ended:
            held = 0
        self._ahead = ahead[held:]
        return ahead[:held]

    def _failed(self, error: errors.S3Error) -> None:
        """The reading ends with ``error``, which is told what was spent on it."""
        self._closed = True
        self._broken = None
        self._drop()
        stop = self._extent.stop
        error.bytes_received = self._offset - self._first
        error.bytes_expected = None if stop is None else stop - self._first
        self._call.told(error)

    def _accept(self, chunk: bytes) -> bytes:
        """Count and hash what is wanted of the chunk, and give just that."""
        extent = self._extent
        if extent.skip or extent.sliced:
            chunk = self._cut(chunk)
        self._offset += len(chunk)
        if extent.stop is not None and self._offset > extent.stop:
            self._offset = extent.stop
            raise errors.TruncatedBody("the body goes on after its announced length")
        self._verifier.update(chunk)
        return chunk

    def _cut(self, chunk: bytes) -> bytes:
        """What is wanted of the chunk, where the server ignored the range and sends everything."""
        if self._skip:
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            chunk = chunk[skipped:]
        stop = self._extent.stop
        return chunk if stop is None else chunk[: stop - self._offset]

    def _end(self) -> None:
        """The answer has no more bytes, or no more that are wanted."""
        stop, open_ended = self._extent.stop, self._extent.open_ended
        if self._offset != stop:
            if self._skip or (open_ended and self._offset == self._first):
                raise errors.TruncatedBody("the body ended before the first byte asked for")
            if stop is not None and not open_ended:
                missing = stop - self._offset
                self._break(errors.TruncatedBody(f"the body ended {missing} bytes early"))
                return
            if not self._extent.delimited:
                raise errors.TruncatedBody(
                    "the answer has neither Content-Length nor plain chunked framing,"
                    " so its end cannot be told from a broken connection"
                )
        self._verifier.finish()
        self._ended = True
        self._drop()

    def _break(self, error: errors.S3Error) -> None:
        self._drop()
        if self._offset == self._extent.stop:
            self._end()  # every byte announced is here
        else:
            self._broken = error

    def _drop(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    async def _reopen(self) -> Response:
        if self._broken is None or self._closed:
            raise _closed()
        resuming = self._resuming
        if resuming is None:
            headers = self._began.headers
            resuming = Resuming(self._exchange, self._call, headers, self._extent)
            self._resuming = resuming
        again = self._restartable and not resuming.pinned
        offset = self._first if again else self._offset
        try:
            async with asyncio.timeout(None) as self._resuming_until:
                answer, self._extent = await resuming.resume(self._broken, offset)
        except TimeoutError:
            if self._closed:  # by another task
                raise _closed() from None
            raise
        finally:
            self._resuming_until = None
        self._answer, self._broken, self._skip = answer, None, self._extent.skip
        if self._closed:
            raise _closed()
        if offset != self._offset:
            self._offset, self._ahead = offset, b""
            self._verifier.restart()
            raise _BegunAgainError
        return answer

    async def _gather(self, size: int | None) -> bytes:
        """The next ``size`` bytes, or all, in one piece."""
        nothing_handed_out = self._offset == self._first
        while True:
            self._restartable = nothing_handed_out
            try:
                return await self._collect(size)
            except _BegunAgainError:
                continue
            except asyncio.CancelledError:
                if size is None:
                    self._give_up()
                raise
            finally:
                self._restartable = False

    async def _collect(self, size: int | None) -> bytes:
        if not await self._more():
            return b""
        first = self._take(size)
        if self._ended and not self._chunk:
            return first
        wanted = None if size is None else size - len(first)
        stop = self._extent.stop
        if stop is not None:
            left = stop - self._offset + len(self._chunk) - self._at
            wanted = left if wanted is None else min(wanted, left)
        if wanted == 0:
            return first
        whole = _room(len(first) + (wanted or 0))
        whole.write(first)
        try:
            while wanted != 0 and await self._more():
                written = whole.write(self._take(wanted))
                if wanted is not None:
                    wanted -= written
        except asyncio.CancelledError:
            if size is not None:
                self._untake(whole.getvalue()[: whole.tell()])
            raise
        whole.truncate()
        return whole.getvalue()

    async def _fill(self, target: memoryview) -> int:
        count = 0
        try:
            while count < len(target) and await self._more():
                piece = self._take(len(target) - count)
                target[count : count + len(piece)] = piece
                count += len(piece)
        except asyncio.CancelledError:
            self._untake(bytes(target[:count]))
            raise
        return count

    async def _step(self, size: int) -> bytes | None:
        return await self._gather(size) or None

    async def _line(self, keepends: bool) -> bytes | None:
        parts: list[bytes] = []
        try:
            while await self._more():
                end = self._chunk.find(b"\n", self._at) + 1
                parts.append(self._take(end - self._at if end else None))
                if end:
                    break
        except asyncio.CancelledError:
            self._untake(b"".join(parts))
            raise
        if not parts:
            return None
        line = parts[0] if len(parts) == 1 else b"".join(parts)
        if keepends or not line.endswith(b"\n"):
            return line
        return line[:-2] if line.endswith(b"\r\n") else line[:-1]

    def __del__(self) -> None:
        if self._answer is not None:
            self._abandon(self._answer)

    def _abandon(self, answer: Response) -> None:
        if not answer.held:
            return
        answer.close_soon()
        if self._offset == self._first:
            place = self._call.opened_at
            at = "" if place is None else f" at {describe(place)}"
            warnings.warn(
                f"{self!r}, opened{at}, was never read or closed;"
                " use async with, or await its aclose()",
                ResourceWarning,
                stacklevel=3,
                source=self,
            )


class _BegunAgainError(Exception):
    """The body was begun anew: what came of it before counts no more."""


def _closed() -> errors.ConfigurationError:
    return errors.ConfigurationError("the body is closed; call get_object again to read it")


def _room(size: int) -> BytesIO:
    """A buffer that hands out its bytes without a copy.

    The zeroed pages of ``bytes(n)`` are not touched before they are written.
    """
    try:
        return BytesIO(bytes(size))
    except (MemoryError, OverflowError):
        # An announced length is no more than that; what comes may be less.
        return BytesIO()


class Steps:
    """An async iterator over what ``step`` gives until it gives None."""

    __slots__ = ("_step",)

    def __init__(self, step: Callable[[], Awaitable[bytes | None]]) -> None:
        self._step = step

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        item = await self._step()
        if item is None:
            raise StopAsyncIteration
        return item

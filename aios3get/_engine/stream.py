"""``ByteStream``: the body of a response, counted, verified and resumed after a lost connection."""

import asyncio
from types import TracebackType
from typing import Final, Literal, Self

from aios3get._engine.call import Call
from aios3get._engine.exchange import Exchange
from aios3get._http.transport import Response
from aios3get._protocol.checksum import Unverified, Verified, Verifier, select_verifier
from aios3get._protocol.extent import Extent, parse_extent
from aios3get._protocol.pin import Pin, check_identity
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import (
    ConnectionLost,
    InvalidRange,
    NotFound,
    PreconditionFailed,
    S3Error,
    ServiceError,
    TransportError,
    TruncatedBody,
    UsageError,
)

__all__ = ["ByteStream", "Restarted", "reopen"]

# The errors of a request with If-Match once the object has changed.
_CHANGED: Final = (PreconditionFailed, NotFound, InvalidRange)

_TRANSFORMED: Final = Unverified("an Object Lambda function wrote the response")
_SLICED: Final = Unverified("the server ignored the range and sent the whole object")


class Restarted(Exception):  # noqa: N818 - it signals an event, and is never raised to a user
    """The stream restarted at its first byte; the bytes read so far must be discarded."""


class ByteStream:
    """The bytes of one response's body, and of the responses that resume it.

    Args:
        exchange: sends the requests that resume the body.
        call: the call that the body belongs to.
        response: the first response.
        extent: the bytes of the object that its body holds.
        verifier: hashes and verifies the body.
        pin: the version of the object; None to take it from the response to the call's own request.

    Attributes:
        state: ``"open"`` while there is a response to read from; ``"broken"`` when the connection
            was lost and the next read resumes; ``"ended"`` when every byte was received and
            verified; ``"closed"`` after ``aclose`` or an error.
        start: offset in the object of the first byte.
    """

    __slots__ = (
        "_at",
        "_call",
        "_exchange",
        "_extent",
        "_headers",
        "_held",
        "_interrupt",
        "_pin",
        "_progress",
        "_reading",
        "_ready",
        "_received",
        "_response",
        "_skip",
        "_verifier",
        "start",
        "state",
    )

    def __init__(
        self,
        exchange: Exchange,
        call: Call,
        response: Response,
        extent: Extent,
        verifier: Verifier | Unverified,
        pin: Pin | None = None,
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._response: Response | None = response
        self._extent = extent
        self._verifier = verifier
        self._pin = pin
        self._headers = response.headers
        self.state: Literal["open", "broken", "ended", "closed"] = "open"
        # Offsets in the object: of the first byte, of the next byte to receive, and of the latest
        # byte that was received when the connection was lost.
        self.start = self._received = self._progress = extent.start
        self._skip = extent.skip
        # Bytes that may be handed out, from index ``_at`` on, and those received after them that
        # have to wait until the end of the body is verified.
        self._ready = b""
        self._at = 0
        self._held = b""
        self._reading = False
        self._interrupt: asyncio.Timeout | None = None

    @classmethod
    def of_response(cls, exchange: Exchange, call: Call, response: Response) -> Self:
        """The body of the first response to the call's own request.

        Raises:
            IntegrityError: the response is not of the requested bytes, version or SSE-C key.
        """
        request, attempt = call.request, call.attempt
        status, headers = response.status, response.headers
        try:
            check_identity(request, headers)
            extent = parse_extent(status, headers, request.range, request.part_number)
        except BaseException as error:
            response.close()
            call.end_attempt(error)
            raise
        if not extent.delimited and not response.from_wire:
            # A test double of aiohttp has no framing, so its body is complete.
            extent = extent._replace(delimited=True)
        assert attempt is not None
        verifier: Verifier | Unverified
        if attempt.endpoint is not None and attempt.endpoint.is_transformed:
            verifier = _TRANSFORMED
        elif extent.sliced or extent.skip:
            verifier = _SLICED
        else:
            requested = attempt.requests_checksum or request.checksum_mode
            part = request.part_number is not None
            if extent.start or extent.stop != extent.size:
                status = 206  # rclone sends ranges with status 200
            verifier = select_verifier(headers, status, part=part, requested=requested)
        return cls(exchange, call, response, extent, verifier)

    @property
    def pin(self) -> Pin:
        """The version of the object that the body belongs to."""
        pin = self._pin
        if pin is None:
            # Created on demand, and always before a resume replaces ``_extent``.
            attempt = self._call.attempt
            endpoint = attempt and attempt.endpoint
            pin = self._pin = Pin.from_response(
                self._call.request,
                self._headers,
                self._extent,
                transformed=endpoint is not None and endpoint.is_transformed,
            )
        return pin

    @property
    def position(self) -> int:
        """Offset in the object of the next byte to hand out."""
        return self._received - len(self._held) - (len(self._ready) - self._at)

    @property
    def stop(self) -> int | None:
        """Offset in the object after the last byte; None if no length was announced."""
        return self._received if self.state == "ended" else self._extent.stop

    @property
    def size(self) -> int | None:
        """The object's size in bytes; None if no response announces it."""
        return self._extent.size if self._pin is None else self._pin.size

    @property
    def remaining(self) -> int | None:
        """The number of bytes not handed out yet; None if no length was announced."""
        stop = self.stop
        return None if stop is None else stop - self.position

    @property
    def exhausted(self) -> bool:
        """Whether the last byte has been handed out."""
        return self.state == "ended" and self._at == len(self._ready)

    @property
    def verified(self) -> Verified:
        """Whether the bytes that were handed out are verified."""
        exhausted = self.state == "ended" and self._at == len(self._ready)
        return self._verifier.verified if exhausted else self._verifier.unread

    def read_nowait(self, *, restartable: bool = False) -> bytes | None:
        """All remaining bytes, if the body has arrived completely; else None.

        Args:
            restartable: as for ``read``.

        Raises:
            IntegrityError: the bytes are not the requested ones.
            TransportError: bytes are missing, and the body cannot be resumed.
        """
        response = self._response
        if response is None or self._reading or self._held or self._at < len(self._ready):
            return None
        rest = response.read_nowait()
        if rest is None:
            return None
        try:
            if self._received + len(rest) == self._extent.stop and not self._skip:
                # The usual case: the body is complete and needs no trimming.
                self._received += len(rest)
                self._verifier.finish(rest)
                self.state = "ended"
                self._response = None
                self._observe()
                return rest
            self._held = self._accept(rest)
            self._finish(restartable)
        except S3Error as error:
            raise self._failure(error) from error.__cause__
        return self._release(0) if self.state == "ended" else None

    async def read(self, limit: int | None = None, *, restartable: bool = False) -> bytes:
        """The next bytes as they arrive, ``b""`` at the end.

        Args:
            limit: the most bytes to return.
            restartable: none of the bytes read so far has reached the user, so a body without an
                ETag may start again.

        Raises:
            Restarted: the body starts again; only with ``restartable``.
            TransportError: the connection was lost, and the body cannot be resumed.
            IntegrityError: the bytes are not the requested ones.
            ServiceError: S3 refused to resume the body.
            UsageError: another task is reading, the body is closed, or the event loop is another.
        """
        if self._at == len(self._ready):
            await self._receive(restartable)
        return self._take(limit)

    async def read_through(self, delimiter: bytes) -> bytes:
        """The next bytes as they arrive, up to and with the delimiter; ``b""`` at the end.

        Raises:
            S3Error: as ``read``.
        """
        if self._at == len(self._ready):
            await self._receive(restartable=False)
        end = self._ready.find(delimiter, self._at)
        return self._take(None if end < 0 else end + len(delimiter) - self._at)

    async def readinto(self, view: memoryview, *, restartable: bool = False) -> int:
        """Receive bytes into ``view``, directly where that is possible.

        Args:
            view: a writable, non-empty view of bytes.
            restartable: as for ``read``.

        Returns:
            The number of bytes, 0 at the end. After a cancellation, see ``position``.

        Raises:
            S3Error: as ``read``.
        """
        if self._at == len(self._ready) and (count := await self._receive(restartable, view)):
            return count
        chunk = self._take(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)

    def put_back(self, data: bytes) -> None:
        """Put back ``data``, the bytes that a cancelled read took last; they come next again."""
        if self.state == "open" and self._received == self._extent.stop:
            self._held = data + self._held  # the end is not verified yet
        else:
            self._ready, self._at = data + self._ready[self._at :], 0

    async def aclose(self) -> None:
        """Close the stream: discard unread bytes and release the connection."""
        response, self._response = self._response, None
        interrupt, self._interrupt = self._interrupt, None
        remaining = None if self._extent.sliced else self._extent.stop
        if remaining is not None:
            remaining -= self._received
        if response is not None:
            self._observe()
        self._close()
        if response is not None and self._reading:
            response.close()  # another task is reading it
        elif interrupt is not None:
            interrupt.reschedule(0)  # another task is waiting for the response that resumes it
        elif response is not None:
            await response.release(remaining)

    def close(self) -> None:
        """Close the stream and its connection at once."""
        self._drop()
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            self.close()  # do not make a cancelled task wait to save the connection
        await self.aclose()

    def abandon(self) -> bool:
        """Close the connection from any thread; False if there is none."""
        response = self._response
        if response is None or not response.held:
            return False
        response.close_soon()
        return True

    def _take(self, limit: int | None) -> bytes:
        ready, at = self._ready, self._at
        if limit is None or len(ready) - at <= limit:
            self._ready, self._at = b"", 0
            return ready[at:]
        self._at = at + limit
        return ready[at : self._at]

    async def _receive(self, restartable: bool, view: memoryview | None = None) -> int:
        """Receive further bytes: into ``view``, or ready to be taken; neither at the end.

        Returns:
            The number of bytes in ``view``.
        """
        self._check_reader()
        rest = self.read_nowait(restartable=restartable)
        if rest is not None:
            self._ready, self._at = rest, 0
            return 0
        self._reading = True
        try:
            while self.state != "ended":
                count = await self._advance(restartable, view)
                if count or self._ready:
                    return count
            # The connection may have been lost after the last byte.
            self._ready, self._at = self._release(0), 0
        except S3Error as error:
            raise self._failure(error) from error.__cause__
        except asyncio.CancelledError as error:
            raise self._call.failure(error) from None
        finally:
            self._reading = False
        return 0

    async def _advance(self, restartable: bool, view: memoryview | None) -> int:
        """Read once from the response; resume it first if it was lost. Returns as ``_receive``."""
        response = self._response or await self._resume(restartable)
        target = None if view is None else self._direct(view)
        received = self._received
        try:
            if target is None:
                await self._read_chunk(response, restartable)
                return 0
            await self._read_into(response, target, restartable)
        except TransportError as error:
            self._check_open()
            if not self._recover(error, restartable):
                raise
        return 0 if target is None else self._received - received - len(self._held)

    def _check_reader(self) -> None:
        if self._reading:
            raise self._misuse("two tasks read one body at once; give each its own")
        if self._exchange.transport.loop is not asyncio.get_running_loop():
            raise self._misuse(
                "the body was opened on another event loop, which its connection belongs to;"
                " read it there, or call get_object again here"
            )

    async def _read_chunk(self, response: Response, restartable: bool) -> None:
        chunk = await self._call.within_deadline(response.read())
        self._check_open()
        # Nothing is awaited between receiving bytes and counting them, so a cancellation loses
        # none.
        requested = self._accept(chunk)
        self._held += requested
        if not chunk or (self._received == self._extent.stop and self._is_over(response)):
            self._finish(restartable)
        self._ready, self._at = self._release(len(requested)), 0

    async def _read_into(self, response: Response, target: memoryview, restartable: bool) -> None:
        count = await self._call.within_deadline(response.readinto(target, self._count))
        self._check_open()
        if self._received == self._extent.stop and not response.at_end():
            self._held = bytes(target)  # handed out when the end of the body has arrived
        elif self._received == self._extent.stop or count < len(target):
            self._finish(restartable)

    def _direct(self, view: memoryview) -> memoryview | None:
        """The part of ``view`` for bytes of the current response; None if they need a copy."""
        extent = self._extent
        if extent.stop is None or extent.sliced or extent.skip or self._held:
            return None
        return view[: extent.stop - self._received]

    def _count(self, piece: memoryview) -> None:
        self._received += len(piece)
        self._verifier.update(piece)

    def _accept(self, chunk: bytes) -> bytes:
        """Count and hash the requested bytes of the chunk, and return them."""
        extent = self._extent
        stop = extent.stop
        if extent.skip or extent.sliced:
            # The server ignored the range and sends the whole object.
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            chunk = chunk[skipped:] if stop is None else chunk[skipped:][: stop - self._received]
        self._received += len(chunk)
        if stop is not None and self._received > stop:
            self._received = stop
            raise TruncatedBody("the body is longer than its announced length")
        self._verifier.update(chunk)
        return chunk

    def _is_over(self, response: Response) -> bool:
        """Whether nothing can follow the last requested byte.

        With chunked framing, more than was announced may follow, or the end may be missing.
        """
        return self._extent.sliced or response.at_end()

    def _release(self, newest: int) -> bytes:
        """Take the held bytes that may be handed out; the last ``newest`` have just arrived.

        The last bytes of the body are held until its end is verified. If no length was announced,
        the newest bytes are held until more arrive.
        """
        held = self._held
        if self.state != "ended":
            if self._received == self._extent.stop:
                return b""
            if self._extent.stop is None and self._verifier.compares:
                held = held[: len(held) - newest]
        self._held = self._held[len(held) :]
        return held

    def _finish(self, restartable: bool) -> None:
        """Verify the body at the end of a response; if bytes are missing, prepare a resume."""
        stop, open_ended = self._extent.stop, self._extent.open_ended
        if self._received != stop:
            if self._skip or (open_ended and self._received == self.start):
                raise TruncatedBody("the body ended before the first requested byte")
            if stop is not None and not open_ended:
                missing = stop - self._received
                error = TruncatedBody(f"the body ended {missing} bytes early")
                if self._recover(error, restartable):
                    return
                raise error
            if not self._extent.delimited:
                raise TruncatedBody(
                    "the response has neither Content-Length nor plain chunked framing, so its end"
                    " cannot be distinguished from a lost connection"
                )
        self._verifier.finish()
        self.state = "ended"
        self._drop()

    def _recover(self, error: S3Error, restartable: bool) -> bool:
        """Return whether the stream can continue after ``error`` ended its response."""
        self._drop(error)
        received = self._received
        if received == self._extent.stop:
            self._finish(restartable)  # every announced byte has arrived
            return True
        if not self.pin.request.resumable:
            return False
        if not (self.pin.holds or restartable or received == self.start):
            return False
        if received > self._progress:
            self._progress = received
            if self._call.budget is not None:
                self._call.budget.progress()
        if not self._exchange.recover(self._call, error, received):
            return False
        self.state = "broken"
        return True

    async def _resume(self, restartable: bool) -> Response:
        """Return a response that continues at the next byte.

        Raises:
            Restarted: the body starts again.
        """
        if self.state != "broken":
            raise _closed()
        restart = not self.pin.holds
        if restart and not restartable and self._received > self.start:
            raise ConnectionLost("the connection was lost, and there is no ETag to resume with")
        try:
            async with asyncio.timeout(None) as self._interrupt:
                response, extent = await self._call.within_deadline(self._reopen())
        except TimeoutError:
            self._check_open()
            raise
        finally:
            self._interrupt = None
        self._response, self._extent, self._skip = response, extent, extent.skip
        self._check_open()
        self.state = "open"
        if restart and self._received > self.start:
            self._received = self._progress = self.start
            self._ready, self._at, self._held = b"", 0, b""
            self._verifier.restart()
            raise Restarted
        return response

    async def _reopen(self) -> tuple[Response, Extent]:
        exchange, call, pin = self._exchange, self._call, self.pin
        if pin.holds:
            rest, open_ended = ByteRange(self._received, self._extent.stop), self._extent.open_ended
            return await reopen(exchange, call, pin, rest, open_ended=open_ended)
        response = await exchange.send(call, pin.request)
        try:
            return response, pin.check_restart(response.status, response.headers)
        except BaseException as error:
            response.close()
            call.end_attempt(error)
            raise

    def _failure(self, error: S3Error) -> BaseException:
        """Close the stream; return the error to raise, annotated by the stream and its call."""
        stop = self._extent.stop
        error.bytes_received = self._received - self.start
        error.bytes_expected = None if stop is None else stop - self.start
        self._drop(error)
        self._close()
        return self._call.failure(error)

    def _misuse(self, message: str) -> S3Error:
        return self._call.annotate(UsageError(message))

    def _check_open(self) -> None:
        if self.state == "closed":
            raise _closed()

    def _close(self) -> None:
        if not self.exhausted:
            self._received = self.position
            self._ready, self._at, self._held = b"", 0, b""
            self.state = "closed"

    def _drop(self, error: S3Error | None = None) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()
            self._observe(error)

    def _observe(self, error: S3Error | None = None) -> None:
        """End the observation of the attempt whose response has ended."""
        observation = self._call.observation
        if observation is not None:
            observation.end(error, self._received - self._extent.start)


async def reopen(
    exchange: Exchange,
    call: Call,
    pin: Pin,
    range: ByteRange,
    *,
    open_ended: bool = False,
) -> tuple[Response, Extent]:
    """Request a range of the pinned version; return the response and the extent of its body.

    Args:
        exchange: sends the requests.
        call: counts the attempts.
        pin: a pin that ``holds``.
        range: absolute offsets.
        open_ended: the object may end before ``range`` does.

    Raises:
        ObjectChanged: the object was replaced or deleted, and the version cannot be read.
        RangeMismatch: the response contains other bytes.
        S3Error: as ``Exchange.send``.
    """
    try:
        response = await exchange.send(call, pin.for_range(range))
    except _CHANGED as refusal:
        if refusal.actual_object_size == range.start:
            raise ConnectionLost(
                f"the connection was lost at byte {range.start}, which is the end of the object,"
                " before the announced end of the body"
            ) from refusal
        request = pin.for_range_of_version(range)
        if request is None:
            raise pin.changed(None, "another or gone") from refusal
        try:
            response = await exchange.send(call, request)
        except ServiceError:
            raise pin.changed(None, "another or gone") from refusal
    try:
        extent = pin.check(response.status, response.headers, range, open_ended=open_ended)
    except BaseException as error:
        response.close()
        call.end_attempt(error)
        raise
    return response, extent


def _closed() -> UsageError:
    return UsageError("the body is closed; call get_object again to read it")

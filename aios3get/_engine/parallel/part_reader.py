"""Requests for the parts of one version of an object."""

import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from aios3get._engine.call import Call, PartCall
from aios3get._engine.exchange import Exchange
from aios3get._engine.parallel.concurrency import Link
from aios3get._engine.parallel.hedging import hedged
from aios3get._engine.parallel.parts import Span
from aios3get._engine.stream import reopen
from aios3get._http.receive import OnData
from aios3get._http.transport import Response
from aios3get._protocol.correction import Sent
from aios3get._protocol.extent import Extent
from aios3get._protocol.pin import Pin
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.retry import Budget, Decision, RetryQuota
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.errors import (
    S3Error,
    ServiceUnavailable,
    Throttled,
    TransportError,
    TransportTimeout,
    TruncatedBody,
)

__all__ = ["PartReader", "PartStream"]

_SCRATCH_BYTES: Final = 1 << 20
# The most concurrent hedges of one read, and the most hedges of one range: a server that is slow
# for all requests must not receive many more of them.
_MOST_HEDGES: Final = 4
_HEDGES_OF_RANGE: Final = 3


class PartReader:
    """Opens ranges of one version of an object.

    Each range has its own retry budget, so that the progress of other ranges does not hide one that
    fails. The retry quota, the number of attempts and the request ids are those of the whole call.

    Args:
        exchange: sends the requests.
        call: the call that the ranges are read for.
        pin: the version.
        link: records the measured latencies.
        hedge: whether the rest of a slow range is requested again on another connection.

    Attributes:
        on_push_back: called when the server asks for fewer requests, or times out.
        wants_hedge: decides whether to hedge a slow range, from the offset of its next byte.
    """

    on_push_back: Callable[[], object]
    wants_hedge: Callable[[int], bool]

    def __init__(
        self, exchange: Exchange, call: Call, pin: Pin, link: Link, *, hedge: bool = False
    ) -> None:
        self._exchange = exchange
        self._call = call
        self.pin = pin
        self.link = link
        self.detach()
        self.hedge = hedge
        self._hedges = 0

    def detach(self) -> None:
        """Call nothing on push-back, and hedge every slow range."""
        self.on_push_back = _ignore
        self.wants_hedge = _always

    async def open(self, span: Span) -> "PartStream":
        """Request a range and wait for the head of the response.

        Raises:
            ObjectChanged: the object was replaced or deleted.
            S3Error: as for ``get_object``.
        """
        stream = PartStream(self, self._part_call(), span)
        try:
            await stream.connect()
        except BaseException:
            stream.close()  # a cancellation may come together with the response
            raise
        return stream

    def adopt(self, response: Response, extent: Extent) -> "PartStream":
        """Return the body of the first response, which determined the version."""
        assert extent.stop is not None
        call = self._part_call()
        call.adopt_attempt()
        stream = PartStream(self, call, Span(extent.start, extent.stop))
        stream.response = response
        return stream

    async def read_into(
        self, span: Span, target: memoryview, on_data: OnData | None = None
    ) -> None:
        """Fill ``target`` with the bytes of ``span``.

        Raises:
            S3Error: as for ``open``.
        """
        stream = await self.open(span)
        try:
            await stream.readinto(target, on_data)
        finally:
            stream.close()

    def _part_call(self) -> PartCall:
        state = self._exchange.state
        call = PartCall(self._call, "GET", self._call.request)
        call.budget = _PartBudget(state.retry, state.quota, self)
        return call

    async def request(self, call: Call, range: ByteRange) -> tuple[Response, Extent]:
        """Request a range of the version; return the checked response and its extent."""
        attempts = call.attempts
        response, extent = await reopen(self._exchange, call, self.pin, range)
        if call.attempts == attempts + 1:
            self.link.waited(call.latency(response))
        return response, extent

    def may_hedge(self, offset: int) -> bool:
        """Whether the rest of a slow range, from ``offset`` on, may be hedged."""
        return self._hedges < _MOST_HEDGES and self.wants_hedge(offset)

    async def request_hedge(self, slow: Call, range: ByteRange) -> "_Hedge | None":
        """Request the rest of a slow range again, without retries; return None if that fails."""
        quota = self._exchange.state.quota
        if not quota.take(quota.retry_cost):
            return None
        call = PartCall(self._call, "GET", self._call.request)
        call.budget = _PartBudget(RetryPolicy(attempts=1), quota, self)
        call.attempts, call.fresh = slow.attempts, True
        self._hedges += 1
        try:
            response, extent = await self.request(call, range)
        except S3Error:
            return None
        finally:
            self._hedges -= 1
        quota.refill(quota.retry_cost)
        return _Hedge(call, response, extent, range.start)

    async def recover(self, call: Call, error: S3Error) -> bool:
        """Wait until another attempt may succeed; return False if none may."""
        if not self._exchange.recover(call, error):
            return False
        await self._exchange.wait(call, error)
        return True


class _Hedge(NamedTuple):
    """A second response with the rest of a range.

    Attributes:
        call: the call of its request.
        response: the response.
        extent: the bytes of its body.
        start: offset of the first requested byte.
    """

    call: PartCall
    response: Response
    extent: Extent
    start: int

    def discard(self) -> None:
        """Close the response, because it arrived too late."""
        self.response.close()
        self.call.end_attempt()


class PartStream:
    """The bytes of one range. A lost connection is resumed at the next byte.

    Attributes:
        at: offset of the next byte.
        response: the current response; None before the first one and after a lost connection.
    """

    def __init__(self, reader: PartReader, call: Call, span: Span) -> None:
        self._reader = reader
        self._call = call
        self.at = self._progress = span.start
        # The bytes received from the current response, and the seconds spent waiting for them.
        self._received = 0
        self._seconds = 0.0
        self._hedges_left = _HEDGES_OF_RANGE
        self._stop = span.stop
        # The number of bytes to skip, and whether bytes follow the range: the server ignores
        # ranges, or this response begins before the position that another one has reached.
        self._skip = 0
        self._sliced = False
        self.response: Response | None = None

    async def connect(self) -> None:
        """Request the bytes from ``at`` on."""
        await self._hedged(self._connect())

    async def _connect(self) -> None:
        range = ByteRange(self.at, self._stop)
        self.response, extent = await self._reader.request(self._call, range)
        self._skip, self._sliced = extent.skip, extent.sliced
        self._received, self._seconds = 0, 0.0

    async def readinto(
        self, target: memoryview, on_data: OnData | None = None, least: int | None = None
    ) -> None:
        """Receive the next bytes into ``target``.

        Args:
            target: no longer than the rest of the range.
            on_data: called with each piece of ``target`` once it is filled, in order.
            least: the number of bytes after which the call ends as soon as no more have arrived;
                None to fill ``target``.

        Raises:
            S3Error: the connection was lost and cannot be replaced.
        """
        stop = self.at + len(target)
        enough = stop if least is None else self.at + least

        def note(piece: memoryview) -> None:
            self.at += len(piece)
            self._received += len(piece)
            if on_data is not None:
                on_data(piece)

        while self.at < enough:
            try:
                if self.response is None:
                    await self.connect()
                elif self._skip:
                    await self._hedged(self._discard(self.response))
                else:
                    rest = target[self.at - stop :]
                    if not self._fill_nowait(self.response, rest, note):
                        missing = enough - self.at
                        await self._hedged(self._fill(self.response, rest, note, missing))
            except (TransportError, TruncatedBody) as error:
                if not await self._recover(error):
                    raise

    def _fill_nowait(self, response: Response, target: memoryview, note: OnData) -> bool:
        """Fill ``target`` with the rest of the range if the whole body has arrived."""
        if self._sliced or self.at + len(target) < self._stop:
            return False
        body = response.read_nowait()
        if body is None:
            return False
        count = min(len(body), len(target))
        if count:
            target[:count] = body[:count]
            note(target[:count])
        if self.at < self._stop:
            raise self._too_short()
        if count < len(body):
            raise _too_long()
        return True

    async def _fill(self, response: Response, target: memoryview, note: OnData, least: int) -> None:
        if await response.readinto(target, note, least) < least:
            raise self._too_short()
        # With chunked framing, further bytes may follow.
        ended = self.at < self._stop or self._sliced or response.at_end()
        if not ended and await response.read():
            raise _too_long()

    def _too_short(self) -> TruncatedBody:
        return TruncatedBody(f"the body ended {self._stop - self.at} bytes early")

    async def _discard(self, response: Response) -> None:
        scratch = memoryview(bytearray(min(self._skip, _SCRATCH_BYTES)))
        count = await response.readinto(scratch)
        if not count:
            raise TruncatedBody("the body ended before the first requested byte")
        self._skip -= count
        self._received += count

    async def _hedged(self, step: Coroutine[Any, Any, None]) -> None:
        """Await a step; if another response arrives before it ends, continue with that one."""
        if not self._reader.hedge:
            await step
            return
        begun = time.monotonic()
        hedge = await hedged(
            step, lambda: self._is_slow(begun), self._request_hedge, _Hedge.discard
        )
        self._seconds += time.monotonic() - begun
        if hedge is not None:
            self._take_over(hedge)

    def _is_slow(self, begun: float) -> bool:
        """Whether a hedge is worthwhile during a step that began at ``begun``."""
        if not self._hedges_left:
            return False
        call, now = self._call, time.monotonic()
        seconds = self._seconds + now - begun
        if self.response is None:
            # Waiting for a permit or for the next attempt is not waiting for the server.
            sent = call.sent_at if call.not_before is None else 0.0
            seconds = now - sent if sent > begun else 0.0
        left = self._skip + self._stop - self.at
        behind = self._reader.link.is_behind(self._received, left, seconds)
        return behind and self._reader.may_hedge(self.at)

    async def _request_hedge(self) -> _Hedge | None:
        self._hedges_left -= 1
        return await self._reader.request_hedge(self._call, ByteRange(self.at, self._stop))

    def _take_over(self, hedge: _Hedge) -> None:
        """Continue with another response."""
        hedge.call.budget = self._call.budget
        self.close()
        self._call = hedge.call
        self.response = hedge.response
        # Skip the bytes that the slow response has delivered meanwhile.
        self._skip = hedge.extent.skip + self.at - hedge.start
        self._sliced = hedge.extent.sliced
        self._received, self._seconds = 0, 0.0

    async def _recover(self, error: S3Error) -> bool:
        self.close(error)
        if self.at > self._progress:
            self._progress = self.at
            assert self._call.budget is not None
            self._call.budget.progress()
        return await self._reader.recover(self._call, error)

    def close(self, error: S3Error | None = None) -> None:
        """Close the response; its connection returns to the pool if the body has ended.

        Args:
            error: the error that ended it.
        """
        response, self.response = self.response, None
        if response is not None:
            response.close()
            self._call.end_attempt(error, self._received)


class _PartBudget(Budget):
    """The retry budget of one part; reports throttling and timeouts to the reader."""

    __slots__ = ("_reader",)

    def __init__(self, policy: RetryPolicy, quota: RetryQuota, reader: PartReader) -> None:
        super().__init__(policy, quota)
        self._reader = reader

    def decide(self, error: S3Error, sent: Sent, jitter: float) -> Decision:
        if isinstance(error, Throttled | ServiceUnavailable | TransportTimeout):
            self._reader.on_push_back()
        return super().decide(error, sent, jitter)


def _too_long() -> TruncatedBody:
    return TruncatedBody("the body is longer than its announced length")


def _ignore() -> None:
    """Adapt nothing."""


def _always(offset: int) -> bool:
    """Hedge every slow range."""
    return True

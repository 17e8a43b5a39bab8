"""Requests for the parts of one version of an object."""

import asyncio
from collections.abc import Callable

from aios3get._engine.call import Call, PartCall
from aios3get._engine.exchange import Exchange
from aios3get._engine.parallel.concurrency import Link
from aios3get._engine.parallel.parts import Span
from aios3get._engine.stream import reopen
from aios3get._http.receive import OnData
from aios3get._http.transport import Response
from aios3get._protocol.correction import Sent
from aios3get._protocol.extent import Extent
from aios3get._protocol.pin import Pin
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.retry import Budget, Decision, RetryPolicy, RetryQuota
from aios3get.errors import S3Error, Throttled, TransportError, TransportTimeout, TruncatedBody

__all__ = ["PartReader", "PartStream"]

_SCRATCH_BYTES = 1 << 20


class PartReader:
    """Opens ranges of one version of an object.

    Each range has its own retry budget, so that the progress of other ranges does not hide one that
    fails. The retry quota, the number of attempts and the request ids are those of the whole call.

    Args:
        exchange: sends the requests.
        call: the call that the ranges are read for.
        pin: the version.
        link: records the measured latencies.

    Attributes:
        on_push_back: called when the server asks for fewer requests, or times out.
    """

    def __init__(self, exchange: Exchange, call: Call, pin: Pin, link: Link) -> None:
        self._exchange = exchange
        self._call = call
        self._loop = asyncio.get_running_loop()
        self.pin = pin
        self.link = link
        self.on_push_back: Callable[[], object] = _ignore

    async def open(self, span: Span) -> "PartStream":
        """Request a range and wait for the head of the response.

        Raises:
            ObjectChanged: the object was replaced or deleted.
            S3Error: as for ``get_object``.
        """
        stream = PartStream(self, self._part_call(), span)
        await stream.connect()
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
        attempts, sent = call.attempts, self._loop.time()
        response, extent = await reopen(self._exchange, call, self.pin, range)
        if call.attempts == attempts + 1:
            self.link.waited(self._loop.time() - sent)
        return response, extent

    async def recover(self, call: Call, error: S3Error) -> bool:
        """Wait until another attempt may succeed; return False if none may."""
        if not self._exchange.recover(call, error):
            return False
        await self._exchange.wait(call, error)
        return True


class PartStream:
    """The bytes of one range. A lost connection is resumed at the next byte.

    Attributes:
        at: offset of the next byte.
        response: the current response; None before the first one and after a lost connection.
    """

    def __init__(self, reader: PartReader, call: Call, span: Span) -> None:
        self._reader = reader
        self._call = call
        self.at = self._progress = self._response_start = span.start
        self._stop = span.stop
        # Bytes before the range and after it, from a server that ignores ranges.
        self._skip = 0
        self._sliced = False
        self.response: Response | None = None

    async def connect(self) -> None:
        """Request the bytes from ``at`` on."""
        range = ByteRange(self.at, self._stop)
        self.response, extent = await self._reader.request(self._call, range)
        self._skip, self._sliced = extent.skip, extent.sliced
        self._response_start = self.at

    async def readinto(self, target: memoryview, on_data: OnData | None = None) -> None:
        """Fill ``target`` with the next bytes.

        Args:
            target: no longer than the rest of the range.
            on_data: called with each piece of ``target`` once it is filled, in order.

        Raises:
            S3Error: the connection was lost and cannot be replaced.
        """
        stop = self.at + len(target)

        def note(piece: memoryview) -> None:
            self.at += len(piece)
            if on_data is not None:
                on_data(piece)

        while self.at < stop:
            try:
                if self.response is None:
                    await self.connect()
                elif self._skip:
                    await self._discard(self.response)
                else:
                    await self._fill(self.response, target[self.at - stop :], note)
            except (TransportError, TruncatedBody) as error:
                if not await self._recover(error):
                    raise

    async def _fill(self, response: Response, target: memoryview, note: OnData) -> None:
        if await response.readinto(target, note) < len(target):
            raise TruncatedBody(f"the body ended {self._stop - self.at} bytes early")
        # With chunked framing, further bytes may follow.
        ended = self.at < self._stop or self._sliced or response.at_end()
        if not ended and await response.read():
            raise TruncatedBody("the body is longer than its announced length")

    async def _discard(self, response: Response) -> None:
        scratch = memoryview(bytearray(min(self._skip, _SCRATCH_BYTES)))
        count = await response.readinto(scratch)
        if not count:
            raise TruncatedBody("the body ended before the first requested byte")
        self._skip -= count

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
            self._call.end_attempt(error, self.at - self._response_start)


class _PartBudget(Budget):
    """The retry budget of one part; reports throttling and timeouts to the reader."""

    __slots__ = ("_reader",)

    def __init__(self, policy: RetryPolicy, quota: RetryQuota, reader: PartReader) -> None:
        super().__init__(policy, quota)
        self._reader = reader

    def decide(self, error: S3Error, sent: Sent, jitter: float) -> Decision:
        if isinstance(error, Throttled | TransportTimeout):
            self._reader.on_push_back()
        return super().decide(error, sent, jitter)


def _ignore() -> None:
    """Adapt nothing."""

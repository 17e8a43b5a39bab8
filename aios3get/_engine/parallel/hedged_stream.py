"""A range whose slow responses are replaced by others."""

import time
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple

from aios3get._engine.call import Call, PartCall
from aios3get._engine.parallel.hedging import hedged
from aios3get._engine.parallel.part_requests import Controller, PartRequests
from aios3get._engine.parallel.part_stream import PartStream
from aios3get._engine.parallel.parts import Span
from aios3get._http.receive import OnData
from aios3get._http.transport import Response
from aios3get._protocol.extent import Extent
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.errors import S3Error

__all__ = ["HedgedStream", "Hedges"]

# The most concurrent hedges of one read, and the most hedges of one range: a server that is slow
# for all requests must not receive many more of them.
_MAX_HEDGES: Final = 4
_HEDGES_PER_RANGE: Final = 3


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


class Hedges:
    """Sends the hedges of one read.

    Args:
        requests: sends the requests.
    """

    def __init__(self, requests: PartRequests) -> None:
        self._requests = requests
        self._running = 0

    @property
    def allowed(self) -> bool:
        """Whether another one may be sent now."""
        return self._running < _MAX_HEDGES

    async def request(
        self, slow: Call, range: ByteRange, controller: Controller | None
    ) -> _Hedge | None:
        """Request the rest of a slow range again, without retries; return None if that fails."""
        quota = self._requests.quota
        if not quota.take(quota.retry_cost):
            return None
        call = self._requests.new_call(controller, RetryPolicy(attempts=1))
        call.attempts, call.fresh = slow.attempts, True
        self._running += 1
        try:
            response, extent = await self._requests.send(call, range)
        except S3Error:
            return None
        finally:
            self._running -= 1
        quota.refill(quota.retry_cost)
        return _Hedge(call, response, extent, range.start)


class HedgedStream(PartStream):
    """A range that is requested again, from its next byte on, while its response is slow.

    Args:
        requests: sends the requests.
        call: the call of the first ones.
        span: the range.
        hedges: sends the other ones.
        controller: decides whether they are worthwhile; None if they always are.
    """

    def __init__(
        self,
        requests: PartRequests,
        call: PartCall,
        span: Span,
        hedges: Hedges,
        controller: Controller | None,
    ) -> None:
        super().__init__(requests, call, span)
        self._hedges = hedges
        self._controller = controller
        self._left = _HEDGES_PER_RANGE
        # The seconds spent waiting for the current response.
        self._seconds = 0.0

    def continue_with(self, response: Response, extent: Extent) -> None:
        """Read from this response on, whose body has the bytes of ``extent``."""
        super().continue_with(response, extent)
        self._seconds = 0.0

    async def connect(self) -> None:
        """Request the bytes from ``at`` on."""
        await self._hedged(super().connect())

    async def _fill(self, response: Response, target: memoryview, note: OnData, least: int) -> None:
        await self._hedged(super()._fill(response, target, note, least))

    async def _discard(self, response: Response) -> None:
        await self._hedged(super()._discard(response))

    async def _hedged(self, step: Coroutine[Any, Any, None]) -> None:
        """Await a step; if another response arrives before it ends, continue with that one."""
        started = time.monotonic()
        hedge = await hedged(step, lambda: self._is_slow(started), self._request, _Hedge.discard)
        self._seconds += time.monotonic() - started
        if hedge is not None:
            self._replace(hedge)

    def _is_slow(self, started: float) -> bool:
        """Whether a hedge is worthwhile during a step that started at that time."""
        if not self._left or not self._hedges.allowed:
            return False
        call, now = self._call, time.monotonic()
        seconds = self._seconds + now - started
        if self.response is None:
            # Waiting for a permit or for the next attempt is not waiting for the server.
            sent = call.sent_at if call.not_before is None else 0.0
            seconds = now - sent if sent > started else 0.0
        left = self._skip + self._stop - self.at
        if not self._requests.link.is_behind(self._received, left, seconds):
            return False
        return self._controller is None or self._controller.wants_hedge(self.at)

    async def _request(self) -> _Hedge | None:
        self._left -= 1
        range = ByteRange(self.at, self._stop)
        return await self._hedges.request(self._call, range, self._controller)

    def _replace(self, hedge: _Hedge) -> None:
        """Continue with the other response."""
        hedge.call.budget = self._call.budget
        self.close()
        self._call = hedge.call
        self.continue_with(hedge.response, hedge.extent)
        # Skip the bytes that the slow response has delivered meanwhile.
        self._skip += self.at - hedge.start

"""Requests for ranges of one version of an object, each with its own retries."""

from typing import Protocol

from aios3get._engine.call import Call, PartCall
from aios3get._engine.exchange import Exchange
from aios3get._engine.parallel.concurrency import Link
from aios3get._engine.stream import reopen
from aios3get._http.transport import Response
from aios3get._protocol.correction import Sent
from aios3get._protocol.extent import Extent
from aios3get._protocol.pin import Pin
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.retry import Budget, Decision, RetryQuota
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.errors import S3Error, ServiceUnavailable, Throttled, TransportTimeout

__all__ = ["Controller", "PartRequests"]


class Controller(Protocol):
    """Decides how many requests a read sends."""

    def push_back(self) -> None:
        """Send fewer requests, because the server throttles or times out."""
        ...

    def wants_hedge(self, offset: int) -> bool:
        """Whether to request the rest of a slow range again, whose next byte is at ``offset``."""
        ...


class PartRequests:
    """Sends requests for ranges of one version of an object.

    Each range has its own retry budget, so that the progress of other ranges does not hide one that
    fails. The retry quota, the number of attempts and the request ids are those of the whole call.

    Args:
        exchange: sends the requests.
        call: the call that the ranges are read for.
        pin: the version.
        link: records the measured latencies.
    """

    def __init__(self, exchange: Exchange, call: Call, pin: Pin, link: Link) -> None:
        self._exchange = exchange
        self._call = call
        self._pin = pin
        self.link = link
        self.quota: RetryQuota = exchange.state.quota

    def new_call(self, controller: Controller | None, retry: RetryPolicy | None = None) -> PartCall:
        """Return a call for the requests of one range.

        Args:
            controller: notified of throttling and timeouts; None to adapt nothing.
            retry: how often to retry; None for the client's policy.
        """
        call = PartCall(self._call, "GET", self._call.request)
        call.budget = _PartBudget(retry or self._exchange.state.retry, self.quota, controller)
        return call

    async def send(self, call: Call, range: ByteRange) -> tuple[Response, Extent]:
        """Request a range of the version; return the checked response and its extent.

        Raises:
            ObjectChanged: the object was replaced or deleted.
            S3Error: as for ``get_object``.
        """
        attempts = call.attempts
        response, extent = await reopen(self._exchange, call, self._pin, range)
        if call.attempts == attempts + 1:
            self.link.add_latency(call.latency(response))
        return response, extent

    async def recover(self, call: Call, error: S3Error) -> bool:
        """Wait until another attempt may succeed; return False if none may."""
        if not self._exchange.recover(call, error):
            return False
        await self._exchange.wait(call, error)
        return True


class _PartBudget(Budget):
    """The retry budget of one range; reports throttling and timeouts to the controller."""

    __slots__ = ("_controller",)

    def __init__(
        self, policy: RetryPolicy, quota: RetryQuota, controller: Controller | None
    ) -> None:
        super().__init__(policy, quota)
        self._controller = controller

    def decide(self, error: S3Error, sent: Sent, jitter: float) -> Decision:
        if self._controller is not None and isinstance(
            error, Throttled | ServiceUnavailable | TransportTimeout
        ):
            self._controller.push_back()
        return super().decide(error, sent, jitter)

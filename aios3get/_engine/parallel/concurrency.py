"""Adapts the number of concurrent requests of one read. Pure: the clock is a parameter."""

from typing import Final

__all__ = ["USUAL_RATE", "Concurrency", "Link", "Rate"]

_PERIOD: Final = 0.25
_GAIN: Final = 1.05
# Periods without a trial after one that gained nothing, and after the server pushed back.
_HOLD: Final = 20

# The rate of one connection to S3, until it is measured.
# https://docs.aws.amazon.com/whitepapers/latest/s3-optimizing-performance-best-practices/horizontal-scaling-and-request-parallelization-for-high-throughput.html
USUAL_RATE: Final = 90e6
_WEIGHT: Final = 0.3

# A request is slow after this many seconds, and this many times the usual latency, if another one
# is expected to deliver the rest in a quarter of the time.
_PATIENCE: Final = 0.25
_PATIENCE_WAITS: Final = 4
_BEHIND: Final = 4


class Rate:
    """A running average of the rates of transfers, in which the latest ones weigh most.

    Bytes and seconds are added up separately: the rate of a short transfer that took no time would
    outweigh all others.
    """

    def __init__(self) -> None:
        self._bytes = self._seconds = 0.0

    def add(self, size: int, seconds: float) -> float:
        """Add ``size`` bytes in ``seconds``; return the average in bytes per second."""
        self._bytes = (1 - _WEIGHT) * self._bytes + size
        self._seconds = (1 - _WEIGHT) * self._seconds + max(seconds, 1e-6)
        return self._bytes / self._seconds


class Link:
    """Running averages of the latency and rate of the connections to one object.

    Attributes:
        latency: seconds from a request to its response's head.
        least_latency: the lowest measured latency. Higher ones may be caused by requests that
            compete for a saturated link, which further requests would not improve.
        rate: bytes per second of one connection.
    """

    def __init__(self, latency: float) -> None:
        self.latency = self.least_latency = latency
        self.rate = USUAL_RATE
        self._measured = False
        self._average = Rate()

    def add_latency(self, latency: float) -> None:
        """Add the latency of a response to the average."""
        self.latency += _WEIGHT * (latency - self.latency)
        self.least_latency = min(self.least_latency, latency)

    def add_transfer(self, size: int, seconds: float) -> None:
        """Add the rate of a part to the average: ``size`` bytes in ``seconds``."""
        self.rate = self._average.add(size, seconds)
        self._measured = True

    def is_behind(self, received: int, left: int, seconds: float) -> bool:
        """Whether a response is so slow that another one would deliver its rest much sooner.

        Args:
            received: the number of bytes received so far.
            left: the number of bytes not received yet.
            seconds: the time spent waiting for it.
        """
        if seconds < max(_PATIENCE, _PATIENCE_WAITS * self.latency):
            return False
        if received and not self._measured:
            return False
        elsewhere = self.latency + left / self.rate
        return left * seconds > _BEHIND * elsewhere * received


class Concurrency:
    """The number of concurrent requests, adapted to the measured throughput.

    It doubles as long as that raises the throughput by 5 %; otherwise it returns to the previous
    number. It halves when the server asks for fewer requests or times out.

    Args:
        first: the number of requests at the start.
        limit: the most requests.
        now: the current time in seconds, monotonic.

    Attributes:
        current: how many requests may run now.
    """

    def __init__(self, first: int, limit: int, now: float) -> None:
        self.current = min(first, limit)
        self._limit = limit
        self._bytes = 0
        self._period_start = now
        self._settling = False
        self._hold = 0
        # The number of requests and the throughput before the current trial.
        self._before: tuple[int, float] | None = None

    def received(self, count: int, now: float) -> bool:
        """Count received bytes; return True if ``current`` has grown."""
        self._bytes += count
        elapsed = now - self._period_start
        if elapsed < _PERIOD:
            return False
        rate = self._bytes / elapsed
        self._restart(now)
        if self._settling:
            # The first bytes of new connections arrive late.
            self._settling = False
            return False
        if self._hold:
            self._hold -= 1
            return False
        return self._judge(rate)

    def _restart(self, now: float) -> None:
        self._bytes = 0
        self._period_start = now

    def _judge(self, rate: float) -> bool:
        if self._before is not None:
            fewer, rate_before = self._before
            self._before = None
            if rate < _GAIN * rate_before:
                self.current = fewer
                self._hold = _HOLD
                return False
        if self.current == self._limit:
            return False
        self._before = self.current, rate
        self.current = min(self._limit, 2 * self.current)
        self._settling = True
        return True

    def push_back(self, now: float) -> None:
        """Halve the number of requests, once for all failures at about the same time."""
        if self._hold == _HOLD and self._settling:
            return
        self.current = max(1, self.current // 2)
        self._before = None
        self._restart(now)
        self._settling = True
        self._hold = _HOLD

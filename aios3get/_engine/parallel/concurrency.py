"""How many requests of one read run at once. Pure: the clock is a parameter."""

from typing import Final

__all__ = ["Concurrency", "Link"]

_PERIOD: Final = 0.25
_GAIN: Final = 1.05
# Periods without another trial after one that brought nothing, and after a push-back.
_HOLD: Final = 20

# What S3 sends on one connection, for want of a measurement.
# https://docs.aws.amazon.com/whitepapers/latest/s3-optimizing-performance-best-practices/horizontal-scaling-and-request-parallelization-for-high-throughput.html
_USUAL_RATE: Final = 90e6
_WEIGHT: Final = 0.3


class Link:
    """Running averages of what was measured of the connections to one object.

    Attributes:
        latency: seconds from a request to its response's head.
        rate: bytes per second of one connection.
    """

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.rate = _USUAL_RATE
        self._measured = False

    def waited(self, latency: float) -> None:
        """Take the latency of another response into account."""
        self.latency += _WEIGHT * (latency - self.latency)

    def received(self, size: int, seconds: float) -> None:
        """Take a part's ``size`` bytes, which came within ``seconds``, into account."""
        rate = size / max(seconds, 1e-6)
        self.rate = self.rate + _WEIGHT * (rate - self.rate) if self._measured else rate
        self._measured = True


class Concurrency:
    """The number of requests that run at once, adapted to what is gained by more of them.

    It doubles as long as that raises the throughput by 5 %, returns to the number before where it
    does not, and halves when the server asks for fewer requests or does not keep up.

    Args:
        first: requests at the start.
        limit: the most requests ever.
        now: the clock's seconds.

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
        # The number of requests and the throughput before the trial under way.
        self._before: tuple[int, float] | None = None

    def received(self, count: int, now: float) -> bool:
        """Count bytes that came; True if ``current`` has grown."""
        self._bytes += count
        elapsed = now - self._period_start
        if elapsed < _PERIOD:
            return False
        rate = self._bytes / elapsed
        self._restart(now)
        if self._settling:
            # New connections bring their first bytes late.
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
        """Halve the number of requests, once for all failures of about the same time."""
        if self._hold == _HOLD and self._settling:
            return
        self.current = max(1, self.current // 2)
        self._before = None
        self._restart(now)
        self._settling = True
        self._hold = _HOLD

"""Chooses how far to read ahead of a consumer. Pure: the measurements are parameters."""

from typing import Final, NamedTuple

from aios3get._engine.parallel.concurrency import Rate
from aios3get._engine.parallel.parts import MIB, MIN_PART

__all__ = ["MAX_REQUESTS", "ConsumerRate", "Limits", "choose_limits"]

# A consumer may become faster than it was, and must not wait for data before that is noticed.
_GROWTH: Final = 4
# The fastest rate at which Python reads bytes that have arrived, in bytes per second.
_MAX_RATE: Final = 2.5e9
# Parts of 2 MiB, the least that a connection receives without waiting too often, on 8 connections.
_MIN_WINDOW: Final = 16 * MIB
_MAX_WINDOW: Final = 256 * MIB
_MIN_PART: Final = 2 * MIB
# The largest window has 32 parts of the size that AWS recommends.
_USUAL_REQUESTS: Final = 32
MAX_REQUESTS: Final = 64

# The rate of fewer bytes is mostly that of other work of the event loop.
_MIN_SAMPLE: Final = MIB // 2


class Limits(NamedTuple):
    """How far to read ahead.

    Attributes:
        window: the most bytes that are requested but not consumed.
        requests: the most concurrent requests.
        part_size: the number of bytes in a request.
    """

    window: int
    requests: int
    part_size: int


def choose_limits(
    latency: float,
    rate: float,
    wanted: int = 0,
    *,
    requests: int | None = None,
    max_requests: int = MAX_REQUESTS,
    max_part: int = MIN_PART,
) -> Limits:
    """Return how far to read ahead so that the consumer does not have to wait.

    The window has 16 MiB, and as many bytes as the consumer would use during the latency of a
    request if it were four times as fast. Bytes of the current read are always in the window.

    Args:
        latency: seconds from a request to its response's head.
        rate: bytes per second that the consumer has used so far; 0 if that is not known.
        wanted: the number of bytes in the current read.
        requests: the number of concurrent requests; None to choose it.
        max_requests: the most concurrent requests.
        max_part: the most bytes in a request.
    """
    window = min(max(_window(latency, _GROWTH * rate), wanted), _MAX_WINDOW)
    requests = min(requests or _USUAL_REQUESTS, max_requests, MAX_REQUESTS)
    # The same for all consumers and in whole MiB, because memory is reused for parts of one size.
    share = -(-_window(latency, _MAX_RATE) // requests // MIB) * MIB
    return Limits(window, requests, min(max(_MIN_PART, min(share, MIN_PART)), max_part))


def _window(latency: float, rate: float) -> int:
    return min(_MIN_WINDOW + int(min(rate, _MAX_RATE) * latency), _MAX_WINDOW)


class ConsumerRate:
    """Measures how fast a consumer uses bytes, without the time that it waits for them.

    Attributes:
        value: bytes per second; 0 until it is measured.
    """

    value: float = 0.0

    def __init__(self) -> None:
        self._average = Rate()
        self._sampled: tuple[int, float] | None = None
        self._waited = 0.0

    def waited(self, seconds: float) -> None:
        """Leave out the time of a wait for bytes."""
        self._waited += seconds

    def moved(self, position: int, now: float) -> None:
        """Record the offset of the next byte that the consumer will use.

        Args:
            position: the offset.
            now: the current time in seconds, monotonic.
        """
        if self._sampled is not None:
            start, since = self._sampled
            size = position - start
            if 0 <= size < _MIN_SAMPLE:
                return
            if size > 0:
                self.value = self._average.add(size, now - since - self._waited)
        self._sampled = position, now
        self._waited = 0.0

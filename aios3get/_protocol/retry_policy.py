"""``RetryPolicy``: how many attempts a call makes, and how long it waits between them."""

from dataclasses import dataclass
from typing import Final

from aios3get.errors import ConfigurationError

__all__ = ["RetryPolicy"]

# AWS's SDKs wait at least 1 s after a throttling error, five times the default of
# ``wait_initial``:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_THROTTLED_FACTOR: Final = 5.0

_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How many attempts a call makes, and how long it waits between them.

    The wait before retry ``n`` is random between 0 and ``wait_initial * 2**(n - 1)`` seconds ("full
    jitter"), five times that after a throttling error, and never shorter than ``Retry-After``. No
    wait is longer than ``wait_max``.

    AWS's SDKs default to three attempts. Here the attempts also cover the reading of the body, so
    the default is five. Every resumed response that delivers bytes resets the count: a long
    download survives any number of interruptions, and a server that sends nothing fails after
    ``attempts``.

    Args:
        attempts: the most consecutive requests without progress, including the first; 1 never
            retries. Corrections of region, credentials, clock or a header do not count, nor does
            the first new connection after a kept one that the server had closed. The ``attempts``
            of an error include them.
        wait_initial: the longest wait before the first retry, in seconds; 0 waits only for
            ``Retry-After``.
        wait_max: the longest wait, in seconds. It also limits ``Retry-After``.

    Raises:
        ConfigurationError: ``attempts`` is not a whole number above 0, or a wait is negative or
            longer than a day.
    """

    attempts: int = 5
    wait_initial: float = 0.2
    wait_max: float = 20.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise ConfigurationError(
                f"attempts must be a whole number above 0, got {self.attempts!r}; "
                "1 sends one request and never retries"
            )
        for name in ("wait_initial", "wait_max"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= _DAY:
                raise ConfigurationError(
                    f"{name} must be a number of seconds from 0 to {_DAY} (a day), got {value!r}"
                )

    def delay(self, retry: int, jitter: float, *, throttled: bool = False) -> float:
        """Return the seconds to wait before retry ``retry`` (from 1), for a jitter in [0, 1)."""
        initial = self.wait_initial * _THROTTLED_FACTOR if throttled else self.wait_initial
        # 2**63 exceeds every wait_max, and 2**1024 would exceed the range of floats.
        return jitter * min(self.wait_max, initial * 2.0 ** min(retry - 1, 63))

"""The timeouts of a client."""

import math
from dataclasses import dataclass

from aios3get.errors import ConfigurationError

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Time limits in seconds. A download as a whole has none.

    Args:
        connect: for name resolution, TCP and TLS of a new connection. The wait for one of the
            client's ``max_concurrency`` permits does not count.
        idle: for the complete head of a response, and for the next byte of its body. Time in which
            nothing reads the body does not count.
        keep_alive: how long an unused connection is kept for the next request. S3 closes its side
            after about 5 seconds.
        queue: for the wait for a permit; None for no limit.

    Raises:
        ConfigurationError: a value is not a positive number.
    """

    connect: float = 10.0
    idle: float = 30.0
    keep_alive: float = 4.5
    queue: float | None = None

    def __post_init__(self) -> None:
        for name in ("connect", "idle", "keep_alive", "queue"):
            value = getattr(self, name)
            if not _is_positive(value) and (name, value) != ("queue", None):
                raise ConfigurationError(
                    f"timeouts.{name} must be a number of seconds above 0, got {value!r}"
                )


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < math.inf

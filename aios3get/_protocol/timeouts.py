"""The limits of time that a client puts on the network."""

import math
from dataclasses import dataclass

from aios3get.errors import ConfigurationError

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds that the network may take; a download as a whole has no limit.

    Args:
        connect: for name resolution, TCP and TLS of one new connection. Waiting for a free slot
            of ``max_concurrency`` does not count.
        idle: for the whole head of an answer to come, and without a single byte within its body.
            Time in which nobody reads the body does not count.
        keep_alive: how long an unused connection is kept for the next request. S3 closes its side
            after about 5 seconds.

    Raises:
        ConfigurationError: a value is not a positive number.
    """

    connect: float = 10.0
    idle: float = 30.0
    keep_alive: float = 4.5

    def __post_init__(self) -> None:
        for name in ("connect", "idle", "keep_alive"):
            seconds = getattr(self, name)
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not (number and 0 < seconds < math.inf):
                raise ConfigurationError(
                    f"timeouts.{name} is a number of seconds above 0, got {seconds!r}"
                )

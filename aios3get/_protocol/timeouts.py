"""The limits of time that a client puts on the network."""

import math
from dataclasses import dataclass

from aios3get.errors import ConfigurationError

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds that the network may take; a download as a whole has no limit.

    Args:
        connect: for name resolution, TCP and TLS of one new connection. Waiting for one of the
            ``max_concurrency`` permits does not count.
        idle: for the whole head of an answer to come, and without a single byte within its body.
            Time in which nobody reads the body does not count.
        keep_alive: how long an unused connection is kept for the next request. S3 closes its side
            after about 5 seconds.
        queue: for waiting for one of the client's ``max_concurrency`` permits; None for any time.

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
            if value is None and name == "queue":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                valid = False
            else:
                valid = 0 < value < math.inf
            if not valid:
                raise ConfigurationError(
                    f"timeouts.{name} is a number of seconds above 0, got {value!r}"
                )

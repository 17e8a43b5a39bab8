"""What one call of the user's has spent and learnt so far, over all its attempts."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from aios3get._http.call_site import Place
from aios3get._http.watchdog import Watchdog
from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.identity import Credentials, Identity
from aios3get._protocol.retry import Budget
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import ConfigurationError, S3Error, TransportTimeout

__all__ = ["Call", "Place"]

T = TypeVar("T")


class Call:
    """One ``get_object``, ``head_object`` or ``get_url`` from its start to its body's last byte.

    Attributes:
        attempts: requests sent so far, corrections and stale sockets included.
        heads: the headers of the latest answers.
        opened_at: the code that made the call, and how far it had come in it.
        budget: what may still be spent; None as long as nothing failed.
        watchdog: who knows how long the event loop stood still, once something waited or failed.
    """

    # Defaults stand on the class: most calls never learn any of these.
    attempts = 0
    heads: tuple[Mapping[str, str], ...] = ()
    opened_at: Place | None = None
    budget: Budget | None = None
    fresh = False
    region: str | None = None
    endpoint: Endpoint | None = None
    identity: Identity | None = None
    session: Credentials | None = None
    offered_checksum = False
    watchdog: Watchdog | None = None

    def __init__(
        self, method: str, request: GetObject | UrlRequest, deadline: float | None = None
    ) -> None:
        self.method = method
        self.request = request
        self.deadline = deadline
        self.started = time.monotonic()

    @property
    def host(self) -> str:
        """Where the last attempt went."""
        return self.endpoint.host if self.endpoint else ""

    def told(self, error: S3Error) -> S3Error:
        """The error with what the call has spent on it."""
        error.attempts = self.attempts
        error.elapsed = time.monotonic() - self.started
        ids = (headers.get("x-amz-request-id") for headers in self.heads)
        error.request_ids = tuple(filter(None, ids))
        return error

    async def within_deadline(self, awaitable: Awaitable[T]) -> T:
        """What it gives, if it does before the call's time, where that is limited, is over.

        Raises:
            TransportTimeout: it does not; ``limit`` is ``"deadline"``.
        """
        if self.deadline is None:
            return await awaitable
        left = self.started + self.deadline - time.monotonic()
        limit, due = asyncio.timeout(left), time.monotonic() + max(left, 0.0)
        try:
            async with limit:
                return await awaitable
        except TimeoutError as error:
            if isinstance(error, S3Error) or not limit.expired():
                raise
        # A loop that stands still is late itself; the watchdog knows of earlier times.
        late = time.monotonic() - due
        if self.watchdog is not None:
            late = max(late, self.watchdog.longest_pause(self.deadline))
        raise self.told(
            TransportTimeout(
                f"the call's deadline of {self.deadline:g} s passed",
                limit="deadline",
                seconds=self.deadline,
                loop_blocked=late,
            )
        )


def check_deadline(deadline: float) -> None:
    """Refuse what is no time to give a call.

    Raises:
        ConfigurationError: not a number of seconds above 0.
    """
    if isinstance(deadline, bool) or not isinstance(deadline, int | float) or not deadline > 0:
        raise ConfigurationError(f"deadline is a number of seconds above 0, got {deadline!r}")

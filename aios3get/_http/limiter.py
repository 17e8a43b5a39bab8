"""A fair limit on the number of requests in progress, safe to cancel at any await."""

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from typing import Final

from aios3get._http.call_site import Place, describe
from aios3get._http.watchdog import Wait

__all__ = ["ConcurrencyLimiter", "Permit"]

_log: Final = logging.getLogger("aios3get")

# The number of calls that a message names.
_PLACES: Final = 3


class Permit(Wait):
    """The right of one request, and of its response, to use a connection.

    Args:
        limiter: the limiter that counts the permit; None for an uncounted permit.
        opened_at: the place in the user's code that made the call.
    """

    def __init__(
        self, limiter: "ConcurrencyLimiter | None" = None, opened_at: Place | None = None
    ) -> None:
        self._limiter = limiter
        self.opened_at = opened_at

    def release(self) -> None:
        """Return the permit. A second call has no effect."""
        if self._limiter is not None:
            self._limiter.release(self)


class ConcurrencyLimiter:
    """Hands out ``limit`` permits in the order in which they are requested.

    Requests wait here, before aiohttp sees them, so the wait never counts as connecting. While
    tasks wait and no permit is released, a warning names the calls that hold them.

    Args:
        limit: the number of permits.
        warn_after: seconds without a release.

    Attributes:
        holders: the permits in use, the oldest first, and the time when each was granted.
    """

    def __init__(self, limit: int, *, warn_after: float = 10.0) -> None:
        self.limit = limit
        self.holders: dict[Permit, float] = {}
        self._warn_after = warn_after
        self._closed = False
        # Keyed by future, so that a cancelled waiter is removed in constant time.
        self._waiting: OrderedDict[asyncio.Future[bool], Permit] = OrderedDict()
        self._released = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_use(self) -> int:
        """The number of permits in use."""
        return len(self.holders)

    def try_acquire(self, permit: Permit) -> bool:
        """Grant the permit if one is free; none is free while tasks wait."""
        if len(self.holders) < self.limit:
            self.holders[permit] = time.monotonic()
            return True
        return False

    async def acquire(self, permit: Permit, timeout: float | None = None) -> bool:
        """Wait in line until the permit is granted.

        Returns:
            False if the limiter is closed first.

        Raises:
            TimeoutError: ``timeout`` seconds passed.
        """
        if self.try_acquire(permit):
            return True
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting[turn] = permit
        if self._timer is None:
            self._schedule_check(loop)
        timer = None if timeout is None else loop.call_later(timeout, _deny, turn)
        try:
            granted = await turn
        except BaseException:
            self.release(permit)  # it may have been granted in the same loop iteration
            raise
        finally:
            self._waiting.pop(turn, None)
            if timer is not None:
                timer.cancel()
            if not self._waiting and self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if self._closed:
            self.release(permit)
            return False
        if not granted:
            raise TimeoutError
        return True

    def close(self) -> None:
        """End all waits without granting a permit."""
        self._closed = True
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            _deny(turn)

    def release(self, permit: Permit) -> None:
        """Pass the permit, if it is in use, to the first task in line."""
        if self.holders.pop(permit, None) is None:
            return
        self._released += 1
        while self._waiting:
            turn, next_permit = self._waiting.popitem(last=False)
            if not turn.done():
                self.holders[next_permit] = time.monotonic()
                turn.set_result(True)
                return

    def describe_holders(self) -> str:
        """Describe how long permits have been in use, and the calls that hold them."""
        if not self.holders:
            return "none is in use"
        age = time.monotonic() - next(iter(self.holders.values()))
        places = Counter(permit.opened_at for permit in self.holders if permit.opened_at)
        calls = ", ".join(
            f"{count} by {describe(place)}" for place, count in places.most_common(_PLACES)
        )
        return f"the oldest of {self.in_use} in use is {age:.3g} s old" + (
            f"; held: {calls}" if calls else ""
        )

    def _schedule_check(self, loop: asyncio.AbstractEventLoop, *, warned: bool = False) -> None:
        self._timer = loop.call_later(self._warn_after, self._check, self._released, warned)

    def _check(self, released: int, warned: bool) -> None:
        """Warn, once in a row, if no permit was released since the last check."""
        stalled = released == self._released
        if stalled and not warned:
            _log.warning(
                "%d calls are waiting for one of max_concurrency=%d permits, and none was released"
                " for %g s; %s",
                len(self._waiting),
                self.limit,
                self._warn_after,
                self.describe_holders(),
            )
        self._schedule_check(asyncio.get_running_loop(), warned=stalled)


def _deny(turn: "asyncio.Future[bool]") -> None:
    if not turn.done():
        turn.set_result(False)

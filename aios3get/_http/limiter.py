"""A fair limit on the number of requests in progress, safe to cancel at any await."""

import asyncio
from collections import OrderedDict

from aios3get._http.call_site import Place
from aios3get._http.watchdog import Wait

__all__ = ["ConcurrencyLimiter", "Permit"]


class Permit(Wait):
    """The right of one request, and of its response, to use a connection.

    Args:
        limiter: the limiter that counts the permit; None if none does.
        opened_at: the place in the user's code that made the call.
    """

    def __init__(
        self, limiter: "ConcurrencyLimiter | None" = None, opened_at: Place | None = None
    ) -> None:
        self._limiter = limiter
        self.opened_at = opened_at

    def release(self) -> None:
        """Give the permit back. A second call has no effect."""
        if self._limiter is not None:
            self._limiter.release(self)


class ConcurrencyLimiter:
    """Hands out ``limit`` permits in the order in which they are requested.

    Requests wait here, before aiohttp sees them, so the wait never counts as connecting.

    Attributes:
        holders: the permits in use.
    """

    __slots__ = ("_closed", "_waiting", "holders", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.holders: set[Permit] = set()
        self._closed = False
        # Keyed by future, so that a cancelled waiter is removed at once from anywhere in the line.
        self._waiting: OrderedDict[asyncio.Future[bool], Permit] = OrderedDict()

    @property
    def in_use(self) -> int:
        """The number of permits in use."""
        return len(self.holders)

    def try_acquire(self, permit: Permit) -> bool:
        """Grant the permit if one is free. While tasks wait, none is."""
        if len(self.holders) < self.limit:
            self.holders.add(permit)
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
        if self._closed:
            self.release(permit)
            return False
        if not granted:
            raise TimeoutError
        return True

    def close(self) -> None:
        """End all waits without a permit."""
        self._closed = True
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            _deny(turn)

    def release(self, permit: Permit) -> None:
        """Pass the permit, if it is in use, to the first task in line."""
        if permit not in self.holders:
            return
        self.holders.discard(permit)
        while self._waiting:
            turn, next_permit = self._waiting.popitem(last=False)
            if not turn.done():
                self.holders.add(next_permit)
                turn.set_result(True)
                return


def _deny(turn: "asyncio.Future[bool]") -> None:
    if not turn.done():
        turn.set_result(False)

"""Who may use a connection now: a fair queue for slots, safe to cancel at any await."""

import asyncio
from collections import deque

__all__ = ["Admission"]


class Admission:
    """``limit`` slots, handed out in the order asked for.

    Waiting for a slot happens here, before aiohttp sees the request, so that it never counts as
    connecting.
    """

    __slots__ = ("_free", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def taken(self) -> int:
        """How many slots are in use."""
        return self.limit - self._free

    def try_enter(self) -> bool:
        """Take a slot at once if one is free; nobody waits while one is."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def enter(self) -> None:
        """Take a slot, waiting in line for it."""
        if self.try_enter():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self.leave()  # the slot came in the same moment
            raise

    def close(self, error: Exception) -> None:
        """Let all who wait in line go with ``error``."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error)

    def leave(self) -> None:
        """Give the slot back: to the first in line, or to the free ones."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

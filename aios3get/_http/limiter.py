"""Who may use a connection now: a fair queue for slots, safe to cancel at any await."""

import asyncio
from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["ConcurrencyLimiter"]

T = TypeVar("T")


class ConcurrencyLimiter(Generic[T]):
    """``limit`` slots, handed out in the order asked for, each to a holder.

    Waiting for a slot happens here, before aiohttp sees the request, so that it never counts as
    connecting.

    Attributes:
        holders: who has a slot.
    """

    __slots__ = ("_closed", "_waiting", "holders", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.holders: set[T] = set()
        self._closed = False
        # By their futures, so that who gives up leaves the line at once, wherever in it.
        self._waiting: OrderedDict[asyncio.Future[None], T] = OrderedDict()

    @property
    def taken(self) -> int:
        """How many slots are in use."""
        return len(self.holders)

    def try_enter(self, holder: T) -> bool:
        """Take a slot at once if one is free; nobody waits while one is."""
        if len(self.holders) < self.limit:
            self.holders.add(holder)
            return True
        return False

    async def enter(self, holder: T) -> bool:
        """Take a slot, waiting in line for it; False if ``close`` comes first."""
        if self.try_enter(holder):
            return True
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = holder
        try:
            await turn
        except BaseException:
            self._waiting.pop(turn, None)
            self.leave(holder)  # the slot may have come in the same moment
            raise
        if self._closed:
            self.leave(holder)  # so may it here
            return False
        return True

    def close(self) -> None:
        """Let all who wait in line go, without a slot."""
        self._closed = True
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(None)

    def leave(self, holder: T) -> None:
        """Give the holder's slot, if it has one, to the first in line."""
        if holder not in self.holders:
            return
        self.holders.discard(holder)
        while self._waiting:
            turn, next_holder = self._waiting.popitem(last=False)
            if not turn.done():
                self.holders.add(next_holder)
                turn.set_result(None)
                return

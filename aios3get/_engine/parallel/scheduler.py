"""Runs the requests of one read, with an adaptive concurrency."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aios3get._engine.parallel.concurrency import Concurrency, Link
from aios3get._engine.parallel.parts import Part, Work, part_size
from aios3get._engine.parallel.tasks import TaskGroup

__all__ = ["Scheduler"]

# A part is split if its remaining transfer takes this many times the latency of a request.
_SPLIT_WAITS: Final = 4


class Scheduler:
    """Reads the parts of a ``Work`` in concurrent tasks.

    Args:
        work: the bytes to read.
        read: reads one part to its end, and calls ``received`` as bytes arrive.
        concurrency: the number of concurrent tasks.
        link: the measurements that determine the size of parts.
        least: the fewest bytes in a part.
        size: the number of bytes in a part; None to derive it from ``link``.
        gap: returns how many bytes apart spans are read as one part.
        together: the most bytes in a part of several spans.
    """

    def __init__(
        self,
        work: Work,
        read: Callable[[Part], Awaitable[None]],
        concurrency: Concurrency,
        link: Link,
        least: int,
        size: int | None = None,
        gap: Callable[[Link], int] = lambda _: 0,
        together: int = 0,
    ) -> None:
        self._work = work
        self._read = read
        self._concurrency = concurrency
        self._link = link
        self._least = least
        self._size = size
        self._gap = gap
        self._together = together
        self._loop = asyncio.get_running_loop()
        self._running = 0
        self._tasks = TaskGroup()

    async def run(self, first: Part | None = None) -> None:
        """Read everything; the first failure cancels the other parts and is raised.

        Args:
            first: a part that was already taken from the work.
        """
        try:
            async with self._tasks:
                if first is not None:
                    self._start(first)
                self.grow()
        finally:
            del self._read  # it leads to the owner of this, and on to the destination's memory

    def received(self, count: int) -> None:
        """Count received bytes; start more parts if the concurrency has grown."""
        if self._concurrency.received(count, self._loop.time()):
            self.grow()

    def push_back(self) -> None:
        """Run fewer requests, because the server throttles or times out."""
        self._concurrency.push_back(self._loop.time())

    def wants_hedge(self, offset: int) -> bool:
        """Whether to request the rest of a slow part again."""
        # While bytes are unassigned, all connections are busy anyway.
        return not self._work.unassigned

    def grow(self) -> None:
        """Start parts up to the current concurrency, unless all are being cancelled."""
        current = self._concurrency.current
        # The parts in progress are part of what the connections share.
        size = self._part_size(self._work.left, current)
        while self._running < current and not self._tasks.closing:
            part = self._next(size)
            if part is None:
                return
            self._start(part)

    def _start(self, part: Part) -> None:
        self._running += 1
        self._tasks.create_task(self._run(part))

    async def _run(self, part: Part | None) -> None:
        try:
            while part is not None:
                await self._read(part)
                self._work.finish(part)
                surplus = self._running > self._concurrency.current
                part = None if surplus else self._next(self._part_size(self._work.unassigned))
        finally:
            self._running -= 1

    def _part_size(self, left: int, connections: int = 1) -> int:
        if self._size is not None:
            return self._size
        return part_size(self._link.latency, self._link.rate, left, connections, self._least)

    def _next(self, size: int) -> Part | None:
        bytes_per_wait = self._link.latency * self._link.rate
        least = max(self._least, int(_SPLIT_WAITS * bytes_per_wait / 2))
        part = self._work.take(size, self._gap(self._link), self._together)
        return part or self._work.split(least)

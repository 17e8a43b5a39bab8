"""Runs the requests of one read, with an adaptive concurrency."""

import asyncio
from collections.abc import Awaitable, Callable

from aios3get._engine.parallel.concurrency import Concurrency
from aios3get._engine.parallel.part_sizes import PartSizes
from aios3get._engine.parallel.parts import Part, Work
from aios3get._engine.parallel.tasks import TaskGroup

__all__ = ["Scheduler"]


class Scheduler:
    """Reads the parts of a ``Work`` in concurrent tasks.

    Args:
        work: the bytes to read.
        read: reads one part to its end, and calls ``received`` as bytes arrive.
        concurrency: the number of concurrent tasks.
        sizes: divides the work into parts.
    """

    def __init__(
        self,
        work: Work,
        read: Callable[[Part], Awaitable[None]],
        concurrency: Concurrency,
        sizes: PartSizes,
    ) -> None:
        self._work = work
        self._read = read
        self._concurrency = concurrency
        self._sizes = sizes
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
        size = self._sizes.choose(self._work.left, current)
        while self._running < current and not self._tasks.closing:
            part = self._sizes.take(self._work, size)
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
                part = None if surplus else self._next()
        finally:
            self._running -= 1

    def _next(self) -> Part | None:
        return self._sizes.take(self._work, self._sizes.choose(self._work.unassigned))

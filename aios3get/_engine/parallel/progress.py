"""Reports the progress of a read to the user's callback."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from aios3get._engine.parallel.tasks import run_together

__all__ = ["OnProgress", "Progress"]

T = TypeVar("T")
OnProgress = Callable[[int, int | None], object]

_INTERVAL: Final = 0.1


class Progress:
    """Calls a function with the bytes so far and in total.

    Args:
        callback: the function; None to report nothing.
        total: the number of bytes in total; None if unknown.
        done: the number of bytes that an earlier download has written.

    Attributes:
        done: the number of bytes so far.
    """

    def __init__(self, callback: OnProgress | None, total: int | None, done: int) -> None:
        self._callback = callback
        self._total = total
        self._reported = -1
        self.done = done

    def add(self, count: int) -> None:
        """Count bytes that arrived."""
        self.done += count

    async def during(self, reading: Coroutine[Any, Any, T]) -> T:
        """Await ``reading``; report every 0.1 s while bytes arrive, and at the end."""
        if self._callback is None:
            return await reading
        result = await run_together(reading, self._report_regularly(self._callback))
        self._report(self._callback)
        return result

    async def _report_regularly(self, callback: OnProgress) -> None:
        while True:
            self._report(callback)
            await asyncio.sleep(_INTERVAL)

    def _report(self, callback: OnProgress) -> None:
        if self.done > self._reported:
            self._reported = self.done
            callback(self.done, self._total)

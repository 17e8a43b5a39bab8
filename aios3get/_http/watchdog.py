"""The idle timeout: ends long waits for the network, and measures blocks of the event loop.

One timer serves all waits of a transport, and none runs while nothing waits. Time is counted in
ticks of that timer, so a blocked event loop does not count as a slow network.
"""

import asyncio
import time
from collections import deque
from typing import Any, Final

__all__ = ["Wait", "Watchdog"]

_LONGEST_TICK: Final = 0.5
_TICKS: Final = 20
_LATE: Final = 0.05


class Wait:
    """A wait for the network. It can begin again, but in one task at a time.

    Attributes:
        connected_at: when a new connection was opened for it, on the monotonic clock; None if it
            uses a kept one.
        address: the address of that connection.
    """

    # Class attributes are the defaults: most waits never change them.
    task: "asyncio.Task[Any] | None" = None
    began: int | None = None
    connected_at: float | None = None
    address: str | None = None
    expired = False
    cancelling = 0

    def expire(self) -> None:
        """End the wait with a ``CancelledError`` that ``is_timeout`` recognizes."""
        if self.task is not None and not self.expired:
            self.expired = True
            self.task.cancel()

    def is_timeout(self) -> bool:
        """Whether only the watchdog cancelled the task. Call it after the wait has ended."""
        task = self.task
        return task is not None and self.expired and task.uncancel() <= self.cancelling


class Watchdog:
    """Watches waits on the running event loop; each may last ``idle`` seconds.

    Args:
        idle: seconds.
    """

    def __init__(self, idle: float) -> None:
        self._interval = min(_LONGEST_TICK, idle / _TICKS)
        self._limit = round(idle / self._interval)
        self._waits: dict[asyncio.Task[Any], Wait] = {}
        self._loop = asyncio.get_running_loop()
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._late: deque[tuple[int, float]] = deque(maxlen=64)

    def begin(self, wait: Wait, grace: float = 0.0) -> None:
        """Begin the wait in the running task; it may last ``grace`` seconds longer."""
        wait.task = task = asyncio.current_task(self._loop)
        assert task is not None
        wait.cancelling = task.cancelling()
        wait.expired = False
        wait.began = self._ticks + round(grace / self._interval) if grace else self._ticks
        self._waits[task] = wait
        if self._timer is None:
            self._schedule()

    def connecting(self) -> Wait | None:
        """Suspend the running task's wait until ``connected``; return the wait, if there is one."""
        task = asyncio.current_task(self._loop)
        wait = None if task is None else self._waits.get(task)
        if wait is not None:
            wait.began = None
        return wait

    def connected(self, wait: Wait | None) -> None:
        """Restart the time of the wait."""
        if wait is not None:
            wait.began = self._ticks
            wait.connected_at = time.monotonic()

    def restart(self, wait: Wait) -> None:
        """Restart the time of the wait, because bytes arrived."""
        wait.began = self._ticks

    def end(self, wait: Wait) -> None:
        """End the wait."""
        if wait.task is not None:
            self._waits.pop(wait.task, None)
        # A reference to the task would keep alive everything that the task references.
        wait.task = wait.began = None

    def longest_pause(self, seconds: float) -> float:
        """Return the longest block of the event loop within the last ``seconds``, in seconds."""
        # Counted in ticks as well, so the blocks themselves are not part of those seconds.
        oldest = self._ticks - round(seconds / self._interval) - 1
        pauses = [late for tick, late in self._late if tick >= oldest]
        if self._timer is not None:
            pauses.append(self._loop.time() - self._due)
        return max(0.0, *pauses) if pauses else 0.0

    def stop(self) -> None:
        """End all waits and stop watching."""
        for wait in [*self._waits.values()]:
            wait.expire()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._due = self._loop.time() + self._interval
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        late = self._loop.time() - self._due
        if late > _LATE:
            self._late.append((self._ticks, late))
        self._ticks += 1
        for wait in [*self._waits.values()]:
            if wait.began is not None and self._ticks - wait.began > self._limit:
                wait.began = None
                wait.expire()
        if self._waits:
            self._schedule()
        else:
            self._timer = None

"""Ends waits in which no byte comes for too long, and knows when the loop itself stood still.

One timer for all waits of a transport, and none while nothing waits. Time is counted in beats of
that timer, so a process that blocks its event loop does not blame the network for it.
"""

import asyncio
from collections import deque
from typing import Final

__all__ = ["Wait", "Watchdog"]

_LONGEST_BEAT: Final = 0.5
_BEATS: Final = 20
_LATE: Final = 0.05


class Wait:
    """One task that waits for the network."""

    # Defaults stand on the class: hardly any wait changes these.
    connected = False
    expired = False

    def __init__(self, task: "asyncio.Task[object]", began: int) -> None:
        self.task = task
        self.began: int | None = began
        self._cancelling = task.cancelling()

    def expire(self) -> None:
        """Have the wait end with a ``CancelledError`` that ``is_timeout`` tells apart."""
        self.expired = True
        self.task.cancel()

    def is_timeout(self) -> bool:
        """Whether the ``CancelledError`` that ended the wait was the watchdog's alone."""
        return self.expired and self.task.uncancel() <= self._cancelling


class Watchdog:
    """Watches waits on the running event loop; each may take ``idle`` seconds.

    Args:
        idle: seconds.
    """

    def __init__(self, idle: float) -> None:
        self._interval = min(_LONGEST_BEAT, idle / _BEATS)
        self._limit = round(idle / self._interval)
        self._loop = asyncio.get_running_loop()
        self._beats = 0
        self._waits: dict[asyncio.Task[object], Wait] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._late: deque[tuple[int, float]] = deque(maxlen=64)

    def begin(self, grace: float = 0.0) -> Wait:
        """The running task begins to wait; ``grace`` seconds more are its own."""
        task = asyncio.current_task(self._loop)
        assert task is not None
        began = self._beats + round(grace / self._interval) if grace else self._beats
        wait = self._waits[task] = Wait(task, began)
        if self._timer is None:
            self._schedule()
        return wait

    def end(self, wait: Wait) -> None:
        """The wait is over."""
        self._waits.pop(wait.task, None)

    def connecting(self) -> Wait | None:
        """The running task's wait, not counted until ``connected``."""
        wait = self._waits.get(asyncio.current_task(self._loop))  # type: ignore[arg-type]  # None is no key
        if wait is not None:
            wait.began = None
        return wait

    def connected(self, wait: Wait | None) -> None:
        """Count the wait from now."""
        if wait is not None:
            wait.began = self._beats
            wait.connected = True

    def longest_pause(self, seconds: float) -> float:
        """The longest that the loop stood still within the last ``seconds``, in seconds."""
        # Counted in beats as well: the pauses themselves are no part of those seconds.
        oldest = self._beats - round(seconds / self._interval) - 1
        pauses = [late for beat, late in self._late if beat >= oldest]
        if self._timer is not None:
            pauses.append(self._loop.time() - self._due)
        return max(0.0, *pauses) if pauses else 0.0

    def stop(self) -> None:
        """End all waits, and watch no more."""
        for wait in self._waits.values():
            if not wait.expired:
                wait.expire()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._due = self._loop.time() + self._interval
        self._timer = self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        late = self._loop.time() - self._due
        if late > _LATE:
            self._late.append((self._beats, late))
        self._beats += 1
        for wait in self._waits.values():
            if wait.began is not None and self._beats - wait.began > self._limit:
                wait.began = None
                wait.expire()
        if self._waits:
            self._schedule()
        else:
            self._timer = None

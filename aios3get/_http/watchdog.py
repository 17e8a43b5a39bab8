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
    """Somebody who waits for the network now and then, in one task at a time.

    Attributes:
        connected: whether a connection was begun for it, rather than a kept one taken.
        address: where that leads to.
    """

    # Defaults stand on the class: most who wait never change these.
    task: "asyncio.Task[object] | None" = None
    began: int | None = None
    connected = False
    address: str | None = None
    expired = False
    cancelling = 0

    def expire(self) -> None:
        """Have the wait end with a ``CancelledError`` that ``is_timeout`` tells apart."""
        if self.task is not None and not self.expired:
            self.expired = True
            self.task.cancel()

    def is_timeout(self) -> bool:
        """Whether the ``CancelledError`` that ended the wait was the watchdog's alone."""
        task = self.task
        return task is not None and self.expired and task.uncancel() <= self.cancelling


class Watchdog:
    """Watches who waits on the running event loop; each wait may take ``idle`` seconds.

    Args:
        idle: seconds.
    """

    def __init__(self, idle: float) -> None:
        self._interval = min(_LONGEST_BEAT, idle / _BEATS)
        self._limit = round(idle / self._interval)
        self._waits = set[Wait]()
        self._loop = asyncio.get_running_loop()
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._late: deque[tuple[int, float]] = deque(maxlen=64)

    def begin(self, wait: Wait, grace: float = 0.0) -> None:
        """The wait begins, in the running task; ``grace`` seconds more are its own."""
        wait.task = task = asyncio.current_task(self._loop)
        assert task is not None
        wait.cancelling = task.cancelling()
        wait.began = self._beats + round(grace / self._interval) if grace else self._beats
        self._waits.add(wait)
        if self._timer is None:
            self._schedule()

    def connecting(self) -> Wait | None:
        """The running task's wait, not counted until ``connected``."""
        task = asyncio.current_task(self._loop)
        for wait in [*self._waits]:
            if wait.task is task and task is not None:
                wait.began = None
                return wait
        return None

    def connected(self, wait: Wait | None) -> None:
        """Count the wait from now."""
        if wait is not None:
            wait.began = self._beats
            wait.connected = True

    def restart(self, wait: Wait) -> None:
        """Count the wait from now, because bytes arrived."""
        wait.began = self._beats

    def end(self, wait: Wait) -> None:
        """The wait is over."""
        self._waits.discard(wait)
        # A task that is kept would keep all that it holds.
        wait.task = wait.began = None

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
        for wait in [*self._waits]:
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
        for wait in [*self._waits]:
            if wait.began is not None and self._beats - wait.began > self._limit:
                wait.began = None
                wait.expire()
        if self._waits:
            self._schedule()
        else:
            self._timer = None

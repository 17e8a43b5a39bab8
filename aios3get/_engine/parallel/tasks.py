"""Groups of tasks that raise their first failure."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["TaskGroup", "retrieve_error", "run_together"]

T = TypeVar("T")


class TaskGroup:
    """Waits for its tasks; the first failure cancels the others and is raised.

    ``asyncio.TaskGroup`` raises failures in an exception group. Up to Python 3.12 it also leaves
    the waiting task with ``cancelling() == 1``, so that an ``asyncio.timeout`` around it raises
    ``CancelledError`` instead of ``TimeoutError`` when it expires later. This group never cancels
    the waiting task, so the body of the ``async with`` must not wait.

    Attributes:
        closing: whether the tasks are being cancelled, so that none can be created.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None
        self.closing = False
        self._waiter: asyncio.Future[None] | None = None

    def create_task(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task.

        Raises:
            RuntimeError: the tasks are being cancelled.
        """
        if self.closing:
            raise RuntimeError("the tasks of the group are being cancelled")
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = retrieve_error(task)
        if error is not None and not self.closing:
            self._failure = error
            self._cancel()
        if not self._tasks and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _cancel(self) -> None:
        self.closing = True
        for task in tuple(self._tasks):
            task.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._cancel()
        cancellation: asyncio.CancelledError | None = None
        while self._tasks:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as cancelled:
                cancellation = cancelled
                self._cancel()
        failure, self._failure = cancellation or self._failure, None
        try:
            if failure is not None and error is None:
                raise failure
        finally:
            # The traceback of each refers to this frame.
            del failure, cancellation, error


async def run_together(main: Coroutine[Any, Any, T], background: Coroutine[Any, Any, None]) -> T:
    """Await ``main`` while ``background`` runs; a failure of either cancels the other."""
    async with TaskGroup() as tasks:
        running = tasks.create_task(background)
        result = tasks.create_task(main)
        result.add_done_callback(lambda _: running.cancel())
    return result.result()


def retrieve_error(task: asyncio.Task[Any]) -> BaseException | None:
    """Return the error of a task that has ended; None if it was cancelled.

    A cancelled task keeps its ``CancelledError`` until it is retrieved. From CPython 3.14 on, the
    frames of the error refer to the task if it was waiting in ``asyncio.wait``.
    """
    try:
        return task.exception()
    except asyncio.CancelledError:
        return None

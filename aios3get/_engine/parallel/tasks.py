"""Task groups that raise their first failure."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

__all__ = ["plain_task_group", "run_together"]

T = TypeVar("T")


@asynccontextmanager
async def plain_task_group() -> AsyncGenerator[asyncio.TaskGroup, None]:
    """A task group that raises its first failure instead of an exception group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        # The group and the frame that raised it refer to each other.
        failure = group.with_traceback(None).exceptions[0]
    else:
        return
    try:
        raise failure
    finally:
        del failure  # its traceback holds this frame


async def run_together(main: Awaitable[T], background: Coroutine[Any, Any, None]) -> T:
    """Await ``main`` while ``background`` runs; a failure of either cancels the other."""
    async with plain_task_group() as tasks:
        task = tasks.create_task(background)
        result = await main
        task.cancel()
    return result

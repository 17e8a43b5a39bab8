"""Hedging: requests the rest of a slow part on another connection and uses the first response."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from aios3get._engine.parallel.tasks import retrieve_error

__all__ = ["hedged"]

T = TypeVar("T")

_CHECK_SECONDS: Final = 0.05


async def hedged(
    step: Coroutine[Any, Any, object],
    is_slow: Callable[[], bool],
    request: Callable[[], Coroutine[Any, Any, T | None]],
    discard: Callable[[T], object],
) -> T | None:
    """Await a step of reading; if it is slow, request the same bytes on another connection.

    Args:
        step: waits for a response, or receives some of its body.
        is_slow: whether another request is worthwhile; called regularly.
        request: sends the other request; returns None if it fails.
        discard: closes a response of ``request`` that arrived too late.

    Returns:
        The other response if it arrived before the step ended; the step has been cancelled and has
        ended, so it no longer writes to its memory. None if the step ended first.
    """
    own = asyncio.create_task(step)
    other: asyncio.Task[T | None] | None = None
    response: T | None = None
    try:
        while not own.done() and not is_slow():
            await asyncio.wait({own}, timeout=_CHECK_SECONDS)
        if not own.done():
            other = asyncio.create_task(request())
            await asyncio.wait({own, other}, return_when=asyncio.FIRST_COMPLETED)
            if not own.done():
                response, other = other.result(), None
        if response is None:
            await own
            return None
        await _end(own)
        result, response = response, None
        return result
    finally:
        if response is not None:
            discard(response)
        if other is not None:
            other.add_done_callback(partial(_discard_result, discard))
            await _end(other)
        await _end(own)
        del own, other  # the traceback of an error in them holds this frame


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    retrieve_error(task)  # otherwise asyncio would log the error as never retrieved


def _discard_result(discard: Callable[[T], object], task: asyncio.Task[T | None]) -> None:
    response = None if task.cancelled() or task.exception() else task.result()
    if response is not None:
        discard(response)

"""What ``get_object`` and ``get_url`` return: a call to await, or to enter with ``async with``."""

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from aios3get._engine.s3_object import S3Object

__all__ = ["GetObjectCall"]

# What asyncio shows of a coroutine in the repr of its task.
_INSPECTED: Final = frozenset(
    {"__name__", "__qualname__", "cr_await", "cr_code", "cr_frame", "cr_running"}
)


class GetObjectCall(Coroutine[Any, Any, S3Object]):
    """An unstarted call. Await it to get the object.

    As ``async with`` it also closes the object at the end of the block. It is a coroutine, so
    ``asyncio.create_task`` and the like take it, and one that is never awaited warns.

    Args:
        name: the method that was called, as that warning and the repr of a task show it.
        coroutine: returns the object.
    """

    __slots__ = ("_coroutine", "_object")

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, S3Object]) -> None:
        coroutine.__qualname__ = name  # type: ignore[attr-defined]  # typeshed has it elsewhere
        self._coroutine = coroutine
        self._object: S3Object | None = None

    def __await__(self) -> Generator[Any, Any, S3Object]:
        return self._coroutine.__await__()

    def send(self, value: Any, /) -> Any:
        """Resume the coroutine."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an exception in the coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Close the coroutine."""
        self._coroutine.close()

    # Type checkers report a forgotten await without this.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _INSPECTED:
                return getattr(self._coroutine, name)
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if hasattr(S3Object, name):
                message += "; await it for the object that has, or open it with async with"
            raise AttributeError(message, name=name, obj=self)

    async def __aenter__(self) -> S3Object:
        self._object = await self._coroutine
        return self._object

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        opened, self._object = self._object, None
        if opened is not None:
            await opened.__aexit__(kind, error, trace)

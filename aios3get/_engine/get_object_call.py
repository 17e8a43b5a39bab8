"""``GetObjectCall``: the unstarted call that ``get_object`` and ``get_url`` return."""

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aios3get._engine.s3_object import S3Object

__all__ = ["GetObjectCall"]

# The attributes of a coroutine that asyncio reads for the repr of its task.
_INSPECTED: Final = frozenset(
    {"__name__", "__qualname__", "cr_await", "cr_code", "cr_frame", "cr_running"}
)


class GetObjectCall(Coroutine[Any, Any, "S3Object"]):
    """An unstarted call. Await it to get the object.

    ``async with`` also closes the object at the end of the block. The call is a coroutine:
    ``asyncio.create_task`` and ``gather`` accept it, and Python warns if it is never awaited.

    Args:
        name: the name of the method, for that warning and the repr of a task.
        coroutine: returns the object.
    """

    __slots__ = ("_coroutine", "_object")

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, "S3Object"]) -> None:
        coroutine.__qualname__ = name  # type: ignore[attr-defined]  # typeshed has it elsewhere
        self._coroutine = coroutine
        self._object: S3Object | None = None

    def __await__(self) -> "Generator[Any, Any, S3Object]":
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

    # Hidden from type checkers, so that they report a forgotten await.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _INSPECTED:
                return getattr(self._coroutine, name)
            from aios3get._engine.s3_object import S3Object  # noqa: PLC0415 - for errors only

            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if hasattr(S3Object, name):
                message += "; await the call, or enter it with async with, to get the S3Object"
            raise AttributeError(message, name=name, obj=self)

    async def __aenter__(self) -> "S3Object":
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

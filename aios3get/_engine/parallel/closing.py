"""The end of ``async with`` for what is read by many requests."""

from abc import ABC, abstractmethod
from types import TracebackType

__all__ = ["AsyncCloseable"]


class AsyncCloseable(ABC):
    """Is closed at the end of its ``async with`` block."""

    @abstractmethod
    async def aclose(self) -> None:
        """Cancel the requests, and drop what was not read."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

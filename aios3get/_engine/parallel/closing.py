"""The base class of readers that ``async with`` closes."""

from abc import ABC, abstractmethod
from types import TracebackType

__all__ = ["AsyncCloseable"]


class AsyncCloseable(ABC):
    """A reader that is closed at the end of its ``async with`` block."""

    @abstractmethod
    async def aclose(self) -> None:
        """Cancel the requests, and discard the bytes that were not read."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

"""The faults of a server that wait for their requests."""

from collections.abc import Callable
from dataclasses import dataclass

from aios3get.testing.faults import Fault
from aios3get.testing.recorded_request import RecordedRequest

__all__ = ["FaultQueue"]


@dataclass(slots=True)
class _Entry:
    fault: Fault
    times: int | None
    after: int
    matches: Callable[[RecordedRequest], bool]


class FaultQueue:
    """The faults that wait for their requests: ``server.faults``."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(
        self,
        fault: Fault,
        *,
        times: int | None = 1,
        after: int = 0,
        bucket: str | None = None,
        key: str | None = None,
        method: str | None = None,
        where: Callable[[RecordedRequest], bool] | None = None,
    ) -> None:
        """Apply ``fault`` to the next requests that match.

        A request gets one fault at most, the first added that matches.

        Args:
            fault: made by a function of ``aios3get.testing.faults``.
            times: the number of requests it applies to; None for all.
            after: the number of matching requests that pass before.
            bucket: only requests to this bucket.
            key: only requests for this key; by default all requests for an object.
            method: only this method; by default ``GET`` and ``HEAD``.
            where: any other condition in place of those three. It alone also sees requests that
                are not for an object, such as ``CreateSession``.

        Raises:
            ValueError: the fault would never apply.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is {times}, so the fault would never apply; None is for ever")

        def matches(request: RecordedRequest) -> bool:
            methods = ("GET", "HEAD") if method is None else (method,)
            return (
                bool(request.key)
                and request.method in methods
                and bucket in (None, request.bucket)
                and key in (None, request.key)
            )

        self._entries.append(_Entry(fault, times, after, where or matches))

    def clear(self) -> None:
        """Remove all faults."""
        self._entries.clear()

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that still wait for a request."""
        return tuple(entry.fault for entry in self._entries)

    def take(self, request: RecordedRequest) -> Fault | None:
        """The fault of this request, which counts as applied."""
        for entry in [*self._entries]:
            if not entry.matches(request):
                continue
            if entry.after:
                entry.after -= 1
                continue
            if entry.times is not None:
                entry.times -= 1
                if entry.times == 0:
                    self._entries.remove(entry)
            return entry.fault
        return None

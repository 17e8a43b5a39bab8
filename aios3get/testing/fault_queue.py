"""``FaultQueue``: the pending faults of a server."""

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
    """The pending faults of a server: ``server.faults``."""

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

        At most one fault applies to a request: the first one added that matches.

        Args:
            fault: the result of a function of ``aios3get.testing.faults``.
            times: the number of requests that it applies to; None for all.
            after: the number of matching requests to skip before.
            bucket: only requests to this bucket.
            key: only requests for this key; by default all requests for an object.
            method: only this method; by default ``GET`` and ``HEAD``.
            where: any other condition, instead of those three. It also receives requests that are
                not for an object, such as ``CreateSession``.

        Raises:
            ValueError: the fault would never apply.
        """
        if times is not None and times < 1:
            raise ValueError(
                f"times is {times}, so the fault would never apply; pass None for all requests"
            )

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
        """The faults that have not been applied yet."""
        return tuple(entry.fault for entry in self._entries)

    def take(self, request: RecordedRequest) -> Fault | None:
        """Return the fault for this request, if any, and count it as applied."""
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

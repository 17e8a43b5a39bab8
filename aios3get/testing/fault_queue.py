"""Which request meets which fault."""

from collections.abc import Callable
from dataclasses import dataclass

from aios3get.testing.faults import Fault
from aios3get.testing.recorded_request import RecordedRequest

__all__ = ["FaultQueue"]


@dataclass(slots=True)
class _Plan:
    fault: Fault
    times: int | None
    after: int
    matches: Callable[[RecordedRequest], bool]


class FaultQueue:
    """The faults that wait for their requests: ``server.faults``."""

    def __init__(self) -> None:
        self._plans: list[_Plan] = []

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
        """Let ``fault`` meet the next requests that match.

        Faults are tried in the order added; a request meets at most one.

        Args:
            fault: what ``drop_after`` and its kin made.
            times: how many requests it meets; None for all.
            after: how many matching requests pass before.
            bucket: only requests to this bucket.
            key: only requests for this key. Without it, all requests for an object.
            method: only this method; ``GET`` and ``HEAD`` without it.
            where: any other condition, in place of those; it alone also sees requests that are
                not for an object, such as ``CreateSession``.

        Raises:
            ValueError: it would never meet a request.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is {times}: the fault would never come; None means always")

        def matches(request: RecordedRequest) -> bool:
            methods = ("GET", "HEAD") if method is None else (method,)
            return (
                bool(request.key)
                and request.method in methods
                and bucket in (None, request.bucket)
                and key in (None, request.key)
            )

        self._plans.append(_Plan(fault, times, after, where or matches))

    def clear(self) -> None:
        """Forget all faults."""
        self._plans.clear()

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that still wait for a request."""
        return tuple(plan.fault for plan in self._plans)

    def take(self, request: RecordedRequest) -> Fault | None:
        """The fault that this request meets, counted."""
        for plan in [*self._plans]:
            if not plan.matches(request):
                continue
            if plan.after:
                plan.after -= 1
                continue
            if plan.times is not None:
                plan.times -= 1
                if plan.times == 0:
                    self._plans.remove(plan)
            return plan.fault
        return None

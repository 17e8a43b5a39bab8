"""``Call``: one call of the user, with its deadline, retry budget and latest attempt."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from aios3get._protocol.object_request import ObjectRequest
from aios3get.errors import ParameterError, S3Error, TransportTimeout

if TYPE_CHECKING:
    from aios3get._engine.attempt import Attempt, Observation
    from aios3get._http.call_site import Place
    from aios3get._http.direct import TakeBody
    from aios3get._http.transport import Response
    from aios3get._http.watchdog import Watchdog
    from aios3get._protocol.retry import Budget

__all__ = ["Call", "PartCall", "check_deadline", "without_frames"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

# Errors carry the request ids of at most this many responses.
_LATEST: Final = 16


class Call:
    """One call of ``get_object``, ``head_object`` or ``get_url``, up to the last byte of its body.

    Args:
        method: ``GET`` or ``HEAD``.
        request: the request of the caller.
        deadline: seconds for the whole call; None for no limit.
        opened_at: the place in the user's code that made the call.

    Attributes:
        started: when the call started, on the monotonic clock.
        attempts: the number of requests sent so far.
        attempt: the latest attempt.
        observation: measures the latest attempt, if the client has an ``on_attempt`` hook.
        budget: what may still be spent on retries; None as long as nothing failed.
        fresh: the next attempt takes a new connection.
        region: the region of the next attempts, if a response named another one.
        clock_offset: as for ``Attempt``, if a response showed another time.
        sent_at: when the latest attempt was sent, on the monotonic clock.
        not_before: the earliest time of the next attempt on the monotonic clock.
        watchdog: knows for how long the event loop was blocked; set for calls with a deadline.
        take: as for ``Transport.send``, for the responses to all attempts.
    """

    # These defaults are attributes of the class: most calls never set them.
    attempts: int = 0
    attempt: "Attempt | None" = None
    observation: "Observation | None" = None
    budget: "Budget | None" = None
    fresh: bool = False
    region: str | None = None
    clock_offset: float | None = None
    sent_at: float = 0.0
    not_before: float | None = None
    watchdog: "Watchdog | None" = None
    take: "TakeBody | None" = None
    _responses: tuple[Mapping[str, str], ...] = ()

    def __init__(
        self,
        method: str,
        request: ObjectRequest,
        deadline: float | None = None,
        opened_at: "Place | None" = None,
    ) -> None:
        self.method = method
        self.request = request
        self.deadline = deadline
        self.opened_at = opened_at
        self.started = time.monotonic()

    @property
    def name(self) -> str:
        """A description of the call for log messages."""
        request, endpoint = self.request, self.attempt and self.attempt.endpoint
        place = f" at {endpoint.host}" if endpoint else ""
        return f"{self.method} {'/'.join(filter(None, (request.bucket, request.key)))!r}{place}"

    @property
    def milliseconds(self) -> float:
        """The time since the latest attempt was sent, in milliseconds."""
        return (time.monotonic() - self.sent_at) * 1000 if self.sent_at else 0.0

    def sending(self) -> None:
        """Count an attempt that is about to be sent."""
        self.attempts += 1
        self.sent_at = time.monotonic()
        if self.observation is not None:
            self.observation.sent(self.attempt, self.attempts)

    def latency(self, response: "Response") -> float:
        """The seconds from the latest attempt, once it had a connection, until now."""
        return time.monotonic() - max(self.sent_at, response.permit.connected_at or 0.0)

    def responded(self, response: "Response") -> None:
        """Record the head of the response to the latest attempt."""
        # Bounded, because a long download may be interrupted any number of times.
        self._responses = (*self._responses[1 - _LATEST :], response.headers)
        if self.observation is not None:
            self.observation.responded(response)

    def end_attempt(self, error: BaseException | None = None, bytes_received: int = 0) -> None:
        """Record that the latest attempt and its response have ended."""
        if self.observation is not None:
            self.observation.end(error, bytes_received)

    def annotate(self, error: S3Error) -> S3Error:
        """Set the facts of the call on ``error`` and return it."""
        request = self.request
        error.bucket, error.key, error.method = request.bucket, request.key, self.method
        error.attempts = self.attempts
        error.elapsed = time.monotonic() - self.started
        ids = (headers.get("x-amz-request-id") for headers in self._responses)
        error.request_ids = tuple(filter(None, ids))
        return error

    def within_deadline(self, awaitable: Awaitable[T]) -> Awaitable[T]:
        """The awaitable, limited by the deadline of the call, if it has one.

        Raises:
            TransportTimeout: the deadline passed; ``limit`` is ``"deadline"``.
        """
        return awaitable if self.deadline is None else self._limited(awaitable, self.deadline)

    async def _limited(self, awaitable: Awaitable[T], deadline: float) -> T:
        left = self.started + deadline - time.monotonic()
        limit, due = asyncio.timeout(left), time.monotonic() + max(left, 0.0)
        try:
            async with limit:
                return await awaitable
        except TimeoutError as error:
            if isinstance(error, S3Error) or not limit.expired():
                raise
            # CPython 3.12 and later keep a task's CancelledError; its traceback has all frames.
            if error.__cause__ is not None:
                error.__cause__.__traceback__ = None
        # A blocked event loop resumes late here; the watchdog knows of earlier blocks.
        late = time.monotonic() - due
        if self.watchdog is not None:
            late = max(late, self.watchdog.longest_pause(deadline))
        raise TransportTimeout(
            f"the call's deadline of {deadline:g} s passed",
            limit="deadline",
            seconds=deadline,
            loop_blocked=late,
        )

    async def run(self, awaitable: Awaitable[T]) -> T:
        """Await within the deadline; annotate errors and remove their frames."""
        try:
            return await self.within_deadline(awaitable)
        except (S3Error, asyncio.CancelledError) as error:
            raise self.failure(error) from error.__cause__

    def failure(self, error: S3Error | asyncio.CancelledError) -> BaseException:
        """Return the error to raise: annotated, and without frames."""
        return without_frames(self.annotate(error) if isinstance(error, S3Error) else error)


class PartCall(Call):
    """One of the concurrent requests of a call, with its own attempts and retries.

    Its attempts and responses also count for the whole call.

    Args:
        whole: the user's call.
        method: ``GET`` or ``HEAD``.
        request: the request.
    """

    def __init__(self, whole: Call, method: str, request: ObjectRequest) -> None:
        super().__init__(method, request, None, whole.opened_at)
        self.region, self.clock_offset = whole.region, whole.clock_offset
        self._whole = whole

    def sending(self) -> None:
        """Count an attempt that is about to be sent."""
        self._whole.attempts += 1
        super().sending()

    def responded(self, response: "Response") -> None:
        """Record the head of the response to the latest attempt."""
        super().responded(response)
        whole = self._whole
        whole._responses = (*whole._responses[1 - _LATEST :], response.headers)

    def adopt_attempt(self) -> None:
        """Continue with the latest attempt of the whole call, whose response has arrived."""
        whole = self._whole
        self.attempt, self.attempts = whole.attempt, whole.attempts
        self.observation, whole.observation = whole.observation, None


def without_frames(error: E) -> E:
    """Return the error without its traceback and context.

    The frames of an attempt hold signed headers, which error reporters such as Sentry send along,
    and the frames that stored the error form a reference cycle with it, which would keep permits
    and connections until a garbage collection.
    """
    error.__context__ = None
    cause = error.__cause__
    if isinstance(cause, S3Error):
        without_frames(cause)
    return error.with_traceback(None)


def check_deadline(deadline: float) -> None:
    """Check the ``deadline`` argument of a call.

    Raises:
        ParameterError: it is not a number of seconds above 0.
    """
    if isinstance(deadline, bool) or not isinstance(deadline, int | float) or not deadline > 0:
        raise ParameterError(f"deadline must be a number of seconds above 0, got {deadline!r}")

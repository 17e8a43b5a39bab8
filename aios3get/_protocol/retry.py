"""Decides whether and when a failed attempt is retried.

Nothing here sleeps, reads a clock or draws a random number; the caller does::

    budget = Budget(policy, quota)                 # one for each call, its body included
    while True:
        try:
            response = await send(...)
        except S3Error as error:
            match budget.decide(error, sent, random()):
                case Wait(seconds): await sleep(seconds)
                case SwitchRegion(region): ...
                case RefreshCredentials(): ...
                case CorrectClock(offset): ...
                case DropChecksumMode(): ...
                case GiveUp(): raise
        else:
            budget.responded()
"""

from typing import Final, NamedTuple

from aios3get._protocol.correction import (
    CorrectClock,
    Correction,
    DropChecksumMode,
    RefreshCredentials,
    Sent,
    SwitchRegion,
    correction,
)
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.errors import (
    S3Error,
    ServiceError,
    Throttled,
    TransportError,
    TransportTimeout,
    TruncatedBody,
)

__all__ = [
    "Budget",
    "CorrectClock",
    "Decision",
    "DropChecksumMode",
    "GiveUp",
    "RefreshCredentials",
    "RetryQuota",
    "Sent",
    "SwitchRegion",
    "Wait",
]

_RETRYABLE_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})


class RetryQuota:
    """The tokens that all retries of a client share, to avoid overloading a failing service.

    A retry costs 5 tokens, 10 after a timeout. A response that is not retried returns the tokens of
    its call, or adds 1 if the call took none. With too few tokens, calls fail at their first error.

    The costs and the 500 tokens are those of the SDKs' standard mode
    (https://github.com/boto/botocore/blob/develop/botocore/retries/quota.py). If a network failure
    interrupts many bodies at once, each must be able to resume, so the quota has 30 tokens for
    every concurrent request if that is more.

    Event loops in several threads may share it: a lost update costs a few tokens for a while.

    Args:
        concurrency: the client's ``max_concurrency``.
    """

    __slots__ = ("_capacity", "_left")

    retry_cost: Final = 5
    timeout_cost: Final = 10

    def __init__(self, concurrency: int = 64) -> None:
        self._capacity = self._left = max(500, 30 * concurrency)

    @property
    def left(self) -> int:
        """The number of tokens that can be taken now."""
        return self._left

    def take(self, tokens: int) -> bool:
        """Take the tokens, or none of them if there are not enough."""
        if tokens > self._left:
            return False
        self._left -= tokens
        return True

    def refill(self, tokens: int = 1) -> None:
        """Return tokens, or add the one of a good response; never above the capacity."""
        if self._left < self._capacity:
            self._left = min(self._capacity, self._left + tokens)


class Wait(NamedTuple):
    """Retry after ``seconds``."""

    seconds: float


class GiveUp(NamedTuple):
    """Raise the error."""

    reason: str


Decision = Wait | Correction | GiveUp


class Budget:
    """The retry budget of a call, shared by its requests and the resumes of its body.

    A call without a failure needs none; its response adds one token to the quota.
    """

    __slots__ = ("_corrected", "_policy", "_quota", "_retries", "_taken")

    def __init__(self, policy: RetryPolicy, quota: RetryQuota) -> None:
        self._policy = policy
        self._quota = quota
        self._retries = 0  # since the last progress
        self._taken = 0
        self._corrected: set[type[Decision]] | None = None

    def responded(self) -> None:
        """Return the tokens of the call to the quota, because its response is not retried."""
        self._quota.refill(self._taken or 1)
        self._taken = 0

    def progress(self) -> None:
        """Reset the count, because a resumed body has delivered bytes."""
        self._retries = 0
        self._corrected = None

    def decide(self, error: S3Error, sent: Sent, jitter: float) -> Decision:
        """Decide what to do after ``error``; ``jitter`` is a new random number in [0, 1).

        A correction costs no attempt, wait or quota, and neither does the first new connection
        after a stale one. Each happens once per call, and again after progress.
        """
        if sent.stale and isinstance(error, TransportError) and self._is_first(Wait):
            return Wait(0.0)
        corrected = correction(error, sent)
        if corrected is not None and self._is_first(type(corrected)):
            return corrected
        if not _is_retryable(error):
            if isinstance(error, ServiceError):
                self.responded()
            return GiveUp("the same request would fail again")
        return self._retry(error, jitter)

    def _is_first(self, kind: type[Decision]) -> bool:
        if self._corrected is None:
            self._corrected = set()
        elif kind in self._corrected:
            return False
        self._corrected.add(kind)
        return True

    def _retry(self, error: S3Error, jitter: float) -> Wait | GiveUp:
        policy, quota = self._policy, self._quota
        if self._retries >= policy.attempts - 1:
            return GiveUp(f"RetryPolicy allows {policy.attempts} attempts without progress")
        timeout = isinstance(error, TransportTimeout)
        cost = quota.timeout_cost if timeout else quota.retry_cost
        if not quota.take(cost):
            return GiveUp("the client's retry quota is used up: too many of its calls fail")
        self._taken += cost
        self._retries += 1
        seconds = policy.delay(self._retries, jitter, throttled=isinstance(error, Throttled))
        retry_after = (error.retry_after if isinstance(error, ServiceError) else None) or 0.0
        return Wait(min(policy.wait_max, max(seconds, retry_after)))


def _is_retryable(error: S3Error) -> bool:
    if isinstance(error, ServiceError) and error.status in _RETRYABLE_STATUS:
        return True
    # A truncated body is raised only if the rest cannot be read.
    return error.retryable or isinstance(error, TruncatedBody)

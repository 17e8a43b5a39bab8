"""A value that expires, refreshed ahead of its end by one task at a time.

The windows are botocore's (15 and 10 minutes), shortened for values that live less than an hour.
"""

import asyncio
import copy
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakSet

from aios3get.errors import CredentialsError, S3Error, UsageError

__all__ = ["Expiring", "Refreshing"]

_logger: Final = logging.getLogger("aios3get")

_NEVER: Final = float("inf")
_ADVISORY_SECONDS: Final = 900.0
_LONGEST_PAUSE: Final = 60.0
# Without a valid value, a long pause would outlast the trouble.
_LONGEST_PAUSE_WITHOUT: Final = 5.0
# A valid value is better than a service that does not respond.
_MANDATORY_SECONDS: Final = 5.0
# A refresh that began so long before a call says little about the service.
_LATE_SECONDS: Final = 1.0


class Expiring(Protocol):
    """Anything with an end."""

    @property
    def expires_at(self) -> datetime | None:
        """An aware datetime, or None for never."""
        ...


T = TypeVar("T", bound=Expiring)


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    value: T
    advisory: float
    mandatory: float
    end: float


class Refreshing(Generic[T]):
    """Holds the newest value and refreshes it ahead of its end.

    From ``min(15 min, lifetime / 4)`` before the end one background task fetches a new value while
    callers get the old one (the advisory window). From two thirds of that on, callers wait for the
    first refresh, at most 5 seconds as long as the old value is valid (the mandatory window). After
    failures the next refresh waits 1, 2, 4 … 60 seconds, and the old value serves until its end. A
    caller's cancellation never cancels a refresh that others wait for. Safe to use from several
    event loops and threads: each loop runs its own refresh.

    Args:
        fetch: gives a new value.
        what: the value's name in errors, such as ``"credentials"``.
        clock: seconds since 1970; the values' ends are wall-clock times.
        jitter: a number from 0.9 to 1 that shortens the advisory window, so that a fleet of
            processes does not refresh in step.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        *,
        what: str = "credentials",
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.0),
    ) -> None:
        self._fetch = fetch
        self._what = what
        self._clock = clock
        self._jitter = jitter
        # Threads share what follows without a lock, which a fork could leave locked: each field is
        # replaced whole, and a lost race costs one more refresh.
        self._held: _Held[T] | None = None
        self._flights: dict[asyncio.AbstractEventLoop, asyncio.Task[T | Exception]] = {}
        self._began = 0.0
        self._closing = WeakSet[asyncio.Task[T | Exception]]()
        self._failures = 0
        self._failed_at = 0.0
        self._error: Exception | None = None

    def current(self) -> T | None:
        """The value if it needs no refresh yet, at once; else None: then await ``get()``."""
        held = self._held
        if held is not None and (held.advisory == _NEVER or self._clock() < held.advisory):
            return held.value
        return None

    async def get(self) -> T:
        """The value, refreshed if it must be.

        Raises:
            CredentialsError: nothing valid is at hand and the source failed.
            ConfigurationError: the same, where the source says that its settings are wrong.
        """
        value = self.current()
        if value is not None:
            return value
        held, now = self._held, self._clock()
        pausing = self._pausing(now)
        if held is not None and now < held.end:
            if not pausing:
                flight = self._flight()
                if now >= held.mandatory and not self._failures:
                    await asyncio.wait({flight}, timeout=_MANDATORY_SECONDS)
            value = self._valid()
            if value is not None:
                return value
        error = self._error if pausing else None
        if error is None:
            # A caller's cancellation must not cancel the refresh of the others.
            flight = self._flight()
            began = self._began
            fetched = await asyncio.shield(flight)
            if isinstance(fetched, Exception) and now - began > _LATE_SECONDS:
                # The service may be back since that refresh began.
                fetched = await asyncio.shield(self._flight())
            if not isinstance(fetched, Exception):
                return fetched
            error = fetched
        return self._fall_back(error)

    def _valid(self) -> T | None:
        held = self._held
        return held.value if held is not None and self._clock() < held.end else None

    def invalidate(self, used: T) -> None:
        """Drop ``used``, which the service refused; a newer value stays."""
        held = self._held
        if held is not None and held.value == used:
            self._held = None

    def hold(self, value: T) -> None:
        """Make ``value`` the newest one.

        Raises:
            CredentialsError: it has expired already.
        """
        if value.expires_at is None:
            held = _Held(value, _NEVER, _NEVER, _NEVER)
        else:
            now, end = self._clock(), value.expires_at.timestamp()
            if end <= now:
                raise CredentialsError(
                    f"the {self._what} expired at {value.expires_at.isoformat()}; get new ones, or"
                    " pass a provider that does, and check this machine's clock"
                )
            window = min(_ADVISORY_SECONDS, (end - now) / 4) * self._jitter()
            held = _Held(value, end - window, end - window * 2 / 3, end)
        self._failures, self._error, self._held = 0, None, held

    async def aclose(self) -> None:
        """Cancel the running loop's refresh; whoever waits for it gets ``UsageError``."""
        flight = self._flights.get(asyncio.get_running_loop())
        if flight is not None:
            self._closing.add(flight)
            flight.cancel()
            await asyncio.wait({flight})

    def _pausing(self, now: float) -> bool:
        # After the first failure the next call tries again.
        if self._failures < 2:
            return False
        held = self._held
        limit = _LONGEST_PAUSE if held is not None and now < held.end else _LONGEST_PAUSE_WITHOUT
        pause = min(limit, 2.0 ** min(self._failures - 2, 10))
        return self._failed_at <= now < self._failed_at + pause

    def _fall_back(self, error: Exception) -> T:
        value = self._valid()
        if value is not None:
            return value
        if isinstance(error, S3Error):
            # Each caller annotates an exception of its own.
            raise copy.copy(error) from error.__cause__
        raise self._failure(error) from error

    def _failure(self, error: Exception) -> CredentialsError:
        failure = CredentialsError(f"the source of {self._what} failed: {type(error).__name__}")
        failure.retryable = isinstance(error, OSError)
        return failure

    def _flight(self) -> "asyncio.Task[T | Exception]":
        loop = asyncio.get_running_loop()
        task = self._flights.get(loop)
        if task is None or task.done():
            for other in list(self._flights):
                if other.is_closed():
                    self._flights.pop(other, None)
            self._began = self._clock()
            task = self._flights[loop] = loop.create_task(self._refresh(loop))
        return task

    async def _refresh(self, loop: asyncio.AbstractEventLoop) -> T | Exception:
        # An exception is returned, not raised: nobody may be waiting for this task.
        try:
            value = await self._fetch()
            self.hold(value)
        except asyncio.CancelledError:
            if asyncio.current_task() not in self._closing:
                raise
            return UsageError("the client is closed; create a new one")
        except Exception as error:
            self._note(error)
            return error
        finally:
            self._flights.pop(loop, None)
        return value

    def _note(self, error: Exception) -> None:
        now, held = self._clock(), self._held
        self._error, self._failed_at, self._failures = error, now, self._failures + 1
        if held is not None and now < held.end:
            # Only our own texts are known to hold no secret.
            reason = error if isinstance(error, S3Error) else type(error).__name__
            _logger.warning(
                "refreshing %s failed (%s); the old ones expire in %.0f s",
                self._what,
                reason,
                held.end - now,
            )

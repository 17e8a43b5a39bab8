"""A value that expires, refreshed before its expiry by one task at a time.

The windows are botocore's (15 and 10 minutes), shortened for lifetimes below an hour.
"""

import asyncio
import copy
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

from aios3get.errors import CredentialsError, S3Error, UsageError

__all__ = ["Expiring", "Refreshing"]

_logger: Final = logging.getLogger("aios3get")

_NEVER: Final = float("inf")
_ADVISORY_SECONDS: Final = 900.0
_LONGEST_PAUSE: Final = 60.0
# Without a valid value, calls fail during a pause, so it is short.
_LONGEST_PAUSE_WITHOUT: Final = 5.0
# The longest wait for a refresh while the old value is valid.
_MANDATORY_SECONDS: Final = 5.0
# If a refresh began this long before a call and fails, the call starts another one.
_LATE_SECONDS: Final = 1.0


class Expiring(Protocol):
    """Anything with an expiry."""

    @property
    def expires_at(self) -> datetime | None:
        """An aware datetime, or None for never."""
        ...


T = TypeVar("T", bound=Expiring)


class _Held(NamedTuple, Generic[T]):
    value: T
    advisory: float
    mandatory: float
    end: float


class Refreshing(Generic[T]):
    """Holds the newest value and refreshes it before it expires.

    From ``min(15 min, lifetime / 4)`` before the expiry, one background task fetches a new value
    while callers get the old one (the advisory window). From two thirds of that time, callers wait
    for the first refresh, for at most 5 seconds while the old value is valid (the mandatory
    window). After failures the next refresh waits 1, 2, 4 … 60 seconds, and the old value is used
    until it expires. Cancelling a caller never cancels a refresh that others wait for. It can be
    used from several event loops and threads: each loop runs its own refresh.

    Args:
        fetch: returns a new value.
        what: the value's name in errors, such as ``"credentials"``.
        clock: returns seconds since 1970; expiries are wall-clock times.
        jitter: returns a number from 0.9 to 1 that shortens the advisory window, so that a fleet of
            processes does not refresh simultaneously.
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
        # Threads share these fields without a lock, because a fork could leave it locked. Each
        # field is replaced as a whole, and a lost race costs one more refresh.
        self._held: _Held[T] | None = None
        self._flights: dict[asyncio.AbstractEventLoop, asyncio.Task[T | Exception]] = {}
        self._began = 0.0
        self._closing = WeakSet[asyncio.Task[T | Exception]]()
        self._failures = 0
        self._failed_at = 0.0
        self._error: Exception | None = None

    def current(self) -> T | None:
        """Return the value if it needs no refresh; None if ``get()`` must be awaited."""
        held = self._held
        if held is not None and (held.advisory == _NEVER or self._clock() < held.advisory):
            return held.value
        return None

    async def get(self) -> T:
        """Return the value, and refresh it if necessary.

        Raises:
            CredentialsError: there is no valid value, and the source failed.
            ConfigurationError: there is no valid value, and the source's settings are invalid.
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
            # Cancelling this caller must not cancel the refresh for the others.
            flight = self._flight()
            began = self._began
            fetched = await asyncio.shield(flight)
            if isinstance(fetched, Exception) and now - began > _LATE_SECONDS:
                # The service may have recovered since that refresh began.
                fetched = await asyncio.shield(self._flight())
            if not isinstance(fetched, Exception):
                return fetched
            error = fetched
        return self._fall_back(error)

    def _valid(self) -> T | None:
        held = self._held
        return held.value if held is not None and self._clock() < held.end else None

    def invalidate(self, used: T) -> None:
        """Drop ``used``, which the service rejected; keep a newer value."""
        held = self._held
        if held is not None and held.value == used:
            self._held = None

    def hold(self, value: T) -> None:
        """Set the newest value.

        Raises:
            CredentialsError: it has already expired.
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
        """Cancel the running loop's refresh; tasks that wait for it raise ``UsageError``."""
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
            # Each caller annotates its own exception.
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
        # An exception is returned, not raised, because possibly no task waits for this one.
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
            # Only the texts of this package's errors are known to contain no secret.
            reason = error if isinstance(error, S3Error) else type(error).__name__
            _logger.warning(
                "refreshing %s failed (%s); the old ones expire in %.0f s",
                self._what,
                reason,
                held.end - now,
            )

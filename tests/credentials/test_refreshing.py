import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import cast

import pytest

from aios3get.credentials import refreshing
from aios3get.credentials.refreshing import Refreshing
from aios3get.errors import ConfigurationError, CredentialsError, UsageError

HOUR = 3600.0


@dataclass(frozen=True)
class Value:
    name: str
    expires_at: datetime | None = None


class Source:
    """Returns values that live ``lifetime`` seconds by a clock that the test sets."""

    def __init__(self, lifetime: float | None = HOUR) -> None:
        self.now = 1_000_000.0
        self.lifetime = lifetime
        self.calls = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Value:
        self.calls += 1
        number = self.calls
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.lifetime is None:
            return Value(f"v{number}")
        return Value(f"v{number}", datetime.fromtimestamp(self.now + self.lifetime, UTC))

    def refreshing(self) -> Refreshing[Value]:
        return Refreshing(self, clock=lambda: self.now, jitter=lambda: 1.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - these conditions have no event
            await asyncio.sleep(0)


async def name(refreshing: Refreshing[Value]) -> str:
    return (await refreshing.get()).name


async def test_first_value_is_fetched_once_for_concurrent_callers() -> None:
    source = Source()
    held = source.refreshing()
    assert held.current() is None
    assert await asyncio.gather(*(name(held) for _ in range(50))) == ["v1"] * 50
    assert source.calls == 1
    current = held.current()
    assert current is not None
    assert current.name == "v1"


async def test_value_without_expiry_is_never_refreshed() -> None:
    source = Source(lifetime=None)
    held = source.refreshing()
    await held.get()
    source.now += 1e9
    assert held.current() == Value("v1")
    assert await held.get() == Value("v1")
    assert source.calls == 1


@pytest.mark.parametrize(
    ("lifetime", "advisory", "mandatory"),
    [(HOUR, 900, 600), (12 * HOUR, 900, 600), (900, 225, 150), (300, 75, 50)],
)
async def test_advisory_and_mandatory_windows_before_the_expiry(
    lifetime: float, advisory: float, mandatory: float
) -> None:
    source = Source(lifetime)
    held = source.refreshing()
    await held.get()
    end = source.now + lifetime
    source.now = end - advisory - 1
    assert held.current() is not None
    assert await name(held) == "v1"
    assert source.calls == 1

    source.now = end - advisory
    source.gate.clear()
    assert held.current() is None
    assert await name(held) == "v1"
    assert await name(held) == "v1"
    await until(lambda: source.calls == 2)

    source.now = end - mandatory
    waiting = asyncio.create_task(name(held))
    await asyncio.sleep(0)
    assert not waiting.done()
    source.gate.set()
    assert await waiting == "v2"
    assert source.calls == 2


async def test_silent_service_delays_a_valid_value_by_five_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refreshing, "_MANDATORY_SECONDS", 0.01)
    source = Source()
    held = source.refreshing()
    await held.get()
    source.gate.clear()
    source.now += HOUR - 1
    assert await name(held) == "v1"
    source.now += 1
    waiting = asyncio.create_task(name(held))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    source.gate.set()
    assert await waiting == "v2"
    assert source.calls == 2


async def test_refresh_after_a_failure_runs_in_the_background() -> None:
    source = Source()
    held = source.refreshing()
    await held.get()
    source.now += HOUR - 300
    source.error = OSError("down")
    assert await name(held) == "v1"
    source.gate.clear()
    assert await name(held) == "v1"
    await until(lambda: source.calls == 3)
    source.error = None
    source.gate.set()
    await until(lambda: held.current() is not None)
    assert await name(held) == "v3"


async def test_failure_of_an_old_refresh_is_retried() -> None:
    source = Source()
    source.gate.clear()
    held = source.refreshing()
    first = asyncio.create_task(name(held))
    await until(lambda: source.calls == 1)
    source.now += 2
    second = asyncio.create_task(name(held))
    await asyncio.sleep(0)
    source.error = OSError("down")
    source.gate.set()
    with pytest.raises(CredentialsError):
        await first
    source.error = None
    assert await second == "v2"


async def test_closing_ends_a_refresh_and_its_waiters_get_a_usage_error() -> None:
    source = Source()
    held = source.refreshing()
    await held.aclose()
    source.gate.clear()
    waiting = asyncio.create_task(name(held))
    await until(lambda: source.calls == 1)
    await held.aclose()
    with pytest.raises(UsageError, match="client is closed"):
        await waiting
    assert held._flights == {}
    source.gate.set()
    assert await name(held) == "v2"


async def test_advisory_refresh_runs_in_the_background() -> None:
    source = Source()
    held = source.refreshing()
    await held.get()
    source.now += HOUR - 900
    assert await name(held) == "v1"
    await until(lambda: held.current() is not None)
    assert await name(held) == "v2"


async def test_jitter_shortens_the_advisory_window() -> None:
    source = Source()
    held = Refreshing(source, clock=lambda: source.now, jitter=lambda: 0.9)
    await held.get()
    source.now += HOUR - 811
    assert held.current() is not None
    source.now += 1
    assert held.current() is None


async def test_default_clock_and_jitter() -> None:
    async def fetch() -> Value:
        return Value("v1", datetime(2100, 1, 1, tzinfo=UTC))

    held = Refreshing(fetch)
    await held.get()
    assert held.current() is not None


async def test_failed_refresh_keeps_the_old_value_until_it_expires() -> None:
    source = Source()
    held = source.refreshing()
    await held.get()
    source.error = OSError("down")
    for before_end in (900, 600, 1):
        source.now = 1_000_000 + HOUR - before_end
        assert await name(held) == "v1"
        await until(lambda: not held._flights)
    source.now = 1_000_000 + HOUR
    with pytest.raises(CredentialsError, match="the source of credentials failed: OSError") as it:
        await held.get()
    assert it.value.retryable
    assert isinstance(it.value.__cause__, OSError)


async def test_failed_refresh_is_logged_without_the_text_of_another_packages_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source()
    held = source.refreshing()
    await held.get()
    source.error = RuntimeError("secret text")
    source.now += HOUR - 800
    await held.get()
    await until(lambda: not held._flights)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("aios3get", "WARNING")
    assert record.getMessage() == (
        "refreshing credentials failed (RuntimeError); the old ones expire in 800 s"
    )


async def test_pauses_after_failures_grow_to_a_minute() -> None:
    source = Source()
    held = source.refreshing()
    await held.get()
    source.error = OSError("down")
    source.now += HOUR - 900
    called_at = []
    for _ in range(400):
        calls = source.calls
        assert await name(held) == "v1"
        await until(lambda: not held._flights)
        if source.calls > calls:
            called_at.append(source.now)
        source.now += 1
    pauses = [later - earlier for earlier, later in pairwise(called_at)]
    assert pauses == [1, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


async def test_without_a_value_the_pause_stays_short_and_repeats_the_error() -> None:
    source = Source()
    source.error = ConfigurationError("the file is malformed")
    held = source.refreshing()
    for _ in range(8):
        with pytest.raises(ConfigurationError, match="the file is malformed"):
            await held.get()
        source.now += 10
    calls = source.calls
    with pytest.raises(ConfigurationError):
        await held.get()
    assert source.calls == calls + 1
    source.now += 4.9
    with pytest.raises(ConfigurationError):
        await held.get()
    assert source.calls == calls + 1
    source.now += 0.1
    source.error = None
    assert (await held.get()).name.startswith("v")


async def test_clock_that_was_set_back_does_not_prolong_a_pause() -> None:
    source = Source()
    source.error = OSError()
    held = source.refreshing()
    for _ in range(3):
        with pytest.raises(CredentialsError):
            await held.get()
    source.now -= 86_400
    source.error = None
    assert await held.get()


async def test_each_caller_gets_its_own_exception() -> None:
    source = Source()
    cause = OSError("no route")
    error = CredentialsError("no")
    error.__cause__ = cause
    error.retryable = True
    source.error = error
    held = source.refreshing()
    got = await asyncio.gather(*(held.get() for _ in range(3)), return_exceptions=True)
    assert source.calls == 1
    assert len({id(one) for one in got} | {id(error)}) == 4
    for one in got:
        assert isinstance(one, CredentialsError)
        assert str(one) == "no"
        assert one.retryable
        assert one.__cause__ is cause


async def test_error_of_another_package_is_not_quoted_and_not_retryable() -> None:
    source = Source()
    source.error = RuntimeError("secret text")
    with pytest.raises(CredentialsError) as caught:
        await source.refreshing().get()
    assert "secret text" not in str(caught.value)
    assert not caught.value.retryable


async def test_cancelling_a_caller_does_not_cancel_the_refresh() -> None:
    source = Source()
    source.gate.clear()
    held = source.refreshing()
    first, second = (asyncio.create_task(name(held)) for _ in range(2))
    await until(lambda: source.calls == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.gate.set()
    assert await second == "v1"
    assert source.calls == 1


async def test_refresh_continues_if_all_callers_are_cancelled() -> None:
    source = Source()
    source.gate.clear()
    held = source.refreshing()
    only = asyncio.create_task(name(held))
    await until(lambda: source.calls == 1)
    only.cancel()
    await asyncio.wait([only])
    source.gate.set()
    await until(lambda: held.current() is not None)
    assert source.calls == 1


async def test_unawaited_background_failure_is_silent() -> None:
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    source = Source()
    held = source.refreshing()
    await held.get()
    source.error = OSError()
    source.now += HOUR - 800
    await held.get()
    await until(lambda: not held._flights)
    gc.collect()
    await asyncio.sleep(0)
    assert seen == []


async def test_expired_value_is_refused() -> None:
    source = Source(lifetime=0)
    with pytest.raises(CredentialsError, match=r"expired at .*check this machine's clock"):
        await source.refreshing().get()


async def test_invalidated_value_is_refreshed_once() -> None:
    source = Source()
    held = source.refreshing()
    first = await held.get()
    held.invalidate(first)
    assert held.current() is None
    second = await held.get()
    assert second.name == "v2"
    held.invalidate(first)
    assert held.current() == second
    assert source.calls == 2


async def test_invalidated_value_does_not_come_back_when_the_refresh_fails() -> None:
    source = Source()
    held = source.refreshing()
    held.invalidate(await held.get())
    source.error = OSError()
    with pytest.raises(CredentialsError):
        await held.get()


async def test_cancelled_refresh_is_replaced() -> None:
    source = Source()
    held = source.refreshing()
    flight = held._flight()
    flight.cancel()
    await asyncio.wait([flight])
    assert await name(held) == "v1"


def test_several_event_loops_share_one_value() -> None:
    source = Source()
    held = source.refreshing()
    assert asyncio.run(name(held)) == "v1"
    assert asyncio.run(name(held)) == "v1"
    assert source.calls == 1


def test_event_loop_that_ended_during_a_refresh_leaves_nothing_behind() -> None:
    source = Source()

    async def never() -> Value:
        await asyncio.sleep(3600)
        raise AssertionError

    held: Refreshing[Value] = Refreshing(never, clock=lambda: source.now)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(held.get(), 0.01)

    asyncio.run(give_up())
    held._fetch = source
    assert asyncio.run(name(held)) == "v1"
    assert held._flights == {}


def test_closed_event_loop_with_a_refresh_is_forgotten() -> None:
    source = Source()
    held = source.refreshing()
    loop = asyncio.new_event_loop()

    async def start() -> None:
        held._flight()

    source.gate.clear()
    loop.run_until_complete(start())
    (flight,) = held._flights.values()
    abandoned = cast("Coroutine[object, object, object]", flight.get_coro())
    loop.close()
    flight._log_destroy_pending = False  # type: ignore[attr-defined]  # its loop died, on purpose
    source.gate = asyncio.Event()
    source.gate.set()
    asyncio.run(held.get())
    assert held._flights == {}
    abandoned.close()


def test_value_is_shared_by_threads_with_event_loops() -> None:
    source = Source()
    held = source.refreshing()
    names: list[str] = []

    def run() -> None:
        for _ in range(20):
            names.append(asyncio.run(name(held)))
            held.invalidate(Value("other"))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 80
    assert source.calls <= 4

import asyncio
import time

import pytest

from aios3get._http.watchdog import Wait, Watchdog

IDLE = 0.1


def begin(watchdog: Watchdog, grace: float = 0.0) -> Wait:
    wait = Wait()
    watchdog.begin(wait, grace)
    return wait


async def waited(watchdog: Watchdog, seconds: float, *, grace: float = 0.0) -> Wait:
    wait = begin(watchdog, grace)
    try:
        await asyncio.sleep(seconds)
    finally:
        watchdog.end(wait)
    return wait


async def test_short_wait_is_not_ended() -> None:
    watchdog = Watchdog(IDLE)
    wait = await waited(watchdog, IDLE / 5)
    assert not wait.expired
    assert not wait.is_timeout()
    assert wait.task is None


async def test_wait_ends_at_the_idle_limit() -> None:
    watchdog = Watchdog(IDLE)
    task = asyncio.current_task()
    assert task is not None
    began = time.monotonic()
    wait = begin(watchdog)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(3600)
    assert time.monotonic() - began >= IDLE * 0.9
    assert wait.is_timeout()
    assert task.cancelling() == 0
    watchdog.end(wait)
    assert not wait.is_timeout()


async def test_users_cancellation_is_not_a_timeout() -> None:
    watchdog = Watchdog(IDLE)
    waits: list[Wait] = []

    async def wait() -> None:
        waits.append(begin(watchdog))
        try:
            await asyncio.sleep(3600)
        finally:
            watchdog.end(waits[-1])

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    waits[0].expire()
    await asyncio.wait({task})
    assert not waits[0].is_timeout()


async def test_limit_holds_again_after_a_cancellation_in_the_same_loop_iteration() -> None:
    watchdog = Watchdog(IDLE)
    wait = Wait()
    timeouts = list[bool]()

    async def sleep() -> None:
        watchdog.begin(wait)
        try:
            await asyncio.sleep(3600)
        finally:
            timeouts.append(wait.is_timeout())
            watchdog.end(wait)

    for expiring in (True, False):
        task = asyncio.create_task(sleep())
        await asyncio.sleep(0)
        if expiring:
            wait.expire()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10 * IDLE):
            await sleep()
    assert timeouts == [False, False, True]


async def test_grace_extends_the_limit() -> None:
    watchdog = Watchdog(IDLE)
    assert not (await waited(watchdog, 1.5 * IDLE, grace=10 * IDLE)).expired


async def test_time_spent_connecting_does_not_count() -> None:
    watchdog = Watchdog(IDLE)
    wait = begin(watchdog)
    assert watchdog.connecting() is wait
    await asyncio.sleep(2 * IDLE)
    watchdog.connected(wait)
    assert wait.connected_at is not None
    await asyncio.sleep(IDLE / 5)
    watchdog.end(wait)
    assert not wait.expired


async def test_connecting_without_a_wait_is_ignored() -> None:
    watchdog = Watchdog(IDLE)
    watchdog.connected(watchdog.connecting())


async def test_no_timer_runs_while_nothing_waits() -> None:
    watchdog = Watchdog(IDLE)
    await waited(watchdog, 0)
    await asyncio.sleep(IDLE)
    assert watchdog._timer is None
    await waited(watchdog, 0)
    assert watchdog._timer is not None


async def test_blocked_loop_is_measured_and_does_not_count() -> None:
    watchdog = Watchdog(IDLE)
    wait = begin(watchdog)
    await asyncio.sleep(0)
    time.sleep(3 * IDLE)
    await asyncio.sleep(IDLE / 5)
    watchdog.end(wait)
    assert not wait.expired
    assert 2 * IDLE < watchdog.longest_pause(1.0) < 20 * IDLE
    assert watchdog.longest_pause(0.0) < 2 * IDLE


async def test_stopping_ends_all_waits() -> None:
    watchdog = Watchdog(10.0)
    task = asyncio.create_task(waited(watchdog, 3600))
    await asyncio.sleep(0)
    watchdog.stop()
    watchdog.stop()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert watchdog._timer is None

import asyncio
import logging
import sys

import pytest

from aios3get._http.limiter import ConcurrencyLimiter, Permit


async def acquire(limiter: ConcurrencyLimiter) -> Permit:
    permit = Permit(limiter)
    assert await limiter.acquire(permit)
    return permit


async def test_permits_in_use_are_counted() -> None:
    limiter = ConcurrencyLimiter(2)
    first, second = await acquire(limiter), Permit(limiter)
    assert limiter.try_acquire(second)
    assert not limiter.try_acquire(Permit(limiter))
    assert limiter.in_use == 2
    first.release()
    assert list(limiter.holders) == [second]


async def test_permit_is_released_once() -> None:
    limiter = ConcurrencyLimiter(2)
    first, _ = await acquire(limiter), await acquire(limiter)
    for _ in range(2):
        first.release()
    assert limiter.in_use == 1


async def test_permit_without_a_limiter_is_not_counted() -> None:
    limiter = ConcurrencyLimiter(1)
    Permit().release()
    assert limiter.in_use == 0


async def test_permits_are_granted_in_the_order_of_requests() -> None:
    limiter, order = ConcurrencyLimiter(1), list[int]()
    first = await acquire(limiter)

    async def visit(number: int) -> None:
        permit = await acquire(limiter)
        order.append(number)
        await asyncio.sleep(0)
        permit.release()

    tasks = [asyncio.create_task(visit(number)) for number in range(5)]
    await asyncio.sleep(0)
    first.release()
    # The permit goes to the first in line at once, past a task that asks only now.
    assert not limiter.try_acquire(Permit(limiter))
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert limiter.in_use == 0


async def test_cancelled_waiter_is_skipped() -> None:
    limiter = ConcurrencyLimiter(1)
    first = await acquire(limiter)
    gone, next_in_line = (asyncio.create_task(acquire(limiter)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    first.release()
    permit = await next_in_line
    assert gone.cancelled()
    assert list(limiter.holders) == [permit]


async def test_cancelled_waiter_is_not_kept() -> None:
    limiter = ConcurrencyLimiter(1)
    first = await acquire(limiter)
    gone, stays = (asyncio.create_task(acquire(limiter)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    # The first permit may be in use for hours.
    assert len(limiter._waiting) == 1
    first.release()
    await stays


async def test_permit_granted_to_a_task_that_is_cancelled_is_passed_on() -> None:
    limiter = ConcurrencyLimiter(1)
    first = await acquire(limiter)
    gone, next_in_line = (asyncio.create_task(acquire(limiter)) for _ in range(2))
    await asyncio.sleep(0)
    first.release()
    gone.cancel()
    permit = await next_in_line
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert list(limiter.holders) == [permit]
    permit.release()
    assert limiter.in_use == 0


async def test_coroutine_closed_while_it_waits_stops_waiting() -> None:
    limiter = ConcurrencyLimiter(1)
    first = await acquire(limiter)
    waiting = acquire(limiter)
    waiting.send(None)
    waiting.close()
    first.release()
    assert limiter.in_use == 0


async def test_wait_ends_after_its_timeout_and_gets_no_permit_later() -> None:
    limiter = ConcurrencyLimiter(1)
    first = await acquire(limiter)
    with pytest.raises(TimeoutError):
        await limiter.acquire(Permit(limiter), 0.01)
    assert not limiter._waiting
    first.release()
    assert await limiter.acquire(Permit(limiter), 0.01)
    await asyncio.sleep(0.02)
    assert limiter.in_use == 1


async def test_closing_ends_all_waits() -> None:
    limiter = ConcurrencyLimiter(1)
    first = await acquire(limiter)
    waiting = [asyncio.create_task(limiter.acquire(Permit(limiter))) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    limiter.close()
    # A waiter that is denied and cancelled in the same loop iteration has no permit to release.
    waiting[1].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [asyncio.CancelledError] * 2
    assert results[2] is False
    assert list(limiter.holders) == [first]
    first.release()
    assert limiter.in_use == 0


def permit_of_this_call(limiter: ConcurrencyLimiter) -> Permit:
    frame = sys._getframe(1)
    return Permit(limiter, (frame.f_code, frame.f_lasti))


async def test_one_warning_names_the_calls_that_hold_all_permits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limiter = ConcurrencyLimiter(3, warn_after=0.02)
    holders = [permit_of_this_call(limiter) for _ in range(2)] + [Permit(limiter)]
    for permit in holders:
        await limiter.acquire(permit)
    limiter.holders[holders[0]] -= 73
    waiting = [asyncio.create_task(acquire(limiter)) for _ in range(5)]
    await asyncio.sleep(0.1)
    (warning,) = caplog.records
    assert (warning.name, warning.levelno) == ("aios3get", logging.WARNING)
    line = sys._getframe().f_code.co_firstlineno + 4
    assert warning.getMessage() == (
        "5 calls are waiting for one of max_concurrency=3 permits, and none was released for"
        f" 0.02 s; the oldest of 3 in use is 73 s old; held: 2 by {__file__}:{line}"
    )
    for permit in holders:
        permit.release()
    for permit in [await task for task in waiting[:3]]:
        permit.release()
    for task in waiting[3:]:
        (await task).release()
    assert limiter._timer is None


async def test_second_stall_warns_again(caplog: pytest.LogCaptureFixture) -> None:
    limiter = ConcurrencyLimiter(1, warn_after=0.02)
    first = await acquire(limiter)
    waiting = [asyncio.create_task(acquire(limiter)) for _ in range(2)]
    await asyncio.sleep(0.05)
    first.release()
    await asyncio.sleep(0.07)
    assert len(caplog.records) == 2
    for task in waiting:
        (await task).release()


async def test_no_warning_while_permits_are_released(caplog: pytest.LogCaptureFixture) -> None:
    limiter = ConcurrencyLimiter(1, warn_after=0.2)

    async def visit() -> None:
        permit = await acquire(limiter)
        await asyncio.sleep(0.02)
        permit.release()

    await asyncio.gather(*(visit() for _ in range(15)))
    assert not caplog.records
    assert limiter._timer is None


def test_no_permit_in_use_is_described() -> None:
    assert ConcurrencyLimiter(1).describe_holders() == "none is in use"

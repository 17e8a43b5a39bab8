import asyncio

import pytest

from aios3get._http.limiter import ConcurrencyLimiter


async def test_slots_are_counted() -> None:
    admission = ConcurrencyLimiter[str](2)
    await admission.enter("a")
    assert admission.try_enter("b")
    assert not admission.try_enter("c")
    assert admission.taken == 2
    admission.leave("a")
    assert admission.taken == 1
    assert admission.holders == {"b"}


async def test_a_slot_is_given_back_once() -> None:
    admission = ConcurrencyLimiter[str](2)
    await admission.enter("a")
    await admission.enter("b")
    for _ in range(2):
        admission.leave("a")
    assert admission.taken == 1


async def test_those_who_wait_come_in_their_order() -> None:
    admission, order = ConcurrencyLimiter[object](1), list[int]()
    await admission.enter("first")

    async def visit(number: int) -> None:
        await admission.enter(number)
        order.append(number)
        await asyncio.sleep(0)
        admission.leave(number)

    tasks = [asyncio.create_task(visit(number)) for number in range(5)]
    await asyncio.sleep(0)
    admission.leave("first")
    # A slot goes to the first in line at once, past whoever asks now.
    assert not admission.try_enter("late")
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert admission.taken == 0


async def test_who_gives_up_is_passed_over() -> None:
    admission = ConcurrencyLimiter[object](1)
    await admission.enter("first")
    gone, next_in_line = (asyncio.create_task(admission.enter(who)) for who in ("gone", "next"))
    await asyncio.sleep(0)
    gone.cancel()
    admission.leave("first")
    await next_in_line
    assert gone.cancelled()
    assert admission.holders == {"next"}


async def test_who_gives_up_is_not_kept() -> None:
    admission = ConcurrencyLimiter[object](1)
    await admission.enter("first")
    gone, stays = (asyncio.create_task(admission.enter(who)) for who in ("gone", "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    # The first may hold its slot for hours.
    assert list(admission._waiting.values()) == ["stays"]
    admission.leave("first")
    await stays


async def test_a_slot_that_comes_with_the_cancellation_is_passed_on() -> None:
    admission = ConcurrencyLimiter[object](1)
    await admission.enter("first")
    gone, next_in_line = (asyncio.create_task(admission.enter(who)) for who in ("gone", "next"))
    await asyncio.sleep(0)
    admission.leave("first")
    gone.cancel()
    await next_in_line
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert admission.holders == {"next"}
    admission.leave("next")
    assert admission.taken == 0


async def test_a_coroutine_closed_while_it_waits_leaves_the_line() -> None:
    admission = ConcurrencyLimiter[str](1)
    await admission.enter("first")
    waiting = admission.enter("closed")
    waiting.send(None)
    waiting.close()
    admission.leave("first")
    assert admission.taken == 0


async def test_closing_sends_all_away() -> None:
    admission = ConcurrencyLimiter[object](1)
    await admission.enter("first")
    waiting = [asyncio.create_task(admission.enter(number)) for number in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    admission.close()
    # One that is sent away and cancelled in the same moment holds no slot to give back.
    waiting[1].cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in found] == [
        asyncio.CancelledError,
        asyncio.CancelledError,
        bool,
    ]
    assert found[2] is False
    assert admission.holders == {"first"}
    admission.leave("first")
    assert admission.taken == 0

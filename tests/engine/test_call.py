import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from aios3get._engine.call import Call, PartCall, check_deadline
from aios3get._http.watchdog import Wait, Watchdog
from aios3get._protocol.get_object import GetObject
from aios3get.errors import ParameterError, S3Error, TransportTimeout


def call(deadline: float | None = None, **options: Any) -> Call:
    request = GetObject.create("examplebucket", "key", options)
    return Call("GET", request, deadline)


async def test_result_within_the_deadline_is_returned() -> None:
    assert await call(10.0).within_deadline(asyncio.sleep(0, "done")) == "done"


def test_attempts_of_parts_count_for_the_whole_call() -> None:
    whole = call()
    whole.region, whole.clock_offset = "eu-west-1", 5.0
    parts = [PartCall(whole, "GET", whole.request) for _ in range(2)]
    for part in (*parts, parts[0]):
        part.sending()
    assert [part.attempts for part in parts] == [2, 1]
    assert whole.attempts == 3
    assert {(part.region, part.clock_offset) for part in parts} == {("eu-west-1", 5.0)}


def test_latency_starts_at_the_request_or_when_its_connection_was_made() -> None:
    response: Any = SimpleNamespace(permit=Wait())
    one = call()
    one.sending()
    one.sent_at -= 10.0
    assert one.latency(response) >= 10.0
    response.permit.connected_at = one.sent_at + 8.0
    assert 2.0 <= one.latency(response) < 8.0


async def test_deadline_that_passes_is_a_transport_timeout() -> None:
    with pytest.raises(TransportTimeout, match=r"deadline of 0\.01 s passed") as caught:
        await call(0.01).run(asyncio.sleep(3600))
    assert (caught.value.limit, caught.value.seconds) == ("deadline", 0.01)
    assert not caught.value.retryable
    assert caught.value.elapsed >= 0.01


async def test_deadline_counts_from_the_start_of_the_call() -> None:
    late = call(0.05)
    await asyncio.sleep(0.06)
    with pytest.raises(TransportTimeout):
        await late.within_deadline(asyncio.sleep(0.01))


async def _raising(error: BaseException) -> None:
    raise error


async def test_other_errors_pass_the_deadline() -> None:
    for error in (TransportTimeout("idle", limit="idle"), TimeoutError("another"), KeyError("x")):
        with pytest.raises(type(error)) as caught:
            await call(10.0).within_deadline(_raising(error))
        assert caught.value is error


async def test_cancellation_passes_the_deadline() -> None:
    task = asyncio.ensure_future(call(10.0).within_deadline(asyncio.sleep(3600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_annotate_sets_the_facts_of_the_call() -> None:
    spent = call()
    spent.attempts = 2
    error = spent.annotate(S3Error("x"))
    assert error.attempts == 2
    assert error.elapsed > 0
    assert error.request_ids == ()


@pytest.mark.parametrize("deadline", [0, -1, True, "5", float("nan")])
def test_invalid_deadline_is_a_parameter_error(deadline: Any) -> None:
    with pytest.raises(ParameterError, match="deadline must be a number"):
        check_deadline(deadline)


@pytest.mark.parametrize("deadline", [1, 0.5])
def test_deadline_is_a_number_of_seconds(deadline: float) -> None:
    check_deadline(deadline)


async def test_deadline_reports_a_blocked_event_loop() -> None:
    async def blocking() -> None:
        time.sleep(0.3)
        await asyncio.sleep(3600)

    with pytest.raises(TransportTimeout) as caught:
        await call(0.05).within_deadline(blocking())
    assert 0.2 < caught.value.loop_blocked < 5


async def test_deadline_reports_earlier_pauses_of_the_watchdog() -> None:
    late = call(0.5)
    late.watchdog = watchdog = Watchdog(10.0)
    watchdog._late.append((0, 0.25))
    with pytest.raises(TransportTimeout) as caught:
        await late.within_deadline(asyncio.sleep(3600))
    assert caught.value.loop_blocked == pytest.approx(0.25, abs=0.1)

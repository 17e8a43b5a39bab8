from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._engine.parallel.concurrency import Concurrency, Link

STEP = 0.05


def simulate(
    control: Concurrency, throughput: Callable[[int], float], seconds: float, start: float = 0.0
) -> list[int]:
    """The numbers of requests over time, where ``throughput`` maps them to bytes per second."""
    seen = [control.current]
    now = start
    while now < start + seconds:
        now += STEP
        control.received(int(throughput(control.current) * STEP), now)
        seen.append(control.current)
    return seen


def link(capacity: float, rate: float = 90e6) -> Callable[[int], float]:
    return lambda requests: min(capacity, requests * rate)


def test_grows_while_throughput_grows() -> None:
    control = Concurrency(8, 64, 0.0)
    simulate(control, link(1e12), 3)
    assert control.current == 64


def test_growth_stops_if_more_requests_gain_nothing() -> None:
    control = Concurrency(8, 64, 0.0)
    seen = simulate(control, link(8 * 90e6), 60)
    assert set(seen) == {8, 16}
    assert seen.count(16) < 0.15 * len(seen)


def test_growth_is_tried_again_later() -> None:
    control = Concurrency(8, 64, 0.0)
    simulate(control, link(8 * 90e6), 2)
    assert control.current == 8
    simulate(control, link(1e12), 20, start=2)
    assert control.current == 64


def test_push_back_halves_and_growth_waits() -> None:
    control = Concurrency(32, 64, 0.0)
    control.push_back(0.1)
    assert control.current == 16
    seen = simulate(control, link(1e12), 5, start=0.1)
    assert set(seen) == {16}
    simulate(control, link(1e12), 5, start=5.1)
    assert control.current == 64


def test_failures_at_the_same_time_push_back_once() -> None:
    control = Concurrency(32, 64, 0.0)
    for _ in range(10):
        control.push_back(0.1)
    assert control.current == 16
    simulate(control, link(1e12), 1, start=0.1)
    control.push_back(1.2)
    assert control.current == 8


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**9), st.floats(0, 1))))
def test_number_of_requests_stays_between_one_and_the_limit(
    events: list[tuple[bool, int, float]],
) -> None:
    control, now = Concurrency(8, 20, 0.0), 0.0
    for received, count, wait in events:
        now += wait
        if received:
            before = control.current
            assert control.received(count, now) == (control.current > before)
        else:
            control.push_back(now)
        assert 1 <= control.current <= 20


def test_first_number_of_requests_is_within_the_limit() -> None:
    assert Concurrency(8, 3, 0.0).current == 3


def test_link_averages_latency_and_takes_the_first_rate_as_it_is() -> None:
    measured = Link(0.1)
    assert measured.rate == 90e6
    measured.add_transfer(1_000_000, 0.1)
    assert measured.rate == pytest.approx(10e6)
    measured.add_transfer(2_000_000, 0.1)
    assert measured.rate == pytest.approx(2_700_000 / 0.17)
    measured.add_latency(0.2)
    assert measured.latency == pytest.approx(0.13)


def test_short_body_that_arrived_with_its_head_hardly_counts_for_the_rate() -> None:
    measured = Link(0.1)
    measured.add_transfer(1_000_000, 0.1)
    measured.add_transfer(1000, 0.0)
    measured.add_transfer(1, 0.01)
    assert measured.rate == pytest.approx(10e6, rel=0.2)


@pytest.mark.parametrize(
    ("received", "left", "seconds", "behind"),
    [
        # A response without a byte is slow after four times the latency.
        (0, 1000, 0.39, False),
        (0, 1000, 0.41, True),
        # At the measured 1 MB/s the rest would take 0.1 + 1 s elsewhere; 4.4 s are slow.
        (1_000_000, 1_000_000, 4.3, False),
        (1_000_000, 1_000_000, 4.5, True),
        # Little is left, so that another request would take longer than the rest.
        (1_000_000, 50_000, 4.5, False),
    ],
)
def test_response_is_slow_if_another_would_deliver_the_rest_in_a_quarter_of_the_time(
    received: int, left: int, seconds: float, behind: bool
) -> None:
    link = Link(0.1)
    link.add_transfer(1_000_000, 1.0)
    assert link.is_behind(received, left, seconds) is behind


def test_response_is_not_slow_by_an_unmeasured_rate() -> None:
    link = Link(0.1)
    assert not link.is_behind(1000, 1_000_000, 100.0)
    assert link.is_behind(0, 1_000_000, 100.0)


def test_response_is_not_slow_before_a_quarter_of_a_second() -> None:
    link = Link(0.001)
    assert not link.is_behind(0, 1_000_000, 0.24)
    assert link.is_behind(0, 1_000_000, 0.26)


def test_link_keeps_the_lowest_latency() -> None:
    measured = Link(0.3)
    measured.add_latency(0.1)
    measured.add_latency(0.5)
    assert measured.least_latency == 0.1
    assert 0.1 < measured.latency < 0.5

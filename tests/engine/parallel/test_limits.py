import pytest

from aios3get._engine.parallel.limits import ConsumerRate, Limits, choose_limits
from aios3get._engine.parallel.parts import MIB

FAST = 2.5e9


@pytest.mark.parametrize("latency", [0.0, 0.001, 0.1, 10.0])
def test_window_is_16_mib_until_the_rate_is_known(latency: float) -> None:
    assert choose_limits(latency, 0.0).window == 16 * MIB


@pytest.mark.parametrize("rate", [0.0, 5e6, FAST])
@pytest.mark.parametrize(("latency", "size"), [(0.0, 2), (0.01, 2), (0.05, 5), (0.1, 8), (10.0, 8)])
def test_part_size_depends_on_the_latency_only(latency: float, rate: float, size: int) -> None:
    # 32 of them are the largest window at this latency: memory for another size has to be new.
    assert choose_limits(latency, rate).part_size == size * MIB


@pytest.mark.parametrize(
    ("latency", "rate", "window"),
    [
        (0.1, 5e6, 16 * MIB + 2_000_000),
        (0.1, 100e6, 16 * MIB + 40_000_000),
        (0.02, 500e6, 16 * MIB + 40_000_000),
        (0.0002, FAST, 16 * MIB + 500_000),
    ],
)
def test_window_lasts_for_a_latency_if_the_consumer_becomes_four_times_as_fast(
    latency: float, rate: float, window: int
) -> None:
    assert choose_limits(latency, rate).window == window


@pytest.mark.parametrize("rate", [FAST / 4, FAST, 1e12])
def test_no_consumer_is_faster_than_python_reads(rate: float) -> None:
    assert choose_limits(0.02, rate).window == 16 * MIB + 50_000_000


def test_largest_window_is_256_mib_in_32_parts_of_8_mib() -> None:
    assert choose_limits(10.0, FAST) == Limits(256 * MIB, 32, 8 * MIB)


@pytest.mark.parametrize(
    ("wanted", "window"), [(MIB, 16 * MIB), (64 * MIB, 64 * MIB), (1 << 40, 256 * MIB)]
)
def test_current_read_is_in_the_window_whatever_the_rate(wanted: int, window: int) -> None:
    assert choose_limits(0.1, 0.0, wanted).window == window


@pytest.mark.parametrize(
    ("requests", "max_requests", "expected"), [(None, 10, 10), (5, 64, 5), (500, 500, 64)]
)
def test_requests_are_limited(requests: int | None, max_requests: int, expected: int) -> None:
    limits = choose_limits(0.1, FAST, requests=requests, max_requests=max_requests)
    assert limits.requests == expected


def test_parts_are_no_longer_than_the_first_request() -> None:
    assert choose_limits(10.0, FAST, max_part=1000).part_size == 1000


def test_rate_leaves_out_the_waits_for_bytes() -> None:
    rate = ConsumerRate()
    rate.moved(5 * MIB, 100.0)
    assert rate.value == 0.0
    rate.waited(0.5)
    rate.waited(0.25)
    rate.moved(6 * MIB, 101.0)
    assert rate.value == 4 * MIB


def test_rate_is_measured_over_enough_bytes() -> None:
    rate = ConsumerRate()
    rate.moved(0, 0.0)
    rate.moved(1000, 1e-6)
    assert rate.value == 0.0
    rate.moved(MIB, 1.0)
    assert rate.value == MIB


def test_rate_ignores_a_step_back() -> None:
    rate = ConsumerRate()
    rate.moved(8 * MIB, 0.0)
    rate.moved(0, 10.0)
    rate.moved(MIB, 11.0)
    assert rate.value == MIB


def test_rate_of_a_consumer_that_became_fast_is_noticed_soon() -> None:
    rate = ConsumerRate()
    rate.moved(0, 0.0)
    for position in range(1, 21):
        rate.moved(position * MIB, 1.0 + position * 0.001)
    assert rate.value > 500 * MIB

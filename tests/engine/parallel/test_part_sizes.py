from collections.abc import Iterable

import pytest

from aios3get._engine.parallel.concurrency import Link
from aios3get._engine.parallel.part_sizes import Grouping, PartSizes
from aios3get._engine.parallel.parts import MIB, MIN_PART, Part, Span, Work


def link(latency: float, rate: float = 90e6) -> Link:
    measured = Link(latency)
    measured.rate = rate
    return measured


@pytest.mark.parametrize("least", [MIN_PART, 100 * MIB])
def test_part_has_the_least_size_where_there_is_no_latency_to_hide(least: int) -> None:
    assert PartSizes(link(0.0001, 1e9), least).choose(1 << 40, 8) == least


@pytest.mark.parametrize(
    ("left", "least", "size"),
    [
        (2048 * MIB, MIN_PART, 256 * MIB),
        (15, MIN_PART, MIN_PART),
        (15, 1, 2),
        (1 << 50, MIN_PART, 1024 * MIB),
    ],
)
def test_part_is_the_share_of_a_connection_where_there_is(left: int, least: int, size: int) -> None:
    assert PartSizes(link(0.1), least).choose(left, 8) == size


def test_fixed_size_is_chosen_at_any_latency() -> None:
    assert PartSizes(link(0.1), 10, fixed=10).choose(1 << 40, 8) == 10


def test_spans_at_most_the_gap_apart_are_taken_together_up_to_a_size() -> None:
    def gap(measured: Link) -> int:
        return int(measured.latency)

    sizes = PartSizes(link(5), 100, grouping=Grouping(gap, 20))
    work = Work([Span(0, 10), Span(15, 20), Span(21, 22), Span(28, 30)])
    assert spans(sizes.take(work, 100) for _ in range(3)) == [(0, 20), (21, 22), (28, 30)]


def spans(parts: Iterable[Part | None]) -> list[tuple[int, int]]:
    return [(part.start, part.stop) for part in parts if part is not None]


@pytest.mark.parametrize(
    ("latency", "left", "split"),
    [(0, 199, False), (0, 200, True), (10, 999, False), (10, 1000, True)],
)
def test_part_is_split_if_each_half_has_the_least_size_and_takes_twice_the_latency(
    latency: float, left: int, split: bool
) -> None:
    sizes = PartSizes(link(latency, rate=25), 100)
    work = Work([Span(0, left)])
    work.take(left)
    assert spans([sizes.take(work, left)]) == ([(left // 2, left)] if split else [])

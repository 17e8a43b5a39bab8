from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._engine.parallel.parts import (
    MIB,
    Part,
    Span,
    Work,
    coalesce,
    stored_part_size,
    widest_gap,
)

SIZES = st.integers(1, 300)


@st.composite
def disjoint_spans(draw: st.DrawFn) -> list[Span]:
    cuts = sorted(draw(st.sets(st.integers(0, 1000), max_size=12)))
    return [Span(start, stop) for start, stop in zip(cuts[::2], cuts[1::2], strict=False)]


spans = st.builds(
    lambda start, size: Span(start, start + size), st.integers(0, 1000), st.integers(0, 200)
)


def offsets(pieces: list[Span] | list[Part]) -> list[int]:
    return [offset for piece in pieces for offset in range(piece.start, piece.stop)]


@given(disjoint_spans(), st.data(), st.none() | st.integers(1, 64))
def test_parts_tile_the_work_whatever_their_sizes_and_splits(
    wanted: list[Span], data: st.DataObject, boundary: int | None
) -> None:
    work = Work(wanted)
    taken: list[Part] = []
    while part := work.take(data.draw(SIZES)):
        taken.append(part)
        part.at += data.draw(st.integers(0, part.left))
        if data.draw(st.booleans()):
            work.boundary = boundary
        if data.draw(st.booleans()) and (other := work.split(data.draw(SIZES))):
            taken.append(other)
    assert work.unassigned == 0
    assert sorted(offsets(taken)) == offsets(wanted)
    for part in taken:
        assert part.start <= part.at <= part.stop
        work.finish(part)
    assert work.split(1) is None


@given(disjoint_spans(), SIZES)
def test_parts_are_in_order_and_no_longer_than_requested(wanted: list[Span], size: int) -> None:
    work = Work(wanted)
    taken = [part for part in iter(lambda: work.take(size), None) if part]
    assert offsets(taken) == offsets(wanted)
    assert all(0 < part.left <= size for part in taken)


@given(st.integers(1, 500), SIZES, st.integers(1, 64))
def test_parts_end_at_stored_part_boundaries(stop: int, size: int, boundary: int) -> None:
    work = Work([Span(0, stop)])
    work.boundary = boundary
    while part := work.take(size):
        if boundary <= size and part.stop != stop:
            assert part.stop % boundary == 0


def test_unassigned_counts_the_bytes_of_no_part() -> None:
    work = Work([Span(0, 10), Span(20, 30)])
    assert work.unassigned == 20
    work.take(4)
    assert work.unassigned == 16


def test_split_takes_the_second_half_of_the_part_with_most_left() -> None:
    work = Work([Span(0, 100), Span(100, 300)])
    first, second = work.take(100), work.take(200)
    assert first is not None
    assert second is not None
    second.at = 120
    part = work.split(10)
    assert part is not None
    assert (second.stop, part.start, part.stop) == (210, 210, 300)


def test_split_leaves_short_parts_alone() -> None:
    work = Work([Span(0, 100)])
    part = work.take(100)
    assert part is not None
    part.at = 81
    assert work.split(10) is None
    part.at = 80
    assert work.split(10) is not None


@given(st.lists(spans, max_size=20), st.integers(0, 100), SIZES)
def test_coalesced_groups_hold_each_range_and_no_byte_twice(
    ranges: list[Span], gap: int, largest: int
) -> None:
    groups, group_of = coalesce(ranges, gap, largest)
    assert len(group_of) == len(ranges)
    for position, group in enumerate(groups):
        inside = [ranges[i] for i in range(len(ranges)) if group_of[i] == position]
        assert group.start == min(each.start for each in inside)
        assert group.stop == max(each.stop for each in inside)
    assert all(before.stop <= after.start for before, after in pairwise(groups))


@given(st.lists(spans, max_size=20), st.integers(0, 100), SIZES)
def test_coalesced_groups_have_no_gap_longer_than_allowed(
    ranges: list[Span], gap: int, largest: int
) -> None:
    wanted = set(offsets(ranges))
    for group in coalesce(ranges, gap, largest)[0]:
        hole = 0
        for offset in range(*group):
            hole = 0 if offset in wanted else hole + 1
            assert hole <= gap


@given(disjoint_spans(), st.integers(0, 100), SIZES)
def test_coalesced_groups_are_no_longer_than_the_largest_unless_one_range_is(
    ranges: list[Span], gap: int, largest: int
) -> None:
    groups, group_of = coalesce(ranges, gap, largest)
    for position, group in enumerate(groups):
        assert group.size <= largest or group_of.count(position) == 1


def test_ranges_farther_apart_than_the_gap_are_in_separate_groups() -> None:
    ranges = [Span(41, 50), Span(0, 10), Span(20, 30)]
    assert coalesce(ranges, 10, 1000) == ([Span(0, 30), Span(41, 50)], [1, 0, 0])


@given(disjoint_spans(), st.integers(0, 200), SIZES, SIZES)
def test_spans_read_as_one_part_are_near_and_the_part_is_not_long(
    wanted: list[Span], gap: int, size: int, together: int
) -> None:
    work = Work(wanted)
    taken = [part for part in iter(lambda: work.take(size, gap, together), None) if part]
    assert work.unassigned == 0
    assert all(before.stop <= after.start for before, after in pairwise(taken))
    assert set(offsets(wanted)) <= set(offsets(taken))
    wanted_offsets = set(offsets(wanted))
    for part in taken:
        assert part.left <= size or part.left <= together
        hole = 0
        for offset in range(part.start, part.stop):
            hole = 0 if offset in wanted_offsets else hole + 1
            assert hole <= gap
        assert part.start in wanted_offsets
        assert part.stop - 1 in wanted_offsets


def test_span_before_the_last_one_is_never_read_as_one_part_with_it() -> None:
    work = Work([Span(50, 60), Span(0, 10)])
    assert [(part.start, part.stop) for part in iter(lambda: work.take(100, 100, 100), None)] == [
        (50, 60),
        (0, 10),
    ]


@given(st.lists(st.integers(0, 50), max_size=20).map(sorted), st.integers(0, 300))
def test_widest_gap_is_the_longest_whose_bytes_are_within_the_limit(
    lengths: list[int], most: int
) -> None:
    def total(widest: int) -> int:
        return sum(length for length in lengths if length <= widest)

    widest = widest_gap(lengths, most)
    assert total(widest) <= most
    longer = [length for length in lengths if length > widest]
    assert not longer or total(longer[0]) > most


@pytest.mark.parametrize(
    ("etag", "size", "expected"),
    [
        ('"d41d8cd98f00b204e9800998ecf8427e-10"', 80 * MIB, 8 * MIB),
        ('"d41d8cd98f00b204e9800998ecf8427e-10"', 72 * MIB + 1, 8 * MIB),
        ('"d41d8cd98f00b204e9800998ecf8427e-10"', 80 * MIB + 1, None),
        ('"d41d8cd98f00b204e9800998ecf8427e-100"', 15 * 100 * MIB, 15 * MIB),
        # 40 to 79 MiB give two parts.
        ('"d41d8cd98f00b204e9800998ecf8427e-2"', 80 * MIB, None),
        ('"d41d8cd98f00b204e9800998ecf8427e-1"', 80 * MIB, None),
        ('"d41d8cd98f00b204e9800998ecf8427e-0"', 80 * MIB, None),
        ('"d41d8cd98f00b204e9800998ecf8427e"', 80 * MIB, None),
        ('"-"', 80 * MIB, None),
        ('"10"', 80 * MIB, None),
        ('"a-²"', 80 * MIB, None),
        ('"a-10000000"', 80 * MIB, None),
        ('"a-10"', 5, None),
        ('W/"a-10"', 80 * MIB, 8 * MIB),
    ],
)
def test_size_of_stored_parts_follows_from_the_etag(
    etag: str, size: int, expected: int | None
) -> None:
    assert stored_part_size(etag, size) == expected


@given(st.integers(1, 64), st.integers(2, 10_000), st.data())
def test_size_of_stored_parts_is_the_real_one_or_unknown(
    mib: int, count: int, data: st.DataObject
) -> None:
    last = data.draw(st.integers(1, mib * MIB))
    size = (count - 1) * mib * MIB + last
    assert stored_part_size(f'"a-{count}"', size) in (None, mib * MIB)

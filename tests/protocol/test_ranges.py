import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get.errors import ConfigurationError

offsets = st.integers(0, 10**19 - 2)


@pytest.mark.parametrize(
    ("byte_range", "header"),
    [
        (ByteRange(0, 1), "bytes=0-0"),
        (ByteRange(0, 10), "bytes=0-9"),
        (ByteRange(10), "bytes=10-"),
        (ByteRange(0), "bytes=0-"),
        (ByteRange.from_offset(10), "bytes=10-"),
        (ByteRange(-10), "bytes=-10"),
        (ByteRange.last(10), "bytes=-10"),
    ],
)
def test_a_range_and_its_header(byte_range: ByteRange, header: str) -> None:
    assert str(byte_range) == header
    assert ByteRange.parse(header) == byte_range


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((5, 5), "holds no bytes"),
        ((5, 4), "holds no bytes"),
        ((0, 0), "holds no bytes"),
        ((0, -1), "holds no bytes"),
        ((-5, 10), r"takes no stop, got 10; use ByteRange\.last\(n\)"),
        ((True,), "not True"),
        ((0, 1.0), r"not 1\.0"),
        (("0",), "not '0'"),
        ((None,), "not None"),
    ],
)
def test_ranges_that_cannot_be_right(arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        ByteRange(*arguments)


def test_constructors_take_no_signs() -> None:
    with pytest.raises(ConfigurationError, match=r"use ByteRange\.last"):
        ByteRange.from_offset(-1)
    with pytest.raises(ConfigurationError, match="the last 0 bytes hold nothing"):
        ByteRange.last(0)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "write bytes=first-last"),
        ("bytes=", "write bytes=first-last"),
        ("bytes=-", "write bytes=first-last"),
        ("bytes=a-b", "write bytes=first-last"),
        ("bytes=1-2 ", "write bytes=first-last"),
        ("bytes=1-2\n", "write bytes=first-last"),
        ("bytes=\u0661-\u0662", "write bytes=first-last"),
        ("items=1-2", "write bytes=first-last"),
        ("bytes=0-1,3-4", "one range a request"),
        ("bytes=5-4", "range 'bytes=5-4' holds no bytes"),
        ("bytes=-0", "hold nothing"),
        ("bytes=" + "1" * 20 + "-", "write bytes=first-last"),
    ],
)
def test_headers_that_are_no_single_range(header: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        ByteRange.parse(header)


@given(offsets, st.none() | st.integers(1, 10**18))
def test_a_header_reads_back(start: int, length: int | None) -> None:
    byte_range = ByteRange(start, None if length is None else min(start + length, 10**19))
    assert ByteRange.parse(str(byte_range)) == byte_range


@given(st.integers(1, 10**18))
def test_a_suffix_header_reads_back(count: int) -> None:
    assert ByteRange.parse(str(ByteRange.last(count))) == ByteRange.last(count)


@given(st.integers(-50, 50), st.none() | st.integers(1, 50), st.integers(0, 60))
def test_within_names_the_offsets_that_a_slice_would(
    start: int, stop: int | None, size: int
) -> None:
    if (start < 0 and stop is not None) or (stop is not None and stop <= start):
        return
    body = bytes(size)
    first, last = ByteRange(start, stop).within(size)
    assert 0 <= first <= size
    assert last - first == len(body[start:stop]) or first == size
    assert body[first:last] == body[start:stop]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-9/443", ContentRange(0, 10, 443)),
        ("bytes 433-442/443", ContentRange(433, 443, 443)),
        ("bytes 0-9/*", ContentRange(0, 10, None)),
        ("bytes */443", ContentRange(None, None, 443)),
        ("bytes */0", ContentRange(None, None, 0)),
        ("Bytes  0-0/1 ", ContentRange(0, 1, 1)),
        ("bytes */*", None),
        ("bytes 9-0/443", None),
        ("bytes 0-443/443", None),
        ("bytes=0-9/443", None),
        ("bytes 0-9", None),
        ("items 0-9/443", None),
        ("bytes \u0660-\u0669/\u0661\u0660", None),
        ("bytes 0-9/" + "9" * 20, None),
        ("", None),
    ],
)
def test_content_ranges(header: str, expected: ContentRange | None) -> None:
    assert ContentRange.parse(header) == expected


@given(st.text("bytes 0123456789-/*="))
def test_a_content_range_is_consistent_or_none(header: str) -> None:
    found = ContentRange.parse(header)
    if found is not None and found.start is not None and found.stop is not None:
        assert 0 <= found.start < found.stop
        assert found.size is None or found.stop <= found.size


@pytest.mark.parametrize("value", [ByteRange(0, 10), ContentRange(0, 10, None)])
def test_ranges_are_values(value: object) -> None:
    assert copy.copy(value) == pickle.loads(pickle.dumps(value)) == value
    assert len({value, copy.deepcopy(value)}) == 1

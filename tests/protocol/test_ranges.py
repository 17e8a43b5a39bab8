import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get.errors import ParameterError

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
def test_range_converts_to_and_from_its_header(byte_range: ByteRange, header: str) -> None:
    assert str(byte_range) == header
    assert ByteRange.parse(header) == byte_range


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 5), "is empty"),
        ((5, 4), "is empty"),
        ((0, 0), "is empty"),
        ((0, -1), "is empty"),
        ((-5, 10), r"takes no stop, got 10; use ByteRange\.last\(n\)"),
        ((True,), "not True"),
        ((0, 1.0), r"not 1\.0"),
        (("0",), "not '0'"),
        ((None,), "not None"),
    ],
)
def test_empty_range_or_invalid_offset_is_a_parameter_error(
    arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        ByteRange(*arguments)


def test_from_offset_and_last_reject_negative_and_zero_counts() -> None:
    with pytest.raises(ParameterError, match=r"use ByteRange\.last"):
        ByteRange.from_offset(-1)
    with pytest.raises(ParameterError, match="the last 0 bytes are an empty range"):
        ByteRange.last(0)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "write bytes=first-last"),
        ("bytes=", "write bytes=first-last"),
        ("bytes=-", "write bytes=first-last"),
        ("bytes=a-b", "write bytes=first-last"),
        ("bytes=1-2 ", "write bytes=first-last"),
        ("bytes=1-2\n", "write bytes=first-last"),
        ("bytes=\u0661-\u0662", "write bytes=first-last"),
        ("items=1-2", "write bytes=first-last"),
        ("bytes=0-1,3-4", "one range per request"),
        ("bytes=5-4", "range 'bytes=5-4' is empty"),
        ("bytes=-0", "empty range"),
        ("bytes=" + "1" * 20 + "-", "write bytes=first-last"),
    ],
)
def test_header_other_than_a_single_range_is_a_parameter_error(header: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ByteRange.parse(header)


def test_range_unit_is_case_insensitive() -> None:
    # RFC 9110 section 14.1
    assert ByteRange.parse("Bytes=0-9") == ByteRange(0, 10)
    assert ByteRange.parse("BYTES=-5") == ByteRange.last(5)


@given(offsets, st.none() | st.integers(1, 10**18))
def test_any_range_survives_its_header(start: int, length: int | None) -> None:
    byte_range = ByteRange(start, None if length is None else min(start + length, 10**19))
    assert ByteRange.parse(str(byte_range)) == byte_range


@given(st.integers(1, 10**18))
def test_any_suffix_range_survives_its_header(count: int) -> None:
    assert ByteRange.parse(str(ByteRange.last(count))) == ByteRange.last(count)


@given(st.integers(-50, 50), st.none() | st.integers(1, 50), st.integers(0, 60))
def test_within_gives_the_offsets_of_the_same_slice(
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
        ("0-9/443", ContentRange(0, 10, 443)),
        ("*/443", ContentRange(None, None, 443)),
        ("9-0/443", None),
        ("=0-9/443", None),
        ("bytes0-9/443", None),
        ("bytes 0-9", None),
        ("items 0-9/443", None),
        ("bytes \u0660-\u0669/\u0661\u0660", None),
        ("bytes 0-9/" + "9" * 20, None),
        ("", None),
    ],
)
def test_content_range_is_parsed(header: str, expected: ContentRange | None) -> None:
    assert ContentRange.parse(header) == expected


@given(st.text("bytes 0123456789-/*="))
def test_parsed_content_range_is_consistent(header: str) -> None:
    parsed = ContentRange.parse(header)
    if parsed is not None and parsed.start is not None and parsed.stop is not None:
        assert 0 <= parsed.start < parsed.stop
        assert parsed.size is None or parsed.stop <= parsed.size


@pytest.mark.parametrize("value", [ByteRange(0, 10), ContentRange(0, 10, None)])
def test_ranges_copy_pickle_and_hash(value: object) -> None:
    assert copy.copy(value) == pickle.loads(pickle.dumps(value)) == value
    assert len({value, copy.deepcopy(value)}) == 1

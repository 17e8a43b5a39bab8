import asyncio
from typing import Any
from unittest import mock

import pytest
from aiohttp.http_parser import HttpResponseParser, HttpResponseParserPy
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.extent import Extent, parse_extent
from aios3get._protocol.http import HttpHead
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import RangeMismatch


def head(status: int, **headers: str) -> HttpHead:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpHead(status, CIMultiDictProxy(CIMultiDict(named)))


def whole(length: int) -> HttpHead:
    return head(200, Content_Length=str(length))


def partial(content_range: str, length: int | None = None) -> HttpHead:
    if length is None:
        return head(206, Content_Range=content_range)
    return head(206, Content_Range=content_range, Content_Length=str(length))


def of_parts(status: int, etag: str, content_range: str = "", **headers: str) -> HttpHead:
    if content_range:
        headers["Content_Range"] = content_range
    else:
        headers["Content_Length"] = "10"
    return head(status, ETag=etag, **headers)


def framed_by_chunks(parser: Any, fields: list[str]) -> bool:
    loop = asyncio.new_event_loop()
    lines = "".join(f"Transfer-Encoding: {text}\r\n" for text in fields)
    reading = parser(mock.Mock(), loop, 2**16, read_until_eof=True)
    messages, _, _ = reading.feed_data(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())
    loop.close()
    return bool(messages[0][0].chunked)


CHUNKED = head(200, Transfer_Encoding="Chunked")
NOTHING = head(200)


@pytest.mark.parametrize(
    ("response", "requested", "extent"),
    [
        (whole(10), None, Extent(0, 10, 10)),
        (whole(0), None, Extent(0, 0, 0)),
        (CHUNKED, None, Extent(0, None, None)),
        (NOTHING, None, Extent(0, None, None, delimited=False)),
        (head(200, Content_Length="x"), None, Extent(0, None, None, delimited=False)),
        (head(200, Content_Length="9" * 5000), None, Extent(0, None, None, delimited=False)),
        (head(200, Content_Length="१०"), None, Extent(0, None, None, delimited=False)),
        (partial("bytes 0-9/100", 10), ByteRange(0, 10), Extent(0, 10, 100)),
        (partial("bytes 0-9/100"), ByteRange(0, 10), Extent(0, 10, 100)),
        (partial("bytes 90-99/100", 10), ByteRange(90), Extent(90, 100, 100)),
        (partial("bytes 90-99/100", 10), ByteRange(90, 200), Extent(90, 100, 100)),
        (partial("bytes 90-99/100", 10), ByteRange.last(10), Extent(90, 100, 100)),
        (partial("bytes 0-4/5", 5), ByteRange.last(10), Extent(0, 5, 5)),
        (partial("bytes 90-99/*", 10), ByteRange(90, 100), Extent(90, 100, None)),
        (partial("bytes 90-99/*", 10), ByteRange.last(10), Extent(90, 100, None)),
        # RFC 9110 section 14.2: everything instead of the range
        (whole(100), ByteRange(0), Extent(0, 100, 100)),
        (whole(100), ByteRange(0, 10), Extent(0, 10, 100, sliced=True)),
        (whole(100), ByteRange(50), Extent(50, 100, 100, skip=50)),
        (whole(100), ByteRange.last(10), Extent(90, 100, 100, skip=90)),
        (whole(100), ByteRange(10, 20), Extent(10, 20, 100, skip=10, sliced=True)),
        (
            CHUNKED,
            ByteRange(10, 20),
            Extent(10, 20, None, skip=10, sliced=True, open_ended=True),
        ),
        (
            NOTHING,
            ByteRange(10),
            Extent(10, None, None, skip=10, sliced=True, delimited=False, open_ended=True),
        ),
        (head(200, Content_Range="bytes 0-9/10", Content_Length="10"), None, Extent(0, 10, 10)),
    ],
)
def test_extent_of_a_response(
    response: HttpHead, requested: ByteRange | None, extent: Extent
) -> None:
    assert parse_extent(*response, requested) == extent


@pytest.mark.parametrize(
    ("response", "requested"),
    [
        (partial("bytes 1-10/100", 10), ByteRange(0, 10)),
        (partial("bytes 0-8/100", 9), ByteRange(0, 10)),
        (partial("bytes 0-10/100", 11), ByteRange(0, 10)),
        (partial("bytes 0-9/100", 9), ByteRange(0, 10)),
        (partial("bytes 89-98/100", 10), ByteRange.last(10)),
        (partial("bytes 0-9/*", 10), ByteRange(1)),
        (partial("bytes 0-10/*", 11), ByteRange(0, 10)),
        (partial("bytes 80-99/*", 20), ByteRange.last(10)),
        # RFC 9110 section 15.3.7: less than was requested, and perhaps not to the end
        (partial("bytes 90-94/*", 5), ByteRange(90, 100)),
        (partial("bytes 90-99/*", 10), ByteRange(90)),
        (partial("bytes 95-99/*", 5), ByteRange.last(10)),
        (partial("bytes 0-4/*", 5), ByteRange.last(10)),
        (head(206, Content_Length="10"), ByteRange(0, 10)),
        (partial("bytes */100", 10), ByteRange(0, 10)),
        (partial("pages 0-9/100", 10), ByteRange(0, 10)),
        (partial("bytes 9-0/100", 10), ByteRange(0, 10)),
        (partial("bytes 0-9/5", 10), ByteRange(0, 10)),
        # the whole object was requested
        (partial("bytes 0-9/100", 10), None),
        (partial("bytes 0-9/*", 10), None),
        (head(200, Content_Range="bytes 0-9/100"), None),
        # the object ends before the range
        (whole(10), ByteRange(10)),
        (whole(10), ByteRange(11, 12)),
        (whole(0), ByteRange.last(1)),
        # no length to count back from
        (CHUNKED, ByteRange.last(1)),
    ],
)
def test_response_with_other_bytes_than_requested_is_a_range_mismatch(
    response: HttpHead, requested: ByteRange | None
) -> None:
    with pytest.raises(RangeMismatch):
        parse_extent(*response, requested)


@pytest.mark.parametrize(
    ("response", "part", "extent"),
    [
        (partial("bytes 400-799/1000", 400), 2, Extent(400, 800, 1000)),
        (partial("bytes 0-399/1000", 400), 1, Extent(0, 400, 1000)),
        (of_parts(206, '"x-3"', "bytes 0-399/1000"), 1, Extent(0, 400, 1000)),
        (partial("bytes 0-9/10", 10), 1, Extent(0, 10, 10)),
        (whole(10), 1, Extent(0, 10, 10)),
        (of_parts(200, '"x-1"'), 1, Extent(0, 10, 10)),
        (of_parts(200, '"5-x"'), 1, Extent(0, 10, 10)),
        (of_parts(200, '"x"', x_amz_mp_parts_count="1"), 1, Extent(0, 10, 10)),
    ],
)
def test_extent_of_a_part(response: HttpHead, part: int, extent: Extent) -> None:
    assert parse_extent(*response, None, part_number=part) == extent


@pytest.mark.parametrize(
    ("response", "part"),
    [
        (whole(10), 2),
        (CHUNKED, 2),
        (partial("bytes 0-399/1000", 400), 2),
        (partial("bytes 20-29/30", 10), 1),
        # the whole object, which has more parts
        (of_parts(200, '"x-3"'), 1),
        (of_parts(200, 'W/"x-10000"'), 1),
        (of_parts(200, "x-2"), 1),
        (of_parts(200, '"x"', x_amz_mp_parts_count="3"), 1),
        (of_parts(206, '"x-3"', "bytes 0-9/10"), 1),
    ],
)
def test_response_that_cannot_be_the_part_is_a_range_mismatch(
    response: HttpHead, part: int
) -> None:
    with pytest.raises(RangeMismatch, match=f"part {part}"):
        parse_extent(*response, None, part_number=part)


TRANSFER_ENCODINGS = [
    ["chunked"],
    ["Chunked"],
    ["gzip, chunked"],
    ["chunked, gzip"],
    ["chunked, identity"],
    ["xchunked"],
    ["chunkedx"],
    ["chunked;foo=1"],
    ["identity, chunked;q=1"],
    ['"chunked"'],
    ["chunked,"],
    ["chun\u212aed"],
    ["chunked", "gzip"],
    ["gzip", "chunked"],
    [""],
]


@pytest.mark.parametrize("fields", TRANSFER_ENCODINGS)
def test_body_that_aiohttp_reads_until_the_connection_closes_is_not_delimited(
    fields: list[str],
) -> None:
    headers = CIMultiDict([("Transfer-Encoding", text) for text in fields])
    delimited = parse_extent(200, CIMultiDictProxy(headers), None).delimited
    assert delimited is (fields in (["chunked"], ["Chunked"]))
    if delimited:
        for parser in {HttpResponseParser, HttpResponseParserPy}:
            assert framed_by_chunks(parser, fields)


@given(size=st.integers(1, 1000), data=st.data())
def test_extent_of_a_correct_response_equals_a_slice(size: int, data: st.DataObject) -> None:
    content = bytes(n % 251 for n in range(size))
    start = data.draw(st.integers(-size - 5, size - 1))
    stop = None if start < 0 else data.draw(st.none() | st.integers(start + 1, size + 5))
    requested = ByteRange(start, stop)
    first, last = requested.within(size)
    ranged = parse_extent(*partial(f"bytes {first}-{last - 1}/{size}", last - first), requested)
    assert content[ranged.start : ranged.stop] == content[start:stop]
    ignored = parse_extent(*whole(size), requested)
    assert (ignored.start, ignored.stop, ignored.skip) == (ranged.start, ranged.stop, first)
    assert ignored.sliced is (last < size)


@given(
    st.text("bytes=-/*0123456789 x", max_size=30),
    st.text("0123456789-+ x", max_size=25),
    st.sampled_from([200, 206]),
)
def test_any_headers_give_an_extent_or_a_range_mismatch(
    content_range: str, length: str, status: int
) -> None:
    response = head(status, Content_Range=content_range, Content_Length=length)
    for requested in (None, ByteRange(3, 9), ByteRange.last(4)):
        try:
            extent = parse_extent(*response, requested)
        except RangeMismatch:
            continue
        assert extent.stop is None or 0 <= extent.start <= extent.stop

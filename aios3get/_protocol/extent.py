"""``Extent``: the bytes of the object in a response's body, and which of them were requested."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from multidict import istr

from aios3get._protocol.header_values import integer
from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get.errors import RangeMismatch

__all__ = ["Extent", "parse_extent"]

_CONTENT_LENGTH: Final = istr("Content-Length")
_CONTENT_RANGE: Final = istr("Content-Range")
# The ETag of an object made of parts ends in their number.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
_etag_of_parts = re.compile(r'.*-(\d{1,5})"?', re.ASCII).fullmatch


class Extent(NamedTuple):
    """The requested bytes, as offsets in the object, and their position in the body.

    Attributes:
        start: offset of the first requested byte.
        stop: offset after the last requested byte; None if no length is announced.
        size: the object's size; None if the response does not announce it.
        skip: the number of bytes of the body before the requested ones.
        sliced: whether the body continues, or may continue, after the requested bytes.
        delimited: whether HTTP distinguishes the end of the body from a lost connection.
        open_ended: whether the object may end before ``stop``.
    """

    start: int
    stop: int | None
    size: int | None
    skip: int = 0
    sliced: bool = False
    delimited: bool = True
    open_ended: bool = False


def parse_extent(
    status: int,
    headers: Mapping[str, str],
    requested: ByteRange | None,
    part_number: int | None = None,
) -> Extent:
    """Compare ``Content-Length`` and ``Content-Range`` of a response with its request.

    Args:
        status: 200 or 206.
        headers: the headers of the response.
        requested: the requested range; None for the whole object or a part.
        part_number: the number of the requested part.

    Raises:
        RangeMismatch: the body contains other bytes, or the headers do not say which.
    """
    text = headers.get(_CONTENT_LENGTH)
    # 19 digits are more than any size; int() refuses thousands of them with a ValueError.
    length = None
    if text is not None and len(text) < 20 and text.isdecimal() and text.isascii():
        length = int(text)
    header = headers.get(_CONTENT_RANGE)
    whole = requested is None and part_number is None
    if whole and header is None and length is not None and status == 200:
        return Extent(0, length, length)
    content = None if header is None else ContentRange.parse(header)
    if content is not None and content.start is not None and content.stop is not None:
        start, stop, size = content.start, content.stop, content.size
        if length is not None and length != stop - start:
            raise RangeMismatch(
                f"Content-Range has {stop - start} bytes, but Content-Length is {length}"
            )
        if whole and stop - start != size:
            raise RangeMismatch(f"requested the whole object, got {header!r:.80}")
        if part_number is not None and not _may_be_part(part_number, start, stop == size, headers):
            raise RangeMismatch(f"requested part {part_number}, got {header!r:.80}")
        return _of_content_range(start, stop, size, requested)
    if status == 206:
        raise RangeMismatch("the response has status 206 and no valid Content-Range")
    if part_number is not None and not _may_be_part(part_number, 0, True, headers):
        raise RangeMismatch(f"requested part {part_number}, got a response without parts")
    delimited = length is not None or _is_chunked(headers)
    if requested is None:
        return Extent(0, length, length, delimited=delimited)
    return _slice(length, requested, delimited)


def _may_be_part(number: int, start: int, at_end: bool, headers: Mapping[str, str]) -> bool:
    """Whether bytes from ``start`` can be that part; ``at_end`` if they are the object's last."""
    if number > 1:
        return start > 0
    # A server that does not support parts sends the whole object as the only part.
    return start == 0 and not (at_end and _count_parts(headers) > 1)


def _count_parts(headers: Mapping[str, str]) -> int:
    match = _etag_of_parts(headers.get("ETag", ""))
    count = integer(headers.get("x-amz-mp-parts-count", ""))
    return max(int(match[1]) if match else 1, count or 1)


def _is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether the body has chunked framing and no other transfer coding.

    If the last coding is another one, aiohttp reads the body until the connection closes, without
    decoding it. Of several fields, one of its two parsers uses the first and the other the last.
    """
    codings = [text for name, text in headers.items() if name.lower() == "transfer-encoding"]
    return bool(codings) and all(text.isascii() and text.lower() == "chunked" for text in codings)


def _of_content_range(
    start: int, stop: int, size: int | None, requested: ByteRange | None
) -> Extent:
    if requested is not None:
        # RFC 9110 section 15.3.7: a server may send less than was requested, so without the size
        # the end of the body need not be the end of the object.
        if size is not None:
            fits = requested.within(size) == (start, stop)
        elif requested.start < 0:
            fits = stop - start == -requested.start
        else:
            fits = (start, stop) == (requested.start, requested.stop)
        if not fits:
            raise RangeMismatch(
                f"requested {requested}, got bytes {start}-{stop - 1} of"
                f" {size or 'an unknown size'}"
            )
    return Extent(start, stop, size)


def _slice(length: int | None, requested: ByteRange, delimited: bool) -> Extent:
    # RFC 9110 section 14.2: a server may ignore Range and send the whole object with status 200.
    if length is None:
        if requested.start < 0:
            raise RangeMismatch(
                f"requested {requested}, got the whole object without a length to count back from"
            )
        start, stop = requested.start, requested.stop
        return Extent(start, stop, None, start, True, delimited, open_ended=True)
    start, stop = requested.within(length)
    if start == stop:
        raise RangeMismatch(
            f"requested {requested}, got the whole object, which has {length} bytes"
        )
    return Extent(start, stop, length, skip=start, sliced=stop < length)

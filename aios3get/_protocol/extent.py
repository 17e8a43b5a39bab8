"""Which bytes of the object an answer's body holds, and which of them are wanted."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from multidict import istr

from aios3get._protocol.header_values import integer
from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get.errors import RangeMismatch

__all__ = ["Extent", "extent_of"]

_CONTENT_LENGTH: Final = istr("Content-Length")
_CONTENT_RANGE: Final = istr("Content-Range")
# The ETag of an object made of parts ends in their number.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
_etag_of_parts = re.compile(r'.*-(\d{1,5})"?', re.ASCII).fullmatch


class Extent(NamedTuple):
    """The wanted bytes, as offsets in the object, and how to cut them out of the body.

    Attributes:
        start: offset of the first wanted byte.
        stop: offset after the last wanted byte; None where only the body's end will tell.
        size: the object's size; None if the answer does not tell.
        skip: bytes of the body that come before the wanted ones.
        sliced: whether the body goes on, or may go on, after the wanted bytes.
        delimited: whether HTTP tells the body's end apart from a broken connection.
        open_ended: whether the object may end before ``stop``, as only the body's end will tell.
    """

    start: int
    stop: int | None
    size: int | None
    skip: int = 0
    sliced: bool = False
    delimited: bool = True
    open_ended: bool = False


_Fields: TypeAlias = tuple[int, int | None, int | None, int, bool, bool, bool]

# A named tuple's own ``__new__`` is a Python function; this makes one without it.
_extent: Final[Callable[[_Fields], Extent]] = partial(_Fields.__new__, Extent)


def extent_of(
    status: int,
    headers: Mapping[str, str],
    wanted: ByteRange | None,
    part: int | None = None,
) -> Extent:
    """Hold the answer's length and ``Content-Range`` against what was asked.

    Args:
        status: 200 or 206.
        headers: the answer's.
        wanted: the range asked for; None if the whole object or a part was.
        part: the number of the part asked for.

    Raises:
        RangeMismatch: the answer holds other bytes, or does not say which.
    """
    text = headers.get(_CONTENT_LENGTH)
    # 19 digits are more than any size; int() refuses thousands of them with a ValueError.
    length = None
    if text is not None and len(text) < 20 and text.isdecimal() and text.isascii():
        length = int(text)
    told_range = headers.get(_CONTENT_RANGE)
    plain = told_range is None and wanted is None and part is None
    if plain and length is not None and status == 200:
        return _extent((0, length, length, 0, False, True, False))
    told = None if told_range is None else ContentRange.parse(told_range)
    if told is not None and told.start is not None and told.stop is not None:
        if length is not None and length != told.stop - told.start:
            raise RangeMismatch(
                f"the answer's Content-Range holds {told.stop - told.start} bytes,"
                f" its Content-Length says {length}"
            )
        if wanted is None and part is None and told.stop - told.start != told.size:
            raise RangeMismatch(f"asked for the whole object, got {told_range!r:.80}")
        if part is not None and not _may_be_part(part, told.start, told.stop == told.size, headers):
            raise RangeMismatch(f"asked for part {part}, got {told_range!r:.80}")
        return _ranged(told.start, told.stop, told.size, wanted)
    if status == 206:
        raise RangeMismatch("a 206 answer came without a Content-Range that tells its bytes")
    if part is not None and not _may_be_part(part, 0, True, headers):
        raise RangeMismatch(f"asked for part {part}, got an answer that tells of no part")
    delimited = length is not None or _is_chunked(headers)
    if wanted is None:
        return Extent(0, length, length, delimited=delimited)
    return _sliced(length, wanted, delimited)


def _may_be_part(part: int, start: int, at_end: bool, headers: Mapping[str, str]) -> bool:
    """Whether bytes that begin at ``start`` can be that part; ``at_end``: they are the last."""
    if part > 1:
        return start > 0
    # A server that does not know parts answers with everything, which is the one part there is.
    return start == 0 and not (at_end and _parts(headers) > 1)


def _parts(headers: Mapping[str, str]) -> int:
    found = _etag_of_parts(headers.get("ETag", ""))
    count = integer(headers.get("x-amz-mp-parts-count", ""))
    return max(int(found[1]) if found else 1, count or 1)


def _is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether chunks are what frames the body, and all that was done to it.

    aiohttp reads a body whose last coding is any other one until the connection closes, and takes
    no other coding off. Of several fields its two parsers heed the first and the last.
    """
    codings = [text for name, text in headers.items() if name.lower() == "transfer-encoding"]
    return bool(codings) and all(text.isascii() and text.lower() == "chunked" for text in codings)


def _ranged(start: int, stop: int, size: int | None, wanted: ByteRange | None) -> Extent:
    if wanted is not None:
        # RFC 9110 section 15.3.7: a server may send less than was asked for, so without the size
        # nothing says that the object ends where the answer does.
        if size is not None:
            fits = wanted.within(size) == (start, stop)
        elif wanted.start < 0:
            fits = stop - start == -wanted.start
        else:
            fits = (start, stop) == (wanted.start, wanted.stop)
        if not fits:
            raise RangeMismatch(
                f"asked for {wanted}, got bytes {start}-{stop - 1} of {size or 'an unknown size'}"
            )
    return Extent(start, stop, size)


def _sliced(length: int | None, wanted: ByteRange, delimited: bool) -> Extent:
    # RFC 9110 section 14.2: a server may ignore Range and answer 200 with everything.
    if length is None:
        if wanted.start < 0:
            raise RangeMismatch(
                f"asked for {wanted}, got everything without a length to count back from"
            )
        start, stop = wanted.start, wanted.stop
        return Extent(start, stop, None, start, True, delimited, open_ended=True)
    start, stop = wanted.within(length)
    if start == stop:
        raise RangeMismatch(f"asked for {wanted}, got everything, which is {length} bytes long")
    return Extent(start, stop, length, skip=start, sliced=stop < length)

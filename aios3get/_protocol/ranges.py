"""Byte ranges as half-open intervals, and the ``Range`` and ``Content-Range`` headers.

RFC 9110 section 14: https://www.rfc-editor.org/rfc/rfc9110#section-14
"""

import re
from dataclasses import dataclass
from typing import Self

from aios3get.errors import ParameterError

__all__ = ["ByteRange", "ContentRange"]

# Range units are case-insensitive (RFC 9110 section 14.1).
_range_header = re.compile(
    r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))", re.ASCII | re.IGNORECASE
).fullmatch
# Sample responses of S3's developer guide lack the unit.
_content_range_header = re.compile(
    r"(?:bytes +)?(?:(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)|\*/(\d{1,19}))", re.ASCII | re.IGNORECASE
).fullmatch


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from ``start`` up to but not including ``stop``, like a slice.

    ``ByteRange(0, 10)`` is the first ten bytes, ``ByteRange.from_offset(10)`` all bytes after them,
    ``ByteRange.last(10)`` the last ten. ``str()`` returns the ``Range`` header.

    Args:
        start: the offset of the first byte; a negative one counts from the end and takes no
            ``stop``.
        stop: the offset after the last byte; None for the object's end.

    Raises:
        ParameterError: an offset is not an int, or the range is empty; HTTP has no empty ranges.
    """

    start: int
    stop: int | None = None

    def __post_init__(self) -> None:
        for value in (self.start, 0 if self.stop is None else self.stop):
            if type(value) is not int:
                raise ParameterError(f"range offsets must be ints, not {value!r}")
        if self.start < 0 and self.stop is not None:
            raise ParameterError(
                f"a range from the end takes no stop, got {self.stop}; use ByteRange.last(n)"
            )
        if self.stop is not None and self.stop <= self.start:
            raise ParameterError(
                f"range ({self.start}, {self.stop}) is empty; stop must be greater than start"
            )

    @classmethod
    def from_offset(cls, start: int) -> Self:
        """Return the range of all bytes from ``start`` to the object's end."""
        if start < 0:
            raise ParameterError(
                f"the offset must not be negative, got {start}; use ByteRange.last(n)"
            )
        return cls(start)

    @classmethod
    def last(cls, count: int) -> Self:
        """Return the range of the last ``count`` bytes, or all bytes of a shorter object."""
        if count < 1:
            raise ParameterError(
                f"the last {count} bytes are an empty range; count must be 1 or more"
            )
        return cls(-count)

    @classmethod
    def of(cls, value: object) -> "ByteRange":
        """Return the range itself, or parse a ``Range`` header.

        Raises:
            ParameterError: the value is neither, or not a single range.
        """
        if isinstance(value, ByteRange):
            return value
        if not isinstance(value, str):
            raise ParameterError(
                f"range must be a ByteRange or text such as 'bytes=0-9', not {value!r}"
            )
        return cls.parse(value)

    @classmethod
    def parse(cls, header: str) -> Self:
        """Parse a ``Range`` header with a single range of bytes.

        Raises:
            ParameterError: the header is malformed, or has an empty range or several ranges;
                GetObject takes one
                (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
        """
        match = _range_header(header)
        if match is None:
            rule = "S3 takes one range per request" if "," in header else "write bytes=first-last"
            raise ParameterError(f"range {header!r:.100} is not a single byte range: {rule}")
        first, last, suffix = match.groups()
        if suffix is not None:
            return cls.last(int(suffix))
        if last and int(last) < int(first):
            raise ParameterError(f"range {header!r} is empty; its last byte precedes its first one")
        return cls(int(first), int(last) + 1 if last else None)

    def __str__(self) -> str:
        if self.start < 0:
            return f"bytes={self.start}"
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"

    def within(self, size: int) -> tuple[int, int]:
        """Return the offsets ``(start, stop)`` of this range in an object of ``size`` bytes."""
        start, stop = self.start, self.stop
        if start < 0:
            return max(0, size + start), size
        # ``min`` would take half of the time of this method.
        return start if start < size else size, size if stop is None or stop > size else stop


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The bytes of the object that a response contains, from its ``Content-Range`` header.

    Attributes:
        start: the offset of the first byte; None in a 416 response.
        stop: the offset after the last byte; None in a 416 response.
        size: the object's size in bytes; None if the server sent ``*``.
    """

    start: int | None
    stop: int | None
    size: int | None

    @classmethod
    def parse(cls, header: str) -> Self | None:
        """Parse the header; None if it is malformed or contradicts itself."""
        match = _content_range_header(header.strip())
        if match is None:
            return None
        first, last, size, unsatisfied_size = match.groups()
        if unsatisfied_size is not None:
            return cls(None, None, int(unsatisfied_size))
        start, stop = int(first), int(last) + 1
        total = None if size == "*" else int(size)
        if stop <= start or (total is not None and stop > total):
            return None
        return cls(start, stop, total)

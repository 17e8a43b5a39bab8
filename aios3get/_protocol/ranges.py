"""Byte ranges as half-open intervals, and their two header spellings.

RFC 9110 section 14: https://www.rfc-editor.org/rfc/rfc9110#section-14
"""

import re
from dataclasses import dataclass
from typing import Self

from aios3get.errors import ConfigurationError

__all__ = ["ByteRange", "ContentRange"]

_range_header = re.compile(r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))", re.ASCII).fullmatch
_content_range_header = re.compile(
    r"bytes +(?:(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)|\*/(\d{1,19}))", re.ASCII | re.IGNORECASE
).fullmatch


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from ``start`` up to, not including, ``stop``: like a slice.

    ``ByteRange(0, 10)`` is the first ten bytes, ``ByteRange.from_offset(10)`` all after them,
    ``ByteRange.last(10)`` the final ten. ``str()`` gives the ``Range`` header.

    Args:
        start: the first byte's offset; a negative one counts from the end and leaves ``stop`` None.
        stop: the offset after the last byte, or None for all that follows.

    Raises:
        ConfigurationError: the range is empty or turned around; HTTP cannot ask for no bytes.
    """

    start: int
    stop: int | None = None

    def __post_init__(self) -> None:
        for value in (self.start, 0 if self.stop is None else self.stop):
            if type(value) is not int:
                raise ConfigurationError(f"range offsets are whole numbers of bytes, not {value!r}")
        if self.start < 0 and self.stop is not None:
            raise ConfigurationError(
                f"a range from the end takes no stop, got {self.stop}; use ByteRange.last(n)"
            )
        if self.stop is not None and self.stop <= self.start:
            raise ConfigurationError(
                f"range ({self.start}, {self.stop}) holds no bytes; stop must be above start"
            )

    @classmethod
    def from_offset(cls, start: int) -> Self:
        """All bytes from ``start`` to the object's end."""
        if start < 0:
            raise ConfigurationError(
                f"an offset is not negative, got {start}; use ByteRange.last(n)"
            )
        return cls(start)

    @classmethod
    def last(cls, count: int) -> Self:
        """The final ``count`` bytes, or all of a shorter object."""
        if count < 1:
            raise ConfigurationError(
                f"the last {count} bytes hold nothing; HTTP cannot ask for no bytes"
            )
        return cls(-count)

    @classmethod
    def of(cls, value: object) -> "ByteRange":
        """The range itself, or the one that its header's text tells.

        Raises:
            ConfigurationError: it is neither, or not one range.
        """
        if isinstance(value, ByteRange):
            return value
        if not isinstance(value, str):
            raise ConfigurationError(
                f"range is a ByteRange or text such as 'bytes=0-9', not {value!r}"
            )
        return cls.parse(value)

    @classmethod
    def parse(cls, header: str) -> Self:
        """A ``Range`` header's text, one range of bytes, as S3 takes it.

        Raises:
            ConfigurationError: malformed, empty, or several ranges; GetObject takes one
                (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
        """
        match = _range_header(header)
        if match is None:
            rule = "S3 answers one range a request" if "," in header else "write bytes=first-last"
            raise ConfigurationError(f"range {header!r} is not one byte range: {rule}")
        first, last, suffix = match.groups()
        if suffix is not None:
            return cls.last(int(suffix))
        if last and int(last) < int(first):
            raise ConfigurationError(
                f"range {header!r} holds no bytes; its last one comes before its first"
            )
        return cls(int(first), int(last) + 1 if last else None)

    def __str__(self) -> str:
        if self.start < 0:
            return f"bytes={self.start}"
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"

    def within(self, size: int) -> tuple[int, int]:
        """The offsets ``(start, stop)`` this range names in an object of ``size`` bytes."""
        if self.start < 0:
            return max(0, size + self.start), size
        return min(self.start, size), size if self.stop is None else min(self.stop, size)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """What a ``Content-Range`` header says: the bytes ``start`` to ``stop`` of ``size``.

    ``size`` is None where the server wrote ``*``; ``start`` and ``stop`` are None in a 416 answer.
    """

    start: int | None
    stop: int | None
    size: int | None

    @classmethod
    def parse(cls, header: str) -> Self | None:
        """The header's value, or None if it is not one."""
        match = _content_range_header(header.strip())
        if match is None:
            return None
        first, last, size, refused_size = match.groups()
        if refused_size is not None:
            return cls(None, None, int(refused_size))
        start, stop = int(first), int(last) + 1
        total = None if size == "*" else int(size)
        if stop <= start or (total is not None and stop > total):
            return None
        return cls(start, stop, total)

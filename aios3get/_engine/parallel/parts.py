"""Divides the bytes of a read among requests. Pure: nothing here waits or measures."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

__all__ = [
    "MIB",
    "MIN_PART",
    "Part",
    "Span",
    "Work",
    "coalesce",
    "gaps",
    "stored_part_size",
    "widest_gap",
]

MIB: Final = 1 << 20

# AWS recommends ranges of 8 to 16 MB, and S3 sends 85 to 90 MB/s on one connection.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
MIN_PART: Final = 8 * MIB


class Span(NamedTuple):
    """The bytes from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.stop - self.start


def gaps(whole: Span, covered: Iterable[Span]) -> list[Span]:
    """Return the ranges of ``whole`` that ``covered`` does not include, in order."""
    missing: list[Span] = []
    at = whole.start
    for start, stop in [*sorted(covered), Span(whole.stop, whole.stop)]:
        if at < min(start, whole.stop):
            missing.append(Span(at, min(start, whole.stop)))
        at = max(at, stop)
    return missing


class Part:
    """The bytes that one request reads.

    Attributes:
        start: offset of the first byte.
        stop: offset after the last byte; ``Work.split`` lowers it while the part is read.
        at: offset of the next byte to receive.
    """

    __slots__ = ("at", "start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start = self.at = start
        self.stop = stop

    @property
    def left(self) -> int:
        """The number of bytes not received yet."""
        return self.stop - self.at

    def __repr__(self) -> str:
        return f"Part({self.start}, {self.stop}, at={self.at})"


class Work:
    """The bytes that are still to be read: parts in progress, and bytes not assigned to a part.

    Args:
        spans: the bytes to read, disjoint, in the order in which they are read.

    Attributes:
        unassigned: the number of bytes that are not assigned to a part.
        boundary: size of the object's stored parts, once known. Parts then end at these boundaries,
            because S3 serves a stored part fastest as a whole.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        self._unassigned = deque([span for span in spans if span.start < span.stop])
        self.unassigned = sum([stop - start for start, stop in self._unassigned])
        self._parts: set[Part] = set()
        self.boundary: int | None = None

    @property
    def left(self) -> int:
        """The number of bytes not received yet."""
        return self.unassigned + sum([part.left for part in self._parts])

    def take(self, size: int, gap: int = 0, together: int = 0) -> Part | None:
        """Return the next part; None if every byte is assigned.

        Args:
            size: the most bytes of a span in the part.
            gap: spans at most this many bytes apart are read as one part.
            together: the most bytes in a part of several spans.
        """
        if not self._unassigned:
            return None
        start, end = self._unassigned.popleft()
        stop = min(end, self._aligned(start, start + size))
        limit = self._aligned(start, start + together)
        self.unassigned -= stop - start
        if stop < end:
            self._unassigned.appendleft(Span(stop, end))
        while self._unassigned:
            following, end = self._unassigned[0]
            if not 0 <= following - stop <= gap or end > limit:
                break
            self._unassigned.popleft()
            self.unassigned -= end - following
            stop = end
        part = Part(start, stop)
        self._parts.add(part)
        return part

    def _aligned(self, start: int, stop: int) -> int:
        boundary = self.boundary
        if boundary is None:
            return stop
        below = stop - stop % boundary
        return below if below > start else stop

    def split(self, least: int) -> Part | None:
        """Split the part with the most bytes left; return its second half as a new part.

        None if no part has ``2 * least`` bytes left.
        """
        longest = max(self._parts, key=lambda part: part.left, default=None)
        if longest is None or longest.left < 2 * least:
            return None
        part = Part(longest.at + longest.left // 2, longest.stop)
        longest.stop = part.start
        self._parts.add(part)
        return part

    def finish(self, part: Part) -> None:
        """Record that the last byte of a part has been received."""
        self._parts.remove(part)


def stored_part_size(etag: str, size: int) -> int | None:
    """Return the size of the parts that an object was uploaded in; None if it is not known.

    The ETag of a multipart upload ends in the number of its parts. Their size follows from it if
    only one whole number of MiB, which is what upload tools choose, gives so many parts.

    Args:
        etag: the object's ETag.
        size: the object's size in bytes.
    """
    digits = etag.strip('"').rpartition("-")[2]
    if "-" not in etag or not digits.isascii() or not digits.isdecimal() or len(digits) > 5:
        return None
    count = int(digits)
    if count < 2:
        return None
    smallest, largest = -(-size // (count * MIB)), (size - 1) // ((count - 1) * MIB)
    return smallest * MIB if smallest == largest else None


def coalesce(
    ranges: Sequence[tuple[int, int]], gap: int, largest: int
) -> tuple[list[Span], list[int]]:
    """Group ranges so that no byte is in two groups.

    Args:
        ranges: in any order; they may overlap, repeat and be empty.
        gap: ranges at most this many bytes apart are grouped.
        largest: the most bytes in a group, unless its ranges overlap or it is a single range.

    Returns:
        The groups in the order of their offsets, each from its first range's start to the last
        one's stop; and for each range the position of its group among them.
    """
    groups: list[Span] = []
    group_of = [0] * len(ranges)
    starts = [start for start, _ in ranges]
    start = stop = -1
    for index in sorted(range(len(ranges)), key=starts.__getitem__):
        first, last = ranges[index]
        if start >= 0 and (first < stop or (first - stop <= gap and last - start <= largest)):
            stop = max(stop, last)
        else:
            if start >= 0:
                groups.append(Span(start, stop))
            start, stop = first, last
        group_of[index] = len(groups)
    if start >= 0:
        groups.append(Span(start, stop))
    return groups, group_of


def widest_gap(gaps: Iterable[int], most: int) -> int:
    """Return a length such that all gaps of at most that length have ``most`` bytes or fewer.

    Args:
        gaps: their lengths in ascending order.
        most: the most bytes in these gaps together.
    """
    total = length = 0
    for length in gaps:
        total += length
        if total > most:
            return length - 1
    return length

"""How the bytes of a read are divided among requests. Pure: nothing here waits or measures."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

__all__ = ["MIB", "MIN_PART", "Group", "Part", "Span", "Work", "coalesce", "gaps", "part_size"]

MIB: Final = 1 << 20

# AWS recommends ranges of 8 to 16 MB, and S3 sends 85 to 90 MB/s on one connection.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
MIN_PART: Final = 8 * MIB
_MAX_PART: Final = 1024 * MIB
# A part whose bytes take 20 times as long as its first one loses 5 % of the time to waiting.
_TRANSFER_PER_WAIT: Final = 20


class Span(NamedTuple):
    """The bytes from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.stop - self.start


def gaps(whole: Span, covered: Iterable[Span]) -> list[Span]:
    """The ranges of ``whole`` that no span of ``covered`` holds, in order."""
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
        at: offset of the next byte to come.
    """

    __slots__ = ("at", "start", "stop")

    def __init__(self, start: int, stop: int) -> None:
        self.start = self.at = start
        self.stop = stop

    @property
    def left(self) -> int:
        """The number of bytes still to come."""
        return self.stop - self.at

    def __repr__(self) -> str:
        return f"Part({self.start}, {self.stop}, at={self.at})"


class Work:
    """The bytes that are still to be read: those of parts under way, and those of none yet.

    Args:
        spans: the bytes to read, disjoint and in order.

    Attributes:
        boundary: size of the object's stored parts, once known; parts then end where those do.
            S3 reads a stored part fastest as a whole.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        self._unassigned = deque(span for span in spans if span.size)
        self._parts: set[Part] = set()
        self.boundary: int | None = None

    @property
    def unassigned(self) -> int:
        """The number of bytes that belong to no part yet."""
        return sum(span.size for span in self._unassigned)

    def take(self, size: int) -> Part | None:
        """The next part, of at most ``size`` bytes; None if every byte belongs to a part."""
        if not self._unassigned:
            return None
        start, end = self._unassigned.popleft()
        stop = min(end, self._aligned(start, start + size))
        if stop < end:
            self._unassigned.appendleft(Span(stop, end))
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
        """A new part from the second half of the part with the most bytes left.

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
        """Record that a part's last byte has come."""
        self._parts.remove(part)


def part_size(
    latency: float, rate: float, unassigned: int, connections: int, least: int = MIN_PART
) -> int:
    """How many bytes the next part should have.

    Short parts spread the work evenly. Where waiting for their first bytes would cost much, parts
    are as long as a connection's share of the work, and are split when a connection falls behind.

    Args:
        latency: seconds from a request to its response's first byte.
        rate: bytes per second of one connection.
        unassigned: the number of bytes that belong to no part yet.
        connections: how many requests share them.
        least: the result is at least this.
    """
    wanted = int(_TRANSFER_PER_WAIT * latency * rate)
    if wanted <= least:
        return least
    share = -(-unassigned // connections)
    return max(least, min(share, _MAX_PART))


class Group(NamedTuple):
    """Ranges that are read together.

    Attributes:
        span: the bytes to read, from the first range's start to the last one's stop.
        members: the ranges' positions in the sequence that was coalesced.
    """

    span: Span
    members: tuple[int, ...]


def coalesce(ranges: Sequence[Span], gap: int, largest: int) -> list[Group]:
    """Group ranges, so that few requests read them and no byte is read twice.

    Args:
        ranges: in any order; they may overlap, repeat and be empty.
        gap: ranges at most so many bytes apart are read together.
        largest: a group of ranges that do not overlap has at most so many bytes, unless it is a
            single range.
    """
    groups: list[Group] = []
    members: list[int] = []
    start = stop = 0
    for index in sorted(range(len(ranges)), key=ranges.__getitem__):
        each = ranges[index]
        if members and (
            each.start < stop or (each.start - stop <= gap and each.stop - start <= largest)
        ):
            stop = max(stop, each.stop)
        else:
            if members:
                groups.append(Group(Span(start, stop), tuple(members)))
            members, (start, stop) = [], each
        members.append(index)
    if members:
        groups.append(Group(Span(start, stop), tuple(members)))
    return groups

"""Reads many ranges of one object."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from aios3get._engine.parallel.concurrency import Link
from aios3get._engine.parallel.memory import MemorySink, MemoryWriter, allocate
from aios3get._engine.parallel.opening import ObjectRead
from aios3get._engine.parallel.parts import Group, Span, coalesce, gaps
from aios3get._engine.parallel.transfer import Transfer
from aios3get._protocol.hashing import Algorithm
from aios3get._protocol.ranges import ByteRange

__all__ = ["read_ranges"]

# Ranges up to the first distance apart are read together at any latency; ranges farther apart than
# the second never are.
_LEAST_GAP: Final = 1 << 16
_MOST_GAP: Final = 1 << 21

# These requests are short, so more of them run at once.
_CONNECTIONS: Final = 32


class GroupsSink:
    """Buffers for groups of ranges.

    Args:
        groups: in the order of their offsets.
    """

    piece_size = 0

    def __init__(self, groups: Sequence[Group]) -> None:
        self._starts = [group.span.start for group in groups]
        self._sinks = [MemorySink(allocate(span.size), span.start) for span, _ in groups]

    def writer(self, offset: int) -> MemoryWriter:
        """Return a writer for the bytes from ``offset`` on."""
        return self._sink(offset).writer(offset)

    def record(self, span: Span, algorithm: Algorithm, digest: bytes) -> None:
        """Do nothing: a read into memory cannot be resumed."""

    def read_back(self, span: Span) -> Iterator[memoryview]:
        """Return the bytes of ``span``."""
        return self._sink(span.start).read_back(span)

    def view(self, span: Span) -> memoryview:
        """Return the buffer of a range."""
        return self._sink(span.start).view(span)

    def _sink(self, offset: int) -> MemorySink:
        return self._sinks[bisect_right(self._starts, offset) - 1]


async def read_ranges(
    read: ObjectRead, ranges: Sequence[ByteRange], gap: int | None
) -> list[memoryview]:
    """Return the bytes of each range, in the order of the ranges.

    Args:
        read: the call.
        ranges: the ranges to read.
        gap: ranges at most this many bytes apart are read together; None to adapt it.

    Raises:
        InvalidRange: a range lies outside the object.
        S3Error: as for ``get_object``.
    """
    if not ranges:
        return []
    begun = await read.begin_range(_first_range(ranges, read.least_part))
    size, (start, stop) = begun.extent.size, begun.extent[:2]
    assert size is not None
    assert stop is not None
    first = Span(start, stop)
    spans = [Span(*each.within(size)) for each in ranges]
    if gap is None:
        # Reading a gap costs as much as a request if its transfer takes as long as the latency.
        gap = max(_LEAST_GAP, min(int(begun.latency * Link(begun.latency).rate), _MOST_GAP))
    groups = coalesce(spans, gap, read.least_part)
    sink = GroupsSink(groups)
    others = [rest for span, _ in groups for rest in gaps(span, [first])]
    # The stored checksum is that of the whole object, so it cannot verify ranges.
    begun = begun._replace(wants_checksum=False)
    await Transfer(read, begun, [first, *others], sink, connections=_CONNECTIONS).run()
    return [sink.view(span).toreadonly() for span in spans]


def _first_range(ranges: Sequence[ByteRange], most: int) -> ByteRange:
    """Return the range that starts last: if it is satisfiable, so are all others."""
    last = max(ranges, key=lambda each: each.start)
    if last.start < 0:
        longest = min(ranges, key=lambda each: each.start)
        return ByteRange.last(min(-longest.start, most))
    stop = last.start + most
    return ByteRange(last.start, stop if last.stop is None else min(last.stop, stop))

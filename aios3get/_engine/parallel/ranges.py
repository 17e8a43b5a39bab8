"""Reads many ranges of one object."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, sqrt
from typing import Final

from aios3get._engine.buffers import PACKED_SIZE, PackedBuffers
from aios3get._engine.parallel.concurrency import USUAL_RATE, Link
from aios3get._engine.parallel.object_read import FirstResponse, ObjectRead
from aios3get._engine.parallel.part_sizes import Grouping
from aios3get._engine.parallel.parts import MIB, MIN_PART, Span, coalesce, gaps, widest_gap
from aios3get._engine.parallel.transfer import CONNECTIONS, Transfer
from aios3get._protocol.hashing import Algorithm
from aios3get._protocol.ranges import ByteRange

__all__ = ["RangesSink", "choose_gap", "divide", "read_ranges"]

# Ranges up to the first distance apart are read together at any latency; ranges farther apart than
# the second never are.
_LEAST_GAP: Final = 1 << 16
_MOST_GAP: Final = 1 << 21
# Gaps beyond the least one have at most this many times the bytes of the ranges.
_MOST_WASTE: Final = 4

# The CPU time of opening a connection, without and with TLS, is 0.3 to 1.5 ms.
_CONNECTING_SECONDS: Final = 0.0005
# Under load, a request to the nearest server takes this long.
_LEAST_SECONDS: Final = 0.003

# Fewer bytes of a range than the first number are copied from where they are received together with
# the bytes between ranges: at most the second number at once. Fewer and larger receives take less
# time: 10,000 short ranges of 100 MiB 0.85 times as long as with 1 MiB.
_DIRECT: Final = 262_144
_SCRATCH: Final = 4 * MIB


class RangesSink:
    """Memory for ranges, without the bytes between them.

    Args:
        spans: the bytes to keep, disjoint and in order.

    Attributes:
        memory: holds the bytes of each span.
    """

    piece_size = 0
    least: int | None = None

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._starts = [start for start, _ in spans]
        self.memory = PackedBuffers([stop - start for start, stop in spans])
        self._scratch: memoryview | None = None

    def writer(self, offset: int) -> "RangesWriter":
        """Return a writer for the bytes from ``offset`` on."""
        return RangesWriter(self, offset)

    def memory_at(self, offset: int, size: int) -> memoryview:
        """Return the memory for at most ``size`` bytes from ``offset`` on; empty between spans."""
        index = self._index(offset)
        start, stop = self._spans[index]
        if not start <= offset < stop:
            return memoryview(b"")
        return self.memory.view(index, offset - start, min(offset + size, stop) - start)

    def store(self, offset: int, data: memoryview) -> None:
        """Copy the bytes that belong to spans."""
        end = offset + len(data)
        for index in range(self._index(offset), bisect_left(self._starts, end)):
            start, stop = self._spans[index]
            first = start if start > offset else offset
            last = stop if stop < end else end
            if first < last:
                view = self.memory.view(index, first - start, last - start)
                view[:] = data[first - offset : last - offset]

    def _index(self, offset: int) -> int:
        """Return the position of the last span that starts at or before ``offset``, or 0."""
        return max(0, bisect_right(self._starts, offset) - 1)

    def scratch(self, size: int) -> memoryview:
        """Return memory for at most ``size`` bytes, which are copied from there as they arrive."""
        if self._scratch is None:
            self._scratch = memoryview(bytearray(_SCRATCH))
        return self._scratch[:size]

    def record(self, span: Span, algorithm: Algorithm, digest: bytes) -> None:
        """Do nothing: a read into memory cannot be resumed."""

    def read_back(self, span: Span) -> Iterator[memoryview]:
        """Return the bytes of ``span``, which lies in one of the sink's."""
        yield self.memory_at(span.start, span.size)


class RangesWriter:
    """Hands out the memory of ranges, and other memory for the bytes between them."""

    def __init__(self, sink: RangesSink, offset: int) -> None:
        self._sink = sink
        self._at = offset
        self._in_place = True

    def window(self, size: int) -> memoryview:
        """Return memory for the next bytes, at most ``size`` of them."""
        memory = self._sink.memory_at(self._at, size)
        self._in_place = len(memory) >= min(size, _DIRECT)
        return memory if self._in_place else self._sink.scratch(size)

    def write(self, data: memoryview) -> None:
        """Copy the bytes, unless they are in place."""
        if not self._in_place:
            self._sink.store(self._at, data)
        self._at += len(data)

    async def flush(self) -> None:
        """Do nothing: the bytes are in place."""


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
    first = await _begin(read, ranges, _LEAST_GAP if gap is None else gap)
    size, (start, stop) = first.extent.size, first.extent[:2]
    assert size is not None
    assert stop is not None
    received = Span(start, stop)
    spans = [each.within(size) for each in ranges]
    groups, group_of = coalesce(spans, 0, PACKED_SIZE)
    sink = RangesSink(groups)
    others = [group for group in groups if group.stop <= received.start]
    for group in groups[len(others) :]:
        others += gaps(group, [received])
    wanted = sum([stop - start for start, stop in others])
    between = sorted([after.start - before.stop for before, after in pairwise(others)])
    widest = widest_gap(between, _MOST_WASTE * wanted)

    def gap_now(link: Link) -> int:
        return choose_gap(widest, link) if gap is None else gap

    few = bisect_right(between, gap_now(Link(first.latency)))
    connections, together = divide(
        wanted + sum(between[:few]), 1 + len(between) - few, first.latency
    )
    transfer = Transfer(
        read,
        # The stored checksum is that of the whole object, so it cannot verify ranges.
        first._replace(requests_checksum=False),
        [received, *others],
        sink,
        connections=connections,
        grouping=Grouping(gap_now, min(read.least_part, together)),
        store=sink.store,
    )
    await transfer.run()
    sink.memory.freeze()
    views: list[memoryview] = []
    for (start, stop), index in zip(spans, group_of, strict=True):
        at = groups[index].start
        views.append(sink.memory.view(index, start - at, stop - at))
    return views


async def _begin(read: ObjectRead, ranges: Sequence[ByteRange], gap: int) -> FirstResponse:
    """Request the last ranges: if these are satisfiable, so are all others."""
    last = max(ranges, key=lambda each: each.start)
    if last.start < 0:
        longest = min(ranges, key=lambda each: each.start)
        return await read.begin_range(ByteRange.last(min(-longest.start, read.least_part)))
    most = min(read.least_part, MIB)
    nearest = [
        Span(each.start, each.start + most if each.stop is None else each.stop)
        for each in ranges
        if each.start >= max(0, last.start - most)
    ]
    start, stop = coalesce(nearest, gap, most)[0][-1]
    first = await read.begin_range(ByteRange(start, min(stop, start + most)))
    assert first.extent.size is not None
    if last.start >= first.extent.size:
        read.discard(first)
        first = await read.begin_range(last)  # S3's own error has the size of the object
    return first


def choose_gap(widest: int, link: Link) -> int:
    """Return how many bytes apart ranges are read together.

    Reading the bytes between two ranges takes as long as another request if their transfer takes
    as long as the latency.

    Args:
        widest: the most that may be returned, except that short distances never deserve a request.
        link: the measurements.
    """
    rate = min(link.rate, USUAL_RATE)
    return max(_LEAST_GAP, min(int(link.least_latency * rate), widest, _MOST_GAP))


def divide(size: int, requests: int, latency: float) -> tuple[int, int]:
    """Return the number of connections, and the most bytes in a request for several ranges.

    With ``n`` requests over ``c`` connections, waiting takes ``n * latency / c`` and opening the
    connections ``c`` times their cost. The sum is least where both are equal.

    Args:
        size: the number of bytes in all requests.
        requests: the fewest requests, if none is limited in length.
        latency: seconds from a request to its response's first byte.
    """
    seconds = max(latency, _LEAST_SECONDS)
    divided = max(requests, ceil(size / MIN_PART))
    connections = max(CONNECTIONS, ceil(sqrt(divided * seconds / _CONNECTING_SECONDS)))
    # One connection receives the first response. Of what cannot be read together, the last request
    # is half as long as the others on average.
    whole = connections - 1 - requests / 2
    return connections, MIN_PART if whole < 1 else min(MIN_PART, max(MIB, int(size / whole)))

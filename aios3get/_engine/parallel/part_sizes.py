"""Chooses how many bytes a request reads. Pure: nothing here waits or measures."""

from collections.abc import Callable
from typing import Final, NamedTuple

from aios3get._engine.parallel.concurrency import Link
from aios3get._engine.parallel.parts import MIB, Part, Work

__all__ = ["SEPARATE", "Grouping", "PartSizes"]

_MAX_PART: Final = 1024 * MIB
# If the transfer takes 20 times as long as the latency, waiting costs 5 % of the time.
_TRANSFER_PER_WAIT: Final = 20
# A part is split if its remaining transfer takes this many times the latency of a request.
_SPLIT_WAITS: Final = 4


class Grouping(NamedTuple):
    """Which spans are read with one request.

    Attributes:
        gap: returns how many bytes apart they may be.
        size: the most bytes in a request for several spans.
    """

    gap: Callable[[Link], int]
    size: int


def _no_gap(link: Link) -> int:
    return 0


SEPARATE: Final = Grouping(_no_gap, 0)


class PartSizes:
    """Divides work into parts of sizes that suit the measured latency and rate.

    Args:
        link: the measurements.
        least: the fewest bytes in a part.
        fixed: the number of bytes in every part; None to choose it.
        grouping: which spans are read with one request.
    """

    def __init__(
        self, link: Link, least: int, fixed: int | None = None, grouping: Grouping = SEPARATE
    ) -> None:
        self._link = link
        self._least = least
        self._fixed = fixed
        self._grouping = grouping

    def choose(self, left: int, connections: int = 1) -> int:
        """Return the size of the next part.

        Short parts spread the work evenly. If the latency would make them expensive, a part is as
        long as a connection's share of the work, and is split when its connection falls behind.

        Args:
            left: the number of bytes that the connections share.
            connections: their number.
        """
        if self._fixed is not None:
            return self._fixed
        if self._bytes_per(_TRANSFER_PER_WAIT) <= self._least:
            return self._least
        share = -(-left // connections)
        return max(self._least, min(share, _MAX_PART))

    def take(self, work: Work, size: int) -> Part | None:
        """Return the next part of this size, or half of a part in progress; None at the end."""
        grouping = self._grouping
        part = work.take(size, grouping.gap(self._link), grouping.size)
        return part or work.split(max(self._least, self._bytes_per(_SPLIT_WAITS) // 2))

    def _bytes_per(self, waits: int) -> int:
        """Return how many bytes a connection receives in so many times the latency."""
        return int(waits * self._link.latency * self._link.rate)

"""Memory for the bytes of large reads, in huge pages where the system has them."""

import asyncio
import mmap
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

__all__ = ["HUGE_PAGE", "PACKED_SIZE", "BufferPool", "PackedBuffers", "allocate"]

_MIB: Final = 1 << 20
HUGE_PAGE: Final = 2 * _MIB
# The size of the buffers that pieces share, if two of them fit.
PACKED_SIZE: Final = HUGE_PAGE
_SHORT: Final = PACKED_SIZE // 2

# Less memory is not worth keeping.
_LEAST_KEPT: Final = _MIB
_MOST_KEPT: Final = 256 * _MIB
_KEPT_SECONDS: Final = 10.0


def allocate(size: int) -> memoryview:
    """Return memory of zeros, in huge pages if it is large and the system has them.

    Until it is first written to, large memory has no pages. Providing them in the usual 4 KiB costs
    0.7 ms per MiB, in huge ones 0.15 ms.
    """
    if size < HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(bytearray(size))
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # of a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


class BufferPool:
    """Keeps memory for the next reads, and releases it after 10 seconds without use.

    Memory of other sizes is released for new memory, so no more is held than reads needed at once.
    The pages of new memory cost more time than receiving bytes into existing ones: up to 3 ms per
    MiB in a virtual machine whose host has to provide them.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[memoryview]] = {}
        self._kept = 0
        self._timer: asyncio.TimerHandle | None = None

    def take(self, size: int) -> memoryview:
        """Return memory of this size with any content."""
        free = self._free.get(size)
        if free:
            self._kept -= size
            return free.pop()
        if size >= _LEAST_KEPT:
            self._release(size)
        return allocate(size)

    def _release(self, size: int) -> None:
        """Release so many bytes of memory, because as many are about to be allocated."""
        for other, free in self._free.items():
            while free and size > 0:
                free.pop()
                self._kept -= other
                size -= other

    def give(self, memory: memoryview) -> None:
        """Keep memory that was taken and that nothing uses any more."""
        size = len(memory)
        if size < _LEAST_KEPT:
            return
        if self._kept + size > _MOST_KEPT:
            # Other sizes may be of reads that nobody makes any more.
            self._free = {size: self._free.get(size, [])}
            self._kept = size * len(self._free[size])
            if self._kept + size > _MOST_KEPT:
                return
        self._free.setdefault(size, []).append(memory)
        self._kept += size
        if self._timer is not None:
            self._timer.cancel()
        # The timer must not keep the memory of a client that is collected.
        loop, pool = asyncio.get_running_loop(), weakref.ref[BufferPool](self)
        self._timer = loop.call_later(_KEPT_SECONDS, _clear, pool)

    def clear(self) -> None:
        """Release the memory."""
        self._free.clear()
        self._kept = 0


def _clear(reference: "weakref.ref[BufferPool]") -> None:
    pool = reference()
    if pool is not None:
        pool.clear()


class PackedBuffers:
    """Memory for many pieces. Short pieces share buffers of ``PACKED_SIZE``.

    Args:
        sizes: the number of bytes of each piece.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._buffers: list[memoryview] = []
        self._places: list[tuple[int, int]] = []
        short = sum([size for size in sizes if size <= _SHORT])
        shared = left = 0
        for size in sizes:
            if size > _SHORT:
                self._places.append((len(self._buffers), 0))
                self._buffers.append(allocate(size))
                continue
            if left < size or not self._buffers:
                shared, left = len(self._buffers), min(short, PACKED_SIZE)
                self._buffers.append(allocate(left))
            self._places.append((shared, len(self._buffers[shared]) - left))
            left -= size
            short -= size

    def view(self, index: int, start: int, stop: int) -> memoryview:
        """Return the memory of a piece from its byte ``start`` up to ``stop``."""
        buffer, at = self._places[index]
        return self._buffers[buffer][at + start : at + stop]

    def freeze(self) -> None:
        """Make the views that are returned from now on read-only."""
        self._buffers = [buffer.toreadonly() for buffer in self._buffers]

"""Reads an object in order, ahead of its consumer, in bounded memory."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from aios3get._engine.call import without_frames
from aios3get._engine.parallel.limits import MAX_REQUESTS, ConsumerRate, Limits, choose_limits
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._engine.parallel.part_reader import PartReader
from aios3get._engine.parallel.part_stream import PartStream
from aios3get._engine.parallel.parts import Span
from aios3get._engine.parallel.tasks import retrieve_error

__all__ = ["Block", "ReadAhead"]


class Block:
    """Consecutive bytes of the object, as they arrive.

    Attributes:
        start: offset of the first byte.
        stop: offset after the last byte.
        at: offset of the next byte to arrive.
        memory: the buffer for the bytes.
        error: the error that ended the reading.
        stream: the response that the bytes arrive from.
        task: the task that reads them.
    """

    __slots__ = ("at", "error", "memory", "start", "stop", "stream", "task")

    def __init__(self, start: int, memory: memoryview) -> None:
        self.start = self.at = start
        self.stop = start + len(memory)
        self.memory = memory
        self.error: Exception | None = None
        self.stream: PartStream | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def buffer(self) -> memoryview:
        """The memory as it was allocated, which may be larger than the block."""
        return memoryview(self.memory.obj)

    def cancel(self) -> None:
        """Stop reading the block."""
        if self.task is not None:
            self.task.cancel()
        # A task that has not started does not close the stream.
        if self.stream is not None:
            self.stream.close()


class ReadAhead:
    """Requests parts ahead of the consumer's position.

    Args:
        read: the call.
        reader: opens the parts.
        span: the bytes to read.

    Attributes:
        limits: how far to read ahead; may be replaced at any time.
        position: offset of the next byte for the consumer.
            It may be set to any offset that ``covers``.
        retire: called with each complete block that the consumer has passed.
    """

    def __init__(self, read: ObjectRead, reader: PartReader, span: Span) -> None:
        self._read = read
        self._reader = reader
        self._buffers = read.exchange.buffers
        self._rate = ConsumerRate()
        self.position = self._next = span.start
        self._stop = span.stop
        self.limits = Limits(0, 1, 0)
        # The number of concurrent requests that the server accepts without pushing back.
        self._allowed = MAX_REQUESTS
        self._blocks: deque[Block] = deque()
        # Those of blocks that the consumer has passed are among them.
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self.retire: Callable[[Block], object] = self.recycle

    def covers(self, offset: int) -> bool:
        """Whether the byte is in memory, requested, or next to be requested."""
        first = self._blocks[0].start if self._blocks else self._next
        return first <= offset <= self._next

    def start_with(self, stream: PartStream, stop: int) -> None:
        """Read the first bytes from an existing response."""
        self._start(stop - self._next, stream)

    def measure(self, position: int) -> None:
        """Measure the rate of the consumer, which starts to read at ``position``."""
        self._rate.moved(position, self._loop.time())

    def adapt(self, wanted: int = 0) -> None:
        """Choose how far to read ahead by the latency and the rate of the consumer.

        Args:
            wanted: the number of bytes in the current read.
        """
        read = self._read
        self.limits = choose_limits(
            self._reader.link.least_latency,
            self._rate.value,
            wanted,
            requests=read.connections,
            max_requests=read.exchange.state.max_concurrency,
            max_part=read.least_part,
        )

    async def read(self, most: int) -> memoryview:
        """Return the next bytes as they arrive, at most ``most``; none at the end.

        The returned view is valid until the next call.

        Raises:
            S3Error: they cannot be read.
        """
        while (block := self.arrived()) is None:
            if not self._blocks and self._next >= self._stop:
                return memoryview(b"")
            await self.wait()
        start, stop = self.position, min(block.at, self.position + most)
        self.position = stop
        return block.memory[start - block.start : stop - block.start]

    def arrived(self) -> Block | None:
        """Return the block that contains ``position`` if that byte has arrived.

        The memory of blocks before it is reused, and further parts are requested.
        """
        self._retire()
        self.fill()
        block = self._blocks[0] if self._blocks else None
        return block if block is not None and block.at > self.position else None

    async def wait(self) -> None:
        """Wait until more bytes have arrived.

        Raises:
            S3Error: they cannot be read.
        """
        if self._blocks and self._blocks[0].error is not None:
            raise self._blocks[0].error
        started = self._loop.time()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._rate.waited(self._loop.time() - started)

    def fill(self) -> None:
        """Request parts up to the end of the window."""
        window, requests, part_size = self.limits
        while self._next < self._stop and len(self._tasks) < min(requests, self._allowed):
            size = min(part_size, self._stop - self._next)
            if self._blocks and self._next + size - self._blocks[0].start > window:
                return
            self._start(size, None)

    def _start(self, size: int, stream: PartStream | None) -> None:
        # Of the size of a part, so that the memory of the last one is reused as well.
        memory = self._buffers.take(max(size, self.limits.part_size))
        block = Block(self._next, memory[:size])
        self._next = block.stop
        self._blocks.append(block)
        block.stream = stream
        block.task = task = self._loop.create_task(self._receive(block))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, block))

    async def _receive(self, block: Block) -> None:
        def received(piece: memoryview) -> None:
            block.at += len(piece)
            if self._blocks and self._blocks[0] is block:
                self._wake()

        try:
            if block.stream is None:
                block.stream = await self._reader.open(Span(block.start, block.stop), self)
            started = time.monotonic()
            await block.stream.readinto(block.memory, received)
            self._reader.link.add_transfer(len(block.memory), time.monotonic() - started)
        except Exception as error:
            block.error = without_frames(error)
        else:
            self._allowed = min(MAX_REQUESTS, self._allowed + 1)
        finally:
            if block.stream is not None:
                block.stream.close()
                block.stream = None

    def _end(self, block: Block, task: asyncio.Task[None]) -> None:
        # From CPython 3.12 on, a cancelled task keeps its error, whose frames have the block.
        retrieve_error(task)
        self._tasks.discard(task)
        self.fill()
        self._wake()

    def wants_hedge(self, offset: int) -> bool:
        """Whether the consumer waits for the block that contains the byte."""
        first = self._blocks[0] if self._waiter is not None and self._blocks else None
        return first is not None and first.start <= offset < first.stop

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _retire(self) -> None:
        """Release the blocks before ``position``."""
        blocks = self._blocks
        while blocks and self.position >= blocks[0].stop:
            block = blocks.popleft()
            if block.at == block.stop:
                self.retire(block)
            else:
                block.cancel()

    def recycle(self, block: Block) -> None:
        """Reuse the memory of a block that nothing uses any more."""
        self._buffers.give(block.buffer)

    def push_back(self) -> None:
        """Run half as many requests, because the server throttles or times out."""
        self._allowed = max(1, min(self._allowed, self.limits.requests) // 2)

    async def aclose(self) -> list[Block]:
        """Cancel the requests and return the blocks that are complete."""
        self._stop = self._next  # so that ``fill`` requests nothing more
        blocks = [*self._blocks]
        self._blocks.clear()
        self.retire = _ignore  # it may refer to the owner of this object
        for block in blocks:
            block.cancel()
        for task in self._tasks:
            task.cancel()  # of a consumed block, whose response has not ended
        if self._tasks:
            await asyncio.wait(self._tasks)
        complete: list[Block] = []
        for block in blocks:
            if block.at == block.stop:
                complete.append(block)
            else:
                self.recycle(block)
        return complete


def _ignore(block: Block) -> None:
    """Drop the block."""

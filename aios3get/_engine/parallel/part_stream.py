"""The bytes of one range of a version of an object."""

from typing import Final

from aios3get._engine.call import PartCall
from aios3get._engine.parallel.part_requests import PartRequests
from aios3get._engine.parallel.parts import Span
from aios3get._http.receive import OnData
from aios3get._http.transport import Response
from aios3get._protocol.extent import Extent
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import S3Error, TransportError, TruncatedBody

__all__ = ["PartStream"]

_SCRATCH_BYTES: Final = 1 << 20


class PartStream:
    """The bytes of one range. A lost connection is resumed at the next byte.

    Args:
        requests: sends the requests.
        call: their call.
        span: the range.

    Attributes:
        at: offset of the next byte.
        response: the current response; None before the first one and after a lost connection.
    """

    def __init__(self, requests: PartRequests, call: PartCall, span: Span) -> None:
        self._requests = requests
        self._call = call
        self.at = self._progress = span.start
        self._stop = span.stop
        self.response: Response | None = None
        # The number of bytes received from the current response.
        self._received = 0
        # The number of bytes to skip, and whether bytes follow the range: the server ignores
        # ranges, or this response begins before the position that another one has reached.
        self._skip: int = 0
        self._sliced = False

    async def connect(self) -> None:
        """Request the bytes from ``at`` on.

        Raises:
            ObjectChanged: the object was replaced or deleted.
            S3Error: as for ``get_object``.
        """
        range = ByteRange(self.at, self._stop)
        response, extent = await self._requests.send(self._call, range)
        self.continue_with(response, extent)

    def continue_with(self, response: Response, extent: Extent) -> None:
        """Read from this response on, whose body has the bytes of ``extent``."""
        self.response = response
        self._received = 0
        if response.taken:
            self._received = self._stop - self.at
            self.at = self._stop
        self._skip, self._sliced = extent.skip, extent.sliced

    async def readinto(
        self, target: memoryview, on_data: OnData | None = None, least: int | None = None
    ) -> None:
        """Receive the next bytes into ``target``.

        Args:
            target: no longer than the rest of the range.
            on_data: called with each piece of ``target`` once it is filled, in order.
            least: the number of bytes after which the call ends as soon as no more have arrived;
                None to fill ``target``.

        Raises:
            S3Error: the connection was lost and cannot be replaced.
        """
        stop = self.at + len(target)
        enough = stop if least is None else self.at + least

        def note(piece: memoryview) -> None:
            self.at += len(piece)
            self._received += len(piece)
            if on_data is not None:
                on_data(piece)

        while self.at < enough:
            try:
                if self.response is None:
                    await self.connect()
                elif self._skip:
                    await self._discard(self.response)
                else:
                    rest = target[self.at - stop :]
                    if not self._fill_nowait(self.response, rest, note):
                        await self._fill(self.response, rest, note, enough - self.at)
            except (TransportError, TruncatedBody) as error:
                if not await self._recover(error):
                    raise

    def _fill_nowait(self, response: Response, target: memoryview, note: OnData) -> bool:
        """Fill ``target`` with the rest of the range if the whole body has arrived."""
        if self._sliced or self.at + len(target) < self._stop:
            return False
        body = response.read_nowait()
        if body is None:
            return False
        count = min(len(body), len(target))
        if count:
            target[:count] = body[:count]
            note(target[:count])
        if self.at < self._stop:
            raise self._too_short()
        if count < len(body):
            raise _too_long()
        return True

    async def _fill(self, response: Response, target: memoryview, note: OnData, least: int) -> None:
        if await response.readinto(target, note, least) < least:
            raise self._too_short()
        # With chunked framing, further bytes may follow.
        ended = self.at < self._stop or self._sliced or response.at_end()
        if not ended and await response.read():
            raise _too_long()

    def _too_short(self) -> TruncatedBody:
        return TruncatedBody(f"the body ended {self._stop - self.at} bytes early")

    async def _discard(self, response: Response) -> None:
        """Receive bytes before ``at``."""
        scratch = memoryview(bytearray(min(self._skip, _SCRATCH_BYTES)))
        count = await response.readinto(scratch)
        if not count:
            raise TruncatedBody("the body ended before the first requested byte")
        self._skip -= count
        self._received += count

    async def _recover(self, error: S3Error) -> bool:
        self.close(error)
        if self.at > self._progress:
            self._progress = self.at
            assert self._call.budget is not None
            self._call.budget.progress()
        return await self._requests.recover(self._call, error)

    def close(self, error: S3Error | None = None) -> None:
        """Close the response; its connection returns to the pool if the body has ended.

        Args:
            error: the error that ended it.
        """
        response, self.response = self.response, None
        if response is not None:
            response.close()
            self._call.end_attempt(error, self._received)


def _too_long() -> TruncatedBody:
    return TruncatedBody("the body is longer than its announced length")

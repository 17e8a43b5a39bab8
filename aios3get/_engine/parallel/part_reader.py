"""Opens ranges of one version of an object."""

from aios3get._engine.call import PartCall
from aios3get._engine.parallel.concurrency import Link
from aios3get._engine.parallel.hedged_stream import HedgedStream, Hedges
from aios3get._engine.parallel.object_read import FirstResponse, ObjectRead
from aios3get._engine.parallel.part_requests import Controller, PartRequests
from aios3get._engine.parallel.part_stream import PartStream
from aios3get._engine.parallel.parts import Span
from aios3get._http.direct import TakeBody

__all__ = ["PartReader"]


class PartReader:
    """Opens ranges of the version that the first response determined.

    Args:
        read: the call.
        first: its first response.

    Attributes:
        link: the measured latency and rate.
    """

    def __init__(self, read: ObjectRead, first: FirstResponse) -> None:
        self.link = Link(first.latency)
        self._requests = PartRequests(read.exchange, read.call, first.pin, self.link)
        self._hedges = Hedges(self._requests) if read.hedge else None

    async def open(
        self, span: Span, controller: Controller | None = None, take: TakeBody | None = None
    ) -> PartStream:
        """Request a range and wait for the head of the response.

        Args:
            span: the range.
            controller: adapts the number of requests; None to adapt nothing.
            take: as for ``Transport.send``, except that it must refuse a body of another length.

        Raises:
            ObjectChanged: the object was replaced or deleted.
            S3Error: as for ``get_object``.
        """
        call = self._requests.new_call(controller)
        call.take = take
        stream = self._stream(call, span, controller)
        try:
            await stream.connect()
        except BaseException:
            stream.close()  # a cancellation may come together with the response
            raise
        return stream

    def stream_of(self, first: FirstResponse, controller: Controller) -> PartStream:
        """Return the body of the first response."""
        extent = first.extent
        assert extent.stop is not None
        call = self._requests.new_call(controller)
        call.adopt_attempt()
        stream = self._stream(call, Span(extent.start, extent.stop), controller)
        stream.continue_with(first.response, extent)
        return stream

    async def read_into(self, span: Span, target: memoryview) -> None:
        """Fill ``target`` with the bytes of ``span``.

        Raises:
            S3Error: as for ``open``.
        """
        stream = await self.open(span)
        try:
            await stream.readinto(target)
        finally:
            stream.close()

    def _stream(self, call: PartCall, span: Span, controller: Controller | None) -> PartStream:
        if self._hedges is None:
            return PartStream(self._requests, call, span)
        return HedgedStream(self._requests, call, span, self._hedges, controller)

"""The first request of a read. Its response determines the version and the bytes to read."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from aios3get._engine.call import Call, PartCall
from aios3get._engine.exchange import Exchange
from aios3get._engine.parallel.parts import MIN_PART, Span
from aios3get._engine.stream import ByteStream
from aios3get._http.transport import Response
from aios3get._protocol.extent import Extent
from aios3get._protocol.get_object import GetObject, GetObjectOptions
from aios3get._protocol.object_info import ObjectInfo
from aios3get._protocol.pin import Pin, first_extent
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import IntegrityError, InvalidRange, UsageError

__all__ = ["FirstResponse", "ObjectRead", "not_divisible"]

# Options that select the bytes and make the request conditional; a HEAD of the object omits them.
_SELECTING: Final = (
    *("range", "part_number", "if_none_match", "if_modified_since", "if_unmodified_since"),
)


class FirstResponse(NamedTuple):
    """The first response of a read.

    Attributes:
        info: the object's metadata.
        latency: seconds from the request to the head of the response, without connecting.
        span: the bytes that the caller requested; None if no length was announced.
        stream: the body, if this response contains all requested bytes.
        pin: the version of the object, for the requests of further parts.
        response: the response, whose body is the first part if ``stream`` is None.
        extent: the bytes in its body.
        requests_checksum: whether the stored checksum was requested.
    """

    info: ObjectInfo
    latency: float
    span: Span | None
    stream: ByteStream | None
    pin: Pin
    response: Response
    extent: Extent
    requests_checksum: bool


class ObjectRead:
    """One call that reads an object with many requests.

    Args:
        start: returns the exchange of the running event loop.
        call: the call, with the caller's request.
        options: the caller's options.
        connections: the number of concurrent requests; None to adapt it.
        part_size: the number of bytes in a request; None to adapt it.
        hedge: whether to request slow parts again on another connection.

    Attributes:
        exchange: sends the requests; set by ``begin``.
        least_part: the number of bytes in the first request, and the fewest in a later one.
    """

    exchange: Exchange
    least_part: int = MIN_PART

    def __init__(
        self,
        start: Callable[[], Awaitable[Exchange]],
        call: Call,
        options: GetObjectOptions,
        *,
        connections: int | None = None,
        part_size: int | None = None,
        hedge: bool = False,
    ) -> None:
        self._start = start
        self.call = call
        self._options = options
        self.connections = connections
        self.part_size = part_size
        self.hedge = hedge
        if part_size is not None:
            self.least_part = part_size

    @property
    def request(self) -> GetObject:
        """The caller's request."""
        return cast(GetObject, self.call.request)

    def check_loop(self) -> None:
        """Check that the running event loop is the one that ``begin`` ran on.

        Raises:
            UsageError: it is another one.
        """
        if self.exchange.transport.loop is not asyncio.get_running_loop():
            raise UsageError(
                "the object was opened on another event loop, which its connections belong to;"
                " read it there, or open it again here"
            )

    async def begin(self, most: int | None = None, *, at: int | None = None) -> FirstResponse:
        """Request the first part.

        Args:
            most: the most bytes to request; None for no limit.
            at: offset of the first byte; None for the first byte that the caller requested.

        Raises:
            S3Error: as for ``get_object``.
        """
        size = self.least_part if most is None else min(most, self.least_part)
        self.exchange = await self._start()
        request = self.request
        try:
            first = await self._begin(self._first_request(size, at), size)
        except InvalidRange:
            if request.range is not None or at is not None:
                raise
            # No range of an empty object is satisfiable.
            first = None
        if first is None or (first.stream is None and not _divisible(first)):
            if first is not None:
                self.discard(first)
            first = await self._begin(request, None)
        return first

    async def begin_range(self, range: ByteRange) -> FirstResponse:
        """Request the first of several ranges of the object.

        Raises:
            IntegrityError: further requests might read another version.
            S3Error: as for ``get_object``.
        """
        self.exchange = await self._start()
        first = await self._begin(self.changed(range=range), 0)
        if not _divisible(first):
            self.discard(first)
            raise not_divisible()
        return first

    def discard(self, first: FirstResponse) -> None:
        """Close the first response, unless something reads it."""
        first.response.close()
        self.call.end_attempt()

    def _first_request(self, size: int, at: int | None) -> GetObject:
        wanted = self.request.range
        if at is None:
            if self.request.part_number is not None or (wanted is not None and wanted.start < 0):
                return self.request
            at = 0 if wanted is None else wanted.start
        stop = at + size
        if wanted is not None and wanted.stop is not None:
            stop = min(stop, wanted.stop)
        return self.changed(range=ByteRange(at, stop), part_number=None)

    def changed(self, **options: Any) -> GetObject:
        """Return the caller's request with these options changed."""
        changed = cast(GetObjectOptions, {**self._options, **options})
        return GetObject.create(self.request.bucket, self.request.key, changed)

    async def _begin(self, request: GetObject, size: int | None) -> FirstResponse:
        """Send ``request``; if ``size`` is None, its response contains everything to read."""
        response = await self.exchange.send(self.call, request)
        latency = self.call.latency(response)
        status, headers = response.status, response.headers
        try:
            extent = first_extent(request, status, headers)
        except BaseException as error:
            response.close()
            self.call.end_attempt(error)
            raise
        attempt = self.call.attempt
        assert attempt is not None
        transformed = attempt.endpoint is not None and attempt.endpoint.is_transformed
        first = FirstResponse(
            ObjectInfo(status, headers, bucket=request.bucket, key=request.key),
            latency,
            self._span(request, extent),
            None,
            Pin.from_response(request, headers, extent, transformed=transformed),
            response,
            extent,
            attempt.requests_checksum or bool(request.checksum_mode),
        )
        span = first.span
        complete = span == (extent.start, extent.stop) and (
            not _divisible(first) or (span is not None and span.size <= (size or 0))
        )
        if size is None or complete:
            stream = ByteStream.of_response(self.exchange, self.call, response)
            return first._replace(stream=stream)
        return first

    def _span(self, request: GetObject, extent: Extent) -> Span | None:
        """Return the bytes that the caller requested, as absolute offsets."""
        if request is self.request:
            return None if extent.stop is None else Span(extent.start, extent.stop)
        if extent.size is None:
            return None
        wanted = self.request.range
        return Span(*(wanted or ByteRange(0)).within(extent.size))

    async def head(self, pin: Pin, part_number: int | None = None) -> tuple[int, Mapping[str, str]]:
        """Return the status and headers of a HEAD of the version, with its stored checksum.

        Raises:
            S3Error: as for ``head_object``.
        """
        options: dict[str, Any] = dict.fromkeys(_SELECTING)
        options |= {"checksum_mode": True, "part_number": part_number, "if_match": pin.if_match}
        request = self.changed(**options)
        call = PartCall(self.call, "HEAD", request)
        response = await self.exchange.send(call, request)
        response.close()
        call.end_attempt()
        return response.status, response.headers


def not_divisible() -> IntegrityError:
    """Return the error for a server that does not support reading with several requests."""
    return IntegrityError(
        "the server does not send an ETag, or ignores ranges, so that several requests could read"
        " different versions of the object; read it with get_object"
    )


def _divisible(first: FirstResponse) -> bool:
    """Whether further requests are certain to read the same version."""
    if first.span is None or not first.pin.holds:
        return False
    # rclone sends ranges with status 200.
    content = first.info.content_range
    return content is not None and content.start is not None

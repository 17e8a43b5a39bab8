"""What goes on at the byte where an object's body breaks."""

from collections.abc import Mapping
from typing import Final

from aios3get import errors
from aios3get._engine.call import Call
from aios3get._engine.exchange import Exchange, taken
from aios3get._http.transport import Response
from aios3get._protocol.extent import Extent, extent_of
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.header_values import is_sendable
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.url_request import UrlRequest

__all__ = ["Resuming"]

# What a request with If-Match hears when the object is not the one any more.
_CHANGED: Final = (errors.PreconditionFailed, errors.NotFound, errors.InvalidRange)


class Resuming:
    """The answers that go on with one body, after each break at the byte where it broke.

    ``Range`` asks for the rest and ``If-Match`` makes S3 itself refuse another object; ETag, size
    and range of the new answer are compared here once more, for servers that ignore either. A body
    without an ETag, such as an Object Lambda's, can only start again, before its first byte was
    handed out.
    """

    __slots__ = ("_call", "_exchange", "_extent", "_headers", "_reached", "_request")

    def __init__(
        self, exchange: Exchange, call: Call, headers: Mapping[str, str], extent: Extent
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._request = call.request
        self._headers = headers
        self._extent = extent
        self._reached = extent.start

    @property
    def _etag(self) -> str | None:
        return self._headers.get("ETag")

    async def resume(self, error: errors.S3Error, offset: int) -> tuple[Response, Extent]:
        """An answer that goes on at ``offset`` of the object.

        Raises:
            S3Error: ``error`` or what came after it, when the retry policy gives up or the object
                cannot be read on.
            ObjectChanged: it was replaced or deleted.
        """
        call = self._call
        try:
            if not self._resumable(offset):
                raise call.told(error)
            if offset > self._reached:
                self._reached = offset
                if call.budget is not None:
                    call.budget.progress()
            await call.within_deadline(self._exchange.recover(call, error))
            answer = await self._again(offset)
            if answer is None:
                raise call.told(error)
        finally:
            del error  # its traceback holds this frame
        try:
            return answer, self._checked(answer, offset)
        except BaseException:
            answer.close()
            raise

    def _resumable(self, offset: int) -> bool:
        request = self._request
        if isinstance(request, UrlRequest) and not request.resumable:
            return False
        return self.pinned or offset == self._extent.start

    @property
    def pinned(self) -> bool:
        """Whether another request is sure to find the same bytes, or to say that it does not."""
        endpoint = self._call.endpoint
        return self._etag is not None and not (endpoint and endpoint.is_transformed)

    async def _again(self, offset: int) -> Response | None:
        """The answer with the rest; None if the object has no more bytes than came."""
        try:
            return await self._asked(self._rest(offset, None))
        except _CHANGED as refusal:
            if isinstance(refusal, errors.InvalidRange) and refusal.actual_object_size == offset:
                return None
            answer = await self._of_version(offset)
            if answer is None:
                raise self._changed(None, "another or gone") from refusal
            return answer

    async def _of_version(self, offset: int) -> Response | None:
        """The rest of the bytes begun, if they are still there as a version.

        Only if the caller may read versions: that takes another permission (s3:GetObjectVersion),
        so it is not what is tried first.
        """
        version = self._headers.get("x-amz-version-id")
        unlike = version not in ("null", self._request.version_id)
        if version is None or not unlike or not version.isascii():
            return None
        try:
            return await self._asked(self._rest(offset, version))
        except errors.ServiceError:
            return None

    async def _asked(self, request: GetObject | UrlRequest) -> Response:
        call = self._call
        call.request = request
        return await call.within_deadline(self._exchange.answer(call, taken))

    def _rest(self, offset: int, version: str | None) -> GetObject | UrlRequest:
        etag = self._etag
        if etag is None or not self.pinned:
            return self._request
        # RFC 9110 section 13.1.1: If-Match compares strongly, so a weak ETag never matches.
        if_match = etag if is_sendable(etag) and not etag.startswith("W/") else None
        rest = ByteRange(offset, self._extent.stop)
        return self._request.for_range(rest, if_match=if_match, version_id=version)

    def _checked(self, answer: Response, offset: int) -> Extent:
        etag = answer.headers.get("ETag")
        if not self.pinned:
            return self._restarted(answer, etag)
        if etag != self._etag:
            raise self._changed(etag, etag or "without an ETag")
        extent = extent_of(answer.status, answer.headers, self._call.request.range)
        began = self._extent
        if began.size is not None and extent.size not in (None, began.size):
            raise self._changed(etag, f"{extent.size} bytes instead of {began.size}")
        known_end = None if began.open_ended else began.stop
        if extent.start != offset or (known_end is not None and extent.stop != known_end):
            raise self._call.told(
                errors.RangeMismatch(
                    f"asked to go on with bytes {offset} to {began.stop},"
                    f" got {extent.start} to {extent.stop}"
                )
            )
        return extent._replace(open_ended=extent.open_ended and began.open_ended)

    def _restarted(self, answer: Response, etag: str | None) -> Extent:
        began, request = self._extent, self._request
        extent = extent_of(answer.status, answer.headers, request.range, request.part_number)
        # The caller holds the first answer's metadata.
        if (extent.start, extent.stop, extent.size) != (began.start, began.stop, began.size):
            raise self._changed(etag, "of another length")
        return extent

    def _changed(self, found: str | None, now: str) -> errors.S3Error:
        return self._call.told(
            errors.ObjectChanged(
                "the object was replaced or deleted while it was read: it began as"
                f" {self._etag or 'one without an ETag'}, now it is {now}",
                expected=self._etag,
                actual=found,
            )
        )

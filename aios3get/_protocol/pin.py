"""``Pin``: one version of an object, determined by the first response of a read."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from aios3get._protocol.extent import Extent, parse_extent
from aios3get._protocol.header_values import is_sendable
from aios3get._protocol.object_request import ObjectRequest
from aios3get._protocol.options import SSE_CUSTOMER_KEY_MD5
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import IntegrityError, ObjectChanged, RangeMismatch

__all__ = ["Pin", "check_identity", "first_extent"]

_VERSION_ID: Final = "x-amz-version-id"


def first_extent(request: ObjectRequest, status: int, headers: Mapping[str, str]) -> Extent:
    """Check the first response of a read and return the extent of its body.

    Raises:
        IntegrityError: the response has another version or SSE-C key than the request.
        RangeMismatch: the body contains other bytes than requested.
    """
    check_identity(request, headers)
    return parse_extent(status, headers, request.range, request.part_number)


def check_identity(request: ObjectRequest, headers: Mapping[str, str]) -> None:
    """Compare the response's version and SSE-C key with those of the request.

    A response without the header passes: servers without versioning, and those that do not
    support SSE-C, leave it out.

    Raises:
        IntegrityError: the response names another version or key.
    """
    version_id = request.version_id
    if version_id is not None and headers.get(_VERSION_ID, version_id) != version_id:
        raise IntegrityError(
            f"requested version {version_id!r}, but the response has version"
            f" {headers[_VERSION_ID]!r:.1100}"
        )
    digest = request.sse_customer_key_md5
    if digest is not None and headers.get(SSE_CUSTOMER_KEY_MD5, digest) != digest:
        raise IntegrityError("the response was decrypted with another SSE-C key than the request's")


class Pin(NamedTuple):
    """One version of an object. It creates requests for its bytes and checks the responses.

    Every request has ``If-Match``, so that S3 rejects another version. ETag and size of each
    response are compared again, for servers that ignore the header.

    Attributes:
        request: the request whose response determined the version.
        etag: the ETag of that response.
        version_id: its ``x-amz-version-id``.
        extent: the requested bytes of the object.
        transformed: whether an Object Lambda function writes the body, so that neither ETag nor
            range is reliable.
    """

    request: ObjectRequest
    etag: str | None
    version_id: str | None
    extent: Extent
    transformed: bool = False

    @classmethod
    def from_response(
        cls,
        request: ObjectRequest,
        headers: Mapping[str, str],
        extent: Extent,
        *,
        transformed: bool = False,
    ) -> Self:
        """Create the pin from the first response's headers and the extent of its body."""
        return cls(request, headers.get("ETag"), headers.get(_VERSION_ID), extent, transformed)

    @property
    def size(self) -> int | None:
        """The object's size in bytes; None if the response does not announce it."""
        return self.extent.size

    @property
    def holds(self) -> bool:
        """Whether a request for another range reads the same version or fails."""
        return self.etag is not None and not self.transformed and self.request.resumable

    @property
    def if_match(self) -> str | None:
        """The value of ``If-Match`` for this version; None if it has none."""
        etag = self.etag
        # RFC 9110 section 13.1.1: If-Match compares strongly, so a weak ETag never matches.
        return None if etag is None or etag.startswith("W/") or not is_sendable(etag) else etag

    def for_range(self, range: ByteRange, *, version_id: str | None = None) -> ObjectRequest:
        """Return the request for a range of this version. ``holds`` must be true."""
        return self.request.for_range(range, if_match=self.if_match, version_id=version_id)

    def for_range_of_version(self, range: ByteRange) -> ObjectRequest | None:
        """Return the request for a range by version id, for an object that was replaced or deleted.

        It requires another permission (``s3:GetObjectVersion``), so ``for_range`` is tried first.

        Returns:
            None if the bucket is not versioned, or the result of ``for_range`` has the version id.
        """
        version_id = self.version_id
        if version_id is None or version_id == "null" or not version_id.isascii():
            return None
        request = self.for_range(range, version_id=version_id)
        return None if request == self.for_range(range) else request

    def check(
        self, status: int, headers: Mapping[str, str], range: ByteRange, *, open_ended: bool = False
    ) -> Extent:
        """Check the response to ``for_range`` and return the extent of its body.

        Args:
            status: 200 or 206.
            headers: the headers of the response.
            range: the requested range, with absolute offsets.
            open_ended: the object may end before ``range`` does.

        Raises:
            ObjectChanged: the response is of another version.
            RangeMismatch: the body contains other bytes than ``range``.
        """
        etag = headers.get("ETag")
        if etag != self.etag:
            raise self.changed(etag, etag or "without an ETag")
        extent = parse_extent(status, headers, range)
        if self.size is not None and extent.size not in (None, self.size):
            raise self.changed(etag, f"{extent.size} bytes instead of {self.size}")
        ends_elsewhere = not open_ended and range.stop not in (None, extent.stop)
        if extent.start != range.start or ends_elsewhere:
            raise RangeMismatch(
                f"requested bytes {range.start} to {range.stop},"
                f" got {extent.start} to {extent.stop}"
            )
        if extent.open_ended and not open_ended:
            return extent._replace(open_ended=False)
        return extent

    def check_restart(self, status: int, headers: Mapping[str, str]) -> Extent:
        """Check the response to the same request, which is sent again if ``holds`` is false.

        Raises:
            ObjectChanged: the body has another length than the first one.
        """
        extent = first_extent(self.request, status, headers)
        # The caller has the metadata of the first response.
        first = self.extent
        if (extent.start, extent.stop, extent.size) != (first.start, first.stop, first.size):
            raise self.changed(headers.get("ETag"), "of another length")
        return extent

    def changed(self, actual: str | None, description: str) -> ObjectChanged:
        """Return the error for an object that is now ``description``, with the ETag ``actual``."""
        before = "no ETag" if self.etag is None else f"the ETag {self.etag}"
        return ObjectChanged(
            "the object was replaced or deleted while it was read: it had"
            f" {before}, now it is {description}",
            expected=self.etag,
            actual=actual,
        )

"""The interface of a request for the bytes of one object, signed here or elsewhere."""

from typing import Protocol, Self

from aios3get._protocol.http import HttpRequest
from aios3get._protocol.ranges import ByteRange

__all__ = ["ObjectRequest"]


class ObjectRequest(Protocol):
    """A request for one object: ``GetObject``, or ``UrlRequest`` for a presigned link."""

    @property
    def bucket(self) -> str:
        """The bucket as the caller wrote it; empty for a link, which does not name it."""
        ...

    @property
    def key(self) -> str:
        """The key as the caller wrote it, or the decoded path of a link."""
        ...

    @property
    def range(self) -> ByteRange | None:
        """The requested range; None for the whole object or a part of it."""
        ...

    @property
    def part_number(self) -> int | None:
        """The number of the requested part."""
        ...

    @property
    def version_id(self) -> str | None:
        """The requested version."""
        ...

    @property
    def checksum_mode(self) -> bool | None:
        """Whether the caller requested stored checksums; None if the client decides."""
        ...

    @property
    def sse_customer_key_md5(self) -> str | None:
        """The base64 MD5 digest of the SSE-C key that the request carries."""
        ...

    @property
    def resumable(self) -> bool:
        """Whether the request may be sent again for another range."""
        ...

    @property
    def presigned(self) -> HttpRequest | None:
        """The finished HTTP request if it is already signed; None if it must be signed."""
        ...

    def for_range(
        self, range: ByteRange, *, if_match: str | None = None, version_id: str | None = None
    ) -> Self:
        """The request for another range of the same object.

        Args:
            range: absolute offsets; it replaces the range or part of this request.
            if_match: the ETag that the object must still have.
            version_id: the version to read; None for that of this request.
        """
        ...

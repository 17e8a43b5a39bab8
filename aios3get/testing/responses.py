"""Responses as values, and the error responses of S3.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Literal, Self
from xml.sax.saxutils import escape

__all__ = ["ErrorResponse", "Response", "http_date", "iso_time"]

Framing = Literal["length", "chunked", "close"]


def http_date(moment: datetime) -> str:
    """Format a time as in ``Fri, 24 May 2013 00:00:00 GMT``."""
    return format_datetime(moment, usegmt=True)


def iso_time(moment: datetime) -> str:
    """Format a time as in ``2013-05-24T00:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response.

    Attributes:
        status: the HTTP status.
        headers: names and values, without those of the framing.
        body: the body.
        framing: how the body ends: by ``Content-Length``, the last chunk, or closing.
        content_length: the ``Content-Length`` to send instead of the body's length.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | memoryview = b""
    framing: Framing = "length"
    content_length: int | None = None

    def header(self, name: str) -> str | None:
        """Return the value of the first header of that name, ignoring case."""
        values = (value for each, value in self.headers if each.lower() == name.lower())
        return next(values, None)

    def without_headers(self, *names: str) -> Self:
        """Return a copy without these headers."""
        removed = {name.lower() for name in names}
        kept = tuple(header for header in self.headers if header[0].lower() not in removed)
        return replace(self, headers=kept)

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Return a copy with these headers; each replaces all others of its name."""
        kept = self.without_headers(*headers)
        return replace(kept, headers=(*kept.headers, *headers.items()))

    def head(self) -> bytes:
        """Return the status line and headers as they are sent."""
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length" and self.status not in (204, 304):
            length = len(self.body) if self.content_length is None else self.content_length
            lines.append(f"Content-Length: {length}")
        return b"\r\n".join([*map(_encode, lines), b"", b""])


def _encode(line: str) -> bytes:
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogateescape")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


@dataclass(eq=False)
class ErrorResponse(Exception):  # noqa: N818 - S3's response, no failure of this program
    """Raised to send an error document as the response.

    Attributes:
        status: the HTTP status.
        code: S3's error code.
        message: S3's message.
        fields: further elements of the document, in order.
        headers: further headers.
    """

    status: int
    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_response(self, request_id: str, host_id: str) -> Response:
        """Return the response that S3 sends: chunked XML, or no body with a 304."""
        if self.status == 304:
            return Response(304, tuple(self.headers.items()))
        elements = {"Code": self.code, "Message": self.message, **self.fields}
        elements |= {"RequestId": request_id, "HostId": host_id}
        inner = "".join(f"<{name}>{_escape(text)}</{name}>" for name, text in elements.items())
        document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'
        headers = {"Content-Type": "application/xml", **self.headers}
        return Response(self.status, tuple(headers.items()), document.encode(), "chunked")


def _escape(text: str) -> str:
    # XML 1.0 section 2.2: most control characters are not allowed in a document.
    legal = "".join(
        char if char >= " " or char in "\t\n" else f"\\x{ord(char):02x}" for char in text
    )
    return escape(legal).encode("utf-8", "replace").decode()

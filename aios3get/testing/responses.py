"""Answers as values, and refusals as S3 words them.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Literal, Self
from xml.sax.saxutils import escape

__all__ = ["Response", "ErrorResponse", "error_document", "http_date", "iso_time"]

Framing = Literal["length", "chunked", "close"]


def http_date(moment: datetime) -> str:
    """Such as ``Fri, 24 May 2013 00:00:00 GMT``."""
    return format_datetime(moment, usegmt=True)


def iso_time(moment: datetime) -> str:
    """Such as ``2013-05-24T00:00:00Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer before it goes on the wire.

    ``framing`` says how the body's end is told: by its length, by chunks, or by closing.
    ``length`` is a false ``Content-Length``.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | memoryview = b""
    framing: Framing = "length"
    length: int | None = None

    def get(self, name: str) -> str | None:
        """The first header of that name, however it is written."""
        found = (value for each, value in self.headers if each.lower() == name.lower())
        return next(found, None)

    def without(self, *names: str) -> Self:
        """The same without these headers."""
        gone = {name.lower() for name in names}
        return replace(self, headers=tuple(h for h in self.headers if h[0].lower() not in gone))

    def having(self, headers: Mapping[str, str]) -> Self:
        """The same with these headers, each in place of any other of its name."""
        kept = self.without(*headers)
        return replace(kept, headers=(*kept.headers, *headers.items()))

    def head(self) -> bytes:
        """The status line and headers as they go on the wire."""
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "length" and self.status not in (204, 304):
            lines.append(
                f"Content-Length: {len(self.body) if self.length is None else self.length}"
            )
        return b"\r\n".join([*map(_wire, lines), b"", b""])


def _wire(line: str) -> bytes:
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
class ErrorResponse(Exception):  # noqa: N818 - an answer of S3's, not a failure of this program
    """The request is answered by an error.

    Attributes:
        status: the HTTP status.
        code: S3's name of the error.
        message: S3's sentence.
        fields: further elements of the document, in order.
        headers: further headers.
    """

    status: int
    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def answer(self, request_id: str, host_id: str) -> Response:
        """The refusal as S3 sends it: XML in chunks, and nothing at all with a 304."""
        if self.status == 304:
            return Response(304, tuple(self.headers.items()))
        told = {**self.fields, "RequestId": request_id, "HostId": host_id}
        document = error_document(self.code, self.message, told)
        headers = {"Content-Type": "application/xml", **self.headers}
        return Response(self.status, tuple(headers.items()), document, "chunked")


def error_document(code: str, message: str, fields: Mapping[str, str]) -> bytes:
    """S3's ``<Error>`` document."""
    elements = {"Code": code, "Message": message, **fields}
    inner = "".join(f"<{name}>{_text(text)}</{name}>" for name, text in elements.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()


def _text(text: str) -> str:
    # XML 1.0 knows no way to write most control characters.
    legal = "".join(
        char if char >= " " or char in "\t\n" else f"\\x{ord(char):02x}" for char in text
    )
    return escape(legal).encode("utf-8", "replace").decode()

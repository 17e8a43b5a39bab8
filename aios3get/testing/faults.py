"""Faults for ``server.faults.add``: each function returns one.

Offsets count bytes of the response's body; for a range, bytes of that range.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from multidict import CIMultiDict

from aios3get.testing.response_writer import ResponseWriter
from aios3get.testing.responses import ErrorResponse, Response

__all__ = [
    "Fault",
    "change_etag",
    "clock_skew",
    "close_before_head",
    "cut_head",
    "drop_after",
    "expired_token",
    "flip_byte",
    "garbage_head",
    "ignore_range",
    "no_etag",
    "no_length",
    "replace_object",
    "reset_after",
    "reset_before_head",
    "set_headers",
    "slow",
    "stall_after",
    "stall_before_head",
    "status",
    "too_long",
    "too_short",
    "truncated_chunked",
    "wrong_checksum",
    "wrong_content_length",
    "wrong_content_range",
    "wrong_range",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A deviation from S3's behavior, in any of five places.

    Attributes:
        name: its name in ``RecordedRequest.fault``.
        error: returns an error response to send instead of S3's response.
        alter_request: changes the headers of the request after its signature was verified.
        alter_response: returns a changed copy of S3's response.
        send: sends the response, or something else, or nothing.
        clock_skew: seconds that the server's clock is ahead for this request.
    """

    name: str
    error: Callable[[], ErrorResponse] | None = None
    alter_request: Callable[[CIMultiDict[str]], None] | None = None
    alter_response: Callable[[Response], Response] | None = None
    send: Callable[[ResponseWriter, Response], Awaitable[None]] | None = None
    clock_skew: float = 0.0

    def __repr__(self) -> str:
        return f"<fault {self.name}>"


def drop_after(count: int, *, close_notify: bool = True) -> Fault:
    """Close the connection after ``count`` body bytes.

    With ``close_notify=False`` a TLS connection ends without its closing alert.
    """

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.send_part(response, count)
        if close_notify:
            writer.close()
        else:
            await writer.cut()

    return Fault(name=f"drop_after({count})", send=send)


def reset_after(count: int) -> Fault:
    """Reset the connection (TCP RST) after ``count`` body bytes."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.send_part(response, count)
        await writer.reset()

    return Fault(name=f"reset_after({count})", send=send)


def stall_after(count: int, seconds: float = 3600.0) -> Fault:
    """Pause for ``seconds`` after ``count`` body bytes, then send the rest."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.send_part(response, count)
        await writer.sleep(seconds)
        await writer.send_body(response, count, len(response.body))
        await writer.finish(response)

    return Fault(name=f"stall_after({count}, {seconds:g})", send=send)


def close_before_head() -> Fault:
    """Close the connection without a response."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        writer.close()

    return Fault(name="close_before_head", send=send)


def reset_before_head() -> Fault:
    """Reset the connection (TCP RST) without a response."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.reset()

    return Fault(name="reset_before_head", send=send)


def stall_before_head(seconds: float = 3600.0) -> Fault:
    """Pause for ``seconds``, then send the response."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.sleep(seconds)
        await writer.send(response)

    return Fault(name=f"stall_before_head({seconds:g})", send=send)


def cut_head(count: int) -> Fault:
    """Close the connection after ``count`` bytes of the head."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.write(response.head()[:count])
        writer.close()

    return Fault(name=f"cut_head({count})", send=send)


def garbage_head(data: bytes = b"\x16\x03\x01 this is not HTTP\r\n\r\n") -> Fault:
    """Send ``data`` instead of a response, then close the connection."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.write(data)
        writer.close()

    return Fault(name="garbage_head", send=send)


def slow(bytes_per_second: float) -> Fault:
    """Send the body at this rate."""

    async def send(writer: ResponseWriter, response: Response) -> None:
        writer.bytes_per_second = bytes_per_second
        await writer.send(response)

    return Fault(name=f"slow({bytes_per_second:g})", send=send)


_codes = {
    400: (
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to.",
    ),
    403: ("AccessDenied", "Access Denied"),
    404: ("NoSuchKey", "The specified key does not exist."),
    429: ("TooManyRequests", "Please reduce your request rate."),
    500: ("InternalError", "We encountered an internal error. Please try again."),
    501: ("NotImplemented", "A header you provided implies functionality that is not implemented."),
    503: ("SlowDown", "Please reduce your request rate."),
}


def status(
    code_number: int,
    code: str | None = None,
    message: str | None = None,
    *,
    retry_after: float | str | None = None,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
) -> Fault:
    """Send an error response.

    Args:
        code_number: the HTTP status.
        code: S3's error code; the usual statuses have one by default.
        message: S3's message.
        retry_after: seconds, or a date as text, for ``Retry-After``.
        fields: further elements of the error document.
        headers: further headers.
        body: the body, instead of the error document; text is encoded as UTF-8.
    """
    default_code, default_message = _codes.get(code_number, ("Error", "An error."))
    code = code or default_code
    all_headers = dict(headers or {})
    if retry_after is not None:
        seconds = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
        all_headers["Retry-After"] = seconds
    data = body.encode() if isinstance(body, str) else body

    def error() -> ErrorResponse:
        text = message or default_message
        return ErrorResponse(code_number, code, text, dict(fields or {}), all_headers)

    def alter_response(response: Response) -> Response:
        return response if data is None else replace(response, body=data, framing="length")

    name = f"status({code_number}, {code!r})"
    return Fault(name=name, error=error, alter_response=alter_response)


def expired_token() -> Fault:
    """Send 400 ``ExpiredToken``."""
    return status(400, "ExpiredToken", "The provided token has expired.")


def clock_skew(seconds: float) -> Fault:
    """Set the server's clock ``seconds`` ahead; beyond 900 it sends ``RequestTimeTooSkewed``."""
    return Fault(name=f"clock_skew({seconds:g})", clock_skew=seconds)


def ignore_range() -> Fault:
    """Send 200 and the whole object instead of a range."""

    def alter_request(headers: CIMultiDict[str]) -> None:
        headers.popall("Range", None)

    return Fault(name="ignore_range", alter_request=alter_request)


def wrong_range(shift: int = 1) -> Fault:
    """Send bytes that start ``shift`` later than requested, with their own ``Content-Range``."""

    def alter_request(headers: CIMultiDict[str]) -> None:
        unit, _, span = headers.get("Range", "bytes=0-").partition("=")
        first, _, last = span.partition("-")
        shifted = (str(int(text) + shift) if text else "" for text in (first, last))
        headers["Range"] = f"{unit}={'-'.join(shifted)}"

    return Fault(name=f"wrong_range({shift})", alter_request=alter_request)


def wrong_content_range(shift: int = 1) -> Fault:
    """Send the requested bytes with a ``Content-Range`` that starts ``shift`` later."""

    def alter_response(response: Response) -> Response:
        content_range = response.header("Content-Range")
        if content_range is None:
            return response
        span, _, size = content_range.removeprefix("bytes ").partition("/")
        first, _, last = span.partition("-")
        shifted = f"bytes {int(first) + shift}-{int(last) + shift}/{size}"
        return response.with_headers({"Content-Range": shifted})

    return Fault(name=f"wrong_content_range({shift})", alter_response=alter_response)


def flip_byte(offset: int) -> Fault:
    """Invert the byte at ``offset`` of the body, counted from the end if negative.

    A body without that byte is sent unchanged.
    """

    def alter_response(response: Response) -> Response:
        body = bytearray(response.body)
        if -len(body) <= offset < len(body):
            body[offset] ^= 0xFF
        return replace(response, body=bytes(body))

    return Fault(name=f"flip_byte({offset})", alter_response=alter_response)


def change_etag(etag: str = '"00000000000000000000000000000000"') -> Fault:
    """Send another ETag with the same bytes."""
    return replace(set_headers({"ETag": etag}), name="change_etag")


def no_etag() -> Fault:
    """Send no ETag, as Object Lambda may."""
    return replace(set_headers({"ETag": None}), name="no_etag")


def set_headers(headers: Mapping[str, str | None]) -> Fault:
    """Set headers of the response; None removes one."""
    removed = tuple(name for name, value in headers.items() if value is None)
    added = {name: value for name, value in headers.items() if value is not None}

    def alter_response(response: Response) -> Response:
        return response.without_headers(*removed).with_headers(added)

    return Fault(name=f"set_headers({', '.join(headers)})", alter_response=alter_response)


def wrong_checksum() -> Fault:
    """Send a wrong value in every ``x-amz-checksum-`` header."""

    def falsify(name: str, value: str) -> str:
        if not name.startswith("x-amz-checksum-") or name == "x-amz-checksum-type":
            return value
        return ("B" if value[0] == "A" else "A") + value[1:]

    def alter_response(response: Response) -> Response:
        headers = tuple((name, falsify(name, value)) for name, value in response.headers)
        return replace(response, headers=headers)

    return Fault(name="wrong_checksum", alter_response=alter_response)


def replace_object(action: Callable[[], object], *, after: int = 0) -> Fault:
    """Call ``action``, which puts or deletes the object, after ``after`` body bytes; then close.

    The bytes before that are those of the old object::

        faults.replace_object(lambda: server.put_object("b", "k", b"new"), after=1000)
    """

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.send_part(response, after)
        action()
        writer.close()

    return Fault(name=f"replace_object(after={after})", send=send)


def too_long(extra: int = 1) -> Fault:
    """Send ``extra`` bytes more than the object has, and a matching ``Content-Length``."""

    def alter_response(response: Response) -> Response:
        return replace(response, body=bytes(response.body) + b"\x00" * extra)

    return Fault(name=f"too_long({extra})", alter_response=alter_response)


def too_short(missing: int = 1) -> Fault:
    """Omit the last ``missing`` bytes, and send a matching ``Content-Length``."""

    def alter_response(response: Response) -> Response:
        return replace(response, body=response.body[: max(0, len(response.body) - missing)])

    return Fault(name=f"too_short({missing})", alter_response=alter_response)


def wrong_content_length(difference: int) -> Fault:
    """Send the body with a ``Content-Length`` that is off by ``difference``, then close."""

    def alter_response(response: Response) -> Response:
        length = max(0, len(response.body) + difference)
        return replace(response, content_length=length, framing="length")

    async def send(writer: ResponseWriter, response: Response) -> None:
        await writer.send(response)
        writer.close()

    name = f"wrong_content_length({difference:+d})"
    return Fault(name=name, alter_response=alter_response, send=send)


def no_length(*, until_close: bool = False) -> Fault:
    """Send the body without ``Content-Length``, in chunks or ended by closing the connection."""

    def alter_response(response: Response) -> Response:
        return replace(response, framing="close" if until_close else "chunked")

    return Fault(name=f"no_length(until_close={until_close})", alter_response=alter_response)


def truncated_chunked(count: int) -> Fault:
    """Send the body in chunks, and close after ``count`` bytes without the last chunk."""
    fault = no_length()
    return replace(
        drop_after(count), name=f"truncated_chunked({count})", alter_response=fault.alter_response
    )

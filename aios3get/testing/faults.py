"""What can go wrong on demand: each function here makes one fault for ``server.faults.add``.

Offsets count body bytes of the answer at hand, which for a ranged answer is that range.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from multidict import CIMultiDict

from aios3get.testing.response_writer import ResponseWriter
from aios3get.testing.responses import ErrorResponse, Response

__all__ = [
    "Fault",
    "change_etag",
    "wrong_checksum",
    "clock_skew",
    "close_before_head",
    "cut_head",
    "drop_after",
    "expired_token",
    "flip_byte",
    "garbage_head",
    "ignore_range",
    "wrong_content_length",
    "no_etag",
    "no_length",
    "replace_object",
    "reset_after",
    "reset_before_head",
    "set_headers",
    "wrong_content_range",
    "slow",
    "stall_after",
    "stall_before_head",
    "status",
    "too_long",
    "too_short",
    "truncated_chunked",
    "wrong_range",
]

Send = Callable[[ResponseWriter, Response], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, in as many of four places as it needs.

    Attributes:
        name: how it shows in ``RecordedRequest.fault``.
        refuse: makes the answer, in place of S3's.
        ask: changes the request's headers, after its signature was checked.
        alter: changes the finished answer.
        send: puts the answer on the wire, or does not.
        clock_skew: seconds that the server's clock is ahead for this request.
    """

    name: str
    error: Callable[[], ErrorResponse] | None = None
    alter_request: Callable[[CIMultiDict[str]], None] | None = None
    alter_response: Callable[[Response], Response] | None = None
    send: Send | None = None
    clock_skew: float = 0.0

    def __repr__(self) -> str:
        return f"<fault {self.name}>"


def drop_after(count: int, *, close_notify: bool = True) -> Fault:
    """Close the connection in good order after ``count`` body bytes.

    With ``close_notify=False`` a TLS connection ends without its closing alert.
    """

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.send_part(answer, count)
        if close_notify:
            wire.close()
        else:
            await wire.cut()

    return Fault(name=f"drop_after({count})", send=send)


def reset_after(count: int) -> Fault:
    """Reset the connection (TCP RST) after ``count`` body bytes."""

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.send_part(answer, count)
        await wire.reset()

    return Fault(name=f"reset_after({count})", send=send)


def stall_after(count: int, seconds: float = 3600.0) -> Fault:
    """Send nothing for ``seconds`` after ``count`` body bytes, then the rest."""

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.send_part(answer, count)
        await wire.sleep(seconds)
        await wire.send_rest(answer, count)

    return Fault(name=f"stall_after({count}, {seconds:g})", send=send)


def close_before_head() -> Fault:
    """Close the connection without any answer."""

    async def send(wire: ResponseWriter, answer: Response) -> None:
        wire.close()

    return Fault(name="close_before_head", send=send)


def reset_before_head() -> Fault:
    """Reset the connection (TCP RST) without any answer."""

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.reset()

    return Fault(name="reset_before_head", send=send)


def stall_before_head(seconds: float = 3600.0) -> Fault:
    """Response only after ``seconds``."""

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.sleep(seconds)
        await wire.send(answer)

    return Fault(name=f"stall_before_head({seconds:g})", send=send)


def cut_head(count: int) -> Fault:
    """Close the connection after ``count`` bytes of the head."""

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.write(answer.head()[:count])
        wire.close()

    return Fault(name=f"cut_head({count})", send=send)


def garbage_head(data: bytes = b"\x16\x03\x01 this is not HTTP\r\n\r\n") -> Fault:
    """Send ``data`` in place of an answer, then close."""

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.write(data)
        wire.close()

    return Fault(name="garbage_head", send=send)


def slow(bytes_per_second: float) -> Fault:
    """Send the body no faster than this, in about ten pieces a second."""
    piece = max(1, int(bytes_per_second / 10))

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.send_part(answer, 0)
        if not wire.is_head:
            for start in range(0, len(answer.body), piece):
                await wire.sleep(piece / bytes_per_second)
                await wire.send_body(answer, start, start + piece)
        await wire.finish(answer)

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
    body: bytes | None = None,
) -> Fault:
    """Response with this HTTP status, in place of S3's answer.

    Args:
        code_number: the HTTP status.
        code: S3's error code; each usual status has its own by default.
        message: S3's message.
        retry_after: seconds, or a date as text, for ``Retry-After``.
        fields: further elements of the error document.
        headers: further headers.
        body: these bytes in place of the error document.
    """
    usual = _codes.get(code_number, ("Error", "An error."))
    further = dict(headers or {})
    if retry_after is not None:
        further["Retry-After"] = (
            f"{retry_after:g}" if not isinstance(retry_after, str) else retry_after
        )
    refusal = ErrorResponse(
        code_number, code or usual[0], message or usual[1], dict(fields or {}), further
    )

    def alter_response(answer: Response) -> Response:
        return answer if body is None else replace(answer, body=body, framing="length")

    name = f"status({code_number}, {refusal.code!r})"
    return Fault(name=name, error=lambda: refusal, alter_response=alter_response)


def expired_token() -> Fault:
    """400 ``ExpiredToken``."""
    return status(400, "ExpiredToken", "The provided token has expired.")


def clock_skew(seconds: float) -> Fault:
    """Let the server's clock be ``seconds`` ahead: beyond 15 minutes ``RequestTimeTooSkewed``."""
    return Fault(name=f"clock_skew({seconds:g})", clock_skew=seconds)


def ignore_range() -> Fault:
    """Response a ranged request with 200 and the whole object."""

    def alter_request(headers: CIMultiDict[str]) -> None:
        headers.popall("Range", None)

    return Fault(name="ignore_range", alter_request=alter_request)


def wrong_range(shift: int = 1) -> Fault:
    """Send bytes that start ``shift`` later than asked, with their truthful ``Content-Range``."""

    def alter_request(headers: CIMultiDict[str]) -> None:
        unit, _, span = headers.get("Range", "bytes=0-").partition("=")
        first, _, last = span.partition("-")
        moved = (str(int(text) + shift) if text else "" for text in (first, last))
        headers["Range"] = f"{unit}={'-'.join(moved)}"

    return Fault(name=f"wrong_range({shift})", alter_request=alter_request)


def wrong_content_range(shift: int = 1) -> Fault:
    """Send the bytes asked for under a ``Content-Range`` that starts ``shift`` later."""

    def alter_response(answer: Response) -> Response:
        told = answer.get("Content-Range")
        if told is None:
            return answer
        span, _, total = told.removeprefix("bytes ").partition("/")
        first, _, last = span.partition("-")
        moved = f"bytes {int(first) + shift}-{int(last) + shift}/{total}"
        return answer.having({"Content-Range": moved})

    return Fault(name=f"wrong_content_range({shift})", alter_response=alter_response)


def flip_byte(offset: int) -> Fault:
    """Turn over all bits of the body's byte at ``offset``; from the end if negative."""

    def alter_response(answer: Response) -> Response:
        body = bytearray(answer.body)
        body[offset] ^= 0xFF
        return replace(answer, body=bytes(body))

    return Fault(name=f"flip_byte({offset})", alter_response=alter_response)


def change_etag(etag: str = '"00000000000000000000000000000000"') -> Fault:
    """Send another ETag with the same bytes."""
    return replace(set_headers({"ETag": etag}), name="change_etag")


def no_etag() -> Fault:
    """Send no ETag, as Object Lambda may."""
    return replace(set_headers({"ETag": None}), name="no_etag")


def set_headers(headers: Mapping[str, str | None]) -> Fault:
    """Set headers of the answer; None removes one."""
    gone = tuple(name for name, value in headers.items() if value is None)
    kept = {name: value for name, value in headers.items() if value is not None}

    def alter_response(answer: Response) -> Response:
        return answer.without(*gone).having(kept)

    return Fault(name=f"set_headers({', '.join(headers)})", alter_response=alter_response)


def wrong_checksum() -> Fault:
    """Send a false value in every ``x-amz-checksum-`` header of the answer."""

    def lie(name: str, value: str) -> str:
        if not name.startswith("x-amz-checksum-") or name == "x-amz-checksum-type":
            return value
        return ("B" if value[0] == "A" else "A") + value[1:]

    def alter_response(answer: Response) -> Response:
        return replace(answer, headers=tuple((n, lie(n, v)) for n, v in answer.headers))

    return Fault(name="wrong_checksum", alter_response=alter_response)


def replace_object(replacing: Callable[[], object], *, after: int = 0) -> Fault:
    """Call ``replacing``, which puts or deletes, after ``after`` body bytes; then close.

    The bytes sent are the old object's::

        faults.replace_object(lambda: server.put_object("b", "k", b"new"), after=1000)
    """

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.send_part(answer, after)
        replacing()
        wire.close()

    return Fault(name=f"replace_object(after={after})", send=send)


def too_long(extra: int = 1) -> Fault:
    """Send ``extra`` bytes more than the object has, with a ``Content-Length`` that agrees."""

    def alter_response(answer: Response) -> Response:
        return replace(answer, body=bytes(answer.body) + b"\x00" * extra)

    return Fault(name=f"too_long({extra})", alter_response=alter_response)


def too_short(missing: int = 1) -> Fault:
    """Leave out the last ``missing`` bytes, with a ``Content-Length`` that agrees."""

    def alter_response(answer: Response) -> Response:
        return replace(answer, body=answer.body[: max(0, len(answer.body) - missing)])

    return Fault(name=f"too_short({missing})", alter_response=alter_response)


def wrong_content_length(difference: int) -> Fault:
    """Announce a ``Content-Length`` that is off by ``difference``, send the body, then close."""

    def alter_response(answer: Response) -> Response:
        return replace(answer, length=max(0, len(answer.body) + difference), framing="length")

    async def send(wire: ResponseWriter, answer: Response) -> None:
        await wire.send(answer)
        wire.close()

    return Fault(
        name=f"wrong_content_length({difference:+d})", alter_response=alter_response, send=send
    )


def no_length(*, until_close: bool = False) -> Fault:
    """Send the body in chunks without ``Content-Length``, or ended by closing."""

    def alter_response(answer: Response) -> Response:
        return replace(answer, framing="close" if until_close else "chunked")

    return Fault(name=f"no_length(until_close={until_close})", alter_response=alter_response)


def truncated_chunked(count: int) -> Fault:
    """Send the body in chunks, and close after ``count`` bytes without the final chunk."""
    return replace(
        drop_after(count),
        name=f"truncated_chunked({count})",
        alter_response=no_length().alter_response,
    )

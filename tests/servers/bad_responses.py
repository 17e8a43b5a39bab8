"""Malformed, truncated and misleading responses to a GET of one object, ``CONTENT``.

Each comes with the outcome that a client must have: ``"error"`` an error in bounded time,
``"whole"`` exactly ``CONTENT``, ``"either"`` one of both. RFC 9112 is
https://www.rfc-editor.org/rfc/rfc9112.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tests.servers.scripted import (
    Script,
    close,
    drip,
    flood,
    hang,
    http_response,
    read_request,
    reset,
    send,
    truncate,
)

__all__ = [
    "CONTENT",
    "ETAG",
    "BAD_RESPONSES",
    "BAD_RANGE_RESPONSES",
    "BAD_TLS_RESPONSES",
    "BadResponse",
    "good_responses",
]

CONTENT = bytes(range(256)) * 256
ETAG = f'"{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"'
_etag = f"ETag: {ETAG}"
_size = len(CONTENT)


@dataclass(frozen=True, slots=True)
class BadResponse:
    """A script for every connection, and the outcome that a client must have."""

    script: Script
    outcome: Literal["error", "whole", "either"] = "error"


def _response(*parts: bytes, outcome: Literal["error", "whole", "either"] = "error") -> BadResponse:
    return BadResponse([read_request(), *map(send, parts), close()], outcome)


def good_responses() -> Script:
    """The correct response to up to 64 requests of one connection."""
    return [read_request(), send(http_response(CONTENT, _etag))] * 64


def _chunked(*chunks: bytes) -> bytes:
    return http_response(b"".join(chunks), _etag, "Transfer-Encoding: chunked", length="")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_half = CONTENT[: _size // 2]
_last_chunk = b"0\r\n\r\n"

BAD_RESPONSES: Mapping[str, BadResponse] = {
    "closes-before-the-head": BadResponse([read_request(), close()]),
    "resets-before-the-head": BadResponse([read_request(), reset()]),
    "resets-without-reading": BadResponse([reset()]),
    "closes-inside-the-head": _response(http_response(CONTENT, _etag)[:20]),
    "short-body": _response(http_response(_half, _etag, length=_size)),
    "short-by-one": _response(http_response(CONTENT[:-1], _etag, length=_size)),
    "short-body-then-reset": BadResponse(
        [read_request(), send(http_response(_half, _etag, length=_size)), reset()]
    ),
    "short-body-then-silence": BadResponse(
        [read_request(), send(http_response(_half, _etag, length=_size)), hang()]
    ),
    "head-then-silence": BadResponse(
        [read_request(), send(http_response(b"", _etag, length=_size)), hang()]
    ),
    "silence": BadResponse([read_request(), hang()]),
    # The body has the length of its head; the bytes behind it belong to no request.
    "over-long-body": _response(
        http_response(CONTENT + b"more", _etag, length=_size), outcome="either"
    ),
    "second-response-behind-the-body": _response(
        http_response(CONTENT, _etag), http_response(b"ghost", 'ETag: "ghost"'), outcome="whole"
    ),
    # RFC 9112 section 6.3: differing lengths are an unrecoverable error, equal ones may pass.
    "two-lengths": _response(http_response(CONTENT, _etag, f"Content-Length: {_size - 1}")),
    "length-twice": _response(
        http_response(CONTENT, _etag, f"Content-Length: {_size}"), outcome="either"
    ),
    "negative-length": _response(http_response(CONTENT, _etag, length=-1)),
    "absurd-length": _response(http_response(CONTENT, _etag, length=10**18)),
    "length-of-5000-digits": _response(http_response(CONTENT, _etag, length="9" * 5000)),
    "length-with-a-plus": _response(http_response(CONTENT, _etag, length=f"+{_size}")),
    "length-not-a-number": _response(http_response(CONTENT, _etag, length="many")),
    "chunks-without-an-end": _response(_chunked(_chunk(CONTENT))),
    "chunk-cut-short": _response(_chunked(_chunk(CONTENT)[:1000])),
    "chunk-size-not-hex": _response(_chunked(b"zz\r\n", CONTENT, b"\r\n", _last_chunk)),
    "chunk-of-negative-size": _response(_chunked(b"-5\r\n", CONTENT, b"\r\n", _last_chunk)),
    "chunk-shorter-than-its-size": _response(_chunked(b"10\r\n", b"abc\r\n", _last_chunk)),
    "chunk-longer-than-its-size": _response(_chunked(b"3\r\n", b"abcdef\r\n", _last_chunk)),
    "chunk-of-absurd-size": _response(_chunked(b"f" * 40 + b"\r\n", CONTENT)),
    # RFC 9112 section 6.1: with both, an intermediary may be smuggling.
    "chunked-and-length": _response(
        http_response(
            _chunk(CONTENT) + _last_chunk,
            _etag,
            "Transfer-Encoding: chunked",
            length=_size,
        ),
        outcome="either",
    ),
    "partial-without-a-range": _response(
        http_response(
            _half, _etag, f"Content-Range: bytes 0-{len(_half) - 1}/{_size}", status="206 OK"
        )
    ),
    "many-interim-responses": BadResponse(
        [
            read_request(),
            flood(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 200),
            send(http_response(CONTENT, _etag)),
            close(),
        ],
        "either",
    ),
    "endless-interim-responses": BadResponse(
        [read_request(), flood(b"HTTP/1.1 102 Processing\r\n\r\n")]
    ),
    "switching-protocols": _response(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", CONTENT),
    # 2 KB of metadata can be spread over many headers.
    "130-headers": _response(
        http_response(CONTENT, _etag, *(f"x-amz-meta-{n}: {n}" for n in range(130))),
        outcome="whole",
    ),
    "3000-headers": _response(
        http_response(CONTENT, _etag, *(f"x-amz-meta-{n}: {n}" for n in range(3000))),
        outcome="either",
    ),
    "header-of-64-KiB": _response(
        http_response(CONTENT, _etag, f"x-amz-meta-long: {'x' * 65536}"), outcome="either"
    ),
    "endless-header": BadResponse(
        [read_request(), send(b"HTTP/1.1 200 OK\r\nx: "), flood(b"x" * 65536)]
    ),
    "endless-error-body": BadResponse(
        [
            read_request(),
            send(
                http_response(
                    b"<Error><Code>AccessDenied</Code>", status="403 Forbidden", length=""
                )
            ),
            flood(b"<Message>no</Message>" * 1000),
        ]
    ),
    "error-body-of-a-terabyte": BadResponse(
        [
            read_request(),
            send(http_response(b"<Error>", status="500 Internal Server Error", length=10**12)),
            flood(b" " * 65536),
        ]
    ),
    "plain-bytes-called-gzip": _response(
        http_response(CONTENT, _etag, "Content-Encoding: gzip"), outcome="whole"
    ),
    "close-delimited": _response(
        http_response(CONTENT, _etag, length="", version="1.0"), outcome="either"
    ),
    "close-delimited-then-reset": BadResponse(
        [read_request(), send(http_response(_half, _etag, length="", version="1.0")), reset()]
    ),
    "not-http": _response(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "status-of-no-number": _response(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
    "status-out-of-range": _response(b"HTTP/1.1 999 Whatever\r\nContent-Length: 0\r\n\r\n"),
    "no-content": _response(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "header-without-a-colon": _response(http_response(CONTENT, "nonsense", _etag)),
    "NUL-in-a-header": _response(
        http_response(CONTENT, "x-amz-meta-a: b\0c", _etag), outcome="either"
    ),
    "bare-line-feeds": _response(
        http_response(b"", _etag, length=_size).replace(b"\r\n", b"\n") + CONTENT, outcome="either"
    ),
    "one-byte-at-a-time": BadResponse(
        [
            read_request(),
            drip(http_response(CONTENT, _etag)[:64], 0.001),
            send(http_response(CONTENT, _etag)[64:]),
            close(),
        ],
        "whole",
    ),
}

_first = f"bytes 0-9/{_size}"


def _partial(
    body: bytes, content_range: str | None, status: str = "206 Partial Content"
) -> BadResponse:
    headers = () if content_range is None else (f"Content-Range: {content_range}",)
    return _response(http_response(body, _etag, *headers, status=status))


# Responses to ``Range: bytes=0-9``. None is that range; a 200 with the whole object, as RFC 9110
# section 14.2 allows, holds those bytes too.
BAD_RANGE_RESPONSES: Mapping[str, BadResponse] = {
    "other-range": _partial(CONTENT[10:20], f"bytes 10-19/{_size}"),
    "longer-range": _partial(CONTENT[:11], f"bytes 0-10/{_size}"),
    "shorter-range": _partial(CONTENT[:5], f"bytes 0-4/{_size}"),
    "other-body-length": _partial(CONTENT[:8], _first),
    "no-content-range": _partial(CONTENT[:10], None),
    "unreadable-content-range": _partial(CONTENT[:10], "bytes zero-nine/lots"),
    "other-unit": _partial(CONTENT[:10], f"pages 0-9/{_size}"),
    "turned-around-range": _partial(CONTENT[:10], f"bytes 9-0/{_size}"),
    "beyond-the-size": _partial(CONTENT[:10], "bytes 0-9/5"),
    "multipart": _response(
        http_response(
            b"--b\r\nContent-Range: " + _first.encode() + b"\r\n\r\n0123456789\r\n--b--\r\n",
            _etag,
            "Content-Type: multipart/byteranges; boundary=b",
            status="206 Partial Content",
        )
    ),
    "whole-object": _response(http_response(CONTENT, _etag), outcome="either"),
}

# TLS lets a client distinguish the end of the stream from a truncation.
BAD_TLS_RESPONSES: Mapping[str, BadResponse] = {
    "close-delimited-without-close-notify": BadResponse(
        [read_request(), send(http_response(_half, _etag, length="", version="1.0")), truncate()]
    ),
    "short-body-without-close-notify": BadResponse(
        [read_request(), send(http_response(_half, _etag, length=_size)), truncate()]
    ),
}

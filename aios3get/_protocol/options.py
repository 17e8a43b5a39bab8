"""S3's GetObject and HeadObject parameters, one line a member, and how each is checked and written.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html; ``mirror_destination`` is IBM
Cloud Object Storage's (https://ibm.github.io/ibm-cos-sdk-python/). A new parameter is a key of
``GetObjectOptions`` and a line of ``MEMBERS``.
"""

import difflib
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypedDict

from aios3get._protocol.header_values import format_http_date, is_sendable
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ConfigurationError

__all__ = [
    "CHECKSUM_MODE",
    "MEMBERS",
    "REQUEST_PAYER",
    "SSE_CUSTOMER_KEY",
    "SSE_CUSTOMER_KEY_MD5",
    "GetObjectOptions",
    "Member",
    "render",
]

CHECKSUM_MODE = "x-amz-checksum-mode"
REQUEST_PAYER = "x-amz-request-payer"
SSE_CUSTOMER_KEY = "x-amz-server-side-encryption-customer-key"
SSE_CUSTOMER_KEY_MD5 = "x-amz-server-side-encryption-customer-key-MD5"
_SSE_ALGORITHM = "x-amz-server-side-encryption-customer-algorithm"
_SSE_HEADERS = frozenset({_SSE_ALGORITHM, SSE_CUSTOMER_KEY, SSE_CUSTOMER_KEY_MD5})


class GetObjectOptions(TypedDict, total=False):
    """The options of ``get_object``, ``head_object`` and ``presign_get_object``.

    The names are S3's own in snake_case. An option that is None counts as not given.
    """

    if_match: str | None
    """Answer only if the ETag is this one, quotes included; else ``PreconditionFailed``."""
    if_none_match: str | None
    """Answer only if the ETag is another one; else ``NotModified``."""
    if_modified_since: datetime | None
    """Answer only if modified after this aware datetime; else ``NotModified``."""
    if_unmodified_since: datetime | None
    """Answer only if not modified after this aware datetime; else ``PreconditionFailed``."""
    range: ByteRange | str | None
    """The bytes wanted: a ``ByteRange``, or header text such as ``"bytes=0-9"``; one range."""
    part_number: int | None
    """One part of a multipart object, 1 to 10,000; not together with ``range``."""
    version_id: str | None
    """The version wanted; without it the newest one."""
    response_cache_control: str | None
    """The ``Cache-Control`` header that the answer shall carry; for signed requests only."""
    response_content_disposition: str | None
    """The ``Content-Disposition`` header that the answer shall carry; for signed requests only."""
    response_content_encoding: str | None
    """The ``Content-Encoding`` header that the answer shall carry; for signed requests only."""
    response_content_language: str | None
    """The ``Content-Language`` header that the answer shall carry; for signed requests only."""
    response_content_type: str | None
    """The ``Content-Type`` header that the answer shall carry; for signed requests only."""
    response_expires: datetime | None
    """The ``Expires`` header that the answer shall carry, aware; for signed requests only."""
    sse_customer_algorithm: Literal["AES256"] | None
    """The cipher of an SSE-C object; ``"AES256"`` is the only one and the default."""
    sse_customer_key: bytes | str | None
    """The key of an SSE-C object: its 32 bytes, or their base64 text. Over https only."""
    sse_customer_key_md5: str | None
    """The base64 MD5 digest of that key; computed if left out, checked if given."""
    request_payer: Literal["requester"] | None
    """``"requester"``: you accept to pay for reading from a Requester Pays bucket."""
    expected_bucket_owner: str | None
    """The account that must own the bucket, 12 digits; else ``AccessDenied``."""
    checksum_mode: bool | None
    """Whether to ask for the stored checksums; None leaves it to the client."""
    mirror_destination: str | None
    """IBM Cloud Object Storage only: the mirror that the object is read from."""


def render(options: Mapping[str, Any]) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The headers and the not yet encoded query of the options.

    Raises:
        ConfigurationError: an option is unknown or its value cannot be right.
    """
    headers: dict[str, str] = {}
    query: tuple[tuple[str, str], ...] = ()
    for name, value in options.items():
        if name not in MEMBERS:
            raise ConfigurationError(_unknown(name))
        if value is not None:
            place, wire_name, written = MEMBERS[name]
            text = written(name, value)
            if place == "query":
                query += ((wire_name, text),)
            elif text:
                headers[wire_name] = text
    if not _SSE_HEADERS.isdisjoint(headers):
        _complete_sse_customer_key(headers)
    return headers, query


def _unknown(name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    close = [
        option
        for option in MEMBERS
        if option.replace("_", "") == snake.replace("_", "").replace("-", "")
    ] or difflib.get_close_matches(snake, MEMBERS, 1)
    if not close:
        return f"there is no option {name!r}; the options are {', '.join(MEMBERS)}"
    why = " (options are S3's names in snake_case)" if snake != name else ""
    return f"there is no option {name!r}; did you mean {close[0]!r}?{why}"


# RFC 9110 section 5.5: no control characters but the tab. Lone surrogates have no UTF-8 form.
_unsendable = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]").search


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is text, not {type(value).__name__}: {value!r}")
    if not value:
        raise ConfigurationError(f"{name} is empty; leave it out or pass None")
    if found := _unsendable(value):
        raise ConfigurationError(
            f"{name} {value!r} holds the character {found.group()!r}, "
            "which cannot stand in an HTTP header"
        )
    return value


def _header_text(name: str, value: object) -> str:
    text = _text(name, value)
    if not is_sendable(text):
        raise ConfigurationError(
            f"{name} {text!r} cannot stand in an HTTP header: it takes ASCII without white space"
            " at its ends"
        )
    return text


def _date(name: str, value: object) -> str:
    if not isinstance(value, datetime):
        raise ConfigurationError(f"{name} is an aware datetime, not {value!r}")
    if value.utcoffset() is None:
        raise ConfigurationError(
            f"{name} {value!r} has no time zone; say which, as in datetime(…, tzinfo=UTC)"
        )
    try:
        return format_http_date(value)
    except OverflowError:
        raise ConfigurationError(f"{name} {value!r} lies outside the years 1 to 9999") from None


def _byte_range(name: str, value: object) -> str:
    return str(ByteRange.of(value))


def _part_number(name: str, value: object) -> str:
    # "a positive integer between 1 and 10,000"; bool is an int that nobody means.
    if type(value) is not int or not 1 <= value <= 10_000:
        raise ConfigurationError(f"{name} is a whole number from 1 to 10,000, not {value!r}")
    return str(value)


def _requester(name: str, value: object) -> str:
    if value != "requester":
        raise ConfigurationError(f"{name} can only be 'requester' (or left out), not {value!r}")
    return "requester"


def _account(name: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9]{12}", value):
        raise ConfigurationError(
            f"{name} is an AWS account id, text of 12 digits with its leading zeros, not {value!r}"
        )
    return value


def _checksum_mode(name: str, value: object) -> str:
    if type(value) is not bool:
        raise ConfigurationError(f"{name} is True or False, not {value!r}; S3's ENABLED is True")
    return "ENABLED" if value else ""


def _sse_algorithm(name: str, value: object) -> str:
    if value != "AES256":
        raise ConfigurationError(f"{name} can only be 'AES256', not {value!r}")
    return "AES256"


def _sse_key(name: str, value: object) -> str:
    key = value
    if isinstance(value, str):
        try:
            key = b64decode(value, validate=True)
        except ValueError:
            raise ConfigurationError(
                f"{name} is text but not base64; pass a raw key as bytes"
            ) from None
    if not isinstance(key, bytes):
        raise ConfigurationError(f"{name} is bytes or base64 text, not {type(value).__name__}")
    if len(key) != 32:
        raise ConfigurationError(
            f"{name} holds {len(key)} bytes; SSE-C keys have 32 (a raw key is passed as bytes, "
            "text is read as base64)"
        )
    return b64encode(key).decode()


def _complete_sse_customer_key(headers: dict[str, str]) -> None:
    if SSE_CUSTOMER_KEY not in headers:
        raise ConfigurationError(
            "sse_customer_algorithm and sse_customer_key_md5 describe a key; "
            "pass sse_customer_key too"
        )
    key = b64decode(headers[SSE_CUSTOMER_KEY])
    digest = b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
    if headers.setdefault(SSE_CUSTOMER_KEY_MD5, digest) != digest:
        raise ConfigurationError(
            "sse_customer_key_md5 is not the base64 MD5 digest of sse_customer_key; "
            "leave it out and it is computed"
        )
    headers.setdefault(_SSE_ALGORITHM, "AES256")


class Member(NamedTuple):
    """Where an option goes, and the function that checks its value and writes it."""

    place: Literal["header", "query"]
    wire_name: str
    written: Callable[[str, object], str]


MEMBERS: dict[str, Member] = {
    "if_match": Member("header", "If-Match", _header_text),
    "if_none_match": Member("header", "If-None-Match", _header_text),
    "if_modified_since": Member("header", "If-Modified-Since", _date),
    "if_unmodified_since": Member("header", "If-Unmodified-Since", _date),
    "range": Member("header", "Range", _byte_range),
    "part_number": Member("query", "partNumber", _part_number),
    "version_id": Member("query", "versionId", _text),
    "response_cache_control": Member("query", "response-cache-control", _text),
    "response_content_disposition": Member("query", "response-content-disposition", _text),
    "response_content_encoding": Member("query", "response-content-encoding", _text),
    "response_content_language": Member("query", "response-content-language", _text),
    "response_content_type": Member("query", "response-content-type", _text),
    "response_expires": Member("query", "response-expires", _date),
    "sse_customer_algorithm": Member("header", _SSE_ALGORITHM, _sse_algorithm),
    "sse_customer_key": Member("header", SSE_CUSTOMER_KEY, _sse_key),
    "sse_customer_key_md5": Member("header", SSE_CUSTOMER_KEY_MD5, _header_text),
    "request_payer": Member("header", REQUEST_PAYER, _requester),
    "expected_bucket_owner": Member("header", "x-amz-expected-bucket-owner", _account),
    "checksum_mode": Member("header", CHECKSUM_MODE, _checksum_mode),
    "mirror_destination": Member("header", "mirror-destination", _header_text),
}

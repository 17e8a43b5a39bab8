"""The parameters of S3's GetObject and HeadObject: one entry per parameter, with its serializer.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html; ``mirror_destination`` is a
parameter of IBM Cloud Object Storage (https://ibm.github.io/ibm-cos-sdk-python/). To add a
parameter, add a key to ``GetObjectOptions``, its description there and an entry to ``MEMBERS``.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypedDict

from aios3get._protocol.header_values import format_http_date, is_sendable
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ParameterError

__all__ = [
    "CHECKSUM_MODE",
    "EXPECTED_BUCKET_OWNER",
    "MEMBERS",
    "REQUEST_PAYER",
    "SSE_CUSTOMER_KEY",
    "SSE_CUSTOMER_KEY_MD5",
    "GetObjectOptions",
    "Member",
    "serialize",
]

CHECKSUM_MODE = "x-amz-checksum-mode"
EXPECTED_BUCKET_OWNER = "x-amz-expected-bucket-owner"
REQUEST_PAYER = "x-amz-request-payer"
SSE_CUSTOMER_KEY = "x-amz-server-side-encryption-customer-key"
SSE_CUSTOMER_KEY_MD5 = "x-amz-server-side-encryption-customer-key-MD5"
_SSE_ALGORITHM = "x-amz-server-side-encryption-customer-algorithm"
_SSE_HEADERS = frozenset({_SSE_ALGORITHM, SSE_CUSTOMER_KEY, SSE_CUSTOMER_KEY_MD5})


class GetObjectOptions(TypedDict, total=False):
    """The options of ``get_object``, ``head_object`` and ``presign_get_object``.

    The names are S3's in snake_case. None is the same as leaving the option out.

    Attributes:
        if_match: return the object only if its ETag is this one, quotes included; otherwise
            ``PreconditionFailed``.
        if_none_match: return the object only if its ETag is another one; otherwise
            ``NotModified``.
        if_modified_since: an aware datetime; return the object only if it was modified since;
            otherwise ``NotModified``.
        if_unmodified_since: an aware datetime; return the object only if it was not modified
            since; otherwise ``PreconditionFailed``.
        range: the bytes to return: a ``ByteRange``, or header text such as ``"bytes=0-9"``. S3
            takes one range per request.
        part_number: the part of a multipart object to return, 1 to 10,000; excludes ``range``.
        version_id: the version to return; the current version if left out.
        response_cache_control: ``Cache-Control`` of the response. The ``response_*`` options
            need a signed request.
        response_content_disposition: ``Content-Disposition`` of the response.
        response_content_encoding: ``Content-Encoding`` of the response.
        response_content_language: ``Content-Language`` of the response.
        response_content_type: ``Content-Type`` of the response.
        response_expires: ``Expires`` of the response, an aware datetime.
        sse_customer_algorithm: the cipher of an SSE-C object; ``"AES256"`` is the only one and
            the default.
        sse_customer_key: the key of an SSE-C object: its 32 bytes, or their base64 text. It is
            sent over https only.
        sse_customer_key_md5: the base64 MD5 digest of the key; computed if left out.
        request_payer: ``"requester"`` accepts the charges of a Requester Pays bucket.
        expected_bucket_owner: the 12-digit id of the account that must own the bucket; otherwise
            ``AccessDenied``.
        checksum_mode: True or ``"ENABLED"`` requests the stored checksums, False does not; the
            client's ``response_checksum_validation`` decides if left out.
        mirror_destination: IBM Cloud Object Storage: the mirror to read from.
    """

    if_match: str | None
    if_none_match: str | None
    if_modified_since: datetime | None
    if_unmodified_since: datetime | None
    range: ByteRange | str | None
    part_number: int | None
    version_id: str | None
    response_cache_control: str | None
    response_content_disposition: str | None
    response_content_encoding: str | None
    response_content_language: str | None
    response_content_type: str | None
    response_expires: datetime | None
    sse_customer_algorithm: Literal["AES256"] | None
    sse_customer_key: bytes | str | None
    sse_customer_key_md5: str | None
    request_payer: Literal["requester"] | None
    expected_bucket_owner: str | None
    checksum_mode: bool | Literal["ENABLED"] | None
    mirror_destination: str | None


def serialize(options: Mapping[str, Any]) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The headers and the not yet encoded query of the options.

    Raises:
        ParameterError: an option is unknown or its value is invalid.
    """
    headers: dict[str, str] = {}
    query: tuple[tuple[str, str], ...] = ()
    for name, value in options.items():
        if name not in MEMBERS:
            raise ParameterError(_unknown_option(name))
        if value is not None:
            location, wire_name, serializer = MEMBERS[name]
            text = serializer(name, value)
            if location == "query":
                query += ((wire_name, text),)
            elif text:
                headers[wire_name] = text
    if not _SSE_HEADERS.isdisjoint(headers):
        _complete_sse_customer_key(headers)
    return headers, query


def _unknown_option(name: str) -> str:
    import difflib  # noqa: PLC0415 - for errors only

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
_unsendable = "[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ParameterError(f"{name} must be text, not {type(value).__name__}: {value!r}")
    if not value:
        raise ParameterError(f"{name} is empty; leave it out or pass None")
    if match := re.search(_unsendable, value):
        raise ParameterError(
            f"{name} {value!r} contains the character {match.group()!r}, "
            "which an HTTP header cannot carry"
        )
    return value


def _header_text(name: str, value: object) -> str:
    text = _text(name, value)
    if not is_sendable(text):
        raise ParameterError(
            f"{name} {text!r} must be ASCII without white space at its ends, as it is sent in an "
            "HTTP header"
        )
    return text


def _date(name: str, value: object) -> str:
    if not isinstance(value, datetime):
        raise ParameterError(f"{name} must be an aware datetime, not {value!r}")
    if value.utcoffset() is None:
        raise ParameterError(
            f"{name} {value!r} has no time zone; pass one, as in datetime(…, tzinfo=UTC)"
        )
    try:
        return format_http_date(value)
    except OverflowError:
        raise ParameterError(f"{name} {value!r} is outside the years 1 to 9999 in UTC") from None


def _byte_range(name: str, value: object) -> str:
    return str(ByteRange.of(value))


def _part_number(name: str, value: object) -> str:
    # "a positive integer between 1 and 10,000"; bool is a subclass of int.
    if type(value) is not int or not 1 <= value <= 10_000:
        raise ParameterError(f"{name} must be an int from 1 to 10,000, not {value!r}")
    return str(value)


def _request_payer(name: str, value: object) -> str:
    if value != "requester":
        raise ParameterError(f"{name} must be 'requester' or left out, not {value!r}")
    return "requester"


def _account_id(name: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9]{12}", value):
        raise ParameterError(
            f"{name} must be an AWS account id, text of 12 digits with leading zeros, not {value!r}"
        )
    return value


def _checksum_mode(name: str, value: object) -> str:
    if type(value) is not bool and value != "ENABLED":
        raise ParameterError(f"{name} must be True, False or 'ENABLED', not {value!r}")
    return "ENABLED" if value else ""


def _sse_algorithm(name: str, value: object) -> str:
    if value != "AES256":
        raise ParameterError(f"{name} must be 'AES256', not {value!r}")
    return "AES256"


def _sse_key(name: str, value: object) -> str:
    key = value
    if isinstance(value, str):
        try:
            key = b64decode(value, validate=True)
        except ValueError:
            raise ParameterError(
                f"{name} is text but not base64; pass a raw key as bytes"
            ) from None
    if not isinstance(key, bytes):
        raise ParameterError(f"{name} must be bytes or base64 text, not {type(value).__name__}")
    if len(key) != 32:
        raise ParameterError(
            f"{name} has {len(key)} bytes, but SSE-C keys have 32; pass a raw key as bytes, since "
            "text is decoded as base64"
        )
    return b64encode(key).decode()


def _complete_sse_customer_key(headers: dict[str, str]) -> None:
    if SSE_CUSTOMER_KEY not in headers:
        raise ParameterError(
            "sse_customer_algorithm and sse_customer_key_md5 describe a key; "
            "pass sse_customer_key too"
        )
    key = b64decode(headers[SSE_CUSTOMER_KEY])
    digest = b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
    if headers.setdefault(SSE_CUSTOMER_KEY_MD5, digest) != digest:
        raise ParameterError(
            "sse_customer_key_md5 is not the base64 MD5 digest of sse_customer_key; "
            "leave it out and it is computed"
        )
    headers.setdefault(_SSE_ALGORITHM, "AES256")


class Member(NamedTuple):
    """Where an option is sent, and the function that checks and serializes its value."""

    location: Literal["header", "query"]
    wire_name: str
    serializer: Callable[[str, object], str]


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
    "request_payer": Member("header", REQUEST_PAYER, _request_payer),
    "expected_bucket_owner": Member("header", EXPECTED_BUCKET_OWNER, _account_id),
    "checksum_mode": Member("header", CHECKSUM_MODE, _checksum_mode),
    "mirror_destination": Member("header", "mirror-destination", _header_text),
}

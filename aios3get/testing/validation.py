"""Checks the arguments of ``S3Server``: whether S3 could store and send such an object."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

__all__ = ["check_fields", "check_key", "check_sse_customer_key", "check_text", "utc"]

# RFC 9110 sections 5.1 and 5.5: a field name is a token; a value has no control characters.
_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_find_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
# RFC 9112 section 6 and RFC 9110 section 14.4: fields of one message, not of the object.
_message_fields = {"connection", "content-length", "content-range", "transfer-encoding"}


def utc(name: str, moment: datetime) -> datetime:
    """Convert the datetime to UTC.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"{name} {moment!r} has no time zone; pass datetime(…, tzinfo=UTC)")
    return moment.astimezone(UTC)


def check_key(key: str) -> None:
    """Check an object key.

    Raises:
        ValueError: S3 does not allow such a key.
    """
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    if not 1 <= len(_encode("key", key)) <= 1024:
        raise ValueError(f"key {key!r:.80} must have 1 to 1,024 bytes of UTF-8")


def check_sse_customer_key(key: object) -> None:
    """Check an SSE-C key.

    Raises:
        ValueError: it is not 32 bytes.
    """
    if isinstance(key, bytes) and len(key) == 32:
        return
    size = f" of length {len(key)}" if isinstance(key, str | bytes) else ""
    # The value is a secret, so the message does not contain it.
    raise ValueError(
        f"sse_customer_key is {type(key).__name__}{size}; it must be 32 bytes:"
        " decode a text form first, as by base64.b64decode"
    )


def check_fields(where: str, fields: Mapping[str, str]) -> None:
    """Check names and values of headers.

    Raises:
        ValueError: they cannot be sent in a response.
    """
    for name, text in fields.items():
        if not _is_name(name):
            raise ValueError(
                f"{where} has {name!r:.80}, which is not a valid header name;"
                " use letters, digits and -_.!#$%&'*+^`|~"
            )
        if name.lower() in _message_fields:
            raise ValueError(
                f"{where} has {name!r}, which the server sets for each response;"
                " aios3get.testing.faults can falsify it"
            )
        check_text(f"{where}[{name!r}]", text)


def check_text(where: str, text: str) -> None:
    """Check the value of a header.

    Raises:
        ValueError: it cannot be sent in a header.
    """
    _encode(where, text)
    if _find_control(text):
        raise ValueError(
            f"{where} is {text!r:.80}; a header cannot contain its control character;"
            " percent-encode it, such as with urllib.parse.quote"
        )


def _encode(where: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{where} is {text!r:.80}, which is not Unicode text; replace its lone surrogates"
        ) from None

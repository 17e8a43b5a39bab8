"""What a test gives to ``S3Server``, looked at before it is kept: could S3 hold it and send it?"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

__all__ = ["check_object", "utc"]

# RFC 9110 sections 5.1 and 5.5: a field's name is a token; its value has no control characters.
_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_no_value = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
# RFC 9112 section 6 and RFC 9110 section 14.4: said of one message, not of the object.
_of_the_message = {"connection", "content-length", "content-range", "transfer-encoding"}


def utc(name: str, moment: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(
            f"{name} {moment!r} has no time zone; say which, as in datetime(…, tzinfo=UTC)"
        )
    return moment.astimezone(UTC)


def check_object(
    key: str,
    *,
    headers: Mapping[str, str],
    metadata: Mapping[str, str],
    restore: object,
    sse_customer_key: object,
    **texts: str | None,
) -> None:
    """Nothing, if there can be such an object; ``texts`` become values of headers.

    Raises:
        ValueError: there cannot.
    """
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    if not 1 <= len(_encoded("key", key)) <= 1024:
        raise ValueError(f"key {key!r:.80} must have 1 to 1,024 bytes of UTF-8")
    for name, text in texts.items():
        _check_value(name, text or "")
    _check_fields("headers", headers)
    _check_fields("metadata", metadata)
    for name in headers:
        if name.lower() in _of_the_message:
            raise ValueError(
                f"headers has {name!r}, which every answer says for itself;"
                " aios3get.testing.faults has false ones"
            )
    if restore not in (None, "ongoing") and not isinstance(restore, datetime):
        raise ValueError(f"restore {restore!r} must be an aware datetime, 'ongoing' or None")
    if sse_customer_key is not None:
        _check_customer_key(sse_customer_key)


def _check_customer_key(key: object) -> None:
    if isinstance(key, bytes) and len(key) == 32:
        return
    size = f" of length {len(key)}" if isinstance(key, str | bytes) else ""
    # Its value stays out of messages, as a secret.
    raise ValueError(
        f"sse_customer_key is {type(key).__name__}{size}; it must be 32 bytes:"
        " decode a text form first, as by base64.b64decode"
    )


def _check_fields(where: str, fields: Mapping[str, str]) -> None:
    for name, text in fields.items():
        if not _is_name(name):
            raise ValueError(
                f"{where} has {name!r:.80}, which is no header's name;"
                " use letters, digits and -_.!#$%&'*+^`|~"
            )
        _check_value(f"{where}[{name!r}]", text)


def _check_value(where: str, text: str) -> None:
    _encoded(where, text)
    if _no_value(text):
        raise ValueError(
            f"{where} is {text!r:.80}, and no header can hold its control character;"
            " percent-encode it, as by urllib.parse.quote"
        )


def _encoded(where: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{where} is {text!r:.80}, which is no Unicode text; replace its lone surrogates"
        ) from None

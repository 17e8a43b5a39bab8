"""Parsers for header values. They never raise; a malformed value is None.

aiohttp decodes header bytes as UTF-8 with ``surrogateescape``. ``readable`` replaces the escapes;
the other functions expect its result or ASCII.
"""

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from itertools import groupby
from quopri import decodestring

from multidict import MultiMapping

__all__ = [
    "boolean",
    "decode_words",
    "field_value",
    "format_http_date",
    "integer",
    "is_sendable",
    "parameters",
    "printable",
    "readable",
    "signed_integer",
    "timestamp",
]

_days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_month_numbers = {name.lower(): number for number, name in enumerate(_months, 1)}

# The date of RFC 9110 section 5.6.7, its obsolete RFC 850 form, and RFC 5322's numeric zones.
_http_date = re.compile(
    r"(?:[a-z]{3,9},?\s+)?(\d{1,2})[ -]([a-z]{3})[ -](\d{4}|\d\d)\s+"
    r"(\d\d):(\d\d):(\d\d)\s+(?:GMT|UTC|Z|([+-])(\d\d)(\d\d))",
    re.ASCII | re.IGNORECASE,
).fullmatch
_asctime_date = re.compile(
    r"[a-z]{3}\s+([a-z]{3})\s+(\d{1,2})\s+(\d\d):(\d\d):(\d\d)\s+(\d{4})", re.ASCII | re.IGNORECASE
).fullmatch
_iso_date = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
).fullmatch
_field_value = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|").fullmatch
_digits = re.compile(r"\d{1,19}", re.ASCII).fullmatch
# The lookbehind tries each name once, from its first letter: without it a long text of letters
# takes quadratic time.
_parameter = re.compile(r'(?<![a-z-])([a-z-]+)\s*=\s*"([^"]*)"', re.ASCII | re.IGNORECASE)

# RFC 2047 section 2. RFC 2231 section 5 allows a language after the charset, separated by "*". S3
# writes UTF-8. The charsets are a closed list: some of Python's codecs take quadratic time, and
# some are not charsets.
_charset = r"(utf-?8|us-ascii|iso-?8859-?\d{1,2}|windows-125\d)(?:\*[a-z0-9-]*)?"
_word = rf"=\?{_charset}\?([bq])\?([!->@-~]*)\?="
# RFC 2047 section 6.2: white space between two encoded words is not part of the text.
_run_of_words = rf"{_word}(?:[ \t]+{_word})*"


def field_value(headers: MultiMapping[str], name: str) -> str | None:
    """The value of a header field; repeated fields are joined as one list.

    RFC 9110 section 5.3: https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    values = headers.getall(name, ())
    return ", ".join(values) if values else None


def is_sendable(value: str) -> bool:
    """Whether the value is ASCII without control characters and outer white space.

    Implementations differ in how they treat any other value (RFC 9110 section 5.5).
    """
    return _field_value(value) is not None


def readable(text: str) -> str:
    """The text without surrogate escapes. A text with one is decoded as ISO-8859-1 instead."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _unescape(text)
    return text


def _unescape(text: str) -> str:
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()


def printable(text: str) -> str:
    """The text on one line, with spaces in place of unprintable characters."""
    text = readable(text)
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return text.strip()


def integer(text: str) -> int | None:
    """A non-negative integer."""
    stripped = text.strip()
    return int(stripped) if _digits(stripped) else None


def signed_integer(text: str) -> int | None:
    """An integer, which may be negative."""
    stripped = text.strip()
    return int(stripped) if _digits(stripped.removeprefix("-")) else None


def boolean(text: str) -> bool | None:
    """``true`` or ``false``, ignoring case."""
    return {"true": True, "false": False}.get(text.strip().lower())


def timestamp(text: str) -> datetime | None:
    """An HTTP date in any form of RFC 9110 section 5.6.7, or an ISO 8601 date, in UTC."""
    stripped = text.strip()
    try:
        if match := _http_date(stripped):
            return _from_http_date(*match.groups())
        if match := _asctime_date(stripped):
            month, day, hour, minute, second, year = match.groups()
            return _utc(year, month, day, hour, minute, second)
        if _iso_date(stripped):
            return _from_iso_date(stripped)
    except (ValueError, OverflowError, KeyError):
        pass
    return None


def _from_http_date(day: str, month: str, year: str, *rest: str | None) -> datetime:
    hour, minute, second, sign, zone_hours, zone_minutes = rest
    moment = _utc(year, month, day, hour or "", minute or "", second or "")
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    return moment + offset if sign == "-" else moment - offset


def _utc(year: str, month: str, day: str, hour: str, minute: str, second: str) -> datetime:
    number = int(year)
    if len(year) == 2:
        # RFC 6265 section 5.1.1 maps two-digit years to 1970-2069 without a clock.
        number += 2000 if number < 70 else 1900
    # RFC 9110 allows second 60; datetime does not.
    leap = second == "60"
    moment = datetime(
        number,
        _month_numbers[month.lower()],
        int(day),
        int(hour),
        int(minute),
        59 if leap else int(second),
        tzinfo=UTC,
    )
    return moment + timedelta(seconds=leap)


def _from_iso_date(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_http_date(moment: datetime) -> str:
    """An aware datetime as RFC 9110's fixed-length date, truncated to seconds.

    Raises:
        ValueError: the datetime is naive.
        OverflowError: in UTC the datetime is outside the years 1 to 9999.
    """
    if moment.utcoffset() is None:
        raise ValueError("the datetime has no time zone")
    at = moment.astimezone(UTC)
    return (
        f"{_days[at.weekday()]}, {at.day:02} {_months[at.month - 1]} {at.year:04} "
        f"{at.hour:02}:{at.minute:02}:{at.second:02} GMT"
    )


def parameters(text: str) -> dict[str, str]:
    """The ``name="value"`` pairs of a header by lower-case name; the first of each name counts."""
    pairs: dict[str, str] = {}
    for name, value in _parameter.findall(text):
        pairs.setdefault(name.lower(), value)
    return pairs


def decode_words(text: str) -> str:
    """The text with its RFC 2047 encoded words decoded; malformed words are left unchanged."""
    if "=?" not in text:
        return text
    return re.sub(_run_of_words, _decode_run, text, flags=re.ASCII | re.IGNORECASE)


def _decode_run(run: re.Match[str]) -> str:
    words = re.findall(_word, run.group(), re.ASCII | re.IGNORECASE)
    try:
        # Encoders split long texts into words, even between the bytes of one character.
        return "".join(
            b"".join(_payload(encoding, text) for _, encoding, text in group).decode(charset)
            for charset, group in groupby(words, key=lambda word: str(word[0]).lower())
        )
    except (ValueError, LookupError):
        return run.group()


def _payload(encoding: str, text: str) -> bytes:
    if encoding in "Qq":
        return decodestring(text, header=True)
    return b64decode(text + "=" * (-len(text) % 4), validate=True)

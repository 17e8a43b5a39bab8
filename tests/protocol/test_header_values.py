from datetime import UTC, datetime, timedelta, timezone
from email.header import Header
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from aios3get._protocol.header_values import (
    boolean,
    decode_words,
    field_value,
    format_http_date,
    integer,
    is_sendable,
    parameters,
    printable,
    readable,
    signed_integer,
    timestamp,
)

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
seconds = st.datetimes(min_value=datetime(1000, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
zones = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 01 Mar 2026 12:00:05 GMT", NOON),
        ("  Sun, 01 Mar 2026 12:00:05 GMT ", NOON),
        ("sun, 1 mar 2026 12:00:05 gmt", NOON),
        ("01 Mar 2026 12:00:05 UTC", NOON),
        ("Sunday, 01-Mar-26 12:00:05 GMT", NOON),
        ("Sunday, 06-Nov-94 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun Mar  1 12:00:05 2026", NOON),
        ("Sun, 01 Mar 2026 13:30:05 +0130", NOON),
        ("Sun, 01 Mar 2026 04:00:05 -0800", NOON),
        ("2026-03-01T12:00:05Z", NOON),
        ("2026-03-01T12:00:05.000Z", NOON),
        ("2026-03-01T13:00:05+01:00", NOON),
        ("2026-03-01 12:00:05", NOON),
        ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_timestamp_in_every_documented_format_is_utc(text: str, expected: datetime) -> None:
    moment = timestamp(text)
    assert moment == expected
    assert moment is not None
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "-1", "never", "1772366405", "Sun, 31 Feb 2026 12:00:05 GMT",
        "Sun, 01 Foo 2026 12:00:05 GMT", "Sun, 01 Mar 2026 25:00:05 GMT",
        "Sun, 01 Mar 0000 12:00:05 GMT", "Sat, 31 Dec 9999 23:59:59 -0100",
        "Sat, 31 Dec 9999 23:59:60 GMT", "2026-13-01T00:00:00Z", "2026-03-01",
        "9999-12-31T23:59:59-01:00", "Sun Foo  1 12:00:05 2026", "Sun, 01 Mar 2026 12:00:05 CET",
        "Sun, 01 Mar ٢٠٢٦ 12:00:05 GMT",
    ],
)  # fmt: skip
def test_text_other_than_a_timestamp_is_none(text: str) -> None:
    assert timestamp(text) is None


@given(seconds, zones)
def test_formatted_date_is_parsed_as_the_same_second(moment: datetime, zone: timezone) -> None:
    text = format_http_date(moment)
    assert text == format_datetime(moment, usegmt=True)
    assert timestamp(text) == moment
    if datetime(1001, 1, 1, tzinfo=UTC) < moment < datetime(9998, 1, 1, tzinfo=UTC):
        assert format_http_date(moment.astimezone(zone)) == text


def test_naive_date_is_not_formatted() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        format_http_date(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        (" 42 ", 42),
        ("9223372036854775807", 2**63 - 1),
        ("007", 7),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("1_000", None),
        ("٣", None),
        ("1" * 5000, None),
    ],
)
def test_integer(text: str, expected: int | None) -> None:
    assert integer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), (" -1 ", -1), ("-2", -2), ("42", 42), ("--1", None), ("-", None), ("- 1", None)],
)
def test_signed_integer(text: str, expected: int | None) -> None:
    assert signed_integer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("False", False), (" TRUE ", True), ("1", None), ("yes", None), ("", None)],
)
def test_boolean(text: str, expected: bool | None) -> None:
    assert boolean(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("日本", "日本"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "café"),
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), "ÿþ"),
        ("a\ud800", "a?"),
    ],
)
def test_readable_has_no_surrogate_escapes(text: str, expected: str) -> None:
    assert readable(text) == expected


@given(st.binary())
def test_any_bytes_become_readable(data: bytes) -> None:
    text = readable(data.decode("utf-8", "surrogateescape"))
    assert text.encode() == data or text.encode("latin-1") == data


@given(st.text(st.characters()))
def test_printable_text_is_one_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == shown.strip()


def test_printable_replaces_control_characters_only() -> None:
    assert printable("\n a\tb\x1b[31m  é\n") == "a b [31m  é"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a="1", b="2"', {"a": "1", "b": "2"}),
        ('A = "x y",b=""', {"a": "x y", "b": ""}),
        ('a="1", a="2"', {"a": "1"}),
        ("a=1", {}),
        ('x-a = "1"', {"x-a": "1"}),
        ('-="1"', {"-": "1"}),
        ('a="1', {}),
        ("", {}),
    ],
)
def test_parameters_are_the_quoted_pairs(text: str, expected: dict[str, str]) -> None:
    assert parameters(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a =? b", "a =? b"),
        ("=?UTF-8?B?w6TDtsO8?=", "äöü"),
        ("=?UTF-8?B?w6TDtsO8?= and more", "äöü and more"),
        ("=?utf-8?q?caf=C3=A9_noir?=", "café noir"),
        ("=?UTF-8?B?w6Q=?= =?UTF-8?B?w7Y=?=", "äö"),
        ("=?UTF-8?B?w6Q=?= x =?UTF-8?B?w7Y=?=", "ä x ö"),
        ("=?UTF-8?B?ww==?= =?UTF-8?B?pA==?=", "ä"),
        ("=?UTF-8?B?w6Q?=", "ä"),
        ("=?iso-8859-1?Q?caf=E9?= =?UTF-8?B?w6Q=?=", "caféä"),
        ("=?UTF-8*de?Q?=C3=A4?=", "ä"),
        ("=?UTF-8?Q??=", ""),
        ("=?UTF-8?B?w6?=", "=?UTF-8?B?w6?="),
        ("=?UTF-8?B?!!!?=", "=?UTF-8?B?!!!?="),
        ("=?us-ascii?Q?=E9?=", "=?us-ascii?Q?=E9?="),
        ("=?punycode?Q?a-b?=", "=?punycode?Q?a-b?="),
        ("=?iso-8859-99?Q?a?=", "=?iso-8859-99?Q?a?="),
        ("=?UTF-8?X?a?=", "=?UTF-8?X?a?="),
        ("=?UTF-8?Q?open", "=?UTF-8?Q?open"),
    ],
)
def test_rfc_2047_encoded_words_are_decoded(text: str, expected: str) -> None:
    assert decode_words(text) == expected


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1),
    st.sampled_from(["utf-8", "iso-8859-1"]),
)
def test_encoded_words_of_the_standard_library_are_decoded(text: str, charset: str) -> None:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
    encoded = Header(text, charset, maxlinelen=76).encode(linesep="")
    assert decode_words(encoded) == text


@given(st.text(st.sampled_from("=?utf-8QqBb _AZ\u00e4\udc80*")))
def test_any_text_can_be_decoded(text: str) -> None:
    assert isinstance(decode_words(text), str)


@pytest.mark.parametrize(
    ("value", "sendable"),
    [
        ("", True),
        ('"a  b"', True),
        ("a\tb", True),
        ('"x" ', False),
        (' "x"', False),
        ("\ta", False),
        ('"é"', False),
        ("\xa0a", False),
        ("a\nb", False),
        ("a\x7f", False),
        ("\udcff", False),
    ],
)
def test_sendable_values_are_ascii_without_outer_white_space(value: str, sendable: bool) -> None:
    assert is_sendable(value) is sendable


def test_repeated_fields_are_joined_as_one_list() -> None:
    headers = CIMultiDict([("Cache-Control", "no-cache"), ("cache-control", "no-store"), ("A", "")])
    assert field_value(headers, "Cache-Control") == "no-cache, no-store"
    assert field_value(headers, "a") == ""
    assert field_value(headers, "b") is None

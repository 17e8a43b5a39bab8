import hashlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.options import MEMBERS, GetObjectOptions, render
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ConfigurationError

KEY = bytes(range(32))
KEY_TEXT = b64encode(KEY).decode()
KEY_MD5 = b64encode(hashlib.md5(KEY).digest()).decode()
NOON = datetime(2026, 3, 1, 12, 0, 5, 999_999, tzinfo=UTC)
NOON_TEXT = "Sun, 01 Mar 2026 12:00:05 GMT"
SSE = "x-amz-server-side-encryption-customer-"


@pytest.mark.parametrize(
    ("name", "value", "wire_name", "text"),
    [
        ("if_match", '"abc"', "If-Match", '"abc"'),
        ("if_none_match", "*", "If-None-Match", "*"),
        ("if_modified_since", NOON, "If-Modified-Since", NOON_TEXT),
        ("if_unmodified_since", NOON, "If-Unmodified-Since", NOON_TEXT),
        ("range", ByteRange(0, 10), "Range", "bytes=0-9"),
        ("range", ByteRange.last(10), "Range", "bytes=-10"),
        ("range", "bytes=5-", "Range", "bytes=5-"),
        ("request_payer", "requester", "x-amz-request-payer", "requester"),
        ("expected_bucket_owner", "012345678912", "x-amz-expected-bucket-owner", "012345678912"),
        ("checksum_mode", True, "x-amz-checksum-mode", "ENABLED"),
        ("mirror_destination", "mirror-1", "mirror-destination", "mirror-1"),
    ],
)
def test_a_header_option(name: str, value: object, wire_name: str, text: str) -> None:
    assert render({name: value}) == ({wire_name: text}, ())


@pytest.mark.parametrize(
    ("name", "value", "wire_name", "text"),
    [
        ("part_number", 10_000, "partNumber", "10000"),
        ("version_id", "3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", "versionId", None),
        ("response_cache_control", "no-store", "response-cache-control", None),
        ("response_content_disposition", "attachment", "response-content-disposition", None),
        ("response_content_encoding", "gzip", "response-content-encoding", None),
        ("response_content_language", "mi, en", "response-content-language", None),
        ("response_content_type", "text/plain; charset=utf-8", "response-content-type", None),
        ("response_expires", NOON, "response-expires", NOON_TEXT),
    ],
)
def test_a_query_option_is_not_encoded_yet(
    name: str, value: object, wire_name: str, text: str | None
) -> None:
    assert render({name: value}) == ({}, ((wire_name, text or str(value)),))


def test_every_typed_option_is_a_member_and_the_other_way_round() -> None:
    assert get_type_hints(GetObjectOptions).keys() == MEMBERS.keys()


@pytest.mark.parametrize("name", MEMBERS)
def test_none_is_the_same_as_leaving_an_option_out(name: str) -> None:
    assert render({name: None}) == ({}, ())


def test_not_asking_for_checksums_sends_nothing() -> None:
    assert render({"checksum_mode": False}) == ({}, ())


@pytest.mark.parametrize("key", [KEY, KEY_TEXT])
def test_an_sse_customer_key_brings_its_algorithm_and_digest(key: bytes | str) -> None:
    headers, query = render({"sse_customer_key": key})
    assert headers == {
        SSE + "algorithm": "AES256",
        SSE + "key": KEY_TEXT,
        SSE + "key-MD5": KEY_MD5,
    }
    assert query == ()


def test_an_sse_customer_key_digest_that_fits_is_sent_as_given() -> None:
    headers, _ = render({"sse_customer_key_md5": KEY_MD5, "sse_customer_key": KEY})
    assert headers[SSE + "key-MD5"] == KEY_MD5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sse_customer_key_md5": KEY_MD5}, "pass sse_customer_key too"),
        ({"sse_customer_algorithm": "AES256"}, "pass sse_customer_key too"),
        ({"sse_customer_key": KEY, "sse_customer_key_md5": "AAAA"}, "not the base64 MD5 digest"),
        ({"sse_customer_key": KEY[:31]}, "holds 31 bytes"),
        ({"sse_customer_key": b64encode(KEY[:16]).decode()}, "holds 16 bytes"),
        ({"sse_customer_key": "a raw key of 32 characters, yes!"}, "not base64"),
        ({"sse_customer_key": "é"}, "not base64"),
        ({"sse_customer_key": bytearray(KEY)}, "not bytearray"),
        ({"sse_customer_key": ""}, "holds 0 bytes"),
        ({"sse_customer_key": KEY, "sse_customer_algorithm": "aws:kms"}, "'AES256'"),
    ],
)
def test_sse_customer_options_that_cannot_be_right(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        render(options)
    assert "a raw key of" not in str(caught.value)
    assert KEY_TEXT not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"part_number": 0}, "part_number is a whole number from 1 to 10,000, not 0"),
        ({"part_number": 10_001}, "not 10001"),
        ({"part_number": True}, "not True"),
        ({"part_number": "1"}, "not '1'"),
        ({"part_number": 1.0}, r"not 1\.0"),
        ({"range": "bytes=0-1,4-5"}, "one range"),
        ({"range": "0-9"}, "write bytes=first-last"),
        ({"range": "bytes=9-0"}, "no bytes"),
        ({"range": (0, 9)}, r"range is a ByteRange or text such as 'bytes=0-9', not \(0, 9\)"),
        ({"if_modified_since": datetime(2026, 1, 1)}, "no time zone"),
        ({"if_modified_since": NOON_TEXT}, "is an aware datetime, not"),
        (
            {"response_expires": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
            "outside the years",
        ),
        ({"if_match": 'a"\r\nx: y'}, r"holds the character '\\r'"),
        ({"version_id": "a\x00"}, r"holds the character '\\x00'"),
        ({"response_content_type": "text/plain\n"}, r"holds the character '\\n'"),
        ({"if_match": "\udc80"}, "holds the character"),
        ({"if_match": ""}, "if_match is empty; leave it out"),
        ({"if_match": b"abc"}, "if_match is text, not bytes"),
        ({"request_payer": True}, "can only be 'requester'"),
        ({"expected_bucket_owner": "12345678901"}, "12 digits"),
        ({"expected_bucket_owner": 123456789012}, "12 digits"),
        ({"expected_bucket_owner": "١٢٣٤٥٦٧٨٩٠١٢"}, "12 digits"),
        ({"checksum_mode": "ENABLED"}, "S3's ENABLED is True"),
        ({"checksum_mode": 1}, "True or False, not 1"),
        ({"IfMatch": "x"}, r"did you mean 'if_match'\? \(options are S3's names in snake_case\)"),
        ({"SSECustomerKeyMD5": "x"}, "did you mean 'sse_customer_key_md5'"),
        ({"ResponseContentType": "x"}, "did you mean 'response_content_type'"),
        ({"versionid": "x"}, r"did you mean 'version_id'\?$"),
        ({"if-match": "x"}, "did you mean 'if_match'"),
        ({"part_nubmer": 1}, "did you mean 'part_number'"),
        ({"timeout": 5}, "there is no option 'timeout'; the options are if_match, "),
    ],
)
def test_options_that_cannot_be_right(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        render(options)


anything = st.text(st.characters(), min_size=1)


@given(anything | st.text(' \t!~\x7f"a', min_size=1))
def test_a_text_header_is_sent_verbatim_or_refused(text: str) -> None:
    inside = all(char == "\t" or " " <= char <= "~" for char in text)
    if inside and text[0] not in " \t" and text[-1] not in " \t":
        assert render({"if_match": text}) == ({"If-Match": text}, ())
    else:
        with pytest.raises(ConfigurationError, match="cannot stand in an HTTP header"):
            render({"if_match": text})


@given(anything)
def test_a_text_of_the_query_is_sent_verbatim_or_refused(text: str) -> None:
    sendable = not any(
        (char < " " and char != "\t") or char == "\x7f" or "\ud800" <= char <= "\udfff"
        for char in text
    )
    if sendable:
        assert render({"version_id": text}) == ({}, (("versionId", text),))
    else:
        with pytest.raises(ConfigurationError, match="cannot stand in an HTTP header"):
            render({"version_id": text})


@pytest.mark.parametrize(
    "name", ["if_match", "if_none_match", "sse_customer_key_md5", "mirror_destination"]
)
@pytest.mark.parametrize("value", [' "x"', '"x" ', '"x"\t', '"é"', '"😀"', "\xa0x"])
def test_a_header_that_others_would_change_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} .* ASCII without white space"):
        render({name: value})


@given(
    st.dictionaries(
        st.sampled_from(list(MEMBERS)) | st.text(max_size=20),
        st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes(),
    )
)
def test_options_of_any_kind_are_rendered_as_text_or_refused(options: dict[str, object]) -> None:
    try:
        headers, query = render(options)
    except ConfigurationError:
        return
    assert all(isinstance(text, str) and text for text in headers.values())
    assert all(isinstance(text, str) and text for _, text in query)

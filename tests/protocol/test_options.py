import hashlib
import inspect
import pydoc
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.options import MEMBERS, GetObjectOptions, serialize
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ParameterError

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
        ("checksum_mode", "ENABLED", "x-amz-checksum-mode", "ENABLED"),
        ("mirror_destination", "mirror-1", "mirror-destination", "mirror-1"),
    ],
)
def test_option_is_sent_as_a_header(name: str, value: object, wire_name: str, text: str) -> None:
    assert serialize({name: value}) == ({wire_name: text}, ())


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
def test_option_is_sent_in_the_query(
    name: str, value: object, wire_name: str, text: str | None
) -> None:
    assert serialize({name: value}) == ({}, ((wire_name, text or str(value)),))


def test_options_and_members_are_the_same() -> None:
    assert get_type_hints(GetObjectOptions).keys() == MEMBERS.keys()


def test_help_shows_the_text_of_every_option() -> None:
    keys = inspect.cleandoc(GetObjectOptions.__doc__ or "").partition("Attributes:\n")[2]
    assert re.findall(r"^ {4}(\w+): \S", keys, re.MULTILINE) == [*MEMBERS]
    shown = pydoc.plain(pydoc.render_doc(GetObjectOptions))
    assert all(line.strip() in shown for line in keys.splitlines())


@pytest.mark.parametrize("name", MEMBERS)
def test_none_is_the_same_as_leaving_the_option_out(name: str) -> None:
    assert serialize({name: None}) == ({}, ())


def test_checksum_mode_false_sends_nothing() -> None:
    assert serialize({"checksum_mode": False}) == ({}, ())


@pytest.mark.parametrize("key", [KEY, KEY_TEXT])
def test_sse_customer_key_is_sent_with_its_algorithm_and_digest(key: bytes | str) -> None:
    headers, query = serialize({"sse_customer_key": key})
    assert headers == {
        SSE + "algorithm": "AES256",
        SSE + "key": KEY_TEXT,
        SSE + "key-MD5": KEY_MD5,
    }
    assert query == ()


def test_sse_customer_key_md5_may_be_given() -> None:
    headers, _ = serialize({"sse_customer_key_md5": KEY_MD5, "sse_customer_key": KEY})
    assert headers[SSE + "key-MD5"] == KEY_MD5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sse_customer_key_md5": KEY_MD5}, "pass sse_customer_key too"),
        ({"sse_customer_algorithm": "AES256"}, "pass sse_customer_key too"),
        ({"sse_customer_key": KEY, "sse_customer_key_md5": "AAAA"}, "not the base64 MD5 digest"),
        ({"sse_customer_key": KEY[:31]}, "has 31 bytes"),
        ({"sse_customer_key": b64encode(KEY[:16]).decode()}, "has 16 bytes"),
        ({"sse_customer_key": "a raw key of 32 characters, yes!"}, "not base64"),
        ({"sse_customer_key": "é"}, "not base64"),
        ({"sse_customer_key": bytearray(KEY)}, "not bytearray"),
        ({"sse_customer_key": ""}, "has 0 bytes"),
        ({"sse_customer_key": KEY, "sse_customer_algorithm": "aws:kms"}, "'AES256'"),
    ],
)
def test_invalid_sse_customer_options_are_a_parameter_error(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        serialize(options)
    assert "a raw key of" not in str(caught.value)
    assert KEY_TEXT not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part_number": 0}, "part_number must be an int from 1 to 10,000, not 0"),
        ({"part_number": 10_001}, "not 10001"),
        ({"part_number": True}, "not True"),
        ({"part_number": "1"}, "not '1'"),
        ({"part_number": 1.0}, r"not 1\.0"),
        ({"range": "bytes=0-1,4-5"}, "one range per request"),
        ({"range": "0-9"}, "write bytes=first-last"),
        ({"range": "bytes=9-0"}, "is empty"),
        ({"range": (0, 9)}, r"range must be a ByteRange or text such as 'bytes=0-9', not \(0, 9\)"),
        ({"if_modified_since": datetime(2026, 1, 1)}, "no time zone"),
        ({"if_modified_since": NOON_TEXT}, "must be an aware datetime, not"),
        (
            {"response_expires": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
            "outside the years",
        ),
        ({"if_match": 'a"\r\nx: y'}, r"contains the character '\\r'"),
        ({"version_id": "a\x00"}, r"contains the character '\\x00'"),
        ({"response_content_type": "text/plain\n"}, r"contains the character '\\n'"),
        ({"if_match": "\udc80"}, "contains the character"),
        ({"if_match": ""}, "if_match is empty; leave it out"),
        ({"if_match": b"abc"}, "if_match must be text, not bytes"),
        ({"request_payer": True}, "must be 'requester'"),
        ({"expected_bucket_owner": "12345678901"}, "12 digits"),
        ({"expected_bucket_owner": 123456789012}, "12 digits"),
        ({"expected_bucket_owner": "١٢٣٤٥٦٧٨٩٠١٢"}, "12 digits"),
        ({"checksum_mode": "enabled"}, "True, False or 'ENABLED', not 'enabled'"),
        ({"checksum_mode": 1}, "True, False or 'ENABLED', not 1"),
        ({"IfMatch": "x"}, r"did you mean 'if_match'\? \(options are S3's names in snake_case\)"),
        ({"SSECustomerKeyMD5": "x"}, "did you mean 'sse_customer_key_md5'"),
        ({"ResponseContentType": "x"}, "did you mean 'response_content_type'"),
        ({"versionid": "x"}, r"did you mean 'version_id'\?$"),
        ({"if-match": "x"}, "did you mean 'if_match'"),
        ({"part_nubmer": 1}, "did you mean 'part_number'"),
        ({"timeout": 5}, "there is no option 'timeout'; the options are if_match, "),
    ],
)
def test_invalid_options_are_a_parameter_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        serialize(options)


anything = st.text(st.characters(), min_size=1)


@given(anything | st.text(' \t!~\x7f"a', min_size=1))
def test_header_option_is_sent_unchanged_or_rejected(text: str) -> None:
    inside = all(char == "\t" or " " <= char <= "~" for char in text)
    if inside and text[0] not in " \t" and text[-1] not in " \t":
        assert serialize({"if_match": text}) == ({"If-Match": text}, ())
    else:
        with pytest.raises(ParameterError, match="an HTTP header"):
            serialize({"if_match": text})


@given(anything)
def test_query_option_is_sent_unchanged_or_rejected(text: str) -> None:
    sendable = not any(
        (char < " " and char != "\t") or char == "\x7f" or "\ud800" <= char <= "\udfff"
        for char in text
    )
    if sendable:
        assert serialize({"version_id": text}) == ({}, (("versionId", text),))
    else:
        with pytest.raises(ParameterError, match="HTTP header cannot carry"):
            serialize({"version_id": text})


@pytest.mark.parametrize(
    "name", ["if_match", "if_none_match", "sse_customer_key_md5", "mirror_destination"]
)
@pytest.mark.parametrize("value", [' "x"', '"x" ', '"x"\t', '"é"', '"😀"', "\xa0x"])
def test_header_option_with_outer_white_space_or_non_ascii_text_is_rejected(
    name: str, value: str
) -> None:
    with pytest.raises(ParameterError, match=f"{name} .* ASCII without white space"):
        serialize({name: value})


@given(
    st.dictionaries(
        st.sampled_from(list(MEMBERS)) | st.text(max_size=20),
        st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes(),
    )
)
def test_any_options_are_serialized_as_text_or_rejected(options: dict[str, object]) -> None:
    try:
        headers, query = serialize(options)
    except ParameterError:
        return
    assert all(isinstance(text, str) and text for text in headers.values())
    assert all(isinstance(text, str) and text for _, text in query)

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import ParameterError

LINK = (
    "https://examplebucket.s3.amazonaws.com/photos/2006/February/s%20%C3%BC.jpg"
    "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=aeeed9bb&X-Amz-SignedHeaders=host"
)


def test_url_is_unchanged() -> None:
    request = UrlRequest.create(LINK, None, {})
    assert request.url == LINK
    assert request.headers == {}
    assert request.key == "photos/2006/February/s ü.jpg"
    assert (request.bucket, request.version_id, request.range) == ("", None, None)
    assert request.resumable


@pytest.mark.parametrize("byte_range", ["bytes=5-9", ByteRange(5, 10)])
def test_range_is_sent_as_a_header(byte_range: ByteRange | str) -> None:
    request = UrlRequest.create(LINK, byte_range, {})
    assert request.headers == {"range": "bytes=5-9"}
    assert request.range == ByteRange(5, 10)


def test_range_header_is_the_range() -> None:
    assert UrlRequest.create(LINK, None, {"Range": "bytes=5-9"}).range == ByteRange(5, 10)


@pytest.mark.parametrize(
    ("signed", "resumable"),
    [
        ("host", True),
        ("host%3Brange", False),
        ("Host%3BRange", False),
        ("host;if-match", True),
        ("host;if-none-match", True),
        ("host%3Bx-amz-range-like", True),
    ],
)
def test_link_with_signed_range_is_not_resumable(signed: str, resumable: bool) -> None:
    link = f"https://h/k?X-Amz-SignedHeaders={signed}&X-Amz-Signature=a"
    assert UrlRequest.create(link, None, {}).resumable is resumable


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("partNumber=2", 2),
        ("versionId=x&partNumber=10000&X-Amz-Signature=a", 10_000),
        ("partNumber=", None),
        ("partNumber=x", None),
        ("apartNumber=2", None),
        ("partnumber=2", None),
        ("a=partNumber=2", None),
    ],
)
def test_part_number_of_the_link(query: str, part: int | None) -> None:
    request = UrlRequest.create(f"https://h/k?{query}", None, {})
    assert request.part_number == part
    assert request.resumable is (part is None)


@pytest.mark.parametrize("byte_range", [(0, 3), slice(0, 3), 5, b"bytes=0-3"])
def test_range_of_another_type_is_a_parameter_error(byte_range: Any) -> None:
    with pytest.raises(ParameterError, match="range must be a ByteRange or text such as"):
        UrlRequest.create("https://h/k", byte_range, {})


@pytest.mark.parametrize(
    ("byte_range", "headers"), [("bytes=0-9", {}), (None, {"Range": "bytes=0-9"})]
)
def test_range_with_a_link_for_a_part_is_a_parameter_error(
    byte_range: str | None, headers: dict[str, str]
) -> None:
    with pytest.raises(ParameterError, match="for part 2, which excludes range"):
        UrlRequest.create("https://h/k?partNumber=2&X-Amz-Signature=a", byte_range, headers)


@pytest.mark.parametrize(
    "url",
    [
        "https://h",
        "http://h:80/",
        "https://h?a=b",
        "https://[::1]:9000/k",
        "http://my_minio.:9000/k",
        "https://EXAMPLEBUCKET.s3.amazonaws.com/k",
        'https://h/a/../b/./%7e\\^[]{}|"<>`?a=/?&b=%zz+[]\\',
    ],
)
def test_complete_urls_are_accepted(url: str) -> None:
    assert UrlRequest.create(url, None, {}).url == url


def test_scheme_is_case_insensitive() -> None:
    assert UrlRequest.create("HTTPS://h/K?A=b", None, {}).url == "https://h/K?A=b"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://h/k",
        "//h/k",
        "/k",
        "https:///k",
        "https://user:password@h/k",
        "https://h/k#part",
        "https://h/k?a b",
        "https://h/k\r\nHost: other",
        "https://h/ü",
        " https://h/k",
        "https://h/k\n",
        "http://h:99999/?password",
        "http://h:0/?password",
        "http://h:abc/?password",
        "http://[::1/?password",
        "http://[v1.x]/?password",
        "http://[fe80::1%25eth0]/?password",
        "http://:80/?password",
        "http://a..b/?password",
        "http://..../?password",
        f"http://{'a' * 64}.example/?password",
        f"http://{'a.' * 128}/?password",
        "http://password\\h/k",
        "http://%zz/",
        "http://h/\x01?password",
        "http://h/\x7f?password",
        "http://h/k?password\x00",
        "http\u017f://h/k",
        "https://h?",
        "https://h/k?",
    ],
)
def test_invalid_url_is_a_parameter_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(ParameterError) as caught:
        UrlRequest.create(url, None, {})
    assert "password" not in str(caught.value)


@given(
    st.sampled_from(["http://", "HTTPS://", ""]),
    st.text(st.characters(max_codepoint=300), max_size=70) | st.text("aA.-_:[]09%\\@", max_size=70),
    st.sampled_from(["", "/k", "?a=b", "/k?"]),
    st.text(st.characters(max_codepoint=300), max_size=20),
)
def test_any_text_is_rejected_or_sent_unchanged(
    scheme: str, authority: str, path: str, rest: str
) -> None:
    try:
        url = UrlRequest.create(f"{scheme}{authority}{path}{rest}", None, {}).url
    except ParameterError:
        return
    sent, parts = URL(url, encoded=True), urlsplit(url)
    assert sent.host
    assert sent.host.encode("idna")
    query = f"?{parts.query}" if parts.query else ""
    assert sent.raw_path_qs == f"{parts.path or '/'}{query}"


@pytest.mark.parametrize("value", ["one\r\ntwo", "one\ntwo", " one", "one ", "ünder", "nul\x00"])
def test_unsendable_header_is_a_parameter_error_that_does_not_show_it(value: str) -> None:
    with pytest.raises(ParameterError, match=r"header 'x-amz-y' cannot") as caught:
        UrlRequest.create(LINK, None, {"x-amz-y": value})
    assert value.strip() not in str(caught.value)


def test_header_value_other_than_text_is_a_parameter_error() -> None:
    headers: dict[str, Any] = {"x-amz-y": 3}
    with pytest.raises(ParameterError, match=r"header 'x-amz-y' cannot .* text"):
        UrlRequest.create(LINK, None, headers)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü", None])
def test_invalid_header_name_is_a_parameter_error(name: Any) -> None:
    with pytest.raises(ParameterError, match="cannot be sent unchanged"):
        UrlRequest.create(LINK, None, {name: "x"})


def test_range_and_range_header_exclude_each_other() -> None:
    with pytest.raises(ParameterError, match="exclude each other"):
        UrlRequest.create(LINK, "bytes=0-1", {"Range": "bytes=0-1"})


def test_for_range_is_the_same_link_with_if_match() -> None:
    headers = {"If-None-Match": '"a"', "If-Modified-Since": "x", "x-amz-meta": "kept"}
    request = UrlRequest.create(LINK, "bytes=0-9", headers)
    rest = request.for_range(ByteRange(5, 10), if_match='"e"', version_id="ignored")
    assert rest.url == LINK
    assert rest.headers == {"x-amz-meta": "kept", "range": "bytes=5-9", "if-match": '"e"'}
    assert rest.range == ByteRange(5, 10)
    assert (rest.key, rest.resumable, rest.version_id) == (request.key, True, None)
    assert "if-match" not in request.for_range(ByteRange(5)).headers


@pytest.mark.parametrize(
    "name", ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]
)
def test_for_range_keeps_signed_headers(name: str) -> None:
    link = f"https://h/k?X-Amz-SignedHeaders=host%3B{name.lower()}&X-Amz-Signature=a"
    rest = UrlRequest.create(link, None, {name: '"a"'}).for_range(ByteRange(5), if_match='"e"')
    kept: dict[str, Any] = {"if-match": '"e"', name.lower(): '"a"'}
    assert rest.headers == {"range": "bytes=5-", **kept}


def test_repr_shows_neither_query_nor_headers() -> None:
    request = UrlRequest.create(LINK, None, {"x-amz-secret": "hidden"})
    assert "aeeed9bb" not in repr(request)
    assert "hidden" not in repr(request)

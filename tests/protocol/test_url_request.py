from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import ConfigurationError

LINK = (
    "https://examplebucket.s3.amazonaws.com/photos/2006/February/s%20%C3%BC.jpg"
    "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=aeeed9bb&X-Amz-SignedHeaders=host"
)


def test_a_link_stays_as_it_is() -> None:
    request = UrlRequest.create(LINK, None, {})
    assert request.url == LINK
    assert request.headers == {}
    assert request.key == "photos/2006/February/s ü.jpg"
    assert (request.bucket, request.version_id, request.range) == ("", None, None)
    assert request.resumable


@pytest.mark.parametrize("wanted", ["bytes=5-9", ByteRange(5, 10)])
def test_a_range_is_a_header(wanted: ByteRange | str) -> None:
    request = UrlRequest.create(LINK, wanted, {})
    assert request.headers == {"range": "bytes=5-9"}
    assert request.range == ByteRange(5, 10)


def test_a_range_among_the_headers_is_one() -> None:
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
def test_what_is_signed_decides_whether_it_resumes(signed: str, resumable: bool) -> None:
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
def test_a_link_may_be_for_a_part(query: str, part: int | None) -> None:
    request = UrlRequest.create(f"https://h/k?{query}", None, {})
    assert request.part_number == part
    assert request.resumable is (part is None)


@pytest.mark.parametrize("wanted", [(0, 3), slice(0, 3), 5, b"bytes=0-3"])
def test_a_range_of_another_type_is_refused(wanted: Any) -> None:
    with pytest.raises(ConfigurationError, match="range is a ByteRange or text such as"):
        UrlRequest.create("https://h/k", wanted, {})


@pytest.mark.parametrize(("wanted", "headers"), [("bytes=0-9", {}), (None, {"Range": "bytes=0-9"})])
def test_a_part_has_no_range(wanted: str | None, headers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="for part 2 and takes no range"):
        UrlRequest.create("https://h/k?partNumber=2&X-Amz-Signature=a", wanted, headers)


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
def test_whole_urls_are_taken(url: str) -> None:
    assert UrlRequest.create(url, None, {}).url == url


def test_a_scheme_is_not_sent_and_may_have_any_case() -> None:
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
def test_what_is_no_url_is_refused_unshown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        UrlRequest.create(url, None, {})
    assert "password" not in str(caught.value)


@given(
    st.sampled_from(["http://", "HTTPS://", ""]),
    st.text(st.characters(max_codepoint=300), max_size=70) | st.text("aA.-_:[]09%\\@", max_size=70),
    st.sampled_from(["", "/k", "?a=b", "/k?"]),
    st.text(st.characters(max_codepoint=300), max_size=20),
)
def test_any_text_is_refused_or_goes_out_as_it_is(
    scheme: str, authority: str, path: str, rest: str
) -> None:
    try:
        url = UrlRequest.create(f"{scheme}{authority}{path}{rest}", None, {}).url
    except ConfigurationError:
        return
    sent, parts = URL(url, encoded=True), urlsplit(url)
    assert sent.host
    assert sent.host.encode("idna")
    query = f"?{parts.query}" if parts.query else ""
    assert sent.raw_path_qs == f"{parts.path or '/'}{query}"


@pytest.mark.parametrize("value", ["one\r\ntwo", "one\ntwo", " one", "one ", "ünder", "nul\x00"])
def test_a_header_that_cannot_be_sent_is_refused_unshown(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"header 'x-amz-y' cannot") as caught:
        UrlRequest.create(LINK, None, {"x-amz-y": value})
    assert value.strip() not in str(caught.value)


def test_a_header_whose_value_is_no_text_is_refused() -> None:
    headers: dict[str, Any] = {"x-amz-y": 3}
    with pytest.raises(ConfigurationError, match=r"header 'x-amz-y' cannot .* text"):
        UrlRequest.create(LINK, None, headers)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü", None])
def test_a_header_without_a_proper_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot stand in a request"):
        UrlRequest.create(LINK, None, {name: "x"})


def test_two_ranges_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="given twice"):
        UrlRequest.create(LINK, "bytes=0-1", {"Range": "bytes=0-1"})


def test_the_rest_is_the_same_link() -> None:
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
def test_what_is_signed_is_sent_unchanged_with_the_rest(name: str) -> None:
    link = f"https://h/k?X-Amz-SignedHeaders=host%3B{name.lower()}&X-Amz-Signature=a"
    rest = UrlRequest.create(link, None, {name: '"a"'}).for_range(ByteRange(5), if_match='"e"')
    kept: dict[str, Any] = {"if-match": '"e"', name.lower(): '"a"'}
    assert rest.headers == {"range": "bytes=5-", **kept}


def test_the_repr_shows_no_signature() -> None:
    request = UrlRequest.create(LINK, None, {"x-amz-secret": "hidden"})
    assert "aeeed9bb" not in repr(request)
    assert "hidden" not in repr(request)

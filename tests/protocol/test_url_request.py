import pytest

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
        ("host;if-match", False),
        ("host%3Bx-amz-range-like", True),
    ],
)
def test_what_is_signed_decides_whether_it_resumes(signed: str, resumable: bool) -> None:
    link = f"https://h/k?X-Amz-SignedHeaders={signed}&X-Amz-Signature=a"
    assert UrlRequest.create(link, None, {}).resumable is resumable


@pytest.mark.parametrize("url", ["https://h", "http://h:80/", "https://h?a=b", "https://[::1]/k"])
def test_whole_urls_are_taken(url: str) -> None:
    assert UrlRequest.create(url, None, {}).url == url


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
    ],
)
def test_what_is_no_url_is_refused_unshown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        UrlRequest.create(url, None, {})
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("value", ["one\r\ntwo", "one\ntwo", " one", "one ", "ünder", "nul\x00"])
def test_a_header_that_cannot_be_sent_is_refused_unshown(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"header 'x-amz-y' cannot") as caught:
        UrlRequest.create(LINK, None, {"x-amz-y": value})
    assert value.strip() not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü"])
def test_a_header_without_a_proper_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot stand in a request"):
        UrlRequest.create(LINK, None, {name: "x"})


def test_two_ranges_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="given twice"):
        UrlRequest.create(LINK, "bytes=0-1", {"Range": "bytes=0-1"})


def test_the_rest_is_the_same_link() -> None:
    headers = {"If-None-Match": '"a"', "If-Modified-Since": "x", "x-amz-meta": "kept"}
    request = UrlRequest.create(LINK, "bytes=0-9", headers)
    rest = request.with_range(ByteRange(5, 10), if_match='"e"', version_id="ignored")
    assert rest.url == LINK
    assert rest.headers == {"x-amz-meta": "kept", "range": "bytes=5-9", "if-match": '"e"'}
    assert rest.range == ByteRange(5, 10)
    assert (rest.key, rest.resumable, rest.version_id) == (request.key, True, None)
    assert "if-match" not in request.with_range(ByteRange(5)).headers


def test_the_repr_shows_no_signature() -> None:
    request = UrlRequest.create(LINK, None, {"x-amz-secret": "hidden"})
    assert "aeeed9bb" not in repr(request)
    assert "hidden" not in repr(request)

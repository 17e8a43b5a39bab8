from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.http import HttpHead, HttpRequest


def test_repr_shows_no_credentials() -> None:
    request = HttpRequest(
        "GET",
        "https://amzn-s3-demo-bucket.s3.amazonaws.com/k?X-Amz-Signature=abc",
        {"Authorization": "AWS4-HMAC-SHA256 Signature=def"},
    )
    assert repr(request) == "HttpRequest(method='GET')"


def test_values_compare_by_content() -> None:
    url = "https://amzn-s3-demo-bucket.s3.amazonaws.com/k"
    assert HttpRequest("GET", url, {"a": "b"}) == HttpRequest("GET", url, {"a": "b"})
    headers = CIMultiDictProxy(CIMultiDict({"ETag": '"e"'}))
    assert HttpHead(200, headers) == HttpHead(200, CIMultiDictProxy(CIMultiDict({"etag": '"e"'})))
    assert HttpHead(200, headers) != HttpHead(206, headers)

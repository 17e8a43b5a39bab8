import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.get_object import GetObject
from aios3get._protocol.response_checks import check_sse_customer_key, check_version
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import IntegrityError

CONFIRMED = "x-amz-server-side-encryption-customer-key-MD5"
REQUEST = GetObject.create(
    "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg", {"sse_customer_key": bytes(32)}
)


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def test_confirmation_of_the_sent_sse_customer_key_is_accepted() -> None:
    digest = REQUEST.headers[CONFIRMED]
    check_sse_customer_key(REQUEST.headers, headers((CONFIRMED.upper(), digest)))
    check_sse_customer_key(REQUEST.headers, headers((CONFIRMED, f" {digest} ")))


def test_confirmation_of_another_sse_customer_key_is_an_integrity_error() -> None:
    other = GetObject.create("amzn-s3-demo-bucket", "k", {"sse_customer_key": b"k" * 32})
    received = headers((CONFIRMED, other.headers[CONFIRMED]))
    with pytest.raises(IntegrityError, match="another SSE-C key") as caught:
        check_sse_customer_key(REQUEST.headers, received)
    text = str(caught.value)
    assert other.headers[CONFIRMED] not in text
    assert REQUEST.headers[CONFIRMED] not in text


def test_confirmation_for_a_presigned_url_is_compared_with_its_header() -> None:
    sent = {CONFIRMED: REQUEST.headers[CONFIRMED]}
    request = UrlRequest.create("https://amzn-s3-demo-bucket.s3.amazonaws.com/k", None, sent)
    check_sse_customer_key(request.headers, headers((CONFIRMED, sent[CONFIRMED])))
    with pytest.raises(IntegrityError):
        check_sse_customer_key(request.headers, headers((CONFIRMED, "AAAA")))


def test_response_without_confirmation_or_request_without_sse_customer_key_is_accepted() -> None:
    check_sse_customer_key(REQUEST.headers, headers())
    check_sse_customer_key({}, headers((CONFIRMED, "AAAA")))


@pytest.mark.parametrize(
    ("version_id", "received"),
    [
        (None, headers(("x-amz-version-id", "other"))),
        ("v1", headers(("X-Amz-Version-Id", "v1"))),
        ("null", headers(("x-amz-version-id", "null"))),
        ("v1", headers()),
    ],
)
def test_requested_version_or_no_version_in_the_response_is_accepted(
    version_id: str | None, received: CIMultiDictProxy[str]
) -> None:
    check_version(version_id, received)


def test_another_version_in_the_response_is_an_integrity_error() -> None:
    with pytest.raises(IntegrityError, match=r"requested version 'v1', got version 'v2'"):
        check_version("v1", headers(("x-amz-version-id", "v2")))

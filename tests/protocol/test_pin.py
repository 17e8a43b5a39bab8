from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.extent import Extent
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.object_request import ObjectRequest
from aios3get._protocol.pin import Pin, check_identity, first_extent
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import IntegrityError, ObjectChanged, RangeMismatch

ETAG = '"fba9dede5f27731c9771645a39863328"'
URL = "https://amzn-s3-demo-bucket.s3.amazonaws.com/key?X-Amz-SignedHeaders=host"
SSE_KEY = bytes(range(32))
REQUESTS: dict[str, ObjectRequest] = {
    "get-object": GetObject.create("amzn-s3-demo-bucket", "key", {"if_none_match": '"old"'}),
    "link": UrlRequest.create(URL, None, {"if-none-match": '"old"'}),
}
Response = tuple[int, CIMultiDictProxy[str]]
every_request = pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)


def get(**options: Any) -> GetObject:
    return GetObject.create("amzn-s3-demo-bucket", "key", options)


def headers(**named: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(
        CIMultiDict({name.replace("_", "-"): text for name, text in named.items()})
    )


def pin(
    request: ObjectRequest | None = None,
    etag: str | None = ETAG,
    *,
    version_id: str | None = None,
    extent: Extent | None = None,
    transformed: bool = False,
) -> Pin:
    extent = extent or Extent(0, 1000, 1000)
    return Pin(request or get(), etag, version_id, extent, transformed)


def partial(start: int, stop: int, size: int | str = 1000, etag: str | None = ETAG) -> Response:
    named = {"Content_Range": f"bytes {start}-{stop - 1}/{size}"}
    return 206, headers(**named, **({"ETag": etag} if etag else {}))


def sent_headers(request: ObjectRequest) -> dict[str, str]:
    sent = request.presigned.headers if request.presigned else getattr(request, "headers", {})
    return {name.lower(): text for name, text in sent.items()}


@every_request
def test_pin_of_a_response_makes_requests_for_any_range(request_: ObjectRequest) -> None:
    for status, sent in ((200, headers(Content_Length="1000")), partial(0, 1000)):
        extent = first_extent(request_, status, sent)
        made = Pin.from_response(request_, headers(ETag=ETAG, x_amz_version_id="v"), extent)
        assert (made.etag, made.version_id, made.size) == (ETAG, "v", 1000)
        rest = made.for_range(ByteRange(300, 400))
        assert rest.range == ByteRange(300, 400)
        assert sent_headers(rest) == {"range": "bytes=300-399", "if-match": ETAG}


@pytest.mark.parametrize("etag", [f"W/{ETAG}", '"é"', '"\udcff"'])
def test_etag_that_if_match_cannot_carry_is_compared_only(etag: str) -> None:
    weak = pin(etag=etag)
    assert "if-match" not in sent_headers(weak.for_range(ByteRange(5, 10)))
    weak.check(*partial(5, 10, etag=etag), ByteRange(5, 10))
    with pytest.raises(ObjectChanged):
        weak.check(*partial(5, 10), ByteRange(5, 10))


@pytest.mark.parametrize(
    ("version_id", "options", "named"),
    [
        (None, {}, None),
        ("null", {}, None),
        ("a version", {}, "a version"),
        ("a version", {"version_id": "a version"}, None),
        ("\udcff", {}, None),
    ],
)
def test_request_by_version_exists_where_the_response_named_one(
    version_id: str | None, options: dict[str, str], named: str | None
) -> None:
    request = pin(get(**options), version_id=version_id).for_range_of_version(ByteRange(5, 10))
    assert (request and request.version_id) == named
    if request is not None:
        assert sent_headers(request) == {"range": "bytes=5-9", "if-match": ETAG}


def test_link_has_no_request_by_version() -> None:
    assert pin(REQUESTS["link"], version_id="v").for_range_of_version(ByteRange(5)) is None


@pytest.mark.parametrize(
    ("made", "holds"),
    [
        (pin(), True),
        (pin(etag=None), False),
        (pin(transformed=True), False),
        (pin(UrlRequest.create(URL, None, {})), True),
        (pin(UrlRequest.create(URL + ";range", None, {"range": "bytes=0-9"})), False),
        (pin(UrlRequest.create(URL + "&partNumber=1", None, {})), False),
    ],
)
def test_pin_holds_with_an_etag_and_a_request_for_other_ranges(made: Pin, holds: bool) -> None:
    assert made.holds is holds


CHECKED: list[tuple[Response, ByteRange, Extent]] = [
    (partial(200, 1000), ByteRange(200), Extent(200, 1000, 1000)),
    (partial(200, 300), ByteRange(200, 300), Extent(200, 300, 1000)),
    (partial(200, 300, "*"), ByteRange(200, 300), Extent(200, 300, None)),
    # RFC 9110 section 14.2: everything instead of the range
    (
        (200, headers(ETag=ETAG, Content_Length="1000")),
        ByteRange(200, 300),
        Extent(200, 300, 1000, skip=200, sliced=True),
    ),
]


@pytest.mark.parametrize(("response", "range_", "extent"), CHECKED)
def test_response_of_the_version_and_range_gives_its_extent(
    response: Response, range_: ByteRange, extent: Extent
) -> None:
    assert pin().check(*response, range_) == extent


WRONG: list[tuple[Response, ByteRange, type[IntegrityError], str]] = [
    (partial(200, 300, etag='"other"'), ByteRange(200, 300), ObjectChanged, 'now it is "other"'),
    (partial(200, 300, etag=None), ByteRange(200, 300), ObjectChanged, "without an ETag"),
    (partial(200, 300, etag=f"W/{ETAG}"), ByteRange(200, 300), ObjectChanged, "W/"),
    (partial(200, 300, 1001), ByteRange(200, 300), ObjectChanged, "1001 bytes instead of 1000"),
    (partial(199, 300), ByteRange(200, 300), RangeMismatch, "bytes=200-299"),
    (partial(200, 299), ByteRange(200, 300), RangeMismatch, "bytes=200-299"),
    (partial(200, 900, 900), ByteRange(200, 1000), ObjectChanged, "900 bytes instead"),
    ((206, headers(ETag=ETAG)), ByteRange(200, 300), RangeMismatch, "Content-Range"),
]


@pytest.mark.parametrize(("response", "range_", "error", "text"), WRONG)
def test_response_of_another_version_or_range_is_an_error(
    response: Response, range_: ByteRange, error: type[IntegrityError], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        pin().check(*response, range_)
    if isinstance(caught.value, ObjectChanged):
        assert caught.value.expected == ETAG


def test_object_that_ends_before_the_range_is_accepted_only_while_its_end_is_unknown() -> None:
    unknown = pin(extent=Extent(0, 10, None))
    shorter = partial(5, 8, 8)
    assert unknown.check(*shorter, ByteRange(5, 10), open_ended=True) == Extent(5, 8, 8)
    with pytest.raises(RangeMismatch, match="requested bytes 5 to 10, got 5 to 8"):
        unknown.check(*shorter, ByteRange(5, 10))


@given(
    size=st.integers(1, 10_000),
    cuts=st.lists(st.integers(0, 10_000), max_size=8),
    whole=st.booleans(),
)
def test_parts_of_a_version_tile_it(size: int, cuts: list[int], whole: bool) -> None:
    begun = pin(extent=Extent(0, size if whole else min(size, 10), size))
    edges = sorted({0, size, *(cut for cut in cuts if cut < size)})
    position = 0
    for start, stop in pairwise(edges):
        requested = begun.for_range(ByteRange(start, stop)).range
        assert requested is not None
        extent = begun.check(*partial(start, stop, size), requested)
        assert (extent.start, extent.skip, extent.sliced) == (position, 0, False)
        assert extent.stop is not None
        position = extent.stop
    assert position == size


def test_restarted_body_must_be_as_long_as_the_first() -> None:
    begun = pin(etag=None)
    assert begun.check_restart(200, headers(Content_Length="1000")) == begun.extent
    with pytest.raises(ObjectChanged, match="no ETag, now it is of another length"):
        begun.check_restart(200, headers(Content_Length="999"))


@pytest.mark.parametrize(
    ("options", "named", "text"),
    [
        ({"version_id": "a"}, {"x-amz-version-id": "b"}, "requested version 'a'.* version 'b'"),
        ({"version_id": "null"}, {"x-amz-version-id": "b"}, "requested version 'null'"),
        (
            {"sse_customer_key": SSE_KEY},
            {"x-amz-server-side-encryption-customer-key-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
            "another SSE-C key",
        ),
    ],
)
def test_response_of_another_version_or_sse_c_key_is_an_integrity_error(
    options: dict[str, Any], named: dict[str, str], text: str
) -> None:
    response = CIMultiDictProxy(CIMultiDict({"Content-Length": "5", **named}))
    with pytest.raises(IntegrityError, match=text) as caught:
        first_extent(get(**options), 200, response)
    assert "AAAA" not in str(caught.value)


def test_response_that_confirms_version_and_key_or_names_neither_passes() -> None:
    request = get(version_id="a", sse_customer_key=SSE_KEY)
    confirmed = {
        "x-amz-version-id": "a",
        "x-amz-server-side-encryption-customer-key-MD5": request.sse_customer_key_md5 or "",
    }
    check_identity(request, CIMultiDictProxy(CIMultiDict(confirmed)))
    check_identity(request, headers())
    check_identity(get(), CIMultiDictProxy(CIMultiDict(confirmed)))

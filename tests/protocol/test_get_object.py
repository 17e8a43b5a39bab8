import copy
import pickle
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from aios3get._protocol.get_object import GetObject, check_sendable
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ParameterError

BUCKET = "amzn-s3-demo-bucket"
KEY = "photos/2006/February/sample.jpg"
SECRET = bytes(range(32))
SECRET_TEXT = b64encode(SECRET).decode()
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def create(**options: Any) -> GetObject:
    return GetObject.create(BUCKET, KEY, options)


def test_request_without_options() -> None:
    request = create()
    assert (request.bucket, request.key, request.path) == (BUCKET, KEY, KEY)
    assert request.headers == {}
    assert request.query == ()
    assert (request.range, request.part_number, request.version_id) == (None, None, None)
    assert request.checksum_mode is None
    assert not request.has_sse_customer_key
    assert not request.has_response_overrides


def test_path_is_the_key_encoded_once() -> None:
    assert GetObject.create(BUCKET, "a b/%2F/é", {}).path == "a%20b/%252F/%C3%A9"


def test_request_with_options() -> None:
    request = create(
        range="bytes=0-9",
        if_match='"e"',
        version_id="v",
        checksum_mode=False,
        sse_customer_key=SECRET,
        response_content_type="text/plain",
    )
    assert request.range == ByteRange(0, 10)
    assert request.headers["If-Match"] == '"e"'
    assert request.version_id == "v"
    assert request.checksum_mode is False
    assert request.has_sse_customer_key
    assert request.has_response_overrides
    assert dict(request.query) == {"versionId": "v", "response-content-type": "text/plain"}


def test_request_with_part_number() -> None:
    request = create(part_number=3)
    assert (request.part_number, request.query) == (3, (("partNumber", "3"),))


@pytest.mark.parametrize(("mode", "expected"), [("ENABLED", True), (True, True), (False, False)])
def test_checksum_mode_is_a_bool(mode: object, expected: bool) -> None:
    assert create(checksum_mode=mode).checksum_mode is expected


@pytest.mark.parametrize(
    ("bucket", "key", "message"),
    [
        ("", KEY, "bucket is empty"),
        (BUCKET, "", "key is empty"),
        (None, KEY, "bucket must be text, not NoneType: None"),
        (BUCKET, b"key", "key must be text, not bytes: b'key'"),
        (BUCKET, 5, "key must be text, not int: 5"),
        (BUCKET, "a\udcff", "key 'a.*' contains lone surrogates"),
    ],
)
def test_invalid_bucket_or_key_is_a_parameter_error(bucket: Any, key: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        GetObject.create(bucket, key, {})


def test_range_and_part_number_exclude_each_other() -> None:
    with pytest.raises(ParameterError, match="range 'bytes=0-9' and part_number 2 exclude"):
        create(range=ByteRange(0, 10), part_number=2)


def test_repr_shows_options_but_no_sse_customer_key() -> None:
    shown = repr(create(sse_customer_key=SECRET, range="bytes=0-9", version_id="v"))
    assert f"bucket='{BUCKET}', key='{KEY}'" in shown
    assert "Range='bytes=0-9'" in shown
    assert "versionId='v'" in shown
    assert "customer-key=***" in shown
    assert SECRET_TEXT not in shown
    assert (
        create(sse_customer_key=SECRET).headers["x-amz-server-side-encryption-customer-key-MD5"]
        not in shown
    )


def test_requests_compare_by_content_copy_and_pickle() -> None:
    request = create(range="bytes=0-9", sse_customer_key=SECRET)
    assert request == create(range=ByteRange(0, 10), sse_customer_key=SECRET_TEXT)
    assert request != create(range="bytes=0-8", sse_customer_key=SECRET)
    assert copy.deepcopy(request) == request
    assert pickle.loads(pickle.dumps(request)) == request


def test_for_range_pins_etag_and_version() -> None:
    request = create(
        part_number=2,
        if_none_match='"old"',
        if_modified_since=NEW_YEAR,
        if_unmodified_since=NEW_YEAR,
        sse_customer_key=SECRET,
        response_content_type="text/plain",
    )
    rest = request.for_range(ByteRange(5, 10), if_match='"e"', version_id="v")
    assert rest.range == ByteRange(5, 10)
    assert rest.part_number is None
    assert rest.version_id == "v"
    assert rest.query == (("response-content-type", "text/plain"), ("versionId", "v"))
    assert rest.headers == {
        "Range": "bytes=5-9",
        "If-Match": '"e"',
        **{name: text for name, text in request.headers.items() if name.startswith("x-amz-")},
    }
    assert request.part_number == 2


def test_for_range_without_etag_keeps_the_callers_conditions() -> None:
    rest = create(if_unmodified_since=NEW_YEAR, version_id="v").for_range(ByteRange(5))
    assert rest.headers == {
        "Range": "bytes=5-",
        "If-Unmodified-Since": "Thu, 01 Jan 2026 00:00:00 GMT",
    }
    assert (rest.version_id, rest.query) == ("v", (("versionId", "v"),))
    pinned = create(if_match='"mine"', if_unmodified_since=NEW_YEAR).for_range(ByteRange(5))
    assert pinned.headers == {"Range": "bytes=5-", "If-Match": '"mine"'}


def test_for_range_replaces_the_requested_version() -> None:
    rest = create(version_id="a").for_range(ByteRange(5), version_id="b")
    assert (rest.version_id, rest.query) == ("b", (("versionId", "b"),))


def check(
    request: GetObject,
    *,
    anonymous: bool = False,
    scheme: str = "https",
    directory_bucket: bool = False,
    allow_insecure_sse_customer_key: bool = False,
) -> None:
    check_sendable(
        request,
        anonymous=anonymous,
        scheme=scheme,
        directory_bucket=directory_bucket,
        allow_insecure_sse_customer_key=allow_insecure_sse_customer_key,
    )


@pytest.mark.parametrize(
    ("options", "sent", "message"),
    [
        ({"response_content_type": "a/b"}, {"anonymous": True}, "need a signed request"),
        ({"sse_customer_key": SECRET}, {"scheme": "http"}, "sent in plain text over http"),
        ({"sse_customer_key": SECRET}, {"directory_bucket": True}, "do not support SSE-C"),
        ({"version_id": "v"}, {"directory_bucket": True}, "have no versions, got version_id 'v'"),
        ({"request_payer": "requester"}, {"directory_bucket": True}, "Requester Pays"),
    ],
)
def test_unsendable_request_is_a_parameter_error(
    options: dict[str, Any], sent: dict[str, Any], message: str
) -> None:
    check(create(**options))
    with pytest.raises(ParameterError, match=message):
        check(create(**options), **sent)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"anonymous": True, "scheme": "http", "directory_bucket": True}),
        ({"version_id": "v", "range": "bytes=0-9"}, {"anonymous": True, "scheme": "http"}),
        ({"version_id": "null", "part_number": 1}, {"directory_bucket": True}),
        (
            {"sse_customer_key": SECRET},
            {"scheme": "http", "allow_insecure_sse_customer_key": True},
        ),
    ],
)
def test_sendable_request_is_accepted(options: dict[str, Any], sent: dict[str, Any]) -> None:
    check(create(**options), **sent)

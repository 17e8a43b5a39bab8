from datetime import UTC, datetime

import pytest

from aios3get.testing import S3Server
from tests.testing_client import BODY, BUCKET, ETAG, KEY, call, get

BEFORE, SAME, AFTER = (f"Fri, 24 May 2013 00:00:{second} GMT" for second in ("00", "10", "20"))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"If-Match": ETAG}),
        (200, {"If-Match": ETAG.strip('"')}),
        (200, {"If-Match": f'"x", {ETAG}'}),
        (200, {"If-Match": "*"}),
        (412, {"If-Match": '"x"'}),
        (412, {"If-Match": f"W/{ETAG}"}),
        (412, {"If-Match": f'W/{ETAG}, "x"'}),
        (200, {"If-Match": f'W/"x", {ETAG}'}),
        (412, {"If-Match": ""}),
        (412, {"If-Match": f'"x,{ETAG[1:-1]},y"'}),
        (200, {"If-None-Match": f'"x,{ETAG[1:-1]},y"'}),
        (304, {"If-None-Match": ETAG}),
        (304, {"If-None-Match": f"W/{ETAG}"}),
        (304, {"If-None-Match": "*"}),
        (200, {"If-None-Match": '"x"'}),
        (304, {"If-Modified-Since": SAME}),
        (304, {"If-Modified-Since": AFTER}),
        (200, {"If-Modified-Since": BEFORE}),
        (200, {"If-Modified-Since": "never"}),
        (200, {"If-Unmodified-Since": SAME}),
        (412, {"If-Unmodified-Since": BEFORE}),
        (412, {"If-Unmodified-Since": "Fri, 24 May 2013 00:00:00 -0000"}),
        (200, {"If-Unmodified-Since": "never"}),
        (200, {"If-Match": ETAG, "If-Unmodified-Since": BEFORE}),
        (412, {"If-Match": '"x"', "If-Unmodified-Since": AFTER}),
        (200, {"If-None-Match": '"x"', "If-Modified-Since": AFTER}),
        (304, {"If-None-Match": ETAG, "If-Modified-Since": BEFORE}),
        (304, {"If-Match": ETAG, "If-None-Match": ETAG}),
        (412, {"If-Match": '"x"', "If-None-Match": ETAG}),
        (304, {"If-None-Match": ETAG, "Range": "bytes=0-1"}),
    ],
)
def test_conditions(server: S3Server, status: int, headers: dict[str, str]) -> None:
    server.enable_versioning(BUCKET)
    stored = server.put_object(
        BUCKET, KEY, BODY, last_modified=datetime(2013, 5, 24, 0, 0, 10, tzinfo=UTC)
    )
    reply = call(server, headers=headers)
    assert reply.status == status
    if status == 304:
        assert reply.body == b""
        assert reply.headers["ETag"] == ETAG
        assert reply.headers["Last-Modified"] == SAME
        assert reply.headers["x-amz-version-id"] == stored.version_id
    if status == 412:
        assert reply.error["Condition"] in headers


def test_etag_with_a_comma_is_matched(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY, etag='"a, b"')
    for names in ('"a, b"', 'W/"x", "a, b"', '"x","a, b"'):
        assert get(server, If_Match=names).status == 200
        assert get(server, If_None_Match=names).status == 304
    assert get(server, If_Match='"a"').status == 412


def test_304_without_versioning_names_no_version(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    reply = get(server, If_None_Match=ETAG)
    assert (reply.status, "x-amz-version-id" in reply.headers) == (304, False)

import hashlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aios3get.testing import S3Server
from tests.testing_client import BODY, BUCKET, KEY, boto, call, get, send


def test_get_returns_the_object_with_all_its_headers(server: S3Server) -> None:
    stored = server.put_object(
        BUCKET,
        KEY,
        "text",
        content_type="text/plain",
        metadata={"Name": "value", "who": "Zoë"},
        headers={"Cache-Control": "no-cache", "x-amz-expiration": 'expiry-date="x", rule-id="y"'},
        tags={"a": "1", "b": "2"},
        storage_class="STANDARD_IA",
        missing_meta=3,
        last_modified=datetime(2013, 5, 24, 1, 2, 3, 456789, UTC),
    )
    reply = get(server)
    assert (reply.status, reply.body) == (200, b"text")
    assert {name: reply.headers[name] for name in reply.headers if name != "Date"} | {
        "x-amz-id-2": "",
        "x-amz-request-id": "",
    } == {
        "x-amz-id-2": "",
        "x-amz-request-id": "",
        "Server": "AmazonS3",
        "Last-Modified": "Fri, 24 May 2013 01:02:03 GMT",
        "ETag": f'"{hashlib.md5(b"text").hexdigest()}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "text/plain",
        "Cache-Control": "no-cache",
        "x-amz-expiration": 'expiry-date="x", rule-id="y"',
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-tagging-count": "2",
        "x-amz-missing-meta": "3",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-meta-name": "value",
        "x-amz-meta-who": f"=?UTF-8?B?{b64encode('Zoë'.encode()).decode()}?=",
        "Content-Length": "4",
    }
    assert stored.etag == reply.headers["ETag"]
    assert stored.version_id == "null"


def test_head_has_the_headers_of_get_and_no_body(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    got, headed = get(server), get(server, method="HEAD")
    assert headed.body == b""
    own = {"x-amz-id-2", "x-amz-request-id", "Date"}
    assert {n: v for n, v in got.headers.items() if n not in own} == {
        n: v for n, v in headed.headers.items() if n not in own
    }
    assert server.requests[-1].bytes_sent == 0


def test_every_response_has_its_own_request_id(server: S3Server) -> None:
    server.put_object(BUCKET, KEY)
    replies = [get(server), get(server), call(server, f"/{BUCKET}/missing")]
    assert len({reply.headers["x-amz-request-id"] for reply in replies}) == 3
    assert replies[2].error["RequestId"] == replies[2].headers["x-amz-request-id"]
    assert replies[2].error["HostId"] == replies[2].headers["x-amz-id-2"]


def test_response_overrides_replace_headers(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY, content_type="text/plain")
    reply = get(server, "?response-content-type=text%2Fcsv&response-content-disposition=caf%C3%A9")
    assert reply.headers["Content-Type"] == "text/csv"
    # http.client reads headers as ISO-8859-1.
    assert reply.headers["Content-Disposition"] == "café"


@pytest.mark.parametrize("value", ["%E2%82%AC", "a%0D%0Ab"])
def test_response_override_that_no_header_can_hold_is_refused(server: S3Server, value: str) -> None:
    server.put_object(BUCKET, KEY)
    reply = get(server, f"?response-expires={value}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert reply.error["ArgumentName"] == "response-expires"


def test_response_override_without_a_signature_is_refused(server: S3Server) -> None:
    server.create_bucket("public", public=True)
    server.put_object("public", "k", b"x")
    assert send(server, "/public/k").body == b"x"
    assert server.requests[-1].auth == "anonymous"
    reply = send(server, "/public/k?response-expires=0")
    assert (reply.status, reply.code) == (400, "InvalidRequest")


def test_versions_and_delete_markers(server: S3Server) -> None:
    old = server.put_object(BUCKET, KEY, b"old")
    server.enable_versioning(BUCKET)
    new = server.put_object(BUCKET, KEY, b"new")
    assert (old.version_id, get(server).headers["x-amz-version-id"]) == ("null", new.version_id)
    assert get(server, "?versionId=null").body == b"old"
    assert get(server, f"?versionId={new.version_id}").body == b"new"
    marker = server.delete_object(BUCKET, KEY)
    assert marker is not None
    gone = get(server)
    assert (gone.status, gone.code) == (404, "NoSuchKey")
    assert gone.headers["x-amz-delete-marker"] == "true"
    assert gone.headers["x-amz-version-id"] == marker.version_id
    refused = get(server, f"?versionId={marker.version_id}")
    assert (refused.status, refused.code) == (405, "MethodNotAllowed")
    assert (refused.headers["x-amz-delete-marker"], refused.headers["Allow"]) == ("true", "DELETE")
    assert "Last-Modified" in refused.headers
    server.delete_object(BUCKET, KEY, version_id=marker.version_id)
    assert get(server).body == b"new"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [("?versionId=nope", 404, "NoSuchVersion"), ("?versionId=", 400, "InvalidArgument")],
)
def test_unknown_version_is_refused(server: S3Server, query: str, status: int, code: str) -> None:
    server.put_object(BUCKET, KEY)
    reply = get(server, query)
    assert (reply.status, reply.code) == (status, code)


def test_delete_without_versioning_removes_the_object(server: S3Server) -> None:
    server.put_object(BUCKET, KEY)
    assert server.delete_object(BUCKET, KEY) is None
    reply = get(server)
    assert (reply.code, reply.error["Key"]) == ("NoSuchKey", KEY)
    assert "x-amz-delete-marker" not in reply.headers


def test_times_of_other_zones_are_sent_in_gmt(server: S3Server) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    stored = server.put_object(
        BUCKET,
        KEY,
        storage_class="GLACIER",
        last_modified=datetime(2013, 5, 24, 3, 0, tzinfo=zone),
        restore=datetime(2213, 5, 24, 5, 30, tzinfo=zone),
    )
    reply = get(server)
    assert reply.headers["Last-Modified"] == "Thu, 23 May 2013 21:30:00 GMT"
    assert 'expiry-date="Mon, 24 May 2213 00:00:00 GMT"' in reply.headers["x-amz-restore"]
    assert stored.last_modified == datetime(2013, 5, 23, 21, 30, tzinfo=UTC)


def test_header_of_an_object_replaces_the_default_in_any_case(server: S3Server) -> None:
    names = {"content-type": "text/plain", "etag": '"x"', "x-amz-request-id": "AN-ID"}
    server.put_object(BUCKET, KEY, BODY, headers=names)
    reply = get(server)
    assert {name: reply.headers.getall(name) for name in names} == {
        name: [text] for name, text in names.items()
    }
    over = get(server, "?response-content-type=text%2Fcsv")
    assert over.headers.getall("Content-Type") == ["text/csv"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"storage_class": "GLACIER"}, 403),
        ({"storage_class": "DEEP_ARCHIVE", "restore": "ongoing"}, 403),
        ({"storage_class": "GLACIER", "restore": "past"}, 403),
        ({"storage_class": "GLACIER", "restore": "future"}, 200),
        ({"storage_class": "GLACIER_IR"}, 200),
        ({"storage_class": "INTELLIGENT_TIERING", "access_tier": "ARCHIVE_ACCESS"}, 403),
        ({"storage_class": "INTELLIGENT_TIERING"}, 200),
    ],
)
def test_archived_object_is_refused_unless_restored(
    server: S3Server, options: dict[str, Any], status: int
) -> None:
    times = {"past": -timedelta(hours=1), "future": timedelta(hours=1)}
    restore = options.get("restore")
    if restore in times:
        options = {**options, "restore": server.now() + times[restore]}
    server.put_object(BUCKET, KEY, BODY, **options)
    reply, head = get(server), get(server, method="HEAD")
    assert (reply.status, head.status) == (status, 200)
    assert head.headers["x-amz-storage-class"] == options["storage_class"]
    assert head.headers.get("x-amz-archive-status") == options.get("access_tier")
    if restore:
        ongoing = "true" if restore == "ongoing" else "false"
        assert head.headers["x-amz-restore"].startswith(f'ongoing-request="{ongoing}"')
    if status == 403:
        assert reply.code == "InvalidObjectState"
        assert reply.error["StorageClass"] == options["storage_class"]
        assert reply.error.get("AccessTier") == options.get("access_tier")


def test_botocore_raises_its_typed_errors(server: S3Server) -> None:
    client = boto(server)
    server.bucket(BUCKET)
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket=BUCKET, Key=KEY)
    with pytest.raises(ClientError, match="404"):
        client.head_object(Bucket=BUCKET, Key=KEY)
    server.put_object(BUCKET, KEY, BODY, storage_class="GLACIER")
    with pytest.raises(client.exceptions.InvalidObjectState) as caught:
        client.get_object(Bucket=BUCKET, Key=KEY)
    assert caught.value.response["StorageClass"] == "GLACIER"
    client.close()

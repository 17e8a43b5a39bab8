import hashlib
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from aios3get.testing import S3Server, ServerCredentials
from tests.testing_client import BUCKET, KEY, PATH, boto, call, send

BODY = bytes(range(256)) * 40
PARTS = (4096, 4096, 2048)


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    return s3_server


def get(server: S3Server, query: str = "", method: str = "GET", **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(server, PATH + query, method=method, headers=sent)


def test_a_whole_object_comes_with_its_headers(server: S3Server) -> None:
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


def test_head_is_get_without_the_body(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    got, headed = get(server), get(server, method="HEAD")
    assert headed.body == b""
    own = {"x-amz-id-2", "x-amz-request-id", "Date"}
    assert {n: v for n, v in got.headers.items() if n not in own} == {
        n: v for n, v in headed.headers.items() if n not in own
    }
    assert server.requests[-1].bytes_sent == 0


def test_every_answer_has_its_own_request_id(server: S3Server) -> None:
    server.put_object(BUCKET, KEY)
    replies = [get(server), get(server), call(server, f"/{BUCKET}/missing")]
    assert len({reply.headers["x-amz-request-id"] for reply in replies}) == 3
    assert replies[2].error["RequestId"] == replies[2].headers["x-amz-request-id"]
    assert replies[2].error["HostId"] == replies[2].headers["x-amz-id-2"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=10200-", 10200, 10239),
        ("bytes=10230-99999", 10230, 10239),
        ("bytes=-3", 10237, 10239),
        ("bytes=-99999", 0, 10239),
        ("bytes=0-", 0, 10239),
    ],
)
def test_ranges(server: S3Server, asked: str, first: int, last: int) -> None:
    server.put_object(BUCKET, KEY, BODY)
    for method in ("GET", "HEAD"):
        reply = get(server, method=method, Range=asked)
        assert reply.status == 206
        assert reply.headers["Content-Range"] == f"bytes {first}-{last}/10240"
        assert reply.headers["Content-Length"] == str(last - first + 1)
        assert reply.body == (BODY[first : last + 1] if method == "GET" else b"")


@pytest.mark.parametrize(
    "asked",
    [
        *("bytes=1-0", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5"),
        *("bytes=\u0663-\u0664", "bytes=0-\u0664", f"bytes=1-{'9' * 5000}"),
    ],
    ids=ascii,
)
def test_a_range_that_is_none_gets_everything(server: S3Server, asked: str) -> None:
    server.create_bucket("public", public=True)
    server.put_object("public", "k", BODY)
    reply = send(server, "/public/k", {"Range": asked.encode().decode("latin-1")})
    assert (reply.status, reply.body) == (200, BODY)


def test_a_part_number_has_ascii_digits(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    assert get(server, "?partNumber=%D9%A1").code == "InvalidArgument"


@pytest.mark.parametrize(
    ("body", "asked"),
    [(BODY, "bytes=10240-"), (BODY, "bytes=-0"), (b"", "bytes=0-"), (b"", "bytes=-5")],
)
def test_a_range_outside_tells_the_size(server: S3Server, body: bytes, asked: str) -> None:
    server.put_object(BUCKET, KEY, body)
    reply = get(server, Range=asked)
    assert (reply.status, reply.code) == (416, "InvalidRange")
    assert reply.error["ActualObjectSize"] == str(len(body))
    assert reply.error["RangeRequested"] == asked


ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'
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


def test_an_etag_may_hold_a_comma(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY, etag='"a, b"')
    for names in ('"a, b"', 'W/"x", "a, b"', '"x","a, b"'):
        assert get(server, If_Match=names).status == 200
        assert get(server, If_None_Match=names).status == 304
    assert get(server, If_Match='"a"').status == 412


def test_a_304_without_versions_names_none(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    reply = get(server, If_None_Match=ETAG)
    assert (reply.status, "x-amz-version-id" in reply.headers) == (304, False)


def test_overrides_replace_headers(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY, content_type="text/plain")
    reply = get(server, "?response-content-type=text%2Fcsv&response-content-disposition=caf%C3%A9")
    assert reply.headers["Content-Type"] == "text/csv"
    # http.client reads headers as ISO-8859-1.
    assert reply.headers["Content-Disposition"] == "café"


@pytest.mark.parametrize("value", ["%E2%82%AC", "a%0D%0Ab"])
def test_overrides_must_fit_a_header(server: S3Server, value: str) -> None:
    server.put_object(BUCKET, KEY)
    reply = get(server, f"?response-expires={value}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert reply.error["ArgumentName"] == "response-expires"


def test_overrides_need_a_signature(server: S3Server) -> None:
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
    asked = get(server, f"?versionId={marker.version_id}")
    assert (asked.status, asked.code) == (405, "MethodNotAllowed")
    assert (asked.headers["x-amz-delete-marker"], asked.headers["Allow"]) == ("true", "DELETE")
    assert "Last-Modified" in asked.headers
    server.delete_object(BUCKET, KEY, version_id=marker.version_id)
    assert get(server).body == b"new"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [("?versionId=nope", 404, "NoSuchVersion"), ("?versionId=", 400, "InvalidArgument")],
)
def test_versions_that_are_not_there(server: S3Server, query: str, status: int, code: str) -> None:
    server.put_object(BUCKET, KEY)
    reply = get(server, query)
    assert (reply.status, reply.code) == (status, code)


def test_deleting_without_versions_deletes(server: S3Server) -> None:
    server.put_object(BUCKET, KEY)
    assert server.delete_object(BUCKET, KEY) is None
    reply = get(server)
    assert (reply.code, reply.error["Key"]) == ("NoSuchKey", KEY)
    assert "x-amz-delete-marker" not in reply.headers


def test_missing_things(server: S3Server) -> None:
    server.create_bucket("secretive", reveals_missing_keys=False)
    assert call(server, "/nowhere/k").error["BucketName"] == "nowhere"
    assert call(server, "/secretive/k").code == "AccessDenied"
    server.bucket(BUCKET)
    long = call(server, f"/{BUCKET}/{'k' * 1025}")
    assert (long.code, long.error["Size"]) == ("KeyTooLongError", "1025")
    assert call(server, f"/{BUCKET}/{'k' * 1024}").code == "NoSuchKey"
    with pytest.raises(ValueError, match="'secretive' exists"):
        server.create_bucket("secretive")


def test_parts(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY, parts=PARTS)
    digests = b"".join(
        hashlib.md5(piece).digest() for piece in (BODY[:4096], BODY[4096:8192], BODY[8192:])
    )
    reply = get(server, "?partNumber=3")
    assert (reply.status, reply.body) == (206, BODY[8192:])
    assert reply.headers["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert reply.headers["Content-Range"] == "bytes 8192-10239/10240"
    assert reply.headers["x-amz-mp-parts-count"] == "3"
    assert "x-amz-mp-parts-count" not in get(server).headers
    beyond = get(server, "?partNumber=4")
    assert (beyond.status, beyond.code) == (416, "InvalidPartNumber")
    assert beyond.error["ActualPartCount"] == "3"
    assert get(server, "?partNumber=0").code == "InvalidArgument"
    assert get(server, "?partNumber=1", Range="bytes=0-1").code == "InvalidRequest"


def test_an_object_in_one_piece_is_its_own_first_part(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, b"abc", checksum_algorithm="SHA256")
    reply = get(server, "?partNumber=1", x_amz_checksum_mode="ENABLED")
    assert (reply.status, reply.body) == (206, b"abc")
    assert "x-amz-mp-parts-count" not in reply.headers
    assert reply.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert get(server, "?partNumber=2").code == "InvalidPartNumber"
    server.put_object(BUCKET, KEY, b"")
    assert get(server, "?partNumber=1").status == 200


CUSTOMER_KEY = bytes(range(32))


def customer(secret: bytes = CUSTOMER_KEY, **changed: str | None) -> dict[str, str]:
    prefix = "x-amz-server-side-encryption-customer-"
    headers: dict[str, str | None] = {
        "algorithm": "AES256",
        "key": b64encode(secret).decode(),
        "key-MD5": b64encode(hashlib.md5(secret).digest()).decode(),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    return {prefix + name: value for name, value in headers.items() if value is not None}


def test_customer_keys(server: S3Server) -> None:
    stored = server.put_object(BUCKET, KEY, BODY, sse_customer_key=CUSTOMER_KEY)
    assert stored.etag != ETAG
    reply = call(server, headers=customer())
    assert reply.body == BODY
    assert reply.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    digest = b64encode(hashlib.md5(CUSTOMER_KEY).digest()).decode()
    assert reply.headers["x-amz-server-side-encryption-customer-key-MD5"] == digest
    assert "x-amz-server-side-encryption" not in reply.headers
    assert CUSTOMER_KEY not in repr(stored).encode()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "InvalidRequest"),
        (customer(bytes(32)), 403, "AccessDenied"),
        (customer(algorithm=None), 400, "InvalidArgument"),
        (customer(algorithm="AES128"), 400, "InvalidEncryptionAlgorithmError"),
        (customer(key=None), 400, "InvalidArgument"),
        (customer(key_MD5=None), 400, "InvalidArgument"),
        (customer(key_MD5="abc"), 400, "InvalidArgument"),
        (customer(b"short"), 400, "InvalidArgument"),
        (customer(key="===="), 400, "InvalidArgument"),
    ],
    ids=range(9),
)
def test_wrong_customer_keys(
    server: S3Server, headers: dict[str, str], status: int, code: str
) -> None:
    server.put_object(BUCKET, KEY, BODY, sse_customer_key=CUSTOMER_KEY)
    reply = call(server, headers=headers)
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize("name", ["key", "key-MD5"])
def test_a_customer_key_of_any_bytes_is_refused_in_s3s_words(server: S3Server, name: str) -> None:
    server.create_bucket("public", public=True)
    server.put_object("public", "k", sse_customer_key=CUSTOMER_KEY)
    changed = customer() | {f"x-amz-server-side-encryption-customer-{name}": "\xff"}
    reply = send(server, "/public/k", changed)
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert reply.error["ArgumentName"].endswith(name)


def test_a_customer_key_for_a_plain_object(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    assert call(server, headers=customer()).code == "InvalidRequest"


@pytest.mark.parametrize(
    ("algorithm", "bits"),
    [
        ("CRC32", 32),
        ("CRC32C", 32),
        ("CRC64NVME", 64),
        ("SHA1", 160),
        ("SHA256", 256),
        ("SHA512", 512),
        ("MD5", 128),
        ("XXHASH64", 64),
        ("XXHASH3", 64),
        ("XXHASH128", 128),
    ],
)
def test_each_checksum_is_sent_when_asked_for(server: S3Server, algorithm: str, bits: int) -> None:
    stored = server.put_object(BUCKET, KEY, BODY, checksum_algorithm=algorithm)
    name = f"x-amz-checksum-{algorithm.lower()}"
    assert name not in get(server).headers
    reply = get(server, x_amz_checksum_mode="ENABLED")
    assert reply.headers[name] == stored.checksums[algorithm]
    assert len(b64decode(reply.headers[name])) * 8 == bits
    assert name not in get(server, x_amz_checksum_mode="ENABLED", Range="bytes=0-1").headers
    assert name in get(server, x_amz_checksum_mode="ENABLED", Range="bytes=0-").headers


def test_published_check_values(server: S3Server) -> None:
    stored = server.put_object(
        BUCKET, KEY, b"123456789", checksum_algorithm=["CRC32", "CRC32C", "CRC64NVME"]
    )
    values = {name: b64decode(value).hex() for name, value in stored.checksums.items()}
    assert values == {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


def sha256(*pieces: bytes) -> str:
    joined = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    return b64encode(hashlib.sha256(joined).digest()).decode()


@pytest.mark.parametrize(
    ("query", "asked", "expected"),
    [
        ("", None, sha256(BODY[:4096], BODY[4096:8192], BODY[8192:]) + "-3"),
        ("", "bytes=0-", sha256(BODY[:4096], BODY[4096:8192], BODY[8192:])),
        ("", "bytes=4096-8191", b64encode(hashlib.sha256(BODY[4096:8192]).digest()).decode()),
        ("?partNumber=3", None, b64encode(hashlib.sha256(BODY[8192:]).digest()).decode()),
        ("", "bytes=4096-8190", None),
    ],
)
def test_composite_checksums(
    server: S3Server, query: str, asked: str | None, expected: str | None
) -> None:
    server.put_object(BUCKET, KEY, BODY, parts=PARTS, checksum_algorithm="SHA256")
    headers = {"x-amz-checksum-mode": "ENABLED"} | ({"Range": asked} if asked else {})
    reply = call(server, PATH + query, headers=headers)
    assert reply.headers.get("x-amz-checksum-sha256") == expected
    assert reply.headers.get("x-amz-checksum-type") == ("COMPOSITE" if expected else None)


def test_full_object_checksums_of_parts(server: S3Server) -> None:
    stored = server.put_object(BUCKET, KEY, BODY, parts=PARTS, checksum_algorithm="CRC64NVME")
    reply = get(server, x_amz_checksum_mode="ENABLED")
    assert reply.headers["x-amz-checksum-crc64nvme"] == stored.checksums["CRC64NVME"]
    assert reply.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    part = get(server, "?partNumber=1", x_amz_checksum_mode="ENABLED")
    assert "x-amz-checksum-crc64nvme" not in part.headers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": (1, 2)}, "parts sum up to 3 bytes, but the body has 10240"),
        ({"parts": (10241, -1)}, r"parts \(10241, -1\) must be .* none negative"),
        ({"parts": (10240, *[0] * 10_000)}, "1 to 10,000 sizes"),
        ({"sse_customer_key": b"short"}, "is bytes of length 5; it must be 32 bytes"),
        ({"sse_customer_key": "k" * 32}, "is str of length 32; it must be 32 bytes: decode"),
        ({"sse_customer_key": 32}, "is int; it must be 32 bytes"),
        ({"last_modified": datetime(2013, 5, 24)}, "last_modified .* has no time zone; say"),
        ({"restore": datetime(2013, 5, 24)}, "restore .* has no time zone; say"),
        ({"restore": "tomorrow"}, "restore 'tomorrow' must be an aware datetime, 'ongoing' or"),
        ({"metadata": {"a": "x\r\nEvil: 1"}}, r"metadata\['a'\] is .* percent-encode it"),
        ({"metadata": {"a": "\udcff"}}, r"metadata\['a'\] is '\\udcff', which is no Unicode"),
        ({"metadata": {"a b": "x"}}, "metadata has 'a b', which is no header's name; use"),
        ({"metadata": {"": "x"}}, "metadata has '', which is no header's name"),
        ({"headers": {"Evil:": "x"}}, "headers has 'Evil:', which is no header's name"),
        ({"headers": {"Expires": "a\nb"}}, r"headers\['Expires'\] is 'a\\nb', and no header"),
        ({"headers": {"content-LENGTH": "99"}}, "headers has 'content-LENGTH', which every ans"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers has 'Transfer-Encoding'"),
        ({"content_type": "text/\x00"}, r"headers\['Content-Type'\] is"),
        ({"etag": '"a"\r\n'}, "etag is .* no header can hold"),
        ({"version_id": "a\nb"}, "version_id is"),
        ({"storage_class": "\x7f"}, "storage_class is"),
        ({"access_tier": "\x01"}, "access_tier is"),
        ({"checksum_algorithm": "CRC16"}, "'CRC16' is none of CRC32, "),
        ({"checksum_algorithm": "SHA1", "checksum_type": "COMPOSITE"}, "only an object with parts"),
    ],
)
def test_objects_that_cannot_be(server: S3Server, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        server.put_object(BUCKET, KEY, BODY, **options)
    assert not server.bucket(BUCKET).versions


@pytest.mark.parametrize("key", ["", "k" * 1025, "é" * 513, "\udcff"])
def test_keys_that_cannot_be(server: S3Server, key: str) -> None:
    with pytest.raises(ValueError, match=r"^key "):
        server.put_object(BUCKET, key)


def test_a_wrong_customer_key_is_not_shown(server: S3Server) -> None:
    with pytest.raises(ValueError, match="sse_customer_key") as caught:
        server.put_object(BUCKET, KEY, sse_customer_key="secret")  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_moments_of_other_zones_are_the_same_moments(server: S3Server) -> None:
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


def test_a_header_of_an_object_stands_once_however_it_is_written(server: S3Server) -> None:
    names = {"content-type": "text/plain", "etag": '"x"', "x-amz-request-id": "AN-ID"}
    server.put_object(BUCKET, KEY, BODY, headers=names)
    reply = get(server)
    assert {name: reply.headers.getall(name) for name in names} == {
        name: [text] for name, text in names.items()
    }
    over = get(server, "?response-content-type=text%2Fcsv")
    assert over.headers.getall("Content-Type") == ["text/csv"]


def test_bytes_of_metadata_that_are_no_text_are_kept(server: S3Server) -> None:
    server.bucket(BUCKET)
    server.add_api_key("key")
    form = b"grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey=key"
    token = json.loads(send(server, "/identity/token", method="POST", body=form).body)
    headers = {"Authorization": f"Bearer {token['access_token']}", "x-amz-meta-a": "\xff"}
    assert send(server, PATH, headers, method="PUT").status == 200
    assert get(server).headers["x-amz-meta-a"] == "=?UTF-8?B?/w==?="


NOW = datetime(2013, 5, 24, tzinfo=UTC)


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
def test_archived_objects(server: S3Server, options: dict[str, Any], status: int) -> None:
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


def test_requester_pays(server: S3Server) -> None:
    server.create_bucket(BUCKET, requester_pays=True)
    server.put_object(BUCKET, KEY, BODY)
    assert get(server).code == "AccessDenied"
    reply = get(server, x_amz_request_payer="requester")
    assert (reply.status, reply.headers["x-amz-request-charged"]) == (200, "requester")
    assert get(server, "?x-amz-request-payer=requester").status == 200


def test_the_expected_owner(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    assert get(server, x_amz_expected_bucket_owner="123456789012").status == 200
    assert get(server, x_amz_expected_bucket_owner="111122223333").code == "AccessDenied"


def test_botocore_validates_the_checksums(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY, checksum_algorithm="CRC32")
    client = boto(server)
    answer = client.get_object(Bucket=BUCKET, Key=KEY, ChecksumMode="ENABLED")
    assert answer["Body"].read() == BODY
    assert type(answer["Body"]).__name__ == "StreamingChecksumBody"
    client.close()


def test_botocore_sees_the_errors(server: S3Server) -> None:
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


def test_botocore_puts_and_deletes(server: S3Server) -> None:
    client = boto(server)
    server.enable_versioning(BUCKET)
    put = client.put_object(
        Bucket=BUCKET,
        Key="a/ b+%é",
        Body=BODY,
        ContentType="text/plain",
        ContentEncoding="gzip",
        Metadata={"Name": "value"},
        Tagging="a=1&b=2",
        ChecksumAlgorithm="SHA256",
    )
    got = client.get_object(Bucket=BUCKET, Key="a/ b+%é", VersionId=put["VersionId"])
    assert got["Body"].read() == BODY
    assert (got["ContentType"], got["ContentEncoding"]) == ("text/plain", "gzip")
    assert (got["Metadata"], got["TagCount"]) == ({"name": "value"}, 2)
    assert got["ChecksumSHA256"] == put["ChecksumSHA256"]
    gone = client.delete_object(Bucket=BUCKET, Key="a/ b+%é")
    assert gone["DeleteMarker"] is True
    client.delete_object(Bucket=BUCKET, Key="a/ b+%é", VersionId=gone["VersionId"])
    assert client.head_object(Bucket=BUCKET, Key="a/ b+%é")["ETag"] == ETAG
    client.close()


def test_putting_with_a_customer_key(server: S3Server) -> None:
    server.bucket(BUCKET)
    put = call(server, method="PUT", body=b"abc", headers=customer())
    assert put.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    assert get(server).code == "InvalidRequest"
    assert call(server, headers=customer()).body == b"abc"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-MD5": "abc"}, 400, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"),
        ({"If-None-Match": "*"}, 501, "NotImplemented"),
        ({"x-amz-copy-source": "/a/b"}, 501, "NotImplemented"),
    ],
)
def test_puts_that_contradict_themselves(
    server: S3Server, headers: dict[str, str], status: int, code: str
) -> None:
    server.bucket(BUCKET)
    reply = call(server, method="PUT", body=b"abc", headers=headers)
    assert (reply.status, reply.code) == (status, code)
    assert get(server).code == "NoSuchKey"


def test_a_key_that_is_too_long_is_not_put(server: S3Server) -> None:
    server.bucket(BUCKET)
    reply = call(server, f"/{BUCKET}/{'k' * 1025}", method="PUT", body=b"abc")
    assert (reply.status, reply.code) == (400, "KeyTooLongError")


def test_a_put_without_checksum_gets_crc64nvme(server: S3Server) -> None:
    server.bucket(BUCKET)
    digest = b64encode(hashlib.md5(b"123456789").digest()).decode()
    put = call(server, method="PUT", body=b"123456789", headers={"Content-MD5": digest})
    assert b64decode(put.headers["x-amz-checksum-crc64nvme"]).hex() == "ae8b14860a799888"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_writing_needs_a_signature(server: S3Server, method: str) -> None:
    server.create_bucket("public", public=True)
    reply = send(server, "/public/k", method=method, body=b"x")
    assert (reply.status, reply.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", f"/{BUCKET}"), ("POST", PATH), ("PATCH", PATH)]
)
def test_everything_else_is_not_allowed(server: S3Server, method: str, path: str) -> None:
    server.bucket(BUCKET)
    reply = call(server, path, method=method)
    assert (reply.status, reply.code) == (405, "MethodNotAllowed")


def test_head_of_a_bucket_tells_its_region(server: S3Server) -> None:
    server.bucket(BUCKET)
    reply = call(server, f"/{BUCKET}", method="HEAD")
    assert (reply.status, reply.headers["x-amz-bucket-region"]) == (200, "us-east-1")


@pytest.mark.parametrize("status", [200, 400, 403])
def test_head_of_a_bucket_tells_its_region_whatever_its_status(
    server: S3Server, status: int
) -> None:
    server.create_bucket(BUCKET, owner="111122223333")
    region = "us-west-2" if status == 400 else "us-east-1"
    headers = {"x-amz-expected-bucket-owner": "123456789012"} if status == 403 else {}
    reply = call(server, f"/{BUCKET}", method="HEAD", region=region, headers=headers)
    assert (reply.status, reply.headers["x-amz-bucket-region"]) == (status, "us-east-1")
    missing = call(server, "/nowhere", method="HEAD")
    assert (missing.status, "x-amz-bucket-region" in missing.headers) == (404, False)


def test_an_object_is_put_into_a_bucket_that_is_there(server: S3Server) -> None:
    client = boto(server)
    with pytest.raises(client.exceptions.NoSuchBucket):
        client.put_object(Bucket=BUCKET, Key=KEY, Body=BODY)
    assert client.create_bucket(Bucket=BUCKET)["Location"] == f"/{BUCKET}"
    client.put_object(Bucket=BUCKET, Key=KEY, Body=BODY)
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == BODY
    # us-east-1 alone lets an owner create a bucket again; what is in it stays.
    client.create_bucket(Bucket=BUCKET)
    assert client.head_object(Bucket=BUCKET, Key=KEY)["ETag"] == ETAG
    client.close()


def constraint(region: str) -> bytes:
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return (
        f'<CreateBucketConfiguration xmlns="{namespace}"><LocationConstraint>{region}'
        "</LocationConstraint></CreateBucketConfiguration>"
    ).encode()


@pytest.mark.parametrize(
    ("here", "body", "expected"),
    [
        ("us-east-1", b"", "us-east-1"),
        ("us-east-1", constraint("eu-west-1"), "eu-west-1"),
        ("us-east-1", constraint("EU"), "eu-west-1"),
        ("eu-west-1", constraint("eu-west-1"), "eu-west-1"),
        ("eu-west-1", constraint("us-west-2"), "IllegalLocationConstraintException"),
        ("eu-west-1", b"", "IllegalLocationConstraintException"),
        ("us-east-1", b"<Create", "MalformedXML"),
        ("us-east-1", b'<?xml version="1.0" encoding="x"?><a/>', "MalformedXML"),
    ],
)
def test_a_bucket_is_created_where_it_is_asked_for(here: str, body: bytes, expected: str) -> None:
    with S3Server.in_thread(region=here) as server:
        reply = call(server, f"/{BUCKET}", method="PUT", body=body, region=here)
        if reply.status == 200:
            assert server.bucket(BUCKET).region == expected
            assert server.bucket(BUCKET).owner == server.account
        else:
            assert (reply.status, reply.code) == (400, expected)


def test_a_directory_bucket_is_created_where_its_endpoint_is(server: S3Server) -> None:
    name = "examplebucket--use1-az4--x-s3"
    assert call(server, f"/{name}", method="PUT", service="s3express").status == 200
    assert server.bucket(name).is_directory


def test_object_lock_brings_versions(server: S3Server) -> None:
    headers = {"x-amz-bucket-object-lock-enabled": "true"}
    assert call(server, f"/{BUCKET}", method="PUT", headers=headers).status == 200
    assert server.bucket(BUCKET).versioning


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/ab", {}, 400, "InvalidBucketName"),
        ("/ABC", {}, 400, "InvalidBucketName"),
        ("/a..b", {}, 400, "InvalidBucketName"),
        ("/192.0.2.1", {}, 400, "InvalidBucketName"),
        ("/new", {"x-amz-acl": "public-read"}, 400, "InvalidBucketAclWithObjectOwnership"),
        ("/new?versioning", {}, 404, "NoSuchBucket"),
        ("/here?versioning", {}, 405, "MethodNotAllowed"),
        ("/there", {}, 409, "BucketAlreadyOwnedByYou"),
        ("/theirs", {}, 409, "BucketAlreadyExists"),
        ("/point", {}, 405, "MethodNotAllowed"),
    ],
)
def test_buckets_that_are_not_created(
    server: S3Server, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    server.create_bucket("here")
    server.create_bucket("there", region="eu-west-1")
    server.create_bucket("theirs", owner="111122223333")
    server.add_access_point("point", "here")
    region = "eu-west-1" if path == "/there" else "us-east-1"
    reply = call(server, path, method="PUT", headers=headers, region=region)
    assert (reply.status, reply.code) == (status, code)
    assert call(server, "/new", method="HEAD").status == 404


def test_nobody_creates_no_bucket(server: S3Server) -> None:
    reply = send(server, f"/{BUCKET}", method="PUT")
    assert (reply.status, reply.code) == (403, "AccessDenied")
    session = ServerCredentials.temporary(session_of="examplebucket--use1-az4--x-s3")
    server.add_credentials(session)
    headers = {"x-amz-s3session-token": session.session_token or ""}
    own = ServerCredentials(session.access_key_id, session.secret_access_key)
    reply = call(server, f"/{BUCKET}", method="PUT", credentials=own, headers=headers)
    assert (reply.status, reply.code) == (403, "AccessDenied")
    assert call(server, f"/{BUCKET}", method="HEAD").status == 404

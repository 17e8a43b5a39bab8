import hashlib
from base64 import b64decode, b64encode

import pytest

from aios3get.testing import S3Server
from tests.testing_client import BODY, BUCKET, KEY, PATH, boto, call, get, send

PARTS = (4096, 4096, 2048)


@pytest.mark.parametrize(
    ("requested", "first", "last"),
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
def test_range_selects_its_bytes(server: S3Server, requested: str, first: int, last: int) -> None:
    server.put_object(BUCKET, KEY, BODY)
    for method in ("GET", "HEAD"):
        reply = get(server, method=method, Range=requested)
        assert reply.status == 206
        assert reply.headers["Content-Range"] == f"bytes {first}-{last}/10240"
        assert reply.headers["Content-Length"] == str(last - first + 1)
        assert reply.body == (BODY[first : last + 1] if method == "GET" else b"")


@pytest.mark.parametrize(
    "requested",
    [
        *("bytes=1-0", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5"),
        *("bytes=\u0663-\u0664", "bytes=0-\u0664", f"bytes=1-{'9' * 5000}"),
    ],
    ids=ascii,
)
def test_invalid_range_is_ignored(server: S3Server, requested: str) -> None:
    server.create_bucket("public", public=True)
    server.put_object("public", "k", BODY)
    reply = send(server, "/public/k", {"Range": requested.encode().decode("latin-1")})
    assert (reply.status, reply.body) == (200, BODY)


def test_part_number_of_other_digits_is_refused(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    assert get(server, "?partNumber=%D9%A1").code == "InvalidArgument"


@pytest.mark.parametrize(
    ("body", "requested"),
    [(BODY, "bytes=10240-"), (BODY, "bytes=-0"), (b"", "bytes=0-"), (b"", "bytes=-5")],
)
def test_unsatisfiable_range_is_refused_with_the_size(
    server: S3Server, body: bytes, requested: str
) -> None:
    server.put_object(BUCKET, KEY, body)
    reply = get(server, Range=requested)
    assert (reply.status, reply.code) == (416, "InvalidRange")
    assert reply.error["ActualObjectSize"] == str(len(body))
    assert reply.error["RangeRequested"] == requested


def test_part_number_selects_the_part(server: S3Server) -> None:
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


def test_object_without_parts_is_its_own_part_1(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, b"abc", checksum_algorithm="SHA256")
    reply = get(server, "?partNumber=1", x_amz_checksum_mode="ENABLED")
    assert (reply.status, reply.body) == (206, b"abc")
    assert "x-amz-mp-parts-count" not in reply.headers
    assert reply.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert get(server, "?partNumber=2").code == "InvalidPartNumber"
    server.put_object(BUCKET, KEY, b"")
    assert get(server, "?partNumber=1").status == 200


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
def test_checksum_is_sent_with_checksum_mode(server: S3Server, algorithm: str, bits: int) -> None:
    stored = server.put_object(BUCKET, KEY, BODY, checksum_algorithm=algorithm)
    name = f"x-amz-checksum-{algorithm.lower()}"
    assert name not in get(server).headers
    reply = get(server, x_amz_checksum_mode="ENABLED")
    assert reply.headers[name] == stored.checksums[algorithm]
    assert len(b64decode(reply.headers[name])) * 8 == bits
    assert name not in get(server, x_amz_checksum_mode="ENABLED", Range="bytes=0-1").headers
    assert name in get(server, x_amz_checksum_mode="ENABLED", Range="bytes=0-").headers


def sha256(*pieces: bytes) -> str:
    joined = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    return b64encode(hashlib.sha256(joined).digest()).decode()


@pytest.mark.parametrize(
    ("query", "requested", "expected"),
    [
        ("", None, sha256(BODY[:4096], BODY[4096:8192], BODY[8192:]) + "-3"),
        ("", "bytes=0-", sha256(BODY[:4096], BODY[4096:8192], BODY[8192:])),
        ("", "bytes=4096-8191", b64encode(hashlib.sha256(BODY[4096:8192]).digest()).decode()),
        ("?partNumber=3", None, b64encode(hashlib.sha256(BODY[8192:]).digest()).decode()),
        ("", "bytes=4096-8190", None),
    ],
)
def test_composite_checksum_is_sent_for_the_whole_and_for_parts(
    server: S3Server, query: str, requested: str | None, expected: str | None
) -> None:
    server.put_object(BUCKET, KEY, BODY, parts=PARTS, checksum_algorithm="SHA256")
    headers = {"x-amz-checksum-mode": "ENABLED"} | ({"Range": requested} if requested else {})
    reply = call(server, PATH + query, headers=headers)
    assert reply.headers.get("x-amz-checksum-sha256") == expected
    assert reply.headers.get("x-amz-checksum-type") == ("COMPOSITE" if expected else None)


def test_full_object_checksum_is_sent_for_the_whole_only(server: S3Server) -> None:
    stored = server.put_object(BUCKET, KEY, BODY, parts=PARTS, checksum_algorithm="CRC64NVME")
    reply = get(server, x_amz_checksum_mode="ENABLED")
    assert reply.headers["x-amz-checksum-crc64nvme"] == stored.checksums["CRC64NVME"]
    assert reply.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    part = get(server, "?partNumber=1", x_amz_checksum_mode="ENABLED")
    assert "x-amz-checksum-crc64nvme" not in part.headers


def test_botocore_validates_the_checksum(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY, checksum_algorithm="CRC32")
    client = boto(server)
    response = client.get_object(Bucket=BUCKET, Key=KEY, ChecksumMode="ENABLED")
    assert response["Body"].read() == BODY
    assert type(response["Body"]).__name__ == "StreamingChecksumBody"
    client.close()

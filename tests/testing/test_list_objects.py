from typing import Any
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import ParseError, fromstring

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3get.testing import S3Server
from tests.testing_client import BUCKET, Reply, boto, call, send

DIRECTORY = "examplebucket--use1-az4--x-s3"
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def list_keys(server: S3Server, bucket: str = BUCKET, **query: str) -> Reply:
    pairs = {name.replace("_", "-"): value for name, value in query.items()}
    text = urlencode({"list-type": "2", **pairs}, quote_via=quote)
    service = "s3express" if bucket == DIRECTORY else "s3"
    return call(server, f"/{bucket}?{text}", service=service)


def names(reply: Reply, element: str = "Contents", name: str = "Key") -> list[str]:
    root = fromstring(reply.body)
    return [each.findtext(f"{NAMESPACE}{name}") or "" for each in root.iter(NAMESPACE + element)]


def value(reply: Reply, element: str) -> str | None:
    return fromstring(reply.body).findtext(NAMESPACE + element)


def put(server: S3Server, *keys: str, bucket: str = BUCKET) -> None:
    for key in keys:
        server.put_object(bucket, key)


def test_listing_shows_size_etag_time_class_and_checksums(server: S3Server) -> None:
    stored = server.put_object(
        BUCKET, "a.txt", b"hello", storage_class="GLACIER", checksum_algorithm="CRC64NVME"
    )
    client = boto(server)
    page = client.list_objects_v2(Bucket=BUCKET)
    client.close()
    assert page["Contents"] == [
        {
            "Key": "a.txt",
            "LastModified": stored.last_modified,
            "ETag": stored.etag,
            "ChecksumAlgorithm": ["CRC64NVME"],
            "ChecksumType": "FULL_OBJECT",
            "Size": 5,
            "StorageClass": "GLACIER",
        }
    ]
    assert (page["Name"], page["KeyCount"], page["MaxKeys"]) == (BUCKET, 1, 1000)
    assert (page["IsTruncated"], page["Prefix"]) == (False, "")


def test_keys_are_sorted_by_their_utf8_bytes(server: S3Server) -> None:
    put(server, "b", "\ufffd", "\U0001f600", "a/b", "a", "B", "é")
    assert names(list_keys(server)) == ["B", "a", "a/b", "b", "é", "\ufffd", "\U0001f600"]


def test_prefix_and_delimiter_group_keys(server: S3Server) -> None:
    put(server, "photos/2006/a", "photos/2006/b", "photos/2007/a", "photos/z", "videos/a", "top")
    root = list_keys(server, delimiter="/")
    assert (names(root), names(root, "CommonPrefixes", "Prefix")) == (
        ["top"],
        ["photos/", "videos/"],
    )
    photos = list_keys(server, delimiter="/", prefix="photos/")
    assert names(photos) == ["photos/z"]
    assert names(photos, "CommonPrefixes", "Prefix") == ["photos/2006/", "photos/2007/"]
    assert (value(photos, "KeyCount"), value(photos, "Delimiter")) == ("3", "/")
    assert names(list_keys(server, prefix="photos/2006/")) == ["photos/2006/a", "photos/2006/b"]
    other = list_keys(server, prefix="ph", delimiter="2006")
    assert names(other, "CommonPrefixes", "Prefix") == ["photos/2006"]


@given(
    st.sets(st.text("ab/é", min_size=1, max_size=6), max_size=20),
    st.text("ab/", max_size=3),
    st.sampled_from(["", "/", "a"]),
    st.integers(1, 5),
)
@settings(max_examples=25)
def test_pages_together_are_the_whole_listing(
    keys: set[str], prefix: str, delimiter: str, size: int
) -> None:
    with S3Server.in_thread() as server:
        server.create_bucket(BUCKET, public=True)
        put(server, *keys)
        query = {"prefix": prefix, "delimiter": delimiter}
        whole = list_keys(server, **query)
        expected = names(whole), names(whole, "CommonPrefixes", "Prefix")
        got: tuple[list[str], list[str]] = ([], [])
        page = list_keys(server, **query, max_keys=str(size))
        while True:
            got = got[0] + names(page), got[1] + names(page, "CommonPrefixes", "Prefix")
            assert int(value(page, "KeyCount") or 0) <= size
            token = value(page, "NextContinuationToken")
            assert (value(page, "IsTruncated") == "true") == (token is not None)
            if token is None:
                break
            page = list_keys(server, **query, max_keys=str(size), continuation_token=token)
            assert value(page, "ContinuationToken") == token
    assert got == expected


def test_start_after_skips_keys_and_smaller_prefixes(server: S3Server) -> None:
    put(server, "a", "b/1", "b/2", "c")
    assert names(list_keys(server, start_after="b/1")) == ["b/2", "c"]
    grouped = list_keys(server, start_after="b/1", delimiter="/")
    assert (names(grouped), names(grouped, "CommonPrefixes", "Prefix")) == (["c"], [])
    assert value(grouped, "StartAfter") == "b/1"


def test_encoding_type_url_encodes_what_xml_cannot_hold(server: S3Server) -> None:
    put(server, "a b+c/\x01é&<>", "test_file(3).png")
    with pytest.raises(ParseError):
        names(list_keys(server))
    reply = list_keys(server, encoding_type="url", prefix="a b", delimiter="x")
    assert names(reply) == ["a+b%2Bc/%01%C3%A9%26%3C%3E"]
    assert (value(reply, "Prefix"), value(reply, "EncodingType")) == ("a+b", "url")
    assert names(list_keys(server, encoding_type="url", prefix="t")) == ["test_file%283%29.png"]
    client = boto(server)
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    client.close()
    assert keys == ["a b+c/\x01é&<>", "test_file(3).png"]


def test_delete_markers_and_old_versions_are_not_listed(server: S3Server) -> None:
    server.enable_versioning(BUCKET)
    put(server, "a", "a", "b")
    server.delete_object(BUCKET, "b")
    assert names(list_keys(server)) == ["a"]


def test_max_keys_is_at_most_1000_and_may_be_0(server: S3Server) -> None:
    put(server, *(f"{number:04}" for number in range(1001)))
    for max_keys, count in (("5000", 1000), ("0", 0)):
        reply = list_keys(server, max_keys=max_keys)
        assert (len(names(reply)), value(reply, "KeyCount")) == (count, str(count))
    assert value(list_keys(server, max_keys="0"), "IsTruncated") == "false"


@pytest.mark.parametrize(
    ("bucket", "query"),
    [
        (BUCKET, {"max_keys": "-1"}),
        (BUCKET, {"max_keys": "many"}),
        (BUCKET, {"encoding_type": "base64"}),
        (BUCKET, {"continuation_token": "é"}),
        (BUCKET, {"continuation_token": "_w=="}),
        (BUCKET, {"continuation_token": ""}),
        (DIRECTORY, {"delimiter": "a"}),
        (DIRECTORY, {"prefix": "photos"}),
        (DIRECTORY, {"start_after": "a"}),
    ],
)
def test_invalid_listing_is_refused(server: S3Server, bucket: str, query: dict[str, str]) -> None:
    server.bucket(bucket)
    reply = list_keys(server, bucket, **query)
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert reply.error["ArgumentName"] == next(iter(query)).replace("_", "-")


def test_directory_bucket_is_listed_unsorted_in_pages(server: S3Server) -> None:
    keys = [f"logs/{number}" for number in range(20)]
    put(server, *keys, bucket=DIRECTORY)
    listed, token = [], ""
    while True:
        query: dict[str, Any] = {"max_keys": "7"} | ({"continuation_token": token} if token else {})
        page = list_keys(server, DIRECTORY, prefix="logs/", **query)
        listed += names(page)
        token = value(page, "NextContinuationToken") or ""
        if not token:
            break
    assert sorted(listed) == sorted(keys)
    assert listed != sorted(keys)
    assert value(page, "Name") == DIRECTORY
    assert names(page, "Contents", "StorageClass")[0] == "EXPRESS_ONEZONE"


def test_listing_without_permission_is_denied(server: S3Server) -> None:
    server.create_bucket("no-list", reveals_missing_keys=False)
    assert list_keys(server, "no-list").code == "AccessDenied"
    server.create_bucket(BUCKET)
    assert send(server, f"/{BUCKET}?list-type=2").code == "AccessDenied"
    server.create_bucket("public", public=True)
    assert send(server, "/public?list-type=2").status == 200


def test_listing_a_missing_bucket_is_refused(server: S3Server) -> None:
    client = boto(server)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.list_objects_v2(Bucket=BUCKET)
    client.close()


def test_listing_an_access_point_names_the_access_point(server: S3Server) -> None:
    put(server, "a")
    server.add_access_point("my-point-123456789012", BUCKET)
    reply = list_keys(server, "my-point-123456789012")
    assert (names(reply), value(reply, "Name")) == (["a"], "my-point-123456789012")

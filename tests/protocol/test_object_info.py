import copy
import dataclasses
import json
import pickle
import pydoc
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.object_info import Expiration, ObjectInfo, Restore
from aios3get._protocol.ranges import ContentRange

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
NOON_TEXT = "Sun, 01 Mar 2026 12:00:05 GMT"
MEMBERS = [
    name
    for name in vars(ObjectInfo)
    if not name.startswith("_") and name not in ("status", "headers", "bucket", "key", "to_dict")
]


def info(*headers: tuple[str, str], status: int = 200, **named: str) -> ObjectInfo:
    pairs = CIMultiDict([*headers, *((name.replace("_", "-"), named[name]) for name in named)])
    return ObjectInfo(
        status, CIMultiDictProxy(pairs), bucket="amzn-s3-demo-bucket", key="sample.jpg"
    )


@pytest.mark.parametrize(
    ("header", "text", "member", "expected"),
    [
        ("ETag", '"d41d8cd98f00b204e9800998ecf8427e-2"', "etag", None),
        ("etag", 'W/"weak"', "etag", None),
        ("Content-Length", "434234", "content_length", 434234),
        ("Content-Length", "-1", "content_length", False),
        ("Last-Modified", NOON_TEXT, "last_modified", NOON),
        ("Last-Modified", "yesterday", "last_modified", False),
        ("x-amz-object-lock-retain-until-date", "2026-03-01T12:00:05.000Z",
         "object_lock_retain_until_date", NOON),
        ("Expires", NOON_TEXT, "expires", NOON),
        ("Expires", "0", "expires", False),
        ("Expires", "0", "expires_string", None),
        ("Content-Range", "bytes 0-9/443", "content_range", ContentRange(0, 10, 443)),
        ("Content-Range", "0-9/443", "content_range", ContentRange(0, 10, 443)),
        ("Content-Range", "bytes 9-0/443", "content_range", False),
        ("Content-Encoding", "gzip", "content_encoding", None),
        ("Content-Encoding", "aws-chunked", "content_encoding", False),
        ("Content-Encoding", "AWS-Chunked, gzip,br", "content_encoding", "gzip, br"),
        ("Content-Encoding", "gzip,aws-chunked", "content_encoding", "gzip"),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true", "bucket_key_enabled", True),
        ("x-amz-mp-parts-count", "3", "parts_count", 3),
        ("x-amz-tagging-count", "x", "tag_count", False),
        ("x-amz-storage-class", "A_CLASS_OF_NEXT_YEAR", "storage_class", None),
        ("x-amz-expiration",
         f'expiry-date="{NOON_TEXT}", rule-id="clean%20up%2Fold"', "expiration",
         Expiration(NOON, "clean up/old")),
        ("x-amz-expiration", f'expiry-date="{NOON_TEXT}"', "expiration", Expiration(NOON, "")),
        ("x-amz-expiration", "NotImplemented", "expiration", False),
        ("x-amz-restore", 'ongoing-request="true"', "restore", Restore(ongoing=True)),
        ("x-amz-restore", f'ongoing-request="false", expiry-date="{NOON_TEXT}"', "restore",
         Restore(ongoing=False, expiry_date=NOON)),
        ("x-amz-restore", "soon", "restore", False),
        ("x-amz-archive-status", "DEEP_ARCHIVE_ACCESS", "archive_status", None),
        ("Retention-Expiration-Date", NOON_TEXT, "retention_expiration_date", NOON),
        ("Retention-Period", "86400", "retention_period", 86400),
        ("Retention-Period", "-1", "retention_period", -1),
        ("Retention-Period", "-2", "retention_period", -2),
        ("Retention-Legal-Hold-Count", "2", "retention_legal_hold_count", 2),
        ("x-ibm-transition", "ARCHIVE;2026-03-01", "ibm_transition", None),
        ("x-ibm-restored-copy-storage-class", "Flex", "ibm_restored_copy_storage_class", None),
        ("Content-Disposition", b"attachment; filename=caf\xe9".decode("utf-8", "surrogateescape"),
         "content_disposition", "attachment; filename=café"),
    ],
)  # fmt: skip
def test_header_is_a_typed_attribute(header: str, text: str, member: str, expected: Any) -> None:
    parsed = info((header, text))
    value = getattr(parsed, member)
    # None stands for the unchanged text, False for a malformed one.
    assert value == {None: text, False: None}.get(expected, expected)
    assert type(value) is not bool or expected is True
    assert parsed.headers[header] == text


def test_repeated_header_fields_are_joined() -> None:
    parsed = info(
        ("Cache-Control", "no-cache"),
        ("cache-control", "no-store"),
        ("Content-Length", "1"),
        ("Content-Length", "2"),
        ("x-amz-delete-marker", "true"),
        ("x-amz-delete-marker", "false"),
    )
    assert parsed.cache_control == "no-cache, no-store"
    assert parsed.content_length is None
    assert parsed.delete_marker is False


def test_attributes_without_headers_are_none_or_empty() -> None:
    parsed = info()
    empty = {name: getattr(parsed, name) for name in MEMBERS}
    assert empty.pop("delete_marker") is False
    for name in ("checksums", "metadata", "raw_metadata"):
        assert empty.pop(name) == {}
    assert set(empty.values()) == {None}


@pytest.mark.parametrize(
    ("headers", "status", "size"),
    [
        ({"Content-Length": "10"}, 200, 10),
        ({"Content-Length": "10", "Content-Range": "bytes 0-9/443"}, 206, 443),
        ({"Content-Length": "10", "Content-Range": "bytes 0-9/443"}, 200, 443),
        ({"Content-Length": "10", "Content-Range": "bytes 0-9/*"}, 206, None),
        ({"Content-Length": "10"}, 206, None),
        ({}, 200, None),
    ],
)
def test_object_size_is_that_of_the_whole_object(
    headers: dict[str, str], status: int, size: int | None
) -> None:
    assert info(*headers.items(), status=status).object_size == size


def test_delete_marker() -> None:
    assert info(("x-amz-delete-marker", "true")).delete_marker is True
    assert info(("x-amz-delete-marker", "false")).delete_marker is False


def test_checksums_include_unknown_algorithms() -> None:
    parsed = info(
        ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="),
        ("X-Amz-Checksum-SHA256", "abc=-3"),
        ("x-amz-checksum-type", "COMPOSITE"),
        ("x-amz-checksum-blake9", "zzz"),
    )
    assert parsed.checksums == {"CRC64NVME": "AAAAAAAAAAA=", "SHA256": "abc=-3", "BLAKE9": "zzz"}
    assert parsed.checksum_type == "COMPOSITE"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("=?UTF-8?B?w6TDtsO8?=", "äöü"),
        # UTF-8 taken for ISO-8859-1 and encoded again, as S3 does with raw UTF-8 headers
        ("=?UTF-8?B?w4PCpA==?=", "ä"),
        ("Ã¤", "ä"),
        ("naïve", "naïve"),
        ("日本", "日本"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "café"),
        ("=?UTF-8?B?broken", "=?UTF-8?B?broken"),
    ],
)
def test_metadata_is_decoded_and_raw_metadata_is_not(text: str, expected: str) -> None:
    parsed = info(("X-Amz-Meta-Some-Name", text))
    assert parsed.metadata == {"some-name": expected}
    assert parsed.raw_metadata == {"some-name": text}


def test_repeated_metadata_headers_are_joined() -> None:
    assert info(("x-amz-meta-a", "1"), ("x-amz-meta-A", "2")).metadata == {"a": "1, 2"}


def test_mappings_are_read_only() -> None:
    parsed = info(("x-amz-meta-a", "1"))
    for mapping in (parsed.metadata, parsed.raw_metadata, parsed.checksums):
        with pytest.raises(TypeError):
            mapping["a"] = "2"  # type: ignore[index]  # the point of the test


def test_info_is_immutable() -> None:
    parsed: Any = info()
    for name in ("status", "headers", "etag", "metadata", "new"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            setattr(parsed, name, "x")
        with pytest.raises(dataclasses.FrozenInstanceError, match=name):
            delattr(parsed, name)
    assert not hasattr(parsed, "__dict__")


def test_info_can_be_replaced_and_takes_bucket_and_key_by_name() -> None:
    parsed = info(("ETag", '"e"'))
    assert dataclasses.replace(parsed, status=206).status == 206
    with pytest.raises(TypeError):
        ObjectInfo(200, parsed.headers, "amzn-s3-demo-bucket", "key")  # type: ignore[call-arg]  # the point of the test


def test_info_compares_by_content_copies_pickles_and_hashes() -> None:
    parsed = info(("ETag", '"e"'), ("x-amz-meta-a", "1"), ("x-amz-meta-a", "2"))
    for twin in (copy.copy(parsed), copy.deepcopy(parsed), pickle.loads(pickle.dumps(parsed))):
        assert twin == parsed
        assert hash(twin) == hash(parsed)
        assert [*twin.headers.items()] == [*parsed.headers.items()]
        assert twin.headers["etag"] == '"e"'
    assert parsed != info(("ETag", '"f"'))


def test_repr_shows_attributes_with_values_and_no_secrets() -> None:
    shown = repr(
        info(
            ("ETag", '"e"'),
            ("Content-Length", "5"),
            ("x-amz-meta-a", "1"),
            ("x-amz-server-side-encryption-customer-key-MD5", "abcdef=="),
            ("Set-Cookie", "session=abcdef"),
        )
    )
    assert shown == (
        "ObjectInfo(bucket='amzn-s3-demo-bucket', key='sample.jpg', status=200, object_size=5,"
        " content_length=5, etag='\"e\"', metadata={'a': '1'})"
    )


def test_repr_shows_that_an_object_is_empty() -> None:
    assert "content_length=0" in repr(info(("Content-Length", "0")))


def test_attribute_of_the_class_is_the_descriptor() -> None:
    assert ObjectInfo.etag.name == "ETag"


def test_help_shows_the_text_of_every_attribute() -> None:
    shown = pydoc.plain(pydoc.render_doc(ObjectInfo))
    for name in MEMBERS:
        doc = getattr(ObjectInfo, name).__doc__
        assert f" |  {name}\n |      {doc.splitlines()[0]}" in shown


def test_to_dict_has_every_attribute_as_a_plain_value() -> None:
    parsed = info(
        ("ETag", '"e"'),
        ("Content-Range", "bytes 0-9/443"),
        ("x-amz-expiration", f'expiry-date="{NOON_TEXT}", rule-id="r"'),
        ("x-amz-restore", 'ongoing-request="true"'),
        ("Last-Modified", NOON_TEXT),
        ("x-amz-meta-a", "1"),
        status=206,
    )
    values = parsed.to_dict()
    assert values.keys() == {*MEMBERS, "bucket", "key", "status"} - {"raw_metadata"}
    assert (values["etag"], values["object_size"], values["version_id"]) == ('"e"', 443, None)
    assert values["content_range"] == {"start": 0, "stop": 10, "size": 443}
    assert values["expiration"] == {"expiry_date": NOON, "rule_id": "r"}
    assert values["restore"] == {"ongoing": True, "expiry_date": None}
    assert values["metadata"] == {"a": "1"}
    assert json.loads(json.dumps(values, default=str))["last_modified"] == str(NOON)


header_names = st.sampled_from(
    [
        *(value.name for value in vars(ObjectInfo).values() if hasattr(value, "parse")),
        "x-amz-meta-a",
        "x-amz-checksum-crc32",
        "x-amz-delete-marker",
    ]
)
header_texts = (
    st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))
    | st.text()
    | st.text("bytes 0123456789-/,=?utf-8QB:GMT")
)


@given(st.lists(st.tuples(header_names, header_texts)), st.integers(100, 599))
def test_any_headers_can_be_parsed(headers: list[tuple[str, str]], status: int) -> None:
    parsed = info(*headers, status=status)
    for name in MEMBERS:
        getattr(parsed, name)
    assert parsed.to_dict()["bucket"] == "amzn-s3-demo-bucket"
    assert repr(parsed).startswith("ObjectInfo(bucket=")
    assert pickle.loads(pickle.dumps(parsed)) == parsed

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.handlers import decode_list_object_v2
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.list_objects import ListedObject, ListPage, list_query, parse_page
from aios3get.errors import IntegrityError

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
KEY = "photos/2006/February/sample.jpg"

_operation = botocore.session.Session().get_service_model("s3").operation_model("ListObjectsV2")


def document(
    keys: list[str], prefixes: list[str], *, token: str | None = None, encoded: bool = True
) -> bytes:
    def text(key: str) -> str:
        return quote_plus(key, safe="/") if encoded else escape(key)

    contents = "".join(
        f"<Contents><Key>{text(key)}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>"
        "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    common = "".join(
        f"<CommonPrefixes><Prefix>{text(p)}</Prefix></CommonPrefixes>" for p in prefixes
    )
    more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult {NAMESPACE}>'
        f"<Name>amzn-s3-demo-bucket</Name><Prefix></Prefix><KeyCount>{len(keys)}</KeyCount>"
        f"<MaxKeys>1000</MaxKeys>{'<EncodingType>url</EncodingType>' if encoded else ''}"
        f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{more}{contents}{common}"
        "</ListBucketResult>"
    ).encode()


def botocore_page(body: bytes) -> ListPage:
    response = {"status_code": 200, "headers": {}, "body": body}
    parsed: dict[str, Any] = create_parser("rest-xml").parse(response, _operation.output_shape)
    decode_list_object_v2(parsed, {"encoding_type_auto_set": True})
    return ListPage(
        tuple(
            ListedObject(c["Key"], c["Size"], c["ETag"], c["LastModified"], c["StorageClass"])
            for c in parsed.get("Contents", [])
        ),
        tuple(p["Prefix"] for p in parsed.get("CommonPrefixes", [])),
        parsed.get("NextContinuationToken"),
    )


# Everything but surrogates: encoded as a URL, a key may hold what XML cannot.
keys = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=3)


@given(keys, keys, st.none() | st.text("abc=+/ &<", min_size=1))
def test_page_equals_botocores(keys: list[str], prefixes: list[str], token: str | None) -> None:
    body = document(keys, prefixes, token=token)
    assert parse_page(body) == botocore_page(body)
    assert [each.key for each in parse_page(body).objects] == keys


def test_entry_has_typed_members() -> None:
    [entry] = parse_page(document([KEY], [])).objects
    assert entry == ListedObject(
        KEY,
        434234,
        '"fba9dede5f27731c9771645a39863328"',
        datetime(2009, 10, 12, 17, 50, 30, tzinfo=UTC),
        "STANDARD",
    )


def test_keys_of_a_server_without_encoding_type_are_taken_verbatim() -> None:
    page = parse_page(document(["a+b%20c&<d>"], ["e+/"], encoded=False))
    assert [entry.key for entry in page.objects] == ["a+b%20c&<d>"]
    assert page.prefixes == ("e+/",)


def test_listing_without_a_namespace_is_understood() -> None:
    body = document([KEY], []).replace(NAMESPACE.encode(), b"")
    assert [entry.key for entry in parse_page(body).objects] == [KEY]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not well-formed"),
        (document([KEY], [])[:-5], "not well-formed"),
        (b"<html/>", "not a ListBucketResult"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult/>', "document type declaration"),
        (
            b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "no continuation token",
        ),
    ],
)
def test_incomplete_or_foreign_listing_is_an_integrity_error(body: bytes, reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason):
        parse_page(body)


def test_query_names_version_2_and_url_encoding() -> None:
    assert list_query("photos/", delimiter="/", token="t", max_keys=5) == (
        ("list-type", "2"),
        ("encoding-type", "url"),
        ("prefix", "photos/"),
        ("delimiter", "/"),
        ("continuation-token", "t"),
        ("max-keys", "5"),
    )
    assert ("prefix", "") in list_query("")

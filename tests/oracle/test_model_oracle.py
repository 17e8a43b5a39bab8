import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import HeadersDict
from botocore.handlers import sse_md5
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol import error_response
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.header_values import format_http_date, parameters, timestamp
from aios3get._protocol.http import HttpHead
from aios3get._protocol.object_info import ObjectInfo
from aios3get._protocol.options import MEMBERS
from aios3get._protocol.ranges import ContentRange

OPERATIONS = ("GetObject", "HeadObject")
BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"

# Members that botocore's model lacks: IBM's, and further views of the response.
IBM_OPTIONS = {"mirror_destination"}
OWN_MEMBERS = {
    "bucket", "key", "status", "headers", "request_id", "host_id", "object_size", "checksums",
    "raw_metadata", "expires_string", "ibm_transition", "ibm_restored_copy_storage_class",
    "retention_expiration_date", "retention_period", "retention_legal_hold_count",
}  # fmt: skip

_words = re.compile(r"SSE|KMS|MD5|ETag|[A-Z][a-z]+|[A-Z]+[0-9]*")


def snake(name: str) -> str:
    return "_".join(_words.findall(name)).lower()


@cache
def operation(name: str) -> Any:
    return botocore.session.get_session().get_service_model("s3").operation_model(name)


def inputs(name: str) -> dict[str, Any]:
    members: Mapping[str, Any] = operation(name).input_shape.members
    return {member: shape for member, shape in members.items() if member not in ("Bucket", "Key")}


def outputs(name: str) -> dict[str, Any]:
    members: Mapping[str, Any] = operation(name).output_shape.members
    return {member: shape for member, shape in members.items() if member != "Body"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IfMatch", "if_match"),
        ("SSECustomerKeyMD5", "sse_customer_key_md5"),
        ("SSEKMSKeyId", "sse_kms_key_id"),
        ("ETag", "etag"),
        ("ResponseContentDisposition", "response_content_disposition"),
    ],
)
def test_snake_case_names_are_derived_mechanically(name: str, expected: str) -> None:
    assert snake(name) == expected


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_input_member_is_an_option_with_its_wire_name(name: str) -> None:
    places = {"header": "header", "querystring": "query"}
    theirs = {
        snake(member): (places[shape.serialization["location"]], shape.serialization["name"])
        for member, shape in inputs(name).items()
    }
    ours = {option: (member.location, member.wire_name) for option, member in MEMBERS.items()}
    assert {option: ours.get(option) for option in theirs} == theirs
    assert ours.keys() - theirs.keys() == IBM_OPTIONS


def test_every_output_member_is_an_attribute_with_its_wire_name() -> None:
    known: set[str] = set()
    for name in OPERATIONS:
        for member, shape in outputs(name).items():
            wire_name = shape.serialization["name"]
            if member.startswith("Checksum") and member != "ChecksumType":
                algorithm = member.removeprefix("Checksum")
                parsed = info({wire_name: "AAAA"})
                assert parsed.checksums == {algorithm: "AAAA"}
                continue
            known.add(snake(member))
            attribute = vars(ObjectInfo)[snake(member)]
            if member not in ("Metadata", "DeleteMarker"):
                assert attribute.name.lower() == wire_name.lower()
    ours = {name for name in vars(ObjectInfo) if not name.startswith("_")} - {"to_dict"}
    assert ours - known == OWN_MEMBERS


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
)
moments = st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
# The values that ``is_sendable`` accepts.
header_values = st.from_regex(r"[!-~]([\t -~]{0,20}[!-~])?", fullmatch=True)
_special = {
    "Range": st.builds(
        lambda first, more: f"bytes={first}-{first + more}", st.integers(0, 2**50), st.integers(0)
        .filter(lambda more: more < 2**50)
    ),
    "PartNumber": st.integers(1, 10_000),
    "SSECustomerAlgorithm": st.just("AES256"),
    "SSECustomerKey": st.binary(min_size=32, max_size=32),
    "RequestPayer": st.just("requester"),
    "ExpectedBucketOwner": st.from_regex("[0-9]{12}", fullmatch=True),
    "ChecksumMode": st.just("ENABLED"),
}  # fmt: skip


def values_of(member: str, shape: Any) -> st.SearchStrategy[Any]:
    if member in _special:
        return _special[member]
    if shape.type_name == "timestamp":
        return moments
    return header_values if shape.serialization.get("location") == "header" else texts


def together(params: dict[str, Any]) -> dict[str, Any]:
    if "Range" in params:
        params.pop("PartNumber", None)
    if "SSECustomerKey" in params:
        params["SSECustomerAlgorithm"] = "AES256"
    else:
        params.pop("SSECustomerAlgorithm", None)
    params.pop("SSECustomerKeyMD5", None)
    return params


requests = st.fixed_dictionaries(
    {},
    optional={member: values_of(member, shape) for member, shape in inputs("GetObject").items()},
).map(together)


@pytest.mark.parametrize("name", OPERATIONS)
@given(requests)
def test_requests_are_serialized_as_by_botocore(name: str, params: dict[str, Any]) -> None:
    options = {snake(member): value for member, value in params.items()}
    theirs = dict(params, Bucket=BUCKET, Key=KEY)
    sse_md5(theirs)
    serialized = create_serializer("rest-xml").serialize_to_request(theirs, operation(name))
    ours = GetObject.create(BUCKET, KEY, options)
    assert ours.headers == {**serialized["headers"]}
    assert dict(ours.query) == {
        member: str(value) for member, value in serialized["query_string"].items()
    }


def info(headers: Mapping[str, str]) -> ObjectInfo:
    return ObjectInfo(200, CIMultiDictProxy(CIMultiDict(headers)), bucket=BUCKET, key=KEY)


def header_texts(shape: Any) -> st.SearchStrategy[str]:
    if shape.type_name == "timestamp":
        seconds = moments.map(lambda at: at.replace(microsecond=0))
        return seconds.map(format_http_date) | seconds.map(
            lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        )
    if shape.type_name in ("integer", "long"):
        return st.integers(0, 2**53).map(str)
    if shape.type_name == "boolean":
        return st.sampled_from(["true", "false"])
    # botocore does not remove aws-chunked from Content-Encoding
    return texts.filter(lambda text: "aws-chunked" not in text.lower())


responses = st.fixed_dictionaries(
    {},
    optional={
        **{
            shape.serialization["name"]: header_texts(shape)
            for name in OPERATIONS
            for member, shape in outputs(name).items()
            if member not in ("Metadata", "ContentRange", "Expiration", "Restore")
        },
        "Content-Range": st.sampled_from(["bytes 0-9/443", "bytes 0-9/*"]),
        "x-amz-expiration": moments.map(
            lambda at: f'expiry-date="{format_http_date(at)}", rule-id="a%20b"'
        ),
        "x-amz-restore": st.sampled_from(['ongoing-request="true"', 'ongoing-request="false"']),
        "x-amz-meta-one": texts,
        "x-amz-meta-Two": texts,
    },
)


@pytest.mark.parametrize("name", OPERATIONS)
@given(responses)
def test_responses_are_parsed_as_by_botocore(name: str, headers: dict[str, str]) -> None:
    response = {"status_code": 200, "headers": HeadersDict(headers), "body": b""}
    parsed = create_parser("rest-xml").parse(response, operation(name).output_shape)
    ours = info(headers)
    for member in outputs(name):
        if member == "Metadata":
            theirs = {key.lower(): text for key, text in parsed.get(member, {}).items()}
            assert ours.raw_metadata == theirs
        elif member.startswith("Checksum") and member != "ChecksumType":
            assert ours.checksums.get(member.removeprefix("Checksum")) == parsed.get(member)
        else:
            assert comparable(member, getattr(ours, snake(member))) == structured(
                member, parsed.get(member)
            )


def structured(member: str, value: Any) -> Any:
    """botocore's value, parsed where ours is a value and botocore's is text."""
    match member:
        case "ContentRange" if value is not None:
            return ContentRange.parse(value)
        case "Expiration" if value is not None:
            pairs = parameters(value)
            return timestamp(pairs["expiry-date"]), pairs["rule-id"].replace("%20", " ")
        case "Restore" if value is not None:
            return parameters(value)["ongoing-request"] == "true"
        case "DeleteMarker":
            return bool(value)
    return value


def comparable(member: str, value: Any) -> Any:
    match member:
        case "Expiration" if value is not None:
            return value.expiry_date, value.rule_id
        case "Restore" if value is not None:
            return value.ongoing
    return value


xml_texts = st.text(st.sampled_from("abcXYZ -_./:'\"é日&<>"), min_size=1).map(str.strip)


@given(
    st.sampled_from(["NoSuchKey", "AccessDenied", "SlowDown", "Brand.New"]), xml_texts, xml_texts
)
def test_error_bodies_are_parsed_as_by_botocore(code: str, message: str, key: str) -> None:
    elements = {"Code": code, "Message": message, "Key": key, "StorageClass": "GLACIER"}
    escaped = {
        name: text.replace("&", "&amp;").replace("<", "&lt;") for name, text in elements.items()
    }
    body = "".join(f"<{name}>{text}</{name}>" for name, text in escaped.items())
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'.encode()
    response = {"status_code": 403, "headers": HeadersDict(), "body": document}
    theirs = create_parser("rest-xml").parse(response, operation("GetObject").output_shape)
    head = HttpHead(403, CIMultiDictProxy(CIMultiDict()))
    ours = error_response.parse(head, document, method="GET", bucket=BUCKET, key=KEY)
    assert ours.code == theirs["Error"]["Code"]
    assert ours.message == (theirs["Error"]["Message"] or "")
    assert ours.details.fields.get("Key", "") == (theirs["Error"].get("Key") or "")
    assert ours.storage_class == "GLACIER"

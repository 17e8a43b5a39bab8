"""The sample requests and responses of the S3 API reference and developer guide.

Their facts: what a request has to send, and what a response says. ``<Region>`` is us-west-2.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get import errors
from aios3get._protocol import error_response
from aios3get._protocol.endpoints.resolver import EndpointSettings, resolve_endpoint
from aios3get._protocol.extent import parse_extent
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.http import HttpHead
from aios3get._protocol.identity import Credentials
from aios3get._protocol.object_info import Expiration, ObjectInfo, Restore
from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get._protocol.signing.signed_request import signed_request

API = "https://docs.aws.amazon.com/AmazonS3/latest/API/"
GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/"
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
GLOBAL: dict[str, Any] = {"region": "us-east-1", "use_global_endpoint": True}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type] # year, month, day, …


@dataclass(frozen=True)
class Request:
    """A sample request: the call's arguments, and what has to be sent."""

    page: str
    bucket: str
    key: str
    host: str
    path: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    settings: dict[str, Any] = field(default_factory=lambda: {"region": "us-west-2"})
    query: dict[str, str] = field(default_factory=dict[str, str])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    method: str = "GET"


REQUESTS = {
    "get": Request(
        f"{API}API_GetObject.html",
        "amzn-s3-demo-bucket",
        "my-image.jpg",
        "amzn-s3-demo-bucket.s3.us-west-2.amazonaws.com",
        "/my-image.jpg",
    ),
    "get a version": Request(
        f"{API}API_GetObject.html",
        "bucket",
        "myObject",
        "bucket.s3.us-west-2.amazonaws.com",
        "/myObject",
        {"version_id": "3/L4kqtJlcpXroDTDmpUMLUo"},
        query={"versionId": "3/L4kqtJlcpXroDTDmpUMLUo"},
    ),
    "override response headers": Request(
        f"{API}API_GetObject.html",
        "bucket",
        "Junk3.txt",
        "bucket.s3.us-west-2.amazonaws.com",
        "/Junk3.txt",
        {
            "response_cache_control": "No-cache",
            "response_content_disposition": "attachment; filename=testing.txt",
            "response_content_encoding": "x-gzip",
            "response_content_language": "mi, en",
            "response_expires": utc(1994, 12, 1, 16),
        },
        query={
            "response-cache-control": "No-cache",
            "response-content-disposition": "attachment; filename=testing.txt",
            "response-content-encoding": "x-gzip",
            "response-content-language": "mi, en",
            "response-expires": "Thu, 01 Dec 1994 16:00:00 GMT",
        },
    ),
    "get a range": Request(
        f"{API}API_GetObject.html",
        "amzn-s3-demo-bucket",
        "example-object",
        "amzn-s3-demo-bucket.s3.us-west-2.amazonaws.com",
        "/example-object",
        {"range": "bytes=0-9"},
        headers={"Range": "bytes=0-9"},
    ),
    "head": Request(
        f"{API}API_HeadObject.html",
        "bucket",
        "my-image.jpg",
        "bucket.s3.us-west-2.amazonaws.com",
        "/my-image.jpg",
        method="HEAD",
    ),
    "head a version": Request(
        f"{GUIDE}RetMetaOfObjVersion.html",
        "bucket",
        "my-image.jpg",
        "bucket.s3.amazonaws.com",
        "/my-image.jpg",
        {"version_id": "3HL4kqCxf3vjVBH40Nrjfkd"},
        GLOBAL,
        query={"versionId": "3HL4kqCxf3vjVBH40Nrjfkd"},
        method="HEAD",
    ),
    "get a version at the global endpoint": Request(
        f"{GUIDE}RetrievingObjectVersions.html",
        "bucket",
        "my-image.jpg",
        "bucket.s3.amazonaws.com",
        "/my-image.jpg",
        {"version_id": "L4kqtJlcpXroDTDmpUMLUo"},
        GLOBAL,
        query={"versionId": "L4kqtJlcpXroDTDmpUMLUo"},
    ),
    "Requester Pays": Request(
        f"{GUIDE}ObjectsinRequesterPaysBuckets.html",
        "bucket",
        "object",
        "bucket.s3.amazonaws.com",
        "/object",
        {"request_payer": "requester"},
        GLOBAL,
        headers={"x-amz-request-payer": "requester"},
    ),
    "dual-stack, virtual-hosted": Request(
        f"{GUIDE}RESTAPI.html",
        "examplebucket",
        "puppy.jpg",
        "examplebucket.s3.dualstack.us-west-2.amazonaws.com",
        "/puppy.jpg",
        settings={"region": "us-west-2", "use_dualstack": True},
    ),
    "dual-stack, path": Request(
        f"{GUIDE}RESTAPI.html",
        "examplebucket",
        "puppy.jpg",
        "s3.dualstack.us-west-2.amazonaws.com",
        "/examplebucket/puppy.jpg",
        settings={"region": "us-west-2", "use_dualstack": True, "addressing_style": "path"},
    ),
    "path": Request(
        f"{GUIDE}VirtualHosting.html",
        "example.com",
        "homepage.html",
        "s3.us-east-1.amazonaws.com",
        "/example.com/homepage.html",
        settings={"region": "us-east-1"},
    ),
    "virtual-hosted over http": Request(
        f"{GUIDE}VirtualHosting.html",
        "awsexamplebucket1.eu",
        "homepage.html",
        "awsexamplebucket1.eu.s3.eu-west-1.amazonaws.com",
        "/homepage.html",
        settings={
            "region": "eu-west-1",
            "endpoint_url": "http://s3.eu-west-1.amazonaws.com",
            "addressing_style": "virtual",
        },
    ),
    "access point": Request(
        f"{GUIDE}access-points-naming.html",
        "arn:aws:s3:us-west-2:123456789012:accesspoint/finance-docs",
        "mydoc",
        "finance-docs-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
        "/mydoc",
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_sample_request_is_what_we_send(name: str) -> None:
    sample = REQUESTS[name]
    endpoint = resolve_endpoint(sample.bucket, EndpointSettings(**sample.settings))
    request = GetObject.create(sample.bucket, sample.key, sample.options)
    sent = signed_request(
        sample.method, endpoint, f"/{request.path}", request.query, request.headers, EXAMPLE, 0
    )
    url = urlsplit(sent.url)
    assert sent.method == sample.method
    assert sent.headers["Host"] == url.netloc == sample.host
    assert url.path == sample.path
    assert dict(parse_qsl(url.query, strict_parsing=bool(url.query))) == sample.query
    own = {name: value for name, value in sent.headers.items() if name in request.headers}
    assert own == sample.headers


@dataclass(frozen=True)
class Success:
    """A sample response: its headers, and the attributes that they stand for."""

    page: str
    headers: dict[str, str]
    attributes: dict[str, Any]
    status: int = 200
    options: dict[str, Any] = field(default_factory=dict[str, Any])


IMAGE_HEADERS = {
    "x-amz-id-2": "eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran",
    "x-amz-request-id": "318BC8BC148832E5",
    "Date": "Mon, 3 Oct 2016 22:32:00 GMT",
    "Last-Modified": "Wed, 12 Oct 2009 17:50:00 GMT",
    "ETag": '"fba9dede5f27731c9771645a39863328"',
    "Content-Length": "434234",
}
IMAGE = {
    "request_id": "318BC8BC148832E5",
    "host_id": IMAGE_HEADERS["x-amz-id-2"],
    # The header has the wrong weekday.
    "last_modified": utc(2009, 10, 12, 17, 50),
    "etag": IMAGE_HEADERS["ETag"],
    "content_length": 434_234,
    "object_size": 434_234,
}
ARCHIVED_HEADERS = {
    "Date": "Fri, 13 Nov 2020 00:28:38 GMT",
    "Last-Modified": "Mon, 15 Oct 2012 21:58:07 GMT",
    "ETag": '"1accb31fcf202eba0c0f41fa2f09b4d7"',
    "Accept-Ranges": "bytes",
    "Content-Type": "binary/octet-stream",
    "Content-Length": "300",
    "Server": "AmazonS3",
}
ARCHIVED = {
    "last_modified": utc(2012, 10, 15, 21, 58, 7),
    "accept_ranges": "bytes",
    "content_type": "binary/octet-stream",
    "object_size": 300,
}
SUCCESSES = {
    "get": Success(f"{API}API_GetObject.html", IMAGE_HEADERS, IMAGE),
    "get an object with tags": Success(
        f"{API}API_GetObject.html",
        IMAGE_HEADERS | {"x-amz-tagging-count": "2"},
        IMAGE | {"tag_count": 2},
    ),
    "get an object with an expiration": Success(
        f"{API}API_GetObject.html",
        IMAGE_HEADERS
        | {
            "Content-Type": "text/plain",
            "x-amz-expiration": (
                'expiry-date="Fri, 23 Dec 2012 00:00:00 GMT", rule-id="picture-deletion-rule"'
            ),
        },
        IMAGE
        | {
            "content_type": "text/plain",
            "expiration": Expiration(utc(2012, 12, 23), "picture-deletion-rule"),
        },
    ),
    "get a version": Success(
        f"{API}API_GetObject.html",
        IMAGE_HEADERS
        | {
            "Last-Modified": "Sun, 1 Jan 2006 12:00:00 GMT",
            "x-amz-version-id": "3/L4kqtJlcpXroDTDmJ+rmSpXd3QBpUMLUo",
        },
        IMAGE
        | {
            "last_modified": utc(2006, 1, 1, 12),
            "version_id": "3/L4kqtJlcpXroDTDmJ+rmSpXd3QBpUMLUo",
        },
    ),
    "override response headers": Success(
        f"{API}API_GetObject.html",
        {
            "x-amz-meta-param1": "value 1",
            "x-amz-meta-param2": "value 2",
            "Cache-Control": "No-cache",
            "Content-Language": "mi, en",
            "Expires": "Thu, 01 Dec 1994 16:00:00 GMT",
            "Content-Disposition": "attachment; filename=testing.txt",
            "Content-Encoding": "x-gzip",
            "Last-Modified": "Fri, 17 Dec 2010 18:10:41 GMT",
            "ETag": '"0332bee1a7bf845f176c5c0d1ae7cf07"',
            "Accept-Ranges": "bytes",
            "Content-Type": "text/plain",
            "Content-Length": "22",
        },
        {
            "metadata": {"param1": "value 1", "param2": "value 2"},
            "cache_control": "No-cache",
            "content_language": "mi, en",
            "expires": utc(1994, 12, 1, 16),
            "expires_string": "Thu, 01 Dec 1994 16:00:00 GMT",
            "content_disposition": "attachment; filename=testing.txt",
            "content_encoding": "x-gzip",
            "last_modified": utc(2010, 12, 17, 18, 10, 41),
            "content_length": 22,
        },
    ),
    "get a range": Success(
        f"{API}API_GetObject.html",
        {
            "x-amz-meta-title": "the title",
            "Last-Modified": "Fri, 28 Jan 2011 20:10:32 GMT",
            "ETag": '"b2419b1e3fd45d596ee22bdf62aaaa2f"',
            "Accept-Ranges": "bytes",
            "Content-Range": "bytes 0-9/443",
            "Content-Type": "text/plain",
            "Content-Length": "10",
        },
        {
            "metadata": {"title": "the title"},
            "content_range": ContentRange(0, 10, 443),
            "content_length": 10,
            "object_size": 443,
        },
        206,
        {"range": "bytes=0-9"},
    ),
    "get with SSE-C": Success(
        f"{API}API_GetObject.html",
        {
            "Last-Modified": "Wed, 28 May 2014 19:21:01 GMT",
            "ETag": '"c12022c9a3c6d3a28d29d90933a2b096"',
            "x-amz-server-side-encryption-customer-algorithm": "AES256",
            "x-amz-server-side-encryption-customer-key-MD5": "ZjQrne1X/iTcskbY2m3example",
        },
        {"sse_customer_algorithm": "AES256", "sse_customer_key_md5": "ZjQrne1X/iTcskbY2m3example"},
    ),
    "head": Success(
        f"{API}API_HeadObject.html",
        IMAGE_HEADERS
        | {
            "x-amz-version-id": "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd",
            "Last-Modified": "Sun, 1 Jan 2006 12:00:00 GMT",
        },
        IMAGE
        | {
            "version_id": "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd",
            "last_modified": utc(2006, 1, 1, 12),
        },
    ),
    "head an object with an expiration": Success(
        f"{API}API_HeadObject.html",
        {
            "Last-Modified": "Mon, 17 Dec 2012 02:14:10 GMT",
            "x-amz-expiration": (
                'expiry-date="Fri, 21 Dec 2012 00:00:00 GMT", rule-id="Rule for testfile.txt"'
            ),
            "ETag": '"54b0c58c7ce9f2a8b551351102ee0938"',
            "Content-Length": "14",
        },
        {"expiration": Expiration(utc(2012, 12, 21), "Rule for testfile.txt"), "object_size": 14},
    ),
    "head a restored object": Success(
        f"{API}API_HeadObject.html",
        ARCHIVED_HEADERS
        | {
            "x-amz-restore": (
                'ongoing-request="false", expiry-date="Wed, 07 Nov 2012 00:00:00 GMT"'
            )
        },
        ARCHIVED | {"restore": Restore(ongoing=False, expiry_date=utc(2012, 11, 7))},
    ),
    "head an object during its restoration": Success(
        f"{API}API_HeadObject.html",
        ARCHIVED_HEADERS | {"x-amz-restore": 'ongoing-request="true"'},
        ARCHIVED | {"restore": Restore(ongoing=True)},
    ),
    # The apostrophes are the page's.
    "head an archived object in Intelligent-Tiering": Success(
        f"{API}API_HeadObject.html",
        ARCHIVED_HEADERS
        | {
            "x-amz-storage-class": "'INTELLIGENT_TIERING'",
            "x-amz-archive-status": "'ARCHIVE_ACCESS'",
        },
        ARCHIVED | {"storage_class": "'INTELLIGENT_TIERING'", "archive_status": "'ARCHIVE_ACCESS'"},
    ),
    "head an object in Intelligent-Tiering during its restoration": Success(
        f"{GUIDE}intelligent-tiering-managing.html",
        ARCHIVED_HEADERS
        | {
            "x-amz-storage-class": "'INTELLIGENT_TIERING'",
            "x-amz-archive-status": "'ARCHIVE_ACCESS'",
            "x-amz-restore": "'ongoing-request=\"true\"'",
            "x-amz-restore-request-date": "'Fri, 13 Nov 2020 00:20:00 GMT'",
        },
        ARCHIVED | {"restore": Restore(ongoing=True)},
    ),
    "Requester Pays": Success(
        f"{GUIDE}ObjectsinRequesterPaysBuckets.html",
        {"x-amz-request-charged": "requester", "Content-Length": "0"},
        {"request_charged": "requester", "object_size": 0},
    ),
    "metadata in Unicode": Success(
        f"{GUIDE}UsingMetadata.html",
        {"x-amz-meta-nonascii": "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?="},
        {"metadata": {"nonascii": "ÄMÄZÕÑ S3"}},
    ),
    "metadata in ASCII": Success(
        f"{GUIDE}UsingMetadata.html",
        {"x-amz-meta-ascii": "AMAZONS3"},
        {"metadata": {"ascii": "AMAZONS3"}},
    ),
}


@pytest.mark.parametrize("name", SUCCESSES)
def test_sample_response_is_parsed(name: str) -> None:
    sample = SUCCESSES[name]
    headers = CIMultiDictProxy(CIMultiDict(sample.headers))
    info = ObjectInfo(sample.status, headers, bucket="bucket", key="key")
    attributes = {attribute: getattr(info, attribute) for attribute in sample.attributes}
    assert attributes == sample.attributes
    byte_range = ByteRange.of(sample.options["range"]) if sample.options else None
    extent = parse_extent(sample.status, headers, byte_range)
    assert (extent.start, extent.size) == (0, info.object_size)


@dataclass(frozen=True)
class Failure:
    """A sample error response: its headers and body, and the exception that they stand for."""

    page: str
    status: int
    headers: dict[str, str]
    elements: dict[str, str]
    error: type[errors.ServiceError]
    attributes: dict[str, Any]


FAILURES = {
    "archived object": Failure(
        f"{API}API_GetObject.html",
        403,
        {
            "x-amz-request-id": "CD4BD8A1310A11B3",
            "x-amz-id-2": "m9RDbQU0+RRBTjOUN1ChQ1eqMUnr9dv8b+KP6I2gHfRJZSTSrMCoRP8RtPRzX9mb",
            "Content-Type": "application/xml",
            "Date": "Mon, 12 Nov 2012 23:53:21 GMT",
        },
        {
            "Code": "InvalidObjectState",
            "Message": "The action is not valid for the object's storage class",
            "RequestId": "9FEFFF118E15B86F",
        },
        errors.InvalidObjectState,
        {
            "code": "InvalidObjectState",
            "request_id": "CD4BD8A1310A11B3",
            "server_time": utc(2012, 11, 12, 23, 53, 21),
            "storage_class": None,
        },
    ),
    "archived object in Intelligent-Tiering": Failure(
        f"{API}API_GetObject.html",
        403,
        {"x-amz-request-id": "CB6AW8C4332B23B7"},
        {
            "Code": "InvalidObjectState",
            "Message": "The action is not valid for the object's access tier",
            "StorageClass": "INTELLIGENT_TIERING",
            "AccessTier": "ARCHIVE_ACCESS",
        },
        errors.InvalidObjectState,
        {"storage_class": "INTELLIGENT_TIERING", "access_tier": "ARCHIVE_ACCESS"},
    ),
    "delete marker": Failure(
        f"{API}API_GetObject.html",
        404,
        {
            "x-amz-request-id": "318BC8BC148832E5",
            "x-amz-version-id": "3GL4kqtJlcpXroDTDm3vjVBH40Nr8X8g",
            "x-amz-delete-marker": " true",
            "Content-Type": "text/plain",
        },
        {},
        errors.NoSuchKey,
        {"delete_marker": True, "version_id": "3GL4kqtJlcpXroDTDm3vjVBH40Nr8X8g", "code": ""},
    ),
    "missing key": Failure(
        f"{API}ErrorResponses.html",
        404,
        {"Content-Type": "application/xml"},
        {
            "Code": "NoSuchKey",
            "Message": "The resource you requested does not exist",
            "Resource": "/mybucket/myfoto.jpg",
            "RequestId": "4442587FB7D0A2F9",
        },
        errors.NoSuchKey,
        {"request_id": "4442587FB7D0A2F9", "delete_marker": False},
    ),
    # These endpoints name no region, so there is none to go to.
    "temporary redirect": Failure(
        f"{GUIDE}UsingRouting.html",
        307,
        {
            "Location": "http://awsexamplebucket1.s3-gztb4pa9sq.amazonaws.com/photos/puppy.jpg",
            "Content-Type": "application/xml",
        },
        {
            "Code": "TemporaryRedirect",
            "Endpoint": "awsexamplebucket1.s3-gztb4pa9sq.amazonaws.com",
        },
        errors.ServiceError,
        {"status": 307, "code": "TemporaryRedirect", "region": None},
    ),
    "temporary redirect with a bucket": Failure(
        f"{GUIDE}RESTRedirect.html",
        307,
        {"Location": "http://quotes.s3-4c25d83b.amazonaws.com/nelson.txt?rk=8d47490b"},
        {
            "Code": "TemporaryRedirect",
            "Endpoint": "quotes.s3-4c25d83b.amazonaws.com",
            "Bucket": "quotes",
        },
        errors.ServiceError,
        {"region": None},
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_sample_error_is_parsed(name: str) -> None:
    sample = FAILURES[name]
    elements = "".join(f"<{tag}>{text}</{tag}>" for tag, text in sample.elements.items())
    error = error_response.parse(
        HttpHead(sample.status, CIMultiDictProxy(CIMultiDict(sample.headers))),
        f"<Error>{elements}</Error>".encode() if elements else b"",
        method="GET",
        bucket="bucket",
        key="key",
    )
    assert type(error) is sample.error
    attributes = {attribute: getattr(error, attribute) for attribute in sample.attributes}
    assert attributes == sample.attributes

import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get import errors
from aios3get._protocol import error_response
from aios3get._protocol.http import HttpHead
from aios3get.errors import ServiceError

BUCKET = "amzn-s3-demo-bucket"
KEY = "photos/2006/February/sample.jpg"


def parse(
    status: int,
    body: bytes = b"",
    *headers: tuple[str, str],
    method: str = "GET",
    version_id: str | None = None,
    signed_region: str | None = None,
) -> ServiceError:
    return error_response.parse(
        HttpHead(status, CIMultiDictProxy(CIMultiDict(headers))),
        body,
        method=method,
        bucket=BUCKET,
        key=KEY,
        version_id=version_id,
        signed_region=signed_region,
    )


def xml(code: str, message: str = "", **elements: str) -> bytes:
    fields = {"Code": code, "Message": message, **elements}
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()


def test_every_detail_of_a_complete_response() -> None:
    error = parse(
        404,
        xml(
            "NoSuchKey", "The specified key does not exist.", Key=KEY, RequestId="body", HostId="b"
        ),
        ("x-amz-request-id", "4442587FB7D0A2F9"),
        ("x-amz-id-2", "host"),
        ("Date", "Sun, 01 Mar 2026 12:00:05 GMT"),
        ("x-amz-delete-marker", "true"),
        ("x-amz-version-id", "v1"),
        ("Last-Modified", "Sun, 01 Mar 2026 11:00:00 GMT"),
    )
    assert type(error) is errors.NoSuchKey
    assert (error.status, error.code) == (404, "NoSuchKey")
    assert error.message == "The specified key does not exist."
    assert (error.request_id, error.host_id) == ("4442587FB7D0A2F9", "host")
    assert (error.bucket, error.key, error.details.method) == (BUCKET, KEY, "GET")
    assert (error.delete_marker, error.version_id) == (True, "v1")
    assert error.server_time == datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
    assert error.last_modified == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert error.headers["DATE"].startswith("Sun")
    assert error.details.fields == {"Key": KEY, "RequestId": "body", "HostId": "b"}


def test_request_and_host_id_are_taken_from_the_body_without_headers() -> None:
    error = parse(500, xml("InternalError", RequestId="4442587FB7D0A2F9", HostId="host"))
    assert (error.request_id, error.host_id) == ("4442587FB7D0A2F9", "host")


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (404, "NoSuchKey", errors.NoSuchKey),
        (404, "NoSuchBucket", errors.NoSuchBucket),
        (404, "NoSuchVersion", errors.NoSuchVersion),
        (404, "NoSuchAccessPoint", errors.NoSuchAccessPoint),
        (404, "NoSuchLifecycleConfiguration", errors.NotFound),
        (403, "AccessDenied", errors.AccessDenied),
        (400, "AccessDenied", errors.AccessDenied),
        (403, "SignatureDoesNotMatch", errors.SignatureDoesNotMatch),
        (403, "RequestTimeTooSkewed", errors.RequestTimeTooSkewed),
        (403, "InvalidAccessKeyId", errors.InvalidAccessKeyId),
        (400, "ExpiredToken", errors.ExpiredToken),
        (400, "ExpiredTokenException", errors.ExpiredToken),
        (400, "InvalidToken", errors.InvalidToken),
        (403, "AccountProblem", errors.AccessDenied),
        (400, "KMS.DisabledException", errors.BadRequest),
        (409, "OperationAborted", errors.BadRequest),
        (400, "RequestTimeout", errors.RequestTimeout),
        (400, "AuthorizationHeaderMalformed", errors.AuthorizationHeaderMalformed),
        (400, "AuthorizationQueryParameterserror", errors.AuthorizationQueryParametersError),
        (405, "MethodNotAllowed", errors.MethodNotAllowed),
        (403, "InvalidObjectStateError", errors.InvalidObjectState),
        (412, "PreconditionFailed", errors.PreconditionFailed),
        (416, "InvalidRange", errors.InvalidRange),
        (416, "InvalidPartNumber", errors.InvalidPartNumber),
        (503, "SlowDown", errors.SlowDown),
        (503, "SlowDownRead", errors.SlowDown),
        (429, "TooManyRequests", errors.Throttled),
        (429, "Anything", errors.Throttled),
        (503, "ServiceUnavailable", errors.ServiceUnavailable),
        (503, "XMinioServerNotInitialized", errors.ServiceUnavailable),
        (500, "InternalFailure", errors.InternalError),
        (501, "NotImplemented", errors.NotImplemented),
        (301, "PermanentRedirect", ServiceError),
        # class names that are not error codes
        (404, "ServiceError", errors.NotFound),
        (404, "WrongRegion", errors.NotFound),
        (404, "PresignedUrlExpired", errors.NotFound),
        (404, "S3Error", errors.NotFound),
        (404, "ConfigurationError", errors.NotFound),
    ],
)
def test_class_follows_the_code_and_for_an_unknown_code_the_status(
    status: int, code: str, cls: type[ServiceError]
) -> None:
    error = parse(status, xml(code))
    assert type(error) is cls
    assert error.code == code


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (304, errors.NotModified),
        (302, ServiceError),
        (400, errors.BadRequest),
        (401, errors.AccessDenied),
        (403, errors.AccessDenied),
        (405, errors.MethodNotAllowed),
        (408, errors.RequestTimeout),
        (409, errors.BadRequest),
        (412, errors.PreconditionFailed),
        (416, errors.InvalidRange),
        (429, errors.Throttled),
        (500, errors.InternalError),
        (501, errors.NotImplemented),
        (502, errors.ServerError),
        (503, errors.ServiceUnavailable),
        (504, errors.ServerError),
        (600, errors.ServerError),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_class_follows_the_status_without_a_code(
    method: str, status: int, cls: type[ServiceError]
) -> None:
    error = parse(status, method=method)
    assert type(error) is cls
    assert (error.code, error.message) == ("", "")


def test_head_404_is_no_such_key_or_no_such_version() -> None:
    assert type(parse(404, method="HEAD")) is errors.NoSuchKey
    assert type(parse(404, method="HEAD", version_id="v")) is errors.NoSuchVersion
    assert type(parse(404, b"<html>not here</html>")) is errors.NotFound


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("body", [b"", b"<html>not here</html>"])
def test_delete_marker_without_xml_body_is_no_such_key_for_get_and_head(
    method: str, body: bytes
) -> None:
    error = parse(404, body, ("x-amz-delete-marker", "true"), method=method)
    assert type(error) is errors.NoSuchKey
    assert str(error) == f"{method} {BUCKET}/{KEY}: Not Found (delete marker) [404]"


def test_delete_marker_with_xml_body_is_named_in_the_text() -> None:
    body = xml("NoSuchKey", "The specified key does not exist.")
    error = parse(404, body, ("x-amz-delete-marker", "true"))
    assert str(error).endswith("The specified key does not exist. (delete marker) [404]")
    assert "delete marker" not in str(parse(404, body))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_delete_marker_requested_by_version_is_method_not_allowed(method: str) -> None:
    error = parse(
        405,
        b"",
        ("x-amz-delete-marker", "true"),
        ("Last-Modified", "Sun, 01 Mar 2026 11:00:00 GMT"),
        method=method,
        version_id="v",
    )
    assert type(error) is errors.MethodNotAllowed
    assert (error.delete_marker, error.version_id) == (True, "v")
    assert error.last_modified == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert "delete marker" in str(error)


def test_not_modified_has_a_typed_last_modified() -> None:
    error = parse(304, b"", ("Last-Modified", "Sun, 01 Mar 2026 11:00:00 GMT"))
    assert type(error) is errors.NotModified
    assert error.last_modified == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert parse(304).last_modified is None


def test_repeated_header_fields_are_joined() -> None:
    error = parse(503, b"", ("x-amz-request-id", "A"), ("X-Amz-Request-Id", "B"))
    assert error.request_id == "A, B"
    assert parse(503, b"", ("Retry-After", "1"), ("Retry-After", "2")).retry_after is None


ILLEGAL_LOCATION = (
    "The {} location constraint is incompatible for the region specific endpoint"
    " this request was sent to."
)


@pytest.mark.parametrize(
    ("status", "body", "header", "method", "region"),
    [
        (301, xml("PermanentRedirect", Endpoint="b.s3.eu-west-1.amazonaws.com"), "", "GET",
         "eu-west-1"),
        (301, xml("PermanentRedirect", Endpoint="s3-us-west-2.amazonaws.com"), "", "GET",
         "us-west-2"),
        (301, xml("PermanentRedirect", Endpoint="b.s3.cn-north-1.amazonaws.com.cn"), "", "GET",
         "cn-north-1"),
        (301, xml("PermanentRedirect", Endpoint="b.s3-fips.dualstack.us-gov-west-1.amazonaws.com"),
         "", "GET", "us-gov-west-1"),
        (301, xml("PermanentRedirect", Endpoint="b.s3.amazonaws.com"), "eu-south-2", "GET",
         "eu-south-2"),
        (307, xml("TemporaryRedirect", Endpoint="b.s3-eu-west-1.amazonaws.com"), "", "GET",
         "eu-west-1"),
        (400, xml("AuthorizationHeaderMalformed", Region="eu-west-1"), "", "GET", "eu-west-1"),
        (400, xml("AuthorizationQueryParametersError", Region="eu-west-1"), "", "GET", "eu-west-1"),
        (400, xml("IllegalLocationConstraintException", ILLEGAL_LOCATION.format("af-south-1")),
         "", "GET", "af-south-1"),
        (400, xml("IllegalLocationConstraintException", ILLEGAL_LOCATION.format("unspecified")),
         "", "GET", "us-east-1"),
        (301, b"", "eu-west-1", "HEAD", "eu-west-1"),
        (307, b"", "eu-west-1", "HEAD", "eu-west-1"),
        (400, b"", "eu-west-1", "HEAD", "eu-west-1"),
    ],
)  # fmt: skip
def test_response_naming_another_region_is_wrong_region(
    status: int, body: bytes, header: str, method: str, region: str
) -> None:
    headers = [("x-amz-bucket-region", header)] if header else []
    error = parse(status, body, *headers, method=method, signed_region="us-east-2")
    assert type(error) is errors.WrongRegion
    assert error.region == region
    same = parse(status, body, *headers, method=method, signed_region=region)
    assert type(same) is not errors.WrongRegion
    assert same.region == region


@pytest.mark.parametrize(
    ("status", "body", "header"),
    [
        (301, xml("PermanentRedirect", Endpoint="evil.example/s3.eu-west-1.example.com"), ""),
        (301, xml("PermanentRedirect"), "eu-west-1.example.com"),
        (301, xml("PermanentRedirect"), "eu-west-1/x"),
        (301, xml("PermanentRedirect"), "-a"),
        (301, xml("PermanentRedirect"), "a" * 64),
        (400, xml("AuthorizationHeaderMalformed", Region="eu_west@evil"), ""),
        (400, xml("IllegalLocationConstraintException", "Not here."), ""),
        (400, xml("IllegalLocationConstraintException", "The us-west-2a location"), ""),
        (400, xml("IllegalLocationConstraintException", "aa-" * 40 + "a-1 location"), ""),
        (301, xml("PermanentRedirect", Endpoint=f"s3.{'aa-' * 40}a-1.amazonaws.com"), ""),
    ],
)
def test_invalid_region_name_is_ignored(status: int, body: bytes, header: str) -> None:
    error = parse(status, body, ("x-amz-bucket-region", header))
    assert type(error) is not errors.WrongRegion
    assert error.region is None


def test_region_of_another_error_is_an_attribute_and_not_wrong_region() -> None:
    for body, cls in (
        (xml("AccessDenied"), errors.AccessDenied),
        (b"", errors.AccessDenied),
        (xml("AuthorizationQueryParametersError"), errors.AuthorizationQueryParametersError),
    ):
        error = parse(403, body, ("x-amz-bucket-region", "eu-west-1"))
        assert type(error) is cls
        assert error.region == "eu-west-1"
    error = parse(400, b"", ("x-amz-bucket-region", "eu-west-1"))
    assert type(error) is errors.BadRequest


def test_archived_object_has_storage_class_and_access_tier() -> None:
    error = parse(
        403,
        xml("InvalidObjectState", "Archived.", StorageClass="INTELLIGENT_TIERING",
            AccessTier="ARCHIVE_ACCESS"),
    )  # fmt: skip
    assert type(error) is errors.InvalidObjectState
    assert (error.storage_class, error.access_tier) == ("INTELLIGENT_TIERING", "ARCHIVE_ACCESS")


@pytest.mark.parametrize(
    ("body", "headers", "size"),
    [
        (xml("InvalidRange", RangeRequested="bytes=9-", ActualObjectSize="5"), (), 5),
        (xml("InvalidRange", ActualObjectSize="0"), (("Content-Range", "bytes */7"),), 0),
        (b"", (("Content-Range", "bytes */7"),), 7),
        (xml("InvalidRange", ActualObjectSize="many"), (), None),
        (b"", (), None),
    ],
)
def test_invalid_range_has_the_object_size(
    body: bytes, headers: tuple[tuple[str, str], ...], size: int | None
) -> None:
    error = parse(416, body, *headers)
    assert type(error) is errors.InvalidRange
    assert error.actual_object_size == size


def test_server_time_of_the_body_precedes_the_date_header() -> None:
    body = xml("RequestTimeTooSkewed", ServerTime="2026-03-01T12:00:05Z")
    error = parse(403, body, ("Date", "Sun, 01 Mar 2026 12:00:09 GMT"))
    assert error.server_time == datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "code", "message", "cls"),
    [
        (403, "AccessDenied", "Request has expired", errors.PresignedUrlExpired),
        (400, "AccessDenied", "Request has expired.", errors.PresignedUrlExpired),
        (403, "AccessDenied", "The request is expired", errors.PresignedUrlExpired),
        (403, "ExpiredRequest", "Request expired", errors.PresignedUrlExpired),
        (403, "AccessDenied", "Access Denied", errors.AccessDenied),
        (403, "AccessDenied", "", errors.AccessDenied),
        (400, "ExpiredToken", "The provided token has expired.", errors.ExpiredToken),
        (403, "SignatureDoesNotMatch", "Request has expired", errors.SignatureDoesNotMatch),
    ],
)
def test_expired_link_is_distinguished_from_access_denied(
    status: int, code: str, message: str, cls: type[ServiceError]
) -> None:
    error = parse(status, xml(code, message))
    assert type(error) is cls
    assert error.code == code


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:15 GMT",
          "Date": "Sun, 01 Mar 2026 12:00:05 GMT"}, 10.0),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:05 GMT",
          "Date": "Sun, 01 Mar 2026 12:00:15 GMT"}, 0.0),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:15 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1e999"}, None),
        ({"Retry-After": "soon", "Date": "Sun, 01 Mar 2026 12:00:05 GMT"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_retry_after_in_seconds_or_as_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert parse(503, b"", *headers.items()).retry_after == seconds


def test_secrets_in_the_body_are_not_kept() -> None:
    secret = "x-amz-security-token:FwoGZXIvYXdzEXAMPLE"
    error = parse(
        403,
        xml(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match.",
            AWSAccessKeyId="AKIAIOSFODNN7EXAMPLE",
            StringToSign=secret,
            StringToSignBytes=secret,
            SignatureProvided=secret,
            CanonicalRequest=secret,
            CanonicalRequestBytes=secret,
            **{"Token-0": secret},
        ),
    )
    assert error.details.fields == {"AWSAccessKeyId": "AKIAIOSFODNN7EXAMPLE"}
    assert b"EXAMPLEKEY" not in pickle.dumps(error)
    assert secret.encode() not in pickle.dumps(error)


@pytest.mark.parametrize(
    ("argument", "kept"),
    [
        ("x-amz-server-side-encryption-customer-key", False),
        ("Authorization", False),
        ("X-Amz-Security-Token", False),
        ("partNumber", True),
    ],
)
def test_secret_argument_is_kept_without_its_value(argument: str, kept: bool) -> None:
    error = parse(400, xml("InvalidArgument", ArgumentName=argument, ArgumentValue="value"))
    assert type(error) is errors.InvalidArgument
    assert error.details.fields["ArgumentName"] == argument
    assert ("ArgumentValue" in error.details.fields) is kept


def test_body_is_parsed_up_to_max_error_body() -> None:
    padding = b" " * error_response.MAX_ERROR_BODY
    assert parse(404, padding + xml("NoSuchBucket")).code == ""
    assert parse(404, xml("NoSuchBucket") + padding).code == "NoSuchBucket"


def test_control_characters_do_not_reach_the_text() -> None:
    error = parse(403, b'{"Code": "A\\u001b[2J", "Message": "x\\r\\ny"}', ("x-amz-id-2", "\udcff"))
    assert str(error).isprintable()
    assert error.host_id == "ÿ"


texts = st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))
heads = st.dictionaries(
    st.sampled_from(
        ["Date", "Retry-After", "x-amz-bucket-region", "x-amz-request-id", "x-amz-id-2",
         "Content-Range", "x-amz-delete-marker", "x-amz-version-id"]
    ),
    texts,
)  # fmt: skip
documents = st.dictionaries(
    st.sampled_from(["Code", "Message", "Region", "Endpoint", "ServerTime", "ActualObjectSize"]),
    st.sampled_from([cls.__name__ for cls in ServiceError.__subclasses__()])
    | st.text("eu-west1.amazonaws/:\x1bé&;", max_size=30),
).map(lambda fields: "".join(f"<{n}>{text}</{n}>" for n, text in fields.items()).encode())


@given(
    st.integers(0, 999),
    heads,
    st.binary() | documents.map(lambda inner: b"<Error>" + inner),
    st.sampled_from(["GET", "HEAD"]),
    st.none() | st.text(),
)
def test_any_response_gives_a_service_error(
    status: int, headers: dict[str, str], body: bytes, method: str, version_id: str | None
) -> None:
    error = parse(status, body, *headers.items(), method=method, version_id=version_id)
    assert isinstance(error, ServiceError)
    assert error.status == status
    assert str(error).encode()
    assert error.region is None or error.region.replace("-", "").isalnum()
    assert type(error) is not errors.WrongRegion or error.region
    assert type(pickle.loads(pickle.dumps(error))) is type(error)

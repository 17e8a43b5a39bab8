import ast
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import AUTH_TYPE_MAPS

import aios3get.testing
from aios3get.testing import S3Server, ServerCredentials
from tests.testing_client import BUCKET, KEY, PATH, boto, call, presign, send, sign

ASYMMETRIC, ASYMMETRIC_QUERY = AUTH_TYPE_MAPS["s3v4a"], AUTH_TYPE_MAPS["s3v4a-query"]


TOKEN = "an-example-session-token"


@pytest.fixture
def server(server: S3Server) -> S3Server:
    server.put_object(BUCKET, KEY, b"picture")
    return server


def temporary(expires_at: datetime | None = None) -> ServerCredentials:
    return ServerCredentials("ASIAIOSFODNN7EXAMPLE", "secret/example", TOKEN, expires_at)


def test_testing_server_runs_without_client_code() -> None:
    sources = [*Path(aios3get.testing.__file__).parent.glob("*.py")]
    imported: set[str] = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "relative imports would pass unseen"
                imported.add(node.module or "")
    assert len(sources) > 10
    foreign = {
        name
        for name in imported
        if name.partition(".")[0] == "aios3get" and not name.startswith("aios3get.testing")
    }
    # A value class; nothing that signs, encodes, resolves or parses.
    assert foreign == {"aios3get._protocol.identity"}


def test_signed_header_is_accepted_and_recorded(server: S3Server) -> None:
    assert call(server).body == b"picture"
    noted = server.requests[-1]
    assert (noted.auth, noted.access_key_id) == ("header", server.credentials.access_key_id)
    assert (noted.signing_service, noted.signing_region) == ("s3", "us-east-1")
    assert (noted.bucket, noted.key, noted.status, noted.bytes_sent) == (BUCKET, KEY, 200, 7)


def test_presigned_url_is_accepted_and_recorded(server: S3Server) -> None:
    assert send(server, presign(server)).body == b"picture"
    assert server.requests[-1].auth == "query"


def test_repr_of_a_request_shows_no_signature(server: S3Server) -> None:
    send(server, presign(server))
    assert "Signature" not in repr(server.requests[-1])


@pytest.mark.parametrize(
    "path",
    [
        "/a%20b",
        "/a%2Bb",
        "/x//y/",
        "/./../..",
        "/%C3%A9%F0%9F%98%80",
        "/%25%3F%23%26%3D%3A%40~",
        "/%28%29",
        "/q?versionId=null&partNumber=1",
    ],
)
def test_botocore_signature_of_an_unusual_path_is_accepted(server: S3Server, path: str) -> None:
    reply = call(server, f"/{BUCKET}{path}")
    assert reply.code.startswith("NoSuch")


@pytest.mark.parametrize("path", ["/!*'()", "/a+b", "/%7E", "/%2Fx"])
def test_path_signed_in_another_encoding_is_refused(server: S3Server, path: str) -> None:
    assert call(server, f"/{BUCKET}{path}").code == "SignatureDoesNotMatch"


def test_plus_in_the_path_is_a_space(server: S3Server) -> None:
    server.create_bucket("public", public=True)
    server.put_object("public", "a b", b"spaced")
    assert send(server, "/public/a+b").body == b"spaced"


def test_path_that_is_not_utf8_is_refused(server: S3Server) -> None:
    assert send(server, f"/{BUCKET}/%FF").code == "InvalidURI"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda h: h.pop("X-Amz-Content-SHA256"), 400, "InvalidRequest"),
        (lambda h: h.update({"X-Amz-Content-SHA256": "abc"}), 400, "InvalidArgument"),
        (lambda h: h.update({"X-Amz-Content-SHA256": "0" * 64}), 403, "SignatureDoesNotMatch"),
        (lambda h: h.update({"X-Amz-Request-Payer": "requester"}), 403, "AccessDenied"),
        (lambda h: h.pop("X-Amz-Date"), 403, "AccessDenied"),
        (lambda h: h.update({"X-Amz-Date": "yesterday"}), 403, "AccessDenied"),
        (
            lambda h: h.update(Date="Fri, 31 Dec 9999 23:59:59 -0100") or h.pop("X-Amz-Date"),
            403,
            "AccessDenied",
        ),
        (lambda h: h.update(Authorization="Basic abc"), 400, "InvalidArgument"),
        (lambda h: h.update(Authorization="AWS abc:def"), 400, "InvalidRequest"),
        (
            lambda h: h.update(Authorization=h["Authorization"].replace("/aws4_request", "")),
            400,
            "AuthorizationHeaderMalformed",
        ),
        (
            lambda h: h.update(
                Authorization=h["Authorization"].replace("Credential=AKIA", "Credential=AKIB")
            ),
            403,
            "InvalidAccessKeyId",
        ),
        (
            lambda h: h.update(Authorization=h["Authorization"].replace("host;", "")),
            403,
            "AccessDenied",
        ),
        (lambda h: h.pop("Authorization"), 403, "AccessDenied"),
        (lambda h: h.update({"X-Amz-Security-Token": TOKEN}), 400, "InvalidToken"),
        (lambda h: h.update({"X-Amz-Security-Token": "\xff"}), 400, "InvalidToken"),
    ],
)
def test_changed_header_is_refused(
    server: S3Server, change: Callable[[dict[str, str]], object], status: int, code: str
) -> None:
    headers = sign(server)
    change(headers)
    reply = send(server, PATH, headers)
    assert (reply.status, reply.code) == (status, code)
    assert server.requests[-1].error_code == code


def test_unsigned_amz_header_is_named(server: S3Server) -> None:
    reply = send(server, presign(server), {"x-amz-checksum-mode": "ENABLED"})
    assert reply.error["HeadersNotSigned"] == "x-amz-checksum-mode"


def test_wrong_secret_is_refused_with_the_canonical_request(server: S3Server) -> None:
    wrong = ServerCredentials(server.credentials.access_key_id, "wrong")
    reply = call(server, credentials=wrong)
    assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")
    assert reply.error["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert reply.error["CanonicalRequest"].startswith(f"GET\n{PATH}\n")
    assert wrong.secret_access_key not in reply.body.decode().replace("is wrong", "")


def test_body_other_than_the_signed_one_is_refused(server: S3Server) -> None:
    headers = sign(server, method="PUT", body=b"one")
    reply = send(server, PATH, headers, method="PUT", body=b"two")
    assert reply.code == "XAmzContentSHA256Mismatch"


def test_header_and_query_signatures_at_once_are_refused(server: S3Server) -> None:
    path = presign(server)
    assert send(server, path, sign(server, path)).code == "InvalidArgument"


@pytest.mark.parametrize(("skew", "status"), [(899, 200), (-899, 200), (905, 403), (-905, 403)])
def test_clock_may_differ_by_fifteen_minutes(server: S3Server, skew: float, status: int) -> None:
    server.clock_skew = skew
    reply = call(server)
    assert reply.status == status
    if status == 403:
        assert reply.code == "RequestTimeTooSkewed"
        assert reply.error["MaxAllowedSkewMilliseconds"] == "900000"
        server_time = datetime.strptime(reply.error["ServerTime"], "%Y-%m-%dT%H:%M:%SZ")
        assert abs(server_time.replace(tzinfo=UTC) - server.now()) < timedelta(seconds=5)


def test_date_header_replaces_x_amz_date(server: S3Server) -> None:
    headers = sign(server, headers={"Date": "botocore sets it to its clock"})
    assert "X-Amz-Date" not in headers
    assert send(server, PATH, headers).status == 200
    server.clock_skew = 1000
    assert send(server, PATH, headers).code == "RequestTimeTooSkewed"


@pytest.mark.parametrize(
    ("skew", "message"),
    [(58, None), (65, "Request has expired"), (-905, "Request is not valid yet")],
)
def test_presigned_url_expires(server: S3Server, skew: float, message: str | None) -> None:
    path = presign(server)
    server.clock_skew = skew
    reply = send(server, path)
    assert (reply.status == 200) if message is None else (reply.error["Message"] == message)


@pytest.mark.parametrize(
    "expires",
    ["604801", "-1", "soon", "\u0666\u0660", "9" * 5000],
    ids=lambda text: ascii(text)[:9],
)
def test_invalid_expiry_is_refused(server: S3Server, expires: str) -> None:
    reply = send(server, presign(server, expires=expires))
    assert (reply.status, reply.code) == (400, "AuthorizationQueryParametersError")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Amz-Date=2", "X-Amz-Date=x"),
        ("&X-Amz-SignedHeaders=host", ""),
        ("X-Amz-Algorithm=AWS4", "X-Amz-Algorithm=AWS5"),
        ("%2Faws4_request", ""),
    ],
)
def test_incomplete_presigned_query_is_refused(server: S3Server, old: str, new: str) -> None:
    path = presign(server)
    assert old in path
    reply = send(server, path.replace(old, new))
    assert reply.code == "AuthorizationQueryParametersError"


def test_tampered_presigned_url_is_refused(server: S3Server) -> None:
    path = presign(server, PATH + "?versionId=null")
    assert send(server, path.replace("=null", "=other")).code == "SignatureDoesNotMatch"
    cut, _, _ = path.partition("Signature=")
    for other in ("", "%C3%BC", "%FF"):
        assert send(server, f"{cut}Signature={other}").code == "SignatureDoesNotMatch"


def test_signature_of_version_2_is_refused(server: S3Server) -> None:
    assert send(server, f"{PATH}?AWSAccessKeyId=a&Signature=b&Expires=1").code == "InvalidRequest"


def test_temporary_credentials_need_their_token_until_they_expire(server: S3Server) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=60)
    known = temporary(ends)
    server.add_credentials(known)
    assert call(server, credentials=known).status == 200
    assert send(server, presign(server, credentials=known)).status == 200
    without = ServerCredentials(known.access_key_id, known.secret_access_key)
    assert call(server, credentials=without).code == "InvalidAccessKeyId"
    other = ServerCredentials(known.access_key_id, known.secret_access_key, "other")
    assert call(server, credentials=other).code == "InvalidToken"
    server.clock_skew = 61
    reply = call(server, credentials=known)
    assert (reply.status, reply.code) == (400, "ExpiredToken")
    server.remove_credentials(known.access_key_id)
    assert call(server, credentials=known).code == "InvalidAccessKeyId"


@pytest.mark.parametrize("presigned", [False, True])
def test_scope_with_wrong_region_service_or_day_is_refused(
    server: S3Server, presigned: bool
) -> None:
    def send_scope(**scope: Any) -> Any:
        if presigned:
            return send(server, presign(server, **scope))
        return call(server, **scope)

    code = "AuthorizationQueryParametersError" if presigned else "AuthorizationHeaderMalformed"
    reply = send_scope(region="eu-west-1")
    assert (reply.status, reply.code, reply.error["Region"]) == (400, code, "us-east-1")
    reply = send_scope(service="ec2")
    assert (reply.status, reply.code) == (400, code)
    headers = sign(server)
    day = headers["X-Amz-Date"][:8]
    headers["Authorization"] = headers["Authorization"].replace(f"/{day}/", "/20130524/")
    assert send(server, PATH, headers).code == "AuthorizationHeaderMalformed"


@pytest.mark.parametrize("presigned", [False, True])
@pytest.mark.parametrize("region_set", ["*", "us-east-1"])
def test_signature_of_version_4a_is_accepted(
    server: S3Server, presigned: bool, region_set: str
) -> None:
    if presigned:
        path = presign(server, region=region_set, auth=ASYMMETRIC_QUERY)
        reply = send(server, path)
    else:
        reply = call(server, region=region_set, auth=ASYMMETRIC)
    assert reply.status == 200, reply.error
    assert server.requests[-1].signing_region == region_set


def test_wrong_signature_of_version_4a_is_refused(server: S3Server) -> None:
    wrong = ServerCredentials(server.credentials.access_key_id, "wrong")
    reply = call(server, credentials=wrong, region="*", auth=ASYMMETRIC)
    assert reply.code == "SignatureDoesNotMatch"
    reply = call(server, region="eu-west-1", auth=ASYMMETRIC)
    assert reply.code == "AuthorizationHeaderMalformed"
    headers = sign(server, region="*", auth=ASYMMETRIC)
    before, _, _ = headers["Authorization"].partition("Signature=")
    headers["Authorization"] = before + "Signature=abc"
    assert send(server, PATH, headers).code == "SignatureDoesNotMatch"


def test_botocore_with_temporary_credentials_is_served(server: S3Server) -> None:
    known = ServerCredentials.temporary(datetime.now(UTC) + timedelta(hours=1))
    server.add_credentials(known)
    client = boto(server, credentials=known)
    assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"picture"
    client.close()


MAY_2013 = datetime(2013, 5, 24, tzinfo=UTC)


SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"


EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def in_may_2013() -> Iterator[S3Server]:
    with S3Server.in_thread(clock=lambda: MAY_2013) as server:
        server.bucket("examplebucket")
        yield server


def test_published_example_of_a_signed_header_is_accepted(in_may_2013: S3Server) -> None:
    in_may_2013.put_object("examplebucket", "test.txt", b"Welcome to Amazon S3.")
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    headers = {
        "Host": "examplebucket.s3.amazonaws.com",
        "Range": "bytes=0-9",
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": "20130524T000000Z",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE},"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    }
    reply = send(in_may_2013, "/test.txt", headers)
    assert (reply.status, reply.body) == (206, b"Welcome to")
    assert reply.headers["Date"] == "Fri, 24 May 2013 00:00:00 GMT"


def test_published_example_of_a_presigned_url_is_accepted(in_may_2013: S3Server) -> None:
    in_may_2013.put_object("examplebucket", "test.txt", b"Welcome to Amazon S3.")
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    path = (
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={SCOPE.replace('/', '%2F')}&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    host = {"Host": "examplebucket.s3.amazonaws.com"}
    assert send(in_may_2013, path, host).status == 200
    in_may_2013.clock_skew = 86401
    assert send(in_may_2013, path, host).error["Expires"] == "2013-05-25T00:00:00Z"

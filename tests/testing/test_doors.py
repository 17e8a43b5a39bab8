import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import pytest
from botocore.auth import AUTH_TYPE_MAPS

from aios3get.testing import S3Server, ServerCredentials
from tests.testing_client import Reply, boto, call, presign, send, sign

DIRECTORY = "examplebucket--use1-az4--x-s3"
SESSION_TOKEN = "x-amz-s3session-token"


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    s3_server.put_object("examplebucket", "a/key", b"plain")
    s3_server.put_object("dotted.example.bucket", "a/key", b"dotted")
    s3_server.put_object(DIRECTORY, "a/key", b"express")
    return s3_server


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("127.0.0.1:9000", "/examplebucket/a/key"),
        ("[::1]:9000", "/examplebucket/a/key"),
        ("localhost", "/examplebucket/a/key"),
        ("storage.example.com", "/examplebucket/a/key"),
        ("examplebucket.localhost:9000", "/a/key"),
        ("examplebucket.storage.example.com", "/a/key"),
        ("dotted.example.bucket.storage.example.com", "/a/key"),
        ("examplebucket.s3.us-east-1.amazonaws.com", "/a/key"),
        ("EXAMPLEBUCKET.s3.us-east-1.amazonaws.com", "/a/key"),
        ("dotted.example.bucket.s3.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3.dualstack.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3-fips.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3-fips.dualstack.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3-accelerate.amazonaws.com", "/a/key"),
        ("examplebucket.s3-accelerate.dualstack.amazonaws.com", "/a/key"),
        ("examplebucket.s3.amazonaws.com", "/a/key"),
        ("examplebucket.s3-external-1.amazonaws.com", "/a/key"),
        ("s3.us-east-1.amazonaws.com", "/examplebucket/a/key"),
        ("s3.amazonaws.com", "/examplebucket/a/key"),
        ("s3.us-east-1.amazonaws.com:443", "/dotted.example.bucket/a/key"),
    ],
)
def test_hosts_of_buckets(server: S3Server, host: str, path: str) -> None:
    reply = call(server, path, host=host)
    assert reply.status == 200, reply.error
    assert reply.body in (b"plain", b"dotted")
    assert server.requests[-1].key == "a/key"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "examplebucket.s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "examplebucket.s3-fips.us-gov-west-1.amazonaws.com"),
        ("us-iso-east-1", "examplebucket.s3.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "examplebucket.s3.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "examplebucket.s3.eu-isoe-west-1.cloud.adc-e.uk"),
        ("us-isof-south-1", "examplebucket.s3.us-isof-south-1.csp.hci.ic.gov"),
        ("eusc-de-east-1", "examplebucket.s3.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_hosts_of_other_partitions(region: str, host: str) -> None:
    with S3Server.in_thread(region=region) as server:
        server.put_object("examplebucket", "k", b"x")
        assert call(server, "/k", host=host, region=region).body == b"x"


@pytest.mark.parametrize(
    ("name", "service", "host"),
    [
        ("myendpoint-123456789012", "s3", "s3-accesspoint.us-east-1"),
        ("myendpoint-123456789012", "s3", "s3-accesspoint-fips.dualstack.us-east-1"),
        ("myendpoint-abc123-s3alias", "s3", "s3.us-east-1"),
        ("mylambda-123456789012", "s3-object-lambda", "s3-object-lambda.us-east-1"),
        ("myendpoint-123456789012", "s3-outposts", "op-01234567890123456.s3-outposts.us-east-1"),
        ("test-accessp-o0b1d--op-s3", "s3-outposts", "ec2.s3-outposts.us-east-1"),
    ],
)
def test_hosts_of_access_points(server: S3Server, name: str, service: str, host: str) -> None:
    server.add_access_point(name, "examplebucket", service=service)
    host = f"{name}.{host}.amazonaws.com"
    assert call(server, "/a/key", host=host, service=service).body == b"plain"
    assert server.requests[-1].bucket == "examplebucket"
    reply = call(server, "/a/key", host=host, service="ec2")
    assert (reply.status, reply.code) == (400, "AuthorizationHeaderMalformed")
    assert f'belongs to "{service}"' in reply.error["Message"]


def test_an_access_point_before_a_host_of_ones_own(server: S3Server) -> None:
    server.add_access_point("mylambda-123456789012", "examplebucket", service="s3-object-lambda")
    host = "mylambda-123456789012.lambda.example.com"
    assert call(server, "/a/key", host=host, service="s3-object-lambda").status == 200


def test_an_unknown_access_point(server: S3Server) -> None:
    host = "nowhere-123456789012.s3-accesspoint.us-east-1.amazonaws.com"
    reply = call(server, "/a/key", host=host)
    assert (reply.status, reply.code) == (404, "NoSuchAccessPoint")


def test_multi_region_access_points_want_version_4a(server: S3Server) -> None:
    server.add_access_point("abc123.mrap", "examplebucket")
    host = "abc123.mrap.accesspoint.s3-global.amazonaws.com"
    options: dict[str, Any] = {"host": host, "region": "*", "auth": AUTH_TYPE_MAPS["s3v4a"]}
    assert call(server, "/a/key", **options).body == b"plain"
    options["host"] = host.replace("abc123", "nowhere")
    assert call(server, "/a/key", **options).code == "NoSuchMultiRegionAccessPoint"
    reply = call(server, "/a/key", host=host)
    assert (reply.status, reply.code) == (400, "InvalidRequest")
    path = presign(server, "/a/key", host=host, region="*", auth=AUTH_TYPE_MAPS["s3v4a-query"])
    assert send(server, path, {"Host": host}).body == b"plain"


HERE, THERE = "us-east-1", "eu-west-1"


@pytest.mark.parametrize(
    ("host", "region", "expected"),
    [
        ("127.0.0.1", HERE, "301"),
        ("127.0.0.1", THERE, "200"),
        ("127.0.0.1", "us-west-2", "301"),
        ("examplebucket2.s3.us-east-1.amazonaws.com", HERE, "301"),
        ("examplebucket2.s3.us-east-1.amazonaws.com", THERE, "301"),
        ("examplebucket2.s3.eu-west-1.amazonaws.com", THERE, "200"),
        ("examplebucket2.s3.eu-west-1.amazonaws.com", HERE, "400"),
        ("examplebucket2.s3.amazonaws.com", HERE, "301"),
        ("examplebucket2.s3-accelerate.amazonaws.com", THERE, "200"),
    ],
)
def test_a_bucket_of_another_region(
    server: S3Server, host: str, region: str, expected: str
) -> None:
    server.create_bucket("examplebucket2", region=THERE)
    server.put_object("examplebucket2", "k", b"x")
    path = "/k" if host.startswith("examplebucket2") else "/examplebucket2/k"
    reply = call(server, path, host=host, region=region)
    assert str(reply.status) == expected
    head = call(server, path, host=host, region=region, method="HEAD")
    assert (str(head.status), head.body) == (expected, b"")
    if expected == "301":
        assert reply.code == "PermanentRedirect"
        assert reply.error["Endpoint"] == "examplebucket2.s3.eu-west-1.amazonaws.com"
        assert reply.headers["x-amz-bucket-region"] == THERE
        assert head.headers["x-amz-bucket-region"] == THERE
    if expected == "400":
        assert (reply.code, reply.error["Region"]) == ("AuthorizationHeaderMalformed", THERE)


def test_a_bucket_of_another_region_can_be_answered_in_other_ways() -> None:
    for elsewhere, status in (("307", 307), ("400", 400)):
        options: Any = {"wrong_region_response": elsewhere}
        with S3Server.in_thread(**options) as server:
            server.create_bucket("examplebucket2", region=THERE, public=True)
            server.put_object("examplebucket2", "k", b"x")
            reply = call(server, "/examplebucket2/k")
            assert reply.status == status
            if status == 307:
                location = "https://examplebucket2.s3.eu-west-1.amazonaws.com/"
                assert reply.headers["Location"] == location
            assert send(server, "/examplebucket2/k").status == 200
            head = call(server, "/examplebucket2/k", method="HEAD")
            assert (head.status, "x-amz-bucket-region" in head.headers) == (status, status == 307)
            bucket = call(server, "/examplebucket2", method="HEAD")
            assert (bucket.status, bucket.headers["x-amz-bucket-region"]) == (status, THERE)
            host = {"Host": "examplebucket2.s3.us-east-1.amazonaws.com"}
            assert send(server, "/k", host).status == (307 if status == 307 else 301)


def test_botocore_finds_the_region_of_a_head_that_tells_none() -> None:
    with S3Server.in_thread(wrong_region_response="400") as server:
        server.create_bucket("examplebucket2", region=THERE)
        server.put_object("examplebucket2", "k", b"x")
        client = boto(server)
        assert client.head_object(Bucket="examplebucket2", Key="k")["ContentLength"] == 1
        client.close()
    told = [(r.method, r.key, r.status, r.signing_region) for r in server.requests]
    assert told[0] == ("HEAD", "k", 400, HERE)
    assert ("HEAD", None, 400, HERE) in told
    assert told[-1] == ("HEAD", "k", 200, THERE)


def create_session(server: S3Server, host: str, **options: Any) -> Reply:
    return call(server, "/?session", host=host, service="s3express", **options)


def session_of(reply: Reply) -> ServerCredentials:
    namespace = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    told = {each.tag.removeprefix(namespace): each.text or "" for each in fromstring(reply.body)[0]}
    assert told.keys() == {"SessionToken", "SecretAccessKey", "AccessKeyId", "Expiration"}
    return ServerCredentials(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])


def with_session(
    server: S3Server, host: str, session: ServerCredentials, token: str | None = None
) -> Reply:
    keys = ServerCredentials(session.access_key_id, session.secret_access_key)
    headers = {SESSION_TOKEN: token or session.session_token or ""}
    return call(server, "/a/key", host=host, service="s3express", credentials=keys, headers=headers)


@pytest.mark.parametrize(
    "zone", ["s3express-use1-az4", "s3express-fips-use1-az4", "s3express-use1-az4.dualstack"]
)
def test_directory_buckets_have_sessions(server: S3Server, zone: str) -> None:
    host = f"{DIRECTORY}.{zone}.us-east-1.amazonaws.com"
    session = session_of(create_session(server, host))
    assert with_session(server, host, session).body == b"express"
    assert with_session(server, host, session, "other").code == "InvalidToken"
    stray = {SESSION_TOKEN: "x"}
    reply = call(server, "/a/key", host=host, service="s3express", headers=stray)
    assert reply.code == "InvalidToken"


def test_sessions_end(server: S3Server) -> None:
    host = f"{DIRECTORY}.s3express-use1-az4.us-east-1.amazonaws.com"
    assert server.session_lifetime == timedelta(minutes=5)
    server.session_lifetime = timedelta(seconds=30)
    session = session_of(create_session(server, host))
    server.clock_skew = 31
    assert with_session(server, host, session).code == "ExpiredToken"
    session = session_of(create_session(server, host))
    assert with_session(server, host, session).status == 200
    server.expire_sessions()
    assert with_session(server, host, session).code == "ExpiredToken"
    assert call(server, "/examplebucket/a/key").status == 200


def test_a_session_is_for_its_bucket(server: S3Server) -> None:
    other = "otherbucket--use1-az4--x-s3"
    server.put_object(other, "a/key", b"other")
    host = "{}.s3express-use1-az4.us-east-1.amazonaws.com"
    session = session_of(create_session(server, host.format(DIRECTORY)))
    reply = with_session(server, host.format(other), session)
    assert (reply.status, reply.code) == (403, "AccessDenied")


def test_a_session_cannot_beget_another(server: S3Server) -> None:
    host = f"{DIRECTORY}.s3express-use1-az4.us-east-1.amazonaws.com"
    session = session_of(create_session(server, host))
    keys = ServerCredentials(session.access_key_id, session.secret_access_key)
    headers = {SESSION_TOKEN: session.session_token or ""}
    reply = create_session(server, host, credentials=keys, headers=headers)
    assert (reply.status, reply.code) == (403, "AccessDenied")


def test_directory_buckets_on_a_host_of_ones_own(server: S3Server) -> None:
    path = f"/{DIRECTORY}/a/key"
    assert call(server, path, service="s3express").body == b"express"
    assert call(server, path, service="s3").code == "AuthorizationHeaderMalformed"
    assert call(server, f"{path}?versionId=x", service="s3express").code == "InvalidArgument"


IAM = "/identity/token"
GRANT = "urn:ibm:params:oauth:grant-type:apikey"


def test_bearer_tokens_of_ibm(server: S3Server) -> None:
    server.add_api_key("an-example-api-key")
    form = urlencode({"grant_type": GRANT, "apikey": "an-example-api-key"}).encode()
    reply = send(server, IAM, method="POST", body=form)
    assert reply.status == 200
    told: Any = json.loads(reply.body)
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 3600)
    bearer = {"Authorization": f"Bearer {told['access_token']}"}
    assert send(server, "/examplebucket/a/key", bearer).body == b"plain"
    assert server.requests[-1].auth == "bearer"
    path = "/examplebucket/new"
    assert send(server, path, bearer, method="PUT", body=b"new").status == 200
    assert call(server, path).body == b"new"
    server.clock_skew = 3601
    assert send(server, "/examplebucket/a/key", bearer).code == "AccessDenied"


@pytest.mark.parametrize(
    "form", [{"grant_type": GRANT, "apikey": "wrong"}, {"grant_type": "password"}, {}]
)
def test_other_api_keys_get_no_token(server: S3Server, form: dict[str, str]) -> None:
    reply = send(server, IAM, method="POST", body=urlencode(form).encode())
    assert (reply.status, b"BXNIM0415E" in reply.body) == (400, True)


def test_a_form_that_is_no_text_gets_no_token(server: S3Server) -> None:
    reply = send(server, IAM, method="POST", body=b"apikey=\xff&\xff\xff")
    assert (reply.status, b"BXNIM0415E" in reply.body) == (400, True)


def test_the_absolute_form_of_proxies_is_understood(server: S3Server) -> None:
    path = "/examplebucket/a/key"
    headers = sign(server, path)
    assert send(server, f"{server.endpoint_url}{path}", headers).body == b"plain"

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import pytest

from aios3get.testing import S3Server, ServerCredentials
from tests.testing_client import Reply, call, send

DIRECTORY = "examplebucket--use1-az4--x-s3"
SESSION_TOKEN = "x-amz-s3session-token"


@pytest.fixture
def server(server: S3Server) -> S3Server:
    server.put_object("examplebucket", "a/key", b"plain")
    server.put_object("dotted.example.bucket", "a/key", b"dotted")
    server.put_object(DIRECTORY, "a/key", b"express")
    return server


def create_session(server: S3Server, host: str, **options: Any) -> Reply:
    return call(server, "/?session", host=host, service="s3express", **options)


def session_of(reply: Reply) -> ServerCredentials:
    namespace = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    elements = fromstring(reply.body)[0]
    fields = {each.tag.removeprefix(namespace): each.text or "" for each in elements}
    assert fields.keys() == {"SessionToken", "SecretAccessKey", "AccessKeyId", "Expiration"}
    return ServerCredentials(
        fields["AccessKeyId"], fields["SecretAccessKey"], fields["SessionToken"]
    )


def with_session(
    server: S3Server, host: str, session: ServerCredentials, token: str | None = None
) -> Reply:
    keys = ServerCredentials(session.access_key_id, session.secret_access_key)
    headers = {SESSION_TOKEN: token or session.session_token or ""}
    return call(server, "/a/key", host=host, service="s3express", credentials=keys, headers=headers)


@pytest.mark.parametrize(
    "zone", ["s3express-use1-az4", "s3express-fips-use1-az4", "s3express-use1-az4.dualstack"]
)
def test_session_of_a_directory_bucket_is_accepted(server: S3Server, zone: str) -> None:
    host = f"{DIRECTORY}.{zone}.us-east-1.amazonaws.com"
    session = session_of(create_session(server, host))
    assert with_session(server, host, session).body == b"express"
    assert with_session(server, host, session, "other").code == "InvalidToken"
    stray = {SESSION_TOKEN: "x"}
    reply = call(server, "/a/key", host=host, service="s3express", headers=stray)
    assert reply.code == "InvalidToken"


def test_session_expires(server: S3Server) -> None:
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


def test_session_of_another_bucket_is_denied(server: S3Server) -> None:
    other = "otherbucket--use1-az4--x-s3"
    server.put_object(other, "a/key", b"other")
    host = "{}.s3express-use1-az4.us-east-1.amazonaws.com"
    session = session_of(create_session(server, host.format(DIRECTORY)))
    reply = with_session(server, host.format(other), session)
    assert (reply.status, reply.code) == (403, "AccessDenied")


def test_session_cannot_create_a_session(server: S3Server) -> None:
    host = f"{DIRECTORY}.s3express-use1-az4.us-east-1.amazonaws.com"
    session = session_of(create_session(server, host))
    keys = ServerCredentials(session.access_key_id, session.secret_access_key)
    headers = {SESSION_TOKEN: session.session_token or ""}
    reply = create_session(server, host, credentials=keys, headers=headers)
    assert (reply.status, reply.code) == (403, "AccessDenied")


IAM = "/identity/token"


GRANT = "urn:ibm:params:oauth:grant-type:apikey"


def test_bearer_token_of_ibm_is_issued_and_expires(server: S3Server) -> None:
    server.add_api_key("an-example-api-key")
    form = urlencode({"grant_type": GRANT, "apikey": "an-example-api-key"}).encode()
    reply = send(server, IAM, method="POST", body=form)
    assert reply.status == 200
    token: Any = json.loads(reply.body)
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert send(server, "/examplebucket/a/key", bearer).body == b"plain"
    assert server.requests[-1].auth == "bearer"
    server.clock_skew = 3601
    assert send(server, "/examplebucket/a/key", bearer).code == "AccessDenied"


@pytest.mark.parametrize(
    "form", [{"grant_type": GRANT, "apikey": "wrong"}, {"grant_type": "password"}, {}]
)
def test_unknown_api_key_is_refused(server: S3Server, form: dict[str, str]) -> None:
    reply = send(server, IAM, method="POST", body=urlencode(form).encode())
    assert (reply.status, b"BXNIM0415E" in reply.body) == (400, True)


def test_form_that_is_not_utf8_is_refused(server: S3Server) -> None:
    reply = send(server, IAM, method="POST", body=b"apikey=\xff&\xff\xff")
    assert (reply.status, b"BXNIM0415E" in reply.body) == (400, True)

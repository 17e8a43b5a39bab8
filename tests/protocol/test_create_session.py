from datetime import UTC, datetime

import pytest

from aios3get._protocol.create_session import parse_session, session_request
from aios3get._protocol.endpoints.resolver import EndpointResolver, EndpointSettings
from aios3get._protocol.identity import Credentials
from aios3get.errors import CredentialsError

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
BUCKET = "amzn-s3-demo-bucket--usw2-az1--x-s3"
RESPONSE = """<?xml version="1.0" encoding="UTF-8"?>
<CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>
<SessionToken>a&amp;b</SessionToken><SecretAccessKey>s/e+c</SecretAccessKey>
<AccessKeyId>ASIAEXAMPLE</AccessKeyId><Expiration>2013-05-24T00:05:00Z</Expiration>
</Credentials></CreateSessionResult>"""


def test_request_is_for_a_read_only_session() -> None:
    endpoint = EndpointResolver(EndpointSettings(region="us-west-2")).resolve_session(BUCKET)
    request = session_request(endpoint, EXAMPLE, 1369353600.0)
    assert request.method == "GET"
    assert request.url == f"https://{BUCKET}.s3express-usw2-az1.us-west-2.amazonaws.com/?session="
    assert request.headers["x-amz-create-session-mode"] == "ReadOnly"
    assert "/us-west-2/s3express/aws4_request" in request.headers["Authorization"]
    assert "x-amz-create-session-mode" in request.headers["Authorization"]


def test_response_is_parsed_as_credentials() -> None:
    expires = datetime(2013, 5, 24, 0, 5, tzinfo=UTC)
    assert parse_session(RESPONSE.encode()) == Credentials("ASIAEXAMPLE", "s/e+c", "a&b", expires)


@pytest.mark.parametrize(
    "element", ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "2013-05-24", "Z<"]
)
def test_response_without_an_element_is_a_credentials_error(element: str) -> None:
    with pytest.raises(CredentialsError, match="no valid session"):
        parse_session(RESPONSE.replace(element, "<" if element == "Z<" else "x").encode())


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"<html>", b"{}"])
def test_other_body_is_a_credentials_error(body: bytes) -> None:
    with pytest.raises(CredentialsError):
        parse_session(body)

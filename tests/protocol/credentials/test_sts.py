from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.credentials.sts import (
    clock_offset,
    is_expired_token,
    is_retryable,
    parse_credentials,
    signed_request,
    unsigned_request,
)
from aios3get._protocol.fetch import FetchedResponse
from aios3get._protocol.identity import Credentials
from aios3get.errors import CredentialsError

KEY_ID, SECRET = "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = Credentials(KEY_ID, SECRET, "the/session+token=")
NOW = datetime(2026, 7, 14, 12, 30, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/reader"
PARAMETERS = {"Action": "AssumeRole", "RoleArn": ROLE, "RoleSessionName": "a b=c"}
ORIGIN = "the response from sts.amazonaws.com"


def element(name: str, text: str | None) -> str:
    return "" if text is None else f"<{name}>{text}</{name}>"


def granted(**changed: str | None) -> FetchedResponse:
    elements = {
        "AccessKeyId": KEY_ID,
        "SecretAccessKey": SECRET,
        "SessionToken": "token",
        "Expiration": "2026-07-14T13:30:00Z",
    } | changed
    inner = "".join(element(name, text) for name, text in elements.items())
    body = f"<AssumeRoleResponse xmlns='x'><Result><Credentials>{inner}</Credentials></Result>"
    return FetchedResponse(200, body=f"{body}</AssumeRoleResponse>".encode())


def refused(status: int, code: str, message: str = "", date: str = "") -> FetchedResponse:
    error = element("Code", code) + element("Message", message)
    body = f"<ErrorResponse><Error>{error}</Error><RequestId>c6104cbe</RequestId></ErrorResponse>"
    headers = CIMultiDictProxy(CIMultiDict({"Date": date} if date else {}))
    return FetchedResponse(status, headers, body.encode())


@pytest.mark.parametrize(
    "url", ["https://sts.eu-west-1.amazonaws.com", "http://localhost:4566", "http://localhost:1/x"]
)
@pytest.mark.parametrize("keys", [KEYS, Credentials(KEY_ID, SECRET)])
def test_signature_is_that_of_botocore(
    url: str, keys: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = signed_request(url, "eu-west-1", keys, NOW.timestamp(), PARAMETERS)
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None)
    )
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in ("authorization", "x-amz-date", "x-amz-security-token", "host")
    }
    theirs = AWSRequest(request.method, request.url, headers, request.body)
    theirs.context["timestamp"] = "20260714T123000Z"
    signer = BotocoreCredentials(KEY_ID, SECRET, keys.session_token)
    SigV4Auth(signer, "sts", "eu-west-1").add_auth(theirs)
    assert request.headers["Authorization"] == theirs.headers["Authorization"]
    assert request.headers["x-amz-date"] == theirs.headers["X-Amz-Date"]
    assert request.headers.get("x-amz-security-token") == theirs.headers["X-Amz-Security-Token"]


def test_parameters_are_a_form_with_the_apis_version() -> None:
    for request in (
        signed_request("http://localhost", "us-east-1", KEYS, 0.0, PARAMETERS),
        unsigned_request("http://localhost", PARAMETERS),
    ):
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        assert form == PARAMETERS | {"Version": "2011-06-15"}
        assert request.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert "Authorization" not in request.headers


def test_credentials_of_the_role() -> None:
    expires_at = datetime(2026, 7, 14, 13, 30, tzinfo=UTC)
    assert parse_credentials(granted(), ORIGIN) == Credentials(KEY_ID, SECRET, "token", expires_at)


@pytest.mark.parametrize(
    "response",
    [
        *(granted(**{name: None}) for name in ("AccessKeyId", "SessionToken", "Expiration")),
        granted(SecretAccessKey=""),
        granted(Expiration="soon"),
        granted(AccessKeyId="a b"),
        FetchedResponse(200),
        FetchedResponse(200, body=b"\xff\xfe<html>"),
        FetchedResponse(200, body=b"<" * 100_000),
    ],
)
def test_incomplete_response_is_an_error_without_its_content(response: FetchedResponse) -> None:
    with pytest.raises(CredentialsError) as caught:
        parse_credentials(response, ORIGIN)
    assert str(caught.value) == f"{ORIGIN} has no complete credentials"
    assert not caught.value.retryable


def test_refusal_names_status_code_message_and_request() -> None:
    message = f"User: arn:aws:iam::123456789012:user/me is not authorized to assume {ROLE}"
    with pytest.raises(CredentialsError) as caught:
        parse_credentials(refused(403, "AccessDenied", message), ORIGIN)
    assert str(caught.value) == (
        f"{ORIGIN} has status 403: AccessDenied: {message} (request id c6104cbe)"
    )
    assert not caught.value.retryable


def test_refusal_hides_the_signed_request_that_some_services_quote() -> None:
    quoted = f"The Canonical String should have been 'POST / x-amz-security-token:{SECRET}'"
    with pytest.raises(CredentialsError) as caught:
        parse_credentials(refused(403, "SignatureDoesNotMatch", quoted), ORIGIN)
    assert "SignatureDoesNotMatch" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("response", "retryable"),
    [
        (granted(), False),
        (refused(403, "AccessDenied"), False),
        (refused(400, "Throttling"), True),
        (refused(400, "IDPCommunicationError"), True),
        (refused(429, ""), True),
        (refused(503, ""), True),
        (FetchedResponse(500, body=b"oops"), True),
    ],
)
def test_retryable_responses(response: FetchedResponse, retryable: bool) -> None:
    assert is_retryable(response) is retryable
    if response.status != 200:
        with pytest.raises(CredentialsError) as caught:
            parse_credentials(response, ORIGIN)
        assert caught.value.retryable is retryable


def test_expired_tokens() -> None:
    assert is_expired_token(refused(403, "ExpiredToken"))
    assert is_expired_token(refused(400, "ExpiredTokenException"))
    assert not is_expired_token(refused(403, "AccessDenied"))
    assert not is_expired_token(granted())


@pytest.mark.parametrize(
    ("code", "date", "offset"),
    [
        ("SignatureDoesNotMatch", "Tue, 14 Jul 2026 13:30:00 GMT", 3600.0),
        ("SignatureDoesNotMatch", "Tue, 14 Jul 2026 12:00:00 GMT", -1800.0),
        ("RequestExpired", "Tue, 14 Jul 2026 12:35:00 GMT", 300.0),
        ("SignatureDoesNotMatch", "Tue, 14 Jul 2026 12:31:00 GMT", None),
        ("SignatureDoesNotMatch", "", None),
        ("SignatureDoesNotMatch", "soon", None),
        ("AccessDenied", "Tue, 14 Jul 2026 13:30:00 GMT", None),
    ],
)
def test_clock_is_corrected_where_the_signature_was_refused_for_its_time(
    code: str, date: str, offset: float | None
) -> None:
    assert clock_offset(refused(403, code, date=date), NOW.timestamp()) == offset

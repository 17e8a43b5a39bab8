import json

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.credentials.failure import check_status, error_code, failure, no_response
from aios3get._protocol.fetch import FetchedResponse
from aios3get.errors import ConnectionFailed, CredentialsError, TransportError

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def response(status: int, body: object = b"", **headers: str) -> FetchedResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return FetchedResponse(status, CIMultiDictProxy(named), content)


def test_status_200_is_accepted() -> None:
    check_status(response(200), "the response")


@pytest.mark.parametrize("status", [201, 204, 302, 400, 500])
def test_other_statuses_are_not(status: int) -> None:
    with pytest.raises(CredentialsError, match=f"the response has status {status}$"):
        check_status(response(status), "the response")


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (401, False), (408, True), (429, True), (503, True)]
)
def test_temporary_failure_is_retryable(status: int, retryable: bool) -> None:
    assert failure(response(status), "it").retryable is retryable


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            response(401, {"message": "Session token not found"}, x_amzn_errortype="Unauthorized:"),
            "Unauthorized: Session token not found",
        ),
        (
            response(400, {"error": "invalid_grant", "error_description": "Invalid grant"}),
            "invalid_grant: Invalid grant",
        ),
        (
            response(403, {"__type": "com.amazon#Denied", "Message": "No access"}),
            "Denied: No access",
        ),
        (response(400, {"code": "AccessDenied", "message": ["odd"]}), "AccessDenied"),
        (response(400, {"code": 5}), ""),
        (response(400, b"plain\ntext"), "plain text"),
        (response(400, b"<html>"), ""),
        (response(400, b"[1]"), "[1]"),
        (response(400, b"{" * 100_000), ""),
        (response(400, f"rejected {SECRET}".encode()), "rejected ***"),
        (response(400, {"message": f"rejected {SECRET}"}), "rejected ***"),
    ],
)
def test_code_and_message_are_quoted_without_secrets(found: FetchedResponse, text: str) -> None:
    suffix = f": {text}" if text else ""
    assert str(failure(found, "it")) == f"it has status {found.status}{suffix}"


def test_code_of_a_response_without_one_is_empty() -> None:
    assert error_code(response(400, b"?")) == ""


@pytest.mark.parametrize("error", [ConnectionFailed("gone"), TransportError("too long")])
def test_missing_response_is_as_retryable_as_its_cause(error: TransportError) -> None:
    failed = no_response(error, "the service is set, but ")
    assert str(failed) == f"the service is set, but {error}"
    assert failed.retryable is error.retryable

"""Errors for unsuccessful responses of the services that provide credentials."""

import json
from collections.abc import Mapping
from typing import cast

from aios3get._protocol.credentials.redaction import redact
from aios3get._protocol.fetch import FetchedResponse
from aios3get.errors import CredentialsError, TransportError

__all__ = ["check_status", "credentials_error", "error_code", "failure", "no_response"]


def check_status(response: FetchedResponse, origin: str) -> None:
    """Raise unless the status is 200.

    Args:
        response: the response.
        origin: its name in errors, such as ``"the response from 169.254.169.254"``.

    Raises:
        CredentialsError: the status is another one; ``retryable`` for 408, 429 and server errors.
    """
    if response.status != 200:
        raise failure(response, origin)


def failure(response: FetchedResponse, origin: str) -> CredentialsError:
    """Return the error for an unsuccessful response, with its status and its redacted message."""
    reason = ": ".join(filter(None, map(redact, (error_code(response), _message(response)))))
    retryable = response.status in {408, 429} or response.status >= 500
    text = f"{origin} has status {response.status}{reason and f': {reason}'}"
    return credentials_error(text, retryable=retryable)


def error_code(response: FetchedResponse) -> str:
    """Return the service's error code; empty if the response has none."""
    # AWS's JSON services: a header, or a member that may have a namespace before a "#".
    # https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
    code = (
        _member(response, "error", "code")
        or response.headers.get("x-amzn-errortype")
        or _member(response, "__type")
    )
    return code.partition(":")[0].rpartition("#")[2].strip()


def _message(response: FetchedResponse) -> str:
    message = _member(response, "message", "error_description")
    if not message and not response.body.lstrip().startswith((b"{", b"<")):
        message = response.body.decode("utf-8", "replace")
    return message


def _member(response: FetchedResponse, *names: str) -> str:
    try:
        document: object = json.loads(response.body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    members = {
        str(name).lower(): value
        for name, value in cast("Mapping[object, object]", document).items()
    }
    return next((text for name in names if isinstance(text := members.get(name), str)), "")


def no_response(error: TransportError, subject: str = "") -> CredentialsError:
    """Return the error for a request without a response.

    Args:
        error: the transport's error.
        subject: the beginning of the message.
    """
    return credentials_error(f"{subject}{error}", retryable=error.retryable)


def credentials_error(message: str, *, retryable: bool) -> CredentialsError:
    """Return an error with ``retryable`` set."""
    error = CredentialsError(message)
    error.retryable = retryable
    return error

"""AssumeRole and AssumeRoleWithWebIdentity of AWS STS: requests and responses as values.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from aios3get._protocol.body_fields import parse_fields
from aios3get._protocol.credentials.redaction import redact
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.header_values import timestamp
from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing.sigv4 import (
    canonical_ending,
    canonical_headers,
    canonical_request,
    signer_for,
    string_to_sign,
)
from aios3get._protocol.signing.uri import encode_query
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = [
    "clock_offset",
    "is_expired_token",
    "is_retryable",
    "parse_credentials",
    "signed_request",
    "unsigned_request",
]

_VERSION: Final = {"Version": "2011-06-15"}
_CONTENT_TYPE: Final = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

_is_code = re.compile(r"[A-Za-z.]{1,64}").fullmatch

# The codes of botocore's standard retry mode, and STS's own for an unreachable identity provider.
_RETRYABLE_CODES: Final = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled"),
        *("RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded"),
        *("RequestTimeout", "RequestTimeoutException", "SlowDown", "IDPCommunicationError"),
    }
)
_RETRYABLE_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})

# https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
_CLOCK_CODES: Final = frozenset(
    {"SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed", "InvalidSignatureException"}
)
# SigV4 allows five minutes.
_ALLOWED_SKEW: Final = 240.0


def signed_request(
    url: str,
    region: str,
    credentials: Credentials,
    now: float,
    parameters: Mapping[str, str],
) -> FetchRequest:
    """Return a request with ``parameters``, signed with SigV4.

    Args:
        url: the endpoint's URL, without a trailing slash.
        region: the region to sign for.
        credentials: the credentials that assume the role.
        now: seconds since 1970 by the server's clock.
        parameters: ``Action`` and its arguments.
    """
    body = _form(parameters)
    parts = urlsplit(url)
    signer = signer_for(credentials, region, "sts", now)
    payload = sha256(body).hexdigest()
    own = {"host": parts.netloc, **signer.headers, "x-amz-content-sha256": payload}
    names, lines = canonical_headers(_CONTENT_TYPE, own)
    ending = canonical_ending(lines, names, payload)
    text = string_to_sign(signer, canonical_request("POST", f"{parts.path}/", "", ending))
    authorization = f"{signer.authorization}{names}, Signature={signer.signature(text)}"
    headers = {**_CONTENT_TYPE, **own, "Authorization": authorization}
    return FetchRequest("POST", f"{url}/", headers, body)


def unsigned_request(url: str, parameters: Mapping[str, str]) -> FetchRequest:
    """Return a request with ``parameters``, authenticated by a web identity's token only."""
    return FetchRequest("POST", f"{url}/", _CONTENT_TYPE, _form(parameters))


def _form(parameters: Mapping[str, str]) -> bytes:
    return encode_query((_VERSION | dict(parameters)).items()).encode()


def is_retryable(response: FetchedResponse) -> bool:
    """Whether the same request may succeed later."""
    return response.status in _RETRYABLE_STATUS or _code(response) in _RETRYABLE_CODES


def is_expired_token(response: FetchedResponse) -> bool:
    """Whether STS rejected the credentials or the identity token as expired."""
    return _code(response) in ("ExpiredToken", "ExpiredTokenException")


def clock_offset(response: FetchedResponse, now: float) -> float | None:
    """Return the seconds to add to the local clock if STS rejected the time of a signature.

    Args:
        response: the response to a signed request.
        now: the time of the signature, in seconds since 1970.
    """
    if response.status == 200 or _code(response) not in _CLOCK_CODES:
        return None
    server_time = timestamp(response.headers.get("Date", ""))
    offset = server_time.timestamp() - now if server_time else 0.0
    return offset if abs(offset) > _ALLOWED_SKEW else None


def parse_credentials(response: FetchedResponse, origin: str) -> Credentials:
    """Parse the credentials of the assumed role.

    Args:
        response: the response to either request.
        origin: the name of the response in errors, such as
            ``"the response from sts.amazonaws.com"``.

    Raises:
        CredentialsError: STS refused, or the response is incomplete.
    """
    if response.status != 200:
        raise _failure(response, origin)
    credentials = _credentials(response)
    if credentials is None:
        raise CredentialsError(f"{origin} has no complete credentials")
    return credentials


def _credentials(response: FetchedResponse) -> Credentials | None:
    # The body's elements are not locals of a frame that raises, because error reporters send those.
    elements = parse_fields(response.body)
    try:
        return Credentials(
            access_key_id=elements["AccessKeyId"],
            secret_access_key=elements["SecretAccessKey"],
            session_token=elements["SessionToken"],
            expires_at=_expiration(elements["Expiration"]),
        )
    except (KeyError, ConfigurationError):
        return None


def _expiration(text: str) -> datetime:
    moment = timestamp(text)
    if moment is None:
        raise ConfigurationError("Expiration is not a time")
    return moment


def _failure(response: FetchedResponse, origin: str) -> CredentialsError:
    elements = parse_fields(response.body)
    texts = [_code(response), redact(elements.get("Message", ""))]
    request_id = elements.get("RequestId")
    error = CredentialsError(
        ": ".join(filter(None, (f"{origin} has status {response.status}", *texts)))
        + (f" (request id {request_id})" if request_id else "")
    )
    error.retryable = is_retryable(response)
    return error


def _code(response: FetchedResponse) -> str:
    code = "" if response.status == 200 else parse_fields(response.body).get("Code", "")
    return code if _is_code(code) else ""

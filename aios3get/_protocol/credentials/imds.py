"""The EC2 Instance Metadata Service (IMDS): its settings, requests and responses.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from aios3get._protocol.credentials.document import Document
from aios3get._protocol.credentials.failure import check_status
from aios3get._protocol.credentials.redaction import redact
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import Credentials
from aios3get._protocol.shared_config import Profile
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = [
    "ImdsSettings",
    "extend_expired",
    "imds_settings",
    "parse_credentials",
    "parse_region",
    "parse_role_name",
    "parse_token",
    "region_request",
    "role_credentials_request",
    "role_name_request",
    "token_request",
]

_ENDPOINTS: Final = {"ipv4": "http://169.254.169.254", "ipv6": "http://[fd00:ec2::254]"}
_SECURITY_CREDENTIALS: Final = "/latest/meta-data/iam/security-credentials/"
# The longest lifetime of a token.
_TOKEN_SECONDS: Final = 21_600

# A refresh that begins this close to the expiry may not finish in time.
_NEARLY_EXPIRED: Final = timedelta(minutes=1)
_EXTENSION: Final = timedelta(minutes=5)

_is_count = re.compile(r"0*[1-9][0-9]*").fullmatch
_is_token = re.compile(r"[!-~]+").fullmatch
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html
_is_role_name = re.compile(r"[\w+=,.@-]+", re.ASCII).fullmatch
_is_region = re.compile(r"[a-z0-9-]+").fullmatch


@dataclass(frozen=True, slots=True)
class ImdsSettings:
    """The settings for requests to IMDS.

    Attributes:
        endpoint: the service's URL, without a trailing slash.
        is_disabled: whether ``AWS_EC2_METADATA_DISABLED`` is true.
        allows_v1: whether requests may be sent without a token if the service issues none.
        timeout: seconds for a connection, and for a response.
        attempts: the most attempts of a request.
    """

    endpoint: str
    is_disabled: bool
    allows_v1: bool
    timeout: float
    attempts: int

    @property
    def host(self) -> str:
        """The host of the service, for errors."""
        return urlsplit(self.endpoint).netloc


def imds_settings(environ: Mapping[str, str], profile: Profile) -> ImdsSettings:
    """Read the settings from the environment, else from the profile, else use the defaults.

    IMDSv1 is allowed only if ``AWS_EC2_METADATA_V1_DISABLED`` or ``ec2_metadata_v1_disabled`` is
    ``false``.

    Raises:
        ConfigurationError: a value is invalid.
    """

    def read(setting: str) -> tuple[str, str]:
        variable = f"AWS_{setting.upper()}"
        if value := environ.get(variable, "").strip():
            return value, f"environment variable {variable}"
        return profile.get(setting) or "", f"{setting} of the profile {profile.name!r}"

    mode, source = read("ec2_metadata_service_endpoint_mode")
    if not mode:
        mode = "ipv6" if read("imds_use_ipv6")[0].lower() == "true" else "ipv4"
    if mode.lower() not in _ENDPOINTS:
        raise ConfigurationError(f"{source} is {mode!r}; it must be IPv4 or IPv6")
    endpoint, source = read("ec2_metadata_service_endpoint")
    if endpoint and not _is_endpoint(endpoint):
        raise ConfigurationError(f"{source} must be a URL like http://169.254.169.254")
    timeout, source = read("metadata_service_timeout")
    if timeout and not _is_positive(timeout):
        raise ConfigurationError(f"{source} is {timeout!r}; it must be a number of seconds above 0")
    attempts, source = read("metadata_service_num_attempts")
    if attempts and not _is_count(attempts):
        raise ConfigurationError(f"{source} is {attempts!r}; it must be a whole number above 0")
    return ImdsSettings(
        endpoint=(endpoint or _ENDPOINTS[mode.lower()]).rstrip("/"),
        is_disabled=environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true",
        allows_v1=read("ec2_metadata_v1_disabled")[0].lower() == "false",
        timeout=float(timeout or 1),
        attempts=int(attempts or 2),
    )


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and not (parts.username or parts.password or parts.query or parts.fragment)
        and bool(_is_token(url))
    )


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def token_request(settings: ImdsSettings) -> FetchRequest:
    """Return the request for a session token of IMDSv2."""
    return FetchRequest(
        "PUT",
        f"{settings.endpoint}/latest/api/token",
        {"x-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)},
    )


def role_name_request(settings: ImdsSettings, token: str | None) -> FetchRequest:
    """Return the request for the name of the instance's role."""
    return _metadata_request(settings, _SECURITY_CREDENTIALS, token)


def role_credentials_request(settings: ImdsSettings, role: str, token: str | None) -> FetchRequest:
    """Return the request for the credentials of the instance's role."""
    return _metadata_request(settings, _SECURITY_CREDENTIALS + role, token)


def region_request(settings: ImdsSettings, token: str | None) -> FetchRequest:
    """Return the request for the instance's region."""
    return _metadata_request(settings, "/latest/meta-data/placement/region", token)


def _metadata_request(settings: ImdsSettings, path: str, token: str | None) -> FetchRequest:
    headers = {} if token is None else {"x-aws-ec2-metadata-token": token}
    return FetchRequest("GET", settings.endpoint + path, headers)


def parse_token(response: FetchedResponse, origin: str) -> str:
    """Parse the session token of a successful response.

    Args:
        response: the response to ``token_request``.
        origin: the name of the response in errors.

    Raises:
        CredentialsError: the status is not 200, or the body is not a token.
    """
    return _text(response, _is_token, f"{origin} to the token request")


def parse_role_name(response: FetchedResponse, origin: str) -> str:
    """Parse the role's name; arguments and errors as for ``parse_token``."""
    return _text(response, _is_role_name, f"{origin} to the request for the role's name")


def parse_region(response: FetchedResponse, origin: str) -> str:
    """Parse the region; arguments and errors as for ``parse_token``."""
    return _text(response, _is_region, f"{origin} to the request for the region")


def _text(response: FetchedResponse, is_valid: Callable[[str], object], origin: str) -> str:
    check_status(response, origin)
    text = response.body.decode("latin-1").strip()
    if not is_valid(text):
        # Error reporters send the locals of a frame that raises.
        del text
        raise CredentialsError(f"{origin} is not one of the Instance Metadata Service")
    return text


def parse_credentials(response: FetchedResponse, origin: str) -> Credentials:
    """Parse the credentials of the instance's role; arguments as for ``parse_token``.

    Raises:
        CredentialsError: the status is not 200, the service reports an error, or the body is
            malformed.
    """
    check_status(response, origin)
    document = Document.parse(response.body, origin)
    code = document.optional_text("Code") or "Success"
    if code != "Success":
        message = document.optional_text("Message") or ""
        raise CredentialsError(f"{origin} has the code {redact(code)}: {redact(message)}")
    token, expires_at = document.text("Token"), document.timestamp("Expiration")
    return document.credentials("AccessKeyId", "SecretAccessKey", token, expires_at)


def extend_expired(credentials: Credentials, now: datetime, jitter: float) -> Credentials | None:
    """Extend expired credentials by 5 to 10 minutes; return None if they have not expired.

    AWS accepts an instance's expired credentials while it cannot issue new ones, so they remain in
    use and the next refresh follows some minutes later.

    Args:
        credentials: the credentials that the service issued last.
        now: the current time.
        jitter: a number in [0, 1).
    """
    if credentials.expires_at is None or credentials.expires_at > now + _NEARLY_EXPIRED:
        return None
    return replace(credentials, expires_at=now + _EXTENSION * (1 + jitter))

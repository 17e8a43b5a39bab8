"""Credentials that the host of a container serves: Amazon ECS, EKS Pod Identity and others.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aios3get._protocol.credentials.document import Document
from aios3get._protocol.credentials.failure import check_status
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import Credentials
from aios3get.errors import ConfigurationError

__all__ = [
    "FULL_URI",
    "NO_TOKEN",
    "RELATIVE_URI",
    "ContainerSettings",
    "container_settings",
    "credentials_request",
    "is_token",
    "parse_credentials",
]

RELATIVE_URI: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL_URI: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

_ECS: Final = "http://169.254.170.2"
# The hosts of ECS and EKS, which may receive the authorization token without TLS, as loopback may.
_LINK_LOCAL: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})

_is_visible = re.compile(r"[!-~]+").fullmatch
# RFC 9110 section 5.5, without obs-text.
_is_header_value = re.compile(r"[!-~](?:[ -~\t]*[!-~])?").fullmatch


NO_TOKEN: Final = "contains no valid authorization token; remove a copied line break"


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """The URL of a container's credentials, and the authorization for it.

    Attributes:
        variable: the environment variable that has the URL.
        url: the full URL; its path and query may be a secret.
        token: the value of ``Authorization``, if there is one.
        token_file: a file with that value, if there is one.
    """

    variable: str
    url: str = field(repr=False)
    token: str | None = field(repr=False)
    token_file: str | None

    @property
    def host(self) -> str:
        """The URL's host, as errors name it."""
        return urlsplit(self.url).netloc


def container_settings(environ: Mapping[str, str]) -> ContainerSettings | None:
    """Read the settings from the environment; None if it has no URL. Empty variables are ignored.

    Raises:
        ConfigurationError: the URL is invalid, or the credentials would be sent over a network
            without encryption.
    """
    settings = _read_settings(environ)
    if settings is None:
        return None
    # The URL and the token are not kept in local variables, because error reporters send those.
    problem = _url_problem(settings.url, settings.variable)
    if problem is not None:
        raise ConfigurationError(f"environment variable {settings.variable} {problem}")
    if settings.token is not None and not is_token(settings.token):
        raise ConfigurationError(f"environment variable {_TOKEN} {NO_TOKEN}")
    return settings


def _read_settings(environ: Mapping[str, str]) -> ContainerSettings | None:
    token_file = environ.get(_TOKEN_FILE) or None
    token = None if token_file else environ.get(_TOKEN) or None
    if relative := environ.get(RELATIVE_URI):
        return ContainerSettings(RELATIVE_URI, f"{_ECS}{relative}", token, token_file)
    if full := environ.get(FULL_URI):
        return ContainerSettings(FULL_URI, full, token, token_file)
    return None


def _url_problem(url: str, variable: str) -> str | None:
    if variable == RELATIVE_URI and not url.startswith(f"{_ECS}/"):
        return "must start with a slash"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not host or parts.scheme not in {"http", "https"} or not _is_visible(url):
        return "is not an HTTP URL"
    if parts.username or parts.password:
        return "has a user name in its URL"
    if parts.scheme == "http" and not _is_local(host):
        return (
            f"names the host {host!r} over http; use https, or a loopback address, or one of"
            f" {', '.join(sorted(_LINK_LOCAL))}"
        )
    return None


def _is_local(host: str) -> bool:
    if host == "localhost" or host in _LINK_LOCAL:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_token(text: str) -> bool:
    """Whether an authorization token can be a header's value."""
    return _is_header_value(text) is not None


def credentials_request(settings: ContainerSettings, token: str | None) -> FetchRequest:
    """Return the request for the credentials, with the token if there is one."""
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = token
    return FetchRequest("GET", settings.url, headers)


def parse_credentials(response: FetchedResponse, origin: str) -> Credentials:
    """Parse the credentials of a successful response.

    Args:
        response: the response to ``credentials_request``.
        origin: the name of the response in errors.

    Raises:
        CredentialsError: the status is not 200, or the body is malformed.
    """
    check_status(response, origin)
    document = Document.parse(response.body, origin)
    token, expires_at = document.text("Token"), document.timestamp("Expiration")
    return document.credentials("AccessKeyId", "SecretAccessKey", token, expires_at)

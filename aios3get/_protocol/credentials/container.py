"""Credentials that a container's host serves by HTTP: Amazon ECS, EKS Pod Identity and others.

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
    "RELATIVE_URI",
    "ContainerSettings",
    "check_token",
    "container_settings",
    "credentials_request",
    "parse_credentials",
]

RELATIVE_URI: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL_URI: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

_ECS: Final = "http://169.254.170.2"
# Hosts that may get the authorization token without TLS, besides loopback: those of ECS and EKS.
_LINK_LOCAL: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})

_is_visible = re.compile(r"[!-~]+").fullmatch
# RFC 9110 section 5.5, without obs-text.
_is_header_value = re.compile(r"[!-~](?:[ -~\t]*[!-~])?").fullmatch


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """Where a container's credentials are.

    Attributes:
        variable: the environment variable that names the place.
        url: the full URL; its path and query may be a secret.
        token: what the request sends as ``Authorization``, if anything.
        token_file: the file that holds it instead.
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
    """The settings of the environment, or None if it names no place; empty variables do not count.

    Raises:
        ConfigurationError: the place is not a valid URL, or credentials from there would cross a
            network in the clear.
    """
    relative, full = environ.get(RELATIVE_URI), environ.get(FULL_URI)
    if relative:
        variable, url = RELATIVE_URI, f"{_ECS}{relative}"
        if not relative.startswith("/"):
            raise ConfigurationError(f"environment variable {RELATIVE_URI} must start with a slash")
    elif full:
        variable, url = FULL_URI, full
    else:
        return None
    _check_url(url, variable)
    token_file = environ.get(_TOKEN_FILE) or None
    token = None if token_file else environ.get(_TOKEN) or None
    if token is not None:
        check_token(token, f"environment variable {_TOKEN}")
    return ContainerSettings(variable, url, token, token_file)


def _check_url(url: str, variable: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"environment variable {variable} is not a URL") from None
    if not host or parts.scheme not in {"http", "https"} or not _is_visible(url):
        raise ConfigurationError(f"environment variable {variable} is not an HTTP URL")
    if parts.username or parts.password:
        raise ConfigurationError(f"environment variable {variable} has a user name in its URL")
    if parts.scheme == "http" and not _is_local(host):
        raise ConfigurationError(
            f"environment variable {variable} names the host {host!r} over http; use https, or a"
            f" loopback address, or one of {', '.join(sorted(_LINK_LOCAL))}"
        )


def _is_local(host: str) -> bool:
    if host == "localhost" or host in _LINK_LOCAL:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(token: str, source: str) -> None:
    """Accept an authorization token only if it can be a header's value.

    Raises:
        ConfigurationError: it cannot; the message names the source.
    """
    if not _is_header_value(token):
        raise ConfigurationError(
            f"{source} holds no valid authorization token; was a line break copied along?"
        )


def credentials_request(settings: ContainerSettings, token: str | None) -> FetchRequest:
    """The request for the credentials, with the token if there is one."""
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = token
    return FetchRequest("GET", settings.url, headers)


def parse_credentials(response: FetchedResponse, origin: str) -> Credentials:
    """The credentials of a successful response.

    Args:
        response: the response to ``credentials_request``.
        origin: what errors call the response.

    Raises:
        CredentialsError: the status is not 200, or the body is malformed.
    """
    check_status(response, origin)
    document = Document.parse(response.body, origin)
    token, expires_at = document.text("Token"), document.timestamp("Expiration")
    return document.credentials("AccessKeyId", "SecretAccessKey", token, expires_at)

"""IAM Identity Center, formerly AWS SSO: settings, cached tokens, requests and responses.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html
https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from aios3get._protocol.credentials.document import Document
from aios3get._protocol.credentials.failure import check_status
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import Credentials
from aios3get._protocol.shared_config import Profile, Section
from aios3get._protocol.signing.uri import encode_query
from aios3get.errors import ConfigurationError

__all__ = [
    "SsoSettings",
    "SsoToken",
    "create_token_request",
    "parse_created_token",
    "parse_role_credentials",
    "parse_token",
    "role_credentials_request",
    "sso_settings",
]

# The AWS CLI and botocore start to refresh a token this long before it expires.
_REFRESH_WINDOW: Final = timedelta(minutes=15)

_is_region = re.compile(r"[A-Za-z0-9-]{1,63}").fullmatch

_EPOCH: Final = datetime.fromtimestamp(0, UTC)

_OF_PROFILE: Final = ("sso_account_id", "sso_role_name")
_OF_SESSION: Final = ("sso_start_url", "sso_region")


@dataclass(frozen=True, slots=True)
class SsoSettings:
    """The SSO settings of a profile: the session and the role.

    Attributes:
        profile: the profile's name.
        session: the name of the ``sso-session`` section; None for the legacy settings, whose
            tokens cannot be refreshed.
        start_url: the URL of the access portal.
        region: the region of IAM Identity Center.
        account_id: the account.
        role_name: the name of the permission set in the access portal.
    """

    profile: str
    session: str | None
    start_url: str
    region: str
    account_id: str
    role_name: str

    @property
    def cache_file_name(self) -> str:
        """The name of the token's file in ``~/.aws/sso/cache``."""
        name = self.start_url if self.session is None else self.session
        return f"{hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()}.json"

    @property
    def login_command(self) -> str:
        """The command that signs in."""
        if self.session is None:
            return f"aws sso login --profile {self.profile}"
        return f"aws sso login --sso-session {self.session}"

    @property
    def why_not_refreshable(self) -> str | None:
        """Why tokens cannot be refreshed; None if they can be."""
        return None if self.session else "tokens without an sso-session section are not refreshed"

    def __str__(self) -> str:
        if self.session is None:
            return f"the SSO session of the profile {self.profile!r}"
        return f"the SSO session {self.session!r}"


def sso_settings(profile: Profile, sessions: Mapping[str, Section]) -> SsoSettings | None:
    """Return the profile's settings, or None if it has neither an account nor a role.

    Args:
        profile: the profile.
        sessions: the ``sso-session`` sections by name.

    Raises:
        ConfigurationError: a setting is missing, or profile and session contradict each other.
    """
    if not any(profile.get(name) for name in _OF_PROFILE):
        return None
    values = {name: profile.get(name) for name in (*_OF_PROFILE, *_OF_SESSION)}
    session = profile.get("sso_session")
    where = f"the profile {profile.name!r}"
    if session is not None:
        if session not in sessions:
            raise ConfigurationError(
                f"sso_session of {where} names the section [sso-session {session}], which the"
                " config file does not have"
            )
        for name, value in sessions[session].items():
            if (profile.get(name) or value) != value:
                raise ConfigurationError(f"{name} of {where} differs from [sso-session {session}]")
        values |= {name: _text(sessions[session].get(name)) for name in _OF_SESSION}
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise ConfigurationError(
            f"{where} gets its credentials by SSO, but has no {' and no '.join(missing)}; run `aws"
            " configure sso`"
        )
    if not _is_region(values["sso_region"] or ""):
        raise ConfigurationError(f"sso_region of {where} is not a region such as us-east-1")
    named = {name.removeprefix("sso_"): value or "" for name, value in values.items()}
    return SsoSettings(profile=profile.name, session=session, **named)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class SsoToken:
    """The token in a cache file.

    Attributes:
        access_token: the token for GetRoleCredentials.
        expires_at: when it expires.
        registration: the parameters of CreateToken: ``clientId``, ``clientSecret``,
            ``refreshToken`` and ``registrationExpiresAt``; empty if any of them is missing.
        registration_expires_at: when the client's registration expires.
    """

    access_token: str = field(repr=False)
    expires_at: datetime
    registration: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, hash=False)
    registration_expires_at: datetime | None = None

    def needs_refresh(self, now: datetime) -> bool:
        """Whether less than 15 minutes remain."""
        return self.expires_at - now < _REFRESH_WINDOW

    def why_not_refreshable(self, now: datetime) -> str | None:
        """Why CreateToken cannot be called; None if it can be."""
        if self.registration_expires_at is None:
            return "the token cannot be refreshed"
        if self.registration_expires_at <= now:
            return f"the client registration expired at {self.registration_expires_at.isoformat()}"
        return None


_REGISTRATION: Final = ("clientId", "clientSecret", "refreshToken", "registrationExpiresAt")


def parse_token(data: bytes, origin: str) -> SsoToken:
    """Parse a cache file.

    Args:
        data: its bytes.
        origin: the file's path, for errors.

    Raises:
        CredentialsError: it contains no token.
    """
    document = Document.parse(data, origin)
    registration = {
        name: value for name in _REGISTRATION if (value := document.optional_text(name)) is not None
    }
    complete = len(registration) == len(_REGISTRATION)
    return SsoToken(
        document.header_text("accessToken"),
        document.timestamp("expiresAt"),
        registration if complete else {},
        document.timestamp("registrationExpiresAt") if complete else None,
    )


def create_token_request(endpoint: str, token: SsoToken) -> FetchRequest:
    """Return the CreateToken request, which exchanges the refresh token for a new access token.

    Args:
        endpoint: the service's URL, without a trailing slash.
        token: the token to refresh.
    """
    registration = token.registration
    form = {
        "grantType": "refresh_token",
        "clientId": registration["clientId"],
        "clientSecret": registration["clientSecret"],
        "refreshToken": registration["refreshToken"],
    }
    return FetchRequest(
        "POST",
        f"{endpoint}/token",
        {"Content-Type": "application/json"},
        json.dumps(form).encode(),
    )


def parse_created_token(
    response: FetchedResponse, origin: str, settings: SsoSettings, old: SsoToken, now: datetime
) -> bytes:
    """Return the new cache file, with the members that the AWS CLI writes.

    Args:
        response: the response to ``create_token_request``.
        origin: the name of the response in errors.
        settings: the SSO settings of the token.
        old: the token that was refreshed.
        now: when the response arrived.

    Raises:
        CredentialsError: the status is not 200, or the body is malformed.
    """
    check_status(response, origin)
    document = Document.parse(response.body, origin)
    expires_at = document.moment("expiresIn", now, timedelta(seconds=1))
    members = {
        "startUrl": settings.start_url,
        "region": settings.region,
        "accessToken": document.header_text("accessToken"),
        "expiresAt": expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "clientId": old.registration["clientId"],
        "clientSecret": old.registration["clientSecret"],
        "registrationExpiresAt": old.registration["registrationExpiresAt"],
    }
    if (refresh_token := document.optional_text("refreshToken")) is not None:
        members["refreshToken"] = refresh_token
    return json.dumps(members).encode()


def role_credentials_request(endpoint: str, settings: SsoSettings, token: SsoToken) -> FetchRequest:
    """Return the GetRoleCredentials request; arguments as for ``create_token_request``."""
    query = encode_query([("role_name", settings.role_name), ("account_id", settings.account_id)])
    return FetchRequest(
        "GET",
        f"{endpoint}/federation/credentials?{query}",
        {"x-amz-sso_bearer_token": token.access_token},
    )


def parse_role_credentials(response: FetchedResponse, origin: str) -> Credentials:
    """Parse the credentials of a successful response.

    Raises:
        CredentialsError: the status is not 200, or the body is malformed.
    """
    check_status(response, origin)
    document = Document.parse(response.body, origin).object("roleCredentials")
    expires_at = document.moment("expiration", _EPOCH, timedelta(milliseconds=1))
    token = document.text("sessionToken")
    return document.credentials("accessKeyId", "secretAccessKey", token, expires_at)

"""Selects the source of a profile's credentials from its settings, in botocore's order.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from aios3get._protocol.identity import Credentials
from aios3get._protocol.shared_config import Profile, SharedConfig
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = [
    "LoginSource",
    "NamedSource",
    "ProcessSource",
    "ProfileSource",
    "Role",
    "RoleSource",
    "SsoSource",
    "WebIdentitySource",
    "incomplete_settings",
    "profile_source",
]


@dataclass(frozen=True, slots=True)
class Role:
    """A role to assume with the credentials of another source.

    Attributes:
        arn: the role's ARN.
        session_name: the name of the session; None for a generated one.
        external_id: the id that the role's trust policy may require.
        mfa_serial: the MFA device whose code is sent.
        duration_seconds: how long the session lasts; None for STS's default of an hour.
    """

    arn: str
    session_name: str | None = None
    external_id: str | None = None
    mfa_serial: str | None = None
    duration_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source outside the shared files, named by ``credential_source``."""

    name: Literal["Environment", "EcsContainer", "Ec2InstanceMetadata"]


@dataclass(frozen=True, slots=True)
class WebIdentitySource:
    """A role to assume with an identity token from a file."""

    token_file: str
    role_arn: str
    session_name: str | None = None


@dataclass(frozen=True, slots=True)
class SsoSource:
    """A role of IAM Identity Center, configured by a profile."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class LoginSource:
    """A session of ``aws login``."""

    session: str


@dataclass(frozen=True, slots=True)
class ProcessSource:
    """A command that prints credentials."""

    command: str


@dataclass(frozen=True, slots=True)
class RoleSource:
    """Roles to assume one after the other, the last one first.

    Attributes:
        roles: the profile's own role, then that of its ``source_profile``, and so on.
        source: the source of the credentials that assume the last role.
    """

    roles: tuple[Role, ...]
    source: "_Source"


_Source: TypeAlias = (
    Credentials | WebIdentitySource | SsoSource | LoginSource | ProcessSource | NamedSource
)
ProfileSource: TypeAlias = RoleSource | _Source

_ID: Final = "aws_access_key_id"
_SECRET: Final = "aws_secret_access_key"
_TOKENS: Final = ("aws_session_token", "aws_security_token")


def profile_source(
    shared: SharedConfig, name: str | None, environ: Mapping[str, str]
) -> ProfileSource | None:
    """Return the source of a profile's credentials; None if its settings have none.

    Args:
        shared: the shared files.
        name: the profile's name; None for the default one.
        environ: the environment variables for a web identity; empty if the caller passed the
            profile, so that they are ignored.

    Raises:
        ConfigurationError: a setting is missing or invalid, or the profiles refer to each other in
            a circle.
        CredentialsError: the profile has half a key, or an invalid one.
    """
    profile = shared.profile(name)
    roles: list[Role] = []
    path = [profile.name]
    while _assumes_role(profile) and not (roles and _has_key(profile)):
        roles.append(_role(profile))
        named = _named_source(profile)
        if named is not None:
            return RoleSource(tuple(roles), named)
        source = _source_profile(profile, shared, path)
        path.append(source.name)
        if source is profile:
            break
        profile = source
    direct = _direct_source(profile, {} if roles else environ)
    if not roles or direct is None:
        if roles:
            raise ConfigurationError(
                f"the profile {path[-2]!r} assumes its role with the credentials of the profile"
                f" {profile.name!r}, which has none"
            )
        return direct
    return RoleSource(tuple(roles), direct)


def incomplete_settings(profile: Profile) -> tuple[str, ...]:
    """Return the settings of a profile that belong to a source but do not define one."""
    names = (_SECRET, "sso_session", "sso_start_url", "source_profile", "credential_source")
    return tuple(name for name in names if profile.get(name) is not None)


def _assumes_role(profile: Profile) -> bool:
    # With a token file, the profile's role is assumed with a web identity.
    return profile.get("role_arn") is not None and profile.get("web_identity_token_file") is None


def _has_key(profile: Profile) -> bool:
    return profile.get(_ID) is not None or profile.get(_SECRET) is not None


def _role(profile: Profile) -> Role:
    return Role(
        arn=profile.get("role_arn") or "",
        session_name=profile.get("role_session_name"),
        external_id=profile.get("external_id"),
        mfa_serial=profile.get("mfa_serial"),
        duration_seconds=_duration(profile),
    )


def _duration(profile: Profile) -> int | None:
    text = profile.get("duration_seconds")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise ConfigurationError(
            f"duration_seconds of the profile {profile.name!r} is {text!r}; write seconds, such as"
            " 3600"
        )
    return int(text)


def _named_source(profile: Profile) -> NamedSource | None:
    name, source_profile = profile.get("credential_source"), profile.get("source_profile")
    if (name is None) is (source_profile is None):
        both = "both" if name else "neither"
        raise ConfigurationError(
            f"the profile {profile.name!r} has a role_arn and {both} of source_profile and"
            " credential_source; write one of them"
        )
    match name:
        case None:
            return None
        case "Environment" | "EcsContainer" | "Ec2InstanceMetadata":
            return NamedSource(name)
        case _:
            raise ConfigurationError(
                f"credential_source of the profile {profile.name!r} is {name!r}; write Environment,"
                " EcsContainer or Ec2InstanceMetadata"
            )


def _source_profile(profile: Profile, shared: SharedConfig, path: list[str]) -> Profile:
    name = profile.get("source_profile") or ""
    source = shared.profiles.get(name)
    if source is None:
        raise ConfigurationError(
            f"source_profile of the profile {profile.name!r} is {name!r}, which is not in"
            f" {' or '.join(shared.looked_at) or 'the shared files'}"
        )
    # A profile may assume a role with its own key.
    if name in path and not (source is profile and _has_key(profile)):
        circle = " → ".join((*path[path.index(name) :], name))
        raise ConfigurationError(f"source_profile leads in a circle: {circle}")
    return source


def _direct_source(profile: Profile, environ: Mapping[str, str]) -> _Source | None:
    # The order of botocore's ProfileProviderBuilder.
    web_identity = _web_identity(profile, environ)
    if web_identity is not None:
        return web_identity
    if profile.get("sso_account_id") or profile.get("sso_role_name"):
        return SsoSource(profile)
    key = _key(profile, "credentials")
    if key is not None:
        return key
    if session := profile.get("login_session"):
        return LoginSource(session)
    if command := profile.get("credential_process"):
        return ProcessSource(command)
    return _key(profile, "config")


def _web_identity(profile: Profile, environ: Mapping[str, str]) -> WebIdentitySource | None:
    def setting(variable: str, name: str) -> str | None:
        return environ.get(variable) or profile.get(name)

    token_file = setting("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file")
    if token_file is None:
        return None
    role_arn = setting("AWS_ROLE_ARN", "role_arn")
    if role_arn is None:
        raise ConfigurationError(
            "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not; set both"
            if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
            else f"the profile {profile.name!r} has a web_identity_token_file, but no role_arn"
        )
    return WebIdentitySource(
        token_file, role_arn, setting("AWS_ROLE_SESSION_NAME", "role_session_name")
    )


def _key(profile: Profile, file: Literal["credentials", "config"]) -> Credentials | None:
    # Both halves must come from one file, because a mixture would not be a valid key. The file's
    # section is not kept in a local variable, because error reporters send those.
    if not _text(profile, file, _ID):
        return None
    if not _text(profile, file, _SECRET):
        raise CredentialsError(
            f"profile {profile.name!r} in the {file} file has {_ID} but no {_SECRET}; write both or"
            " neither"
        )
    try:
        return Credentials(
            _text(profile, file, _ID), _text(profile, file, _SECRET), _token(profile, file)
        )
    except ConfigurationError as error:
        raise CredentialsError(f"profile {profile.name!r} in the {file} file: {error}") from None


def _token(profile: Profile, file: str) -> str | None:
    return next(filter(None, (_text(profile, file, name) for name in _TOKENS)), None)


def _text(profile: Profile, file: str, name: str) -> str:
    value = getattr(profile, file).get(name)
    return value.strip() if isinstance(value, str) else ""

"""The credentials of a profile in the shared AWS files, from any source that it configures.

https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

from aios3get._protocol.credentials.profile_source import (
    LoginSource,
    NamedSource,
    ProcessSource,
    ProfileSource,
    Role,
    RoleSource,
    SsoSource,
    WebIdentitySource,
    incomplete_settings,
    profile_source,
)
from aios3get._protocol.identity import Credentials, Identity
from aios3get._protocol.shared_config import SharedConfig
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.environment import EnvironmentCredentials
from aios3get.credentials.provider import FixedIdentity, Provider, Unavailable, forget
from aios3get.credentials.sts import AssumedRole, MFAToken, WebIdentity
from aios3get.errors import CredentialsError

__all__ = ["ProfileCredentials"]


class ProfileCredentials(Provider):
    """A provider of a profile's credentials: a key, a role, a web identity, SSO, login or process.

    The files are read for each load.

    Args:
        profile: the profile's name; None for ``AWS_PROFILE``, ``AWS_DEFAULT_PROFILE`` or
            ``default``. With None, the environment's web identity
            (``AWS_WEB_IDENTITY_TOKEN_FILE``) takes precedence over the profile's settings, except
            for its role.
        mfa_token: returns the current code of the profile's ``mfa_serial``, at each refresh.
    """

    def __init__(self, profile: str | None = None, *, mfa_token: MFAToken | None = None) -> None:
        self._profile = profile
        self._mfa_token = mfa_token
        # The provider is kept, because some providers remember their last credentials.
        self._source: ProfileSource | None = None
        self._provider: Provider | None = None

    def __repr__(self) -> str:
        return f"ProfileCredentials({self._profile!r})"

    def __str__(self) -> str:
        return f"the profile {self._profile!r}" if self._profile else "the profile"

    async def load(self, context: ProviderContext) -> Identity | Unavailable:  # noqa: D102
        explicit = self._profile or context.profile_argument
        shared = await context.shared()
        name = self._profile or context.profile_name
        source = profile_source(shared, name, {} if explicit else context.environ)
        if source is None:
            return _unavailable(shared, name, explicit=explicit is not None)
        roles, base = (
            (source.roles, source.source) if isinstance(source, RoleSource) else ((), source)
        )
        if self._provider is None or base != self._source:
            self._source, self._provider = base, _provider_of(base)
        loaded = await self._provider.load(context)
        for role in reversed(roles):
            if isinstance(loaded, Unavailable):
                raise CredentialsError(
                    f"no credentials found to assume the role {role.arn} with. Sources tried:",
                    sources=loaded.sources(str(self._provider)),
                )
            if not isinstance(loaded, Credentials):
                raise AssertionError("a profile's own sources return Credentials")
            assumed = self._assumed(role)
            loaded = assumed.parse(await assumed.request(context, loaded))
        return loaded

    def _assumed(self, role: Role) -> AssumedRole:
        if role.mfa_serial is not None and self._mfa_token is None:
            raise CredentialsError(
                f"the role {role.arn} requires the code of the MFA device {role.mfa_serial}; pass"
                f" credentials=ProfileCredentials({self._profile!r}, mfa_token=…), a callable that"
                " returns it"
            )
        return AssumedRole(
            arn=role.arn,
            session_name=role.session_name,
            external_id=role.external_id,
            duration_seconds=role.duration_seconds,
            mfa_serial=role.mfa_serial,
            mfa_token=self._mfa_token if role.mfa_serial else None,
        )

    def invalidate(self, used: Identity) -> None:
        """Drop the credentials that the profile's source caches."""
        forget(self._provider, used)


def _unavailable(shared: SharedConfig, name: str | None, *, explicit: bool) -> Unavailable:
    profile = shared.profile(name)
    settings = incomplete_settings(profile)
    places = " and ".join(shared.looked_at)
    reason = (
        f"has {' and '.join(settings)}, but no matching settings"
        if settings
        else f"has no source of credentials in {places}"
    )
    named = (f"the profile {profile.name!r}", Unavailable(reason, detected=bool(settings)))
    if explicit:
        return named[1]
    web_identity = ("a web identity", Unavailable("AWS_WEB_IDENTITY_TOKEN_FILE is not set"))
    return Unavailable("", parts=(web_identity, named))


def _provider_of(source: ProfileSource) -> Provider:  # noqa: PLR0911 - one for each kind
    # Each provider is imported when it is first needed.
    match source:
        case Credentials():
            return FixedIdentity(source)
        case WebIdentitySource():
            return WebIdentity(source.role_arn, source.token_file, session_name=source.session_name)
        case NamedSource("Environment"):
            return EnvironmentCredentials()
        case NamedSource("EcsContainer"):
            from aios3get.credentials.container import ContainerCredentials  # noqa: PLC0415

            return ContainerCredentials()
        case NamedSource():
            from aios3get.credentials.imds import InstanceMetadata  # noqa: PLC0415

            return InstanceMetadata()
        case ProcessSource():
            from aios3get.credentials.process import Process  # noqa: PLC0415

            return Process(source.command)
        case SsoSource():
            from aios3get.credentials.sso import SSO  # noqa: PLC0415

            return SSO(source.profile.name)
        case LoginSource():
            from aios3get.credentials.login import Login  # noqa: PLC0415

            return Login(source.session)
        case RoleSource():
            raise AssertionError("roles are assumed by the caller")

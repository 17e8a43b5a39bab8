"""Static keys of a profile in the shared AWS files.

https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

from aios3get._protocol.identity import Credentials, Identity
from aios3get._protocol.shared_config import Profile, Section
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["ProfileCredentials", "static_keys"]

_ID, _SECRET = "aws_access_key_id", "aws_secret_access_key"
_TOKENS = ("aws_session_token", "aws_security_token")

# botocore asks the sources of a profile in this order (``ProfileProviderBuilder``): what stands
# before the keys of a file wins over them.
_BEFORE_CREDENTIALS_FILE = (
    "role_arn",
    "web_identity_token_file",
    "sso_account_id",
    "sso_role_name",
)
_BEFORE_CONFIG_FILE = ("login_session", "credential_process")
_OTHERWISE = ("sso_session", "sso_start_url", "source_profile", "credential_source")


class ProfileCredentials(Provider):
    """A provider of a profile's credentials; the files are read anew for each load.

    Args:
        profile: its name; None for ``AWS_PROFILE``, ``AWS_DEFAULT_PROFILE`` or ``default``.
    """

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile

    def __repr__(self) -> str:
        return f"ProfileCredentials({self._profile!r})"

    def __str__(self) -> str:
        return f"the profile {self._profile!r}" if self._profile else "the profile"

    async def load(self, context: ProviderContext) -> Identity | Unavailable:  # noqa: D102
        name = self._profile or context.profile_name
        shared = await context.shared()
        keys = static_keys(shared.profile(name))
        if keys is None:
            places = " and ".join(shared.looked_at)
            return Unavailable(f"no aws_access_key_id for {name or 'default'!r} in {places}")
        return keys


def static_keys(profile: Profile) -> Credentials | None:
    """The profile's keys, or None if it has none and names no other source either.

    Raises:
        CredentialsError: half a key, or the profile takes its credentials from a source that is
            not read here.
    """
    _refuse(profile, _BEFORE_CREDENTIALS_FILE)
    found = _keys(profile.name, "credentials file", profile.credentials)
    if found is None:
        _refuse(profile, _BEFORE_CONFIG_FILE)
        found = _keys(profile.name, "config file", profile.config)
    if found is None:
        _refuse(profile, _OTHERWISE)
    return found


def _refuse(profile: Profile, settings: tuple[str, ...]) -> None:
    for setting in settings:
        if profile.get(setting) is not None:
            raise CredentialsError(
                f"profile {profile.name!r} gets its credentials by {setting}, which aios3get does"
                " not do by itself; pass credentials=, a callable that gives Credentials, such as"
                " one that asks a botocore session"
            )


def _keys(name: str, file: str, section: Section) -> Credentials | None:
    # Both halves come from one file: a mixture would be nobody's key.
    texts = {key: str(section.get(key) or "").strip() for key in (_ID, _SECRET, *_TOKENS)}
    if not texts[_ID] and not texts[_SECRET]:
        return None
    for key, other in ((_ID, _SECRET), (_SECRET, _ID)):
        if not texts[key]:
            raise CredentialsError(
                f"profile {name!r} in the {file} has {other} but no {key}; write both or neither"
            )
    token = next((texts[key] for key in _TOKENS if texts[key]), None)
    try:
        return Credentials(texts[_ID], texts[_SECRET], token)
    except ConfigurationError as error:
        raise CredentialsError(f"profile {name!r} in the {file}: {error}") from None

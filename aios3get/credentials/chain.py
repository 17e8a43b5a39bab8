"""Several providers as one: the first that has credentials gives them."""

from aios3get._protocol.identity import CredentialsProvider, Identity
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.environment import EnvironmentCredentials
from aios3get.credentials.profile import ProfileCredentials
from aios3get.credentials.provider import Provider, Unavailable, load_from, name_of
from aios3get.credentials.source import forget
from aios3get.errors import ConfigurationError

__all__ = ["chain", "default_chain"]


class _Chain(Provider):
    def __init__(self, providers: tuple[CredentialsProvider, ...]) -> None:
        self._providers = providers

    def __str__(self) -> str:
        return "; ".join(map(name_of, self._providers))

    __repr__ = __str__

    async def load(self, context: ProviderContext) -> Identity | Unavailable:
        parts: list[tuple[str, Unavailable]] = []
        for provider in self._providers:
            loaded = await load_from(provider, context)
            if not isinstance(loaded, Unavailable):
                return loaded
            parts.append((name_of(provider), loaded))
        return Unavailable("none of the chain's providers has credentials", parts=tuple(parts))

    def invalidate(self, used: Identity) -> None:
        for provider in self._providers:
            forget(provider, used)


def chain(*providers: CredentialsProvider) -> CredentialsProvider:
    """A provider that calls each of ``providers`` in turn, at each refresh.

    One that gives None is not configured, and the next is called; one that raises ends the search:
    half a configuration must not quietly become another account's.

    Raises:
        ConfigurationError: no providers, or something that is not callable.
    """
    if not providers:
        raise ConfigurationError("chain() needs at least one provider")
    for provider in providers:
        if not callable(provider):
            raise ConfigurationError(
                f"chain() takes providers, callables that give Credentials, not a"
                f" {type(provider).__name__}"
            )
    return _Chain(providers)


def default_chain(profile: str | None = None) -> CredentialsProvider:
    """What a client uses that was given no credentials: the environment, then the profile.

    Args:
        profile: only this profile of the shared files; the environment's keys are then passed
            over, as in botocore.
    """
    if profile is not None:
        return chain(ProfileCredentials(profile))
    return chain(EnvironmentCredentials(), ProfileCredentials())

"""Several providers as one: the first that has credentials gives them."""

import os
from collections.abc import Mapping

from aios3get._protocol.identity import CredentialsProvider, Identity
from aios3get._protocol.shared_config import SharedConfig
from aios3get.credentials.environment import EnvironmentCredentials
from aios3get.credentials.profile import ProfileCredentials
from aios3get.credentials.source import ask, name_of, tell
from aios3get.errors import ConfigurationError

__all__ = ["chain", "default_chain"]


class _Chain:
    def __init__(self, providers: tuple[CredentialsProvider, ...]) -> None:
        self._providers = providers

    def __str__(self) -> str:
        return "; ".join(map(name_of, self._providers))

    __repr__ = __str__

    async def __call__(self) -> Identity | None:
        for provider in self._providers:
            identity = await ask(provider)
            if identity is not None:
                return identity
        return None

    def invalidate(self, used: Identity) -> None:
        for provider in self._providers:
            tell(provider, used)


def chain(*providers: CredentialsProvider) -> CredentialsProvider:
    """A provider that asks each of ``providers`` in turn.

    One that gives None is not configured and the next is asked; one that raises ends the search:
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


def default_chain(
    profile: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    shared: SharedConfig | None = None,
) -> CredentialsProvider:
    """What a client asks that was given no credentials: the environment, then the profile.

    Args:
        profile: only this profile of the shared files; the environment's keys are then passed
            over, as in botocore.
        environ: the environment to read; ``os.environ`` if None.
        shared: the shared files as they were just read; None to read them at the first call.
    """
    environ = os.environ if environ is None else environ
    if profile is not None:
        return chain(ProfileCredentials(profile, environ=environ, shared=shared))
    return chain(
        EnvironmentCredentials(environ=environ),
        ProfileCredentials(environ=environ, shared=shared),
    )

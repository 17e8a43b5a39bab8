"""Provider chains: the first provider that has credentials is used."""

import asyncio
from collections.abc import Callable
from functools import partial

from aios3get._protocol.identity import CredentialsProvider, Identity
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.environment import EnvironmentCredentials
from aios3get.credentials.provider import (
    Provider,
    Unavailable,
    forget,
    holds_secret,
    load_from,
    name_of,
)
from aios3get.errors import ConfigurationError

__all__ = ["chain", "default_chain", "locate"]


class _Chain(Provider):
    def __init__(self, providers: tuple[CredentialsProvider, ...]) -> None:
        self.providers = providers

    def __str__(self) -> str:
        return "; ".join(map(name_of, self.providers))

    __repr__ = __str__

    @property
    def holds_secret(self) -> bool:
        return any(map(holds_secret, self.providers))

    async def load(self, context: ProviderContext) -> Identity | Unavailable:
        return (await locate(self, context))[1]

    def invalidate(self, used: Identity) -> None:
        for provider in self.providers:
            forget(provider, used)


def chain(*providers: CredentialsProvider) -> CredentialsProvider:
    """Return a provider that calls each of ``providers`` in turn, at each refresh.

    If a provider returns None, it is not configured and the next one is called. If it raises, the
    chain ends, so that an incomplete configuration does not silently select another account.

    Raises:
        ConfigurationError: there are no providers, or one is not callable.
    """
    if not providers:
        raise ConfigurationError("chain() needs at least one provider")
    for provider in providers:
        if not callable(provider):
            raise ConfigurationError(
                f"chain() takes providers, callables that return Credentials, not a"
                f" {type(provider).__name__}"
            )
    return _Chain(providers)


class _Deferred(Provider):
    """A provider that is imported and created at its first load."""

    def __init__(self, name: str, create: Callable[[], Provider]) -> None:
        self._name = name
        self._create = create
        self._provider: Provider | None = None

    def __str__(self) -> str:
        return self._name

    async def load(self, context: ProviderContext) -> Identity | Unavailable:
        if self._provider is None:
            # An import reads files, which would block the event loop.
            self._provider = await asyncio.to_thread(self._create)
        return await self._provider.load(context)

    def invalidate(self, used: Identity) -> None:
        forget(self._provider, used)


async def locate(
    provider: CredentialsProvider, context: ProviderContext
) -> tuple[str, Identity | Unavailable]:
    """Return the name and the result of a provider; for a chain, those of the member that has one.

    Raises:
        S3Error: a provider failed.
    """
    if not isinstance(provider, _Chain):
        return name_of(provider), await load_from(provider, context)
    parts: list[tuple[str, Unavailable]] = []
    for each in provider.providers:
        name, loaded = await locate(each, context)
        if not isinstance(loaded, Unavailable):
            return name, loaded
        parts.append((name, loaded))
    reason = "none of the chain's providers has credentials"
    return name_of(provider), Unavailable(reason, parts=tuple(parts))


def default_chain(profile: str | None = None) -> CredentialsProvider:
    """Return the provider of a client without ``credentials=``, in botocore's order.

    The sources are the key of the environment, the role of the profile, a web identity of the
    environment or the profile, the other sources of the profile, the container and the instance.

    Args:
        profile: the profile to use; the environment's key and web identity are then skipped, as in
            botocore. None for ``AWS_PROFILE``, ``AWS_DEFAULT_PROFILE`` or ``default``.
    """
    return _Chain(
        (
            _UnlessProfile(EnvironmentCredentials(), profile),
            _Deferred("the profile", partial(_profile, profile)),
            _Deferred("the container", _container),
            _Deferred("the EC2 instance metadata service", _instance),
        )
    )


class _UnlessProfile(Provider):
    """The key of the environment, unless the caller passed a profile."""

    def __init__(self, provider: Provider, profile: str | None) -> None:
        self._provider = provider
        self._profile = profile

    def __str__(self) -> str:
        return str(self._provider)

    async def load(self, context: ProviderContext) -> Identity | Unavailable:
        profile = self._profile or context.profile_argument
        if profile is not None:
            return Unavailable(f"skipped in favor of the profile {profile!r}")
        return await self._provider.load(context)


def _profile(profile: str | None) -> Provider:
    from aios3get.credentials.profile import ProfileCredentials  # noqa: PLC0415

    return ProfileCredentials(profile)


def _container() -> Provider:
    from aios3get.credentials.container import ContainerCredentials  # noqa: PLC0415

    return ContainerCredentials()


def _instance() -> Provider:
    from aios3get.credentials.imds import InstanceMetadata  # noqa: PLC0415

    return InstanceMetadata()

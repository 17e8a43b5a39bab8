"""The base class of the included providers, and the functions that run any provider.

A provider is any callable without arguments, sync or async, that returns ``Credentials``; None
means that it is not configured. The providers of this package also have ``load``, which takes a
``ProviderContext`` and returns the reason if there are no credentials::

    class Vending(Provider):
        async def load(self, context: ProviderContext) -> Identity | Unavailable:
            url = context.environ.get("VENDING_URL")
            if url is None:
                return Unavailable("VENDING_URL is not set")
            response = await context.fetch(vending_request(url), timeout=1.0)
            return parse_vending(response)      # raises CredentialsError: that ends a chain
"""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import NamedTuple, Protocol, cast, runtime_checkable

from aios3get._protocol.identity import (
    Anonymous,
    BearerToken,
    Credentials,
    CredentialsProvider,
    Identity,
    check_source,
)
from aios3get.credentials.context import ProviderContext
from aios3get.errors import CredentialsError

__all__ = [
    "FixedIdentity",
    "Provider",
    "Unavailable",
    "forget",
    "holds_secret",
    "load_from",
    "name_of",
    "provider_for",
]


class Unavailable(NamedTuple):
    """The reason why a provider has no credentials; not a failure, so a chain tries the next one.

    Args:
        reason: one line without a secret, such as ``"AWS_ACCESS_KEY_ID is not set"``.
        detected: whether the source exists nevertheless, such as an instance without a role; errors
            name such sources first.
        parts: the providers of a chain by name, each with its own reason.
    """

    reason: str
    detected: bool = False
    parts: tuple[tuple[str, "Unavailable"], ...] = ()

    def sources(self, name: str) -> tuple[str, ...]:
        """Return ``name: reason`` for each source that was tried, detected ones first.

        Args:
            name: the name of the provider itself.
        """
        leaves = sorted(self._leaves(name), key=lambda leaf: not leaf[1].detected)
        return tuple(f"{name}: {leaf.reason}" for name, leaf in leaves)

    def _leaves(self, name: str) -> list[tuple[str, "Unavailable"]]:
        if not self.parts:
            return [(name, self)]
        return [leaf for part, unavailable in self.parts for leaf in unavailable._leaves(part)]


class Provider(ABC):
    """A provider that comes with aios3get; ``str`` names it in errors, without a secret."""

    @property
    def holds_secret(self) -> bool:
        """Whether a pickle of the provider contains a secret."""
        return False

    @abstractmethod
    async def load(self, context: ProviderContext) -> Identity | Unavailable:
        """Return new credentials, or the reason why this source has none.

        Raises:
            CredentialsError: the source is configured but failed; this ends a chain.
            ConfigurationError: a setting is invalid.
            TransportError: a service could not be reached.
        """

    async def __call__(self) -> Identity | None:
        """Return new credentials, or None if this source has none. Errors are those of ``load``."""
        async with ProviderContext() as context:
            loaded = await self.load(context)
        return None if isinstance(loaded, Unavailable) else loaded


class FixedIdentity(Provider):
    """Returns the same credentials each time."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def __str__(self) -> str:
        return "the credentials passed in"

    @property
    def holds_secret(self) -> bool:
        """Whether the identity contains a secret."""
        return not isinstance(self.identity, Anonymous)

    async def load(self, context: ProviderContext) -> Identity:  # noqa: D102
        return self.identity


def provider_for(source: Identity | CredentialsProvider) -> CredentialsProvider:
    """Return a provider for ``credentials=``, which may be credentials or a provider.

    Raises:
        ConfigurationError: ``source`` is neither credentials nor a provider.
    """
    if isinstance(source, Credentials | BearerToken | Anonymous):
        return FixedIdentity(source)
    check_source(source)
    return source


def holds_secret(source: Identity | CredentialsProvider | None) -> bool:
    """Whether a pickle of the credentials or provider would contain a secret."""
    if isinstance(source, Provider):
        return source.holds_secret
    return isinstance(source, Credentials | BearerToken)


async def load_from(
    provider: CredentialsProvider, context: ProviderContext
) -> Identity | Unavailable:
    """Run any provider; a sync callable runs in a thread, so it may block.

    Raises:
        CredentialsError: the provider failed, or did not return credentials.
    """
    if isinstance(provider, Provider):
        return await provider.load(context)
    if _is_async(provider):
        result: object = provider()
    else:
        result = await asyncio.to_thread(_call, provider)
    if isinstance(result, Awaitable):
        result = await cast(Awaitable[object], result)
    if result is None:
        return Unavailable("returned None")
    if isinstance(result, Credentials | BearerToken | Anonymous):
        return result
    kind = type(result).__name__
    # Error reporters send the locals of a frame that raises.
    del result
    raise CredentialsError(
        f"{name_of(provider)} returned a {kind}; a provider must return Credentials"
    )


def _call(provider: CredentialsProvider) -> object:
    try:
        return provider()
    except StopIteration:
        # A future cannot carry it, so the thread's result would never arrive.
        raise CredentialsError(f"{name_of(provider)} raised StopIteration") from None


def _is_async(provider: CredentialsProvider) -> bool:
    return inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(
        getattr(provider, "__call__", None)  # noqa: B004 - whether it is async, not whether it is there
    )


def name_of(provider: object) -> str:
    """Return the name of a provider for errors; never a ``repr``, which may contain a secret."""
    kind = type(provider)
    if kind.__str__ is not object.__str__ and kind.__module__.startswith("aios3get."):
        return str(provider)
    name = getattr(provider, "__qualname__", None) or type(provider).__qualname__
    return f"the provider {name}"


def forget(provider: object, used: Identity) -> None:
    """Invalidate ``used`` in a provider that caches."""
    if isinstance(provider, _Caching):
        provider.invalidate(used)


@runtime_checkable
class _Caching(Protocol):
    def invalidate(self, used: Identity) -> None: ...

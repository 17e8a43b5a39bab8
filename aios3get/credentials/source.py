"""The credentials of one client: fixed ones, or the newest from a provider."""

import random
import time
from collections.abc import Callable

from aios3get._protocol.identity import CredentialsProvider, Identity
from aios3get.credentials.chain import locate
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import (
    FixedIdentity,
    Unavailable,
    forget,
    load_from,
    name_of,
    provider_for,
)
from aios3get.credentials.refreshing import Refreshing
from aios3get.errors import CredentialsError

__all__ = ["CredentialsSource", "cached"]


class CredentialsSource(Refreshing[Identity]):
    """The newest credentials of a provider, refreshed before they expire; itself a provider.

    Args:
        source: credentials, a bearer token, ``ANONYMOUS``, or a provider: a callable without
            arguments, sync or async, that returns one of them.
        clock: returns seconds since 1970.
        jitter: see ``Refreshing``.
        contexts: creates the context of one load, for a client with its settings and fetcher.

    Raises:
        ConfigurationError: ``source`` is none of these.
    """

    def __init__(
        self,
        source: Identity | CredentialsProvider,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.0),
        contexts: Callable[[], ProviderContext] = ProviderContext,
    ) -> None:
        super().__init__(self._load, clock=clock, jitter=jitter)
        self._provider = provider = provider_for(source)
        self._contexts = contexts
        if isinstance(provider, FixedIdentity) and provider.identity.expires_at is None:
            self.hold(provider.identity)

    @property
    def refreshable(self) -> bool:
        """Whether another load can return other credentials; False for fixed ones."""
        return not isinstance(self._provider, FixedIdentity)

    def __repr__(self) -> str:
        return f"<CredentialsSource {name_of(self._provider)}>"

    __str__ = __repr__

    async def __call__(self) -> Identity:
        """Return the result of ``get``, so that a source is a provider."""
        return await self.get()

    def invalidate(self, used: Identity) -> None:
        """Drop ``used``, which S3 rejected, also in a provider that caches.

        Such a provider has a sync method ``invalidate(used)``, as those from ``cached`` do.
        """
        super().invalidate(used)
        forget(self._provider, used)

    async def locate(self) -> tuple[str, Identity | Unavailable]:
        """Return the name of the provider that has credentials, and the credentials; for diagnosis.

        Raises:
            S3Error: a provider failed.
        """
        async with self._contexts() as context:
            return await locate(self._provider, context)

    async def _load(self) -> Identity:
        async with self._contexts() as context:
            loaded = await load_from(self._provider, context)
        if isinstance(loaded, Unavailable):
            raise CredentialsError(
                "no credentials found; pass credentials=Credentials(…), a callable that returns"
                " them, or ANONYMOUS to send requests unsigned. Sources tried:",
                sources=loaded.sources(name_of(self._provider)),
            )
        return loaded


def cached(provider: CredentialsProvider) -> CredentialsSource:
    """Return a provider that caches another's newest credentials and refreshes them in advance.

    A client caches any provider; use ``cached`` to share one cache between several clients. It does
    not belong to any of them: certificates and proxies for its requests come from the environment.

    Raises:
        ConfigurationError: ``provider`` is not callable.
    """
    return provider if isinstance(provider, CredentialsSource) else CredentialsSource(provider)

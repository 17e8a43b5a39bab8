"""The credentials of one client: fixed ones, or the newest that a provider gave."""

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
    """The newest snapshot of a provider, refreshed ahead of its end; itself a provider.

    Args:
        source: credentials, a bearer token, ``ANONYMOUS``, or a provider: a callable without
            arguments, sync or async, that gives one of them.
        clock: seconds since 1970.
        jitter: see ``Refreshing``.
        contexts: makes the context of one load; a client's carries its settings and its fetcher.

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
        """Whether another load can give other credentials: fixed ones stay the same."""
        return not isinstance(self._provider, FixedIdentity)

    def __repr__(self) -> str:
        return f"<CredentialsSource {name_of(self._provider)}>"

    __str__ = __repr__

    async def __call__(self) -> Identity:
        """The same as ``get``, which makes a source a provider."""
        return await self.get()

    def invalidate(self, used: Identity) -> None:
        """Drop ``used``, which S3 refused; a provider that caches drops it too.

        It is one if it has a sync method ``invalidate(used)``, as ``cached`` ones do.
        """
        super().invalidate(used)
        forget(self._provider, used)

    async def locate(self) -> tuple[str, Identity | Unavailable]:
        """New credentials, and the name of the provider that gave them; for diagnosis.

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
                "no credentials found; pass credentials=Credentials(…), a callable that gives"
                " them, or ANONYMOUS to send requests unsigned. Looked at:",
                sources=loaded.sources(name_of(self._provider)),
            )
        return loaded


def cached(provider: CredentialsProvider) -> CredentialsSource:
    """A provider that keeps the newest credentials of another and refreshes them ahead of time.

    A client does so with any provider; use ``cached`` to share one refresh between several clients.
    It belongs to none of them: certificates and proxies for its requests come from the environment.

    Raises:
        ConfigurationError: ``provider`` is not callable.
    """
    return provider if isinstance(provider, CredentialsSource) else CredentialsSource(provider)

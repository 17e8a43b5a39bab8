"""The credentials of one client: fixed ones, or the newest that a provider gave."""

import inspect
import random
import time
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from aios3get._protocol.identity import (
    Anonymous,
    BearerToken,
    Credentials,
    CredentialsProvider,
    Identity,
)
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable, load_from, name_of
from aios3get.credentials.refreshing import Refreshing
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["CredentialsSource", "check_source", "forget"]


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
        check_source(source)
        if isinstance(source, Credentials | BearerToken | Anonymous):
            source = _Fixed(source)
        super().__init__(self._load, clock=clock, jitter=jitter)
        self._provider = source
        self._contexts = contexts
        if isinstance(source, _Fixed) and source.value.expires_at is None:
            self.hold(source.value)

    @property
    def refreshable(self) -> bool:
        """Whether asking again can give others: not where they were passed in themselves."""
        return not isinstance(self._provider, _Fixed)

    def __repr__(self) -> str:
        return f"<CredentialsSource {name_of(self._provider)}>"

    __str__ = __repr__

    async def __call__(self) -> Identity:
        """The same as ``get``: a source is a provider itself."""
        return await self.get()

    def invalidate(self, used: Identity) -> None:
        """Drop ``used``, which S3 refused; a provider that caches drops it too.

        It is one if it has a sync method ``invalidate(used)``, as ``cached`` ones do.
        """
        super().invalidate(used)
        forget(self._provider, used)

    async def _load(self) -> Identity:
        async with self._contexts() as context:
            loaded = await load_from(self._provider, context)
        if isinstance(loaded, Unavailable):
            raise _nothing_found(loaded.lines(name_of(self._provider)))
        return loaded


def _nothing_found(lines: list[tuple[bool, str]]) -> CredentialsError:
    detected = [line for found, line in lines if found]
    return CredentialsError(
        _NOTHING_FOUND, sources=(*detected, *(line for found, line in lines if not found))
    )


_NOTHING_FOUND: Final = (
    "no credentials found; pass credentials=Credentials(…), a callable that gives them, or"
    " ANONYMOUS to send requests unsigned. Looked at:"
)


def check_source(source: object) -> None:
    """Refuse what gives no credentials.

    Raises:
        ConfigurationError: neither credentials nor a provider.
    """
    if isinstance(source, Credentials | BearerToken | Anonymous):
        return
    if inspect.isclass(source) or not callable(source):
        raise ConfigurationError(
            "credentials must be Credentials, ANONYMOUS or a callable that gives Credentials,"
            f" not {getattr(source, '__name__', None) or type(source).__name__}"
        )


class _Fixed(Provider):
    def __init__(self, value: Identity) -> None:
        self.value = value

    def __str__(self) -> str:
        return "the credentials passed in"

    async def load(self, context: ProviderContext) -> Identity:
        return self.value


def forget(provider: object, used: Identity) -> None:
    """Have a provider that caches drop ``used``."""
    if isinstance(provider, _Caching):
        provider.invalidate(used)


@runtime_checkable
class _Caching(Protocol):
    def invalidate(self, used: Identity) -> None: ...

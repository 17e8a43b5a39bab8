"""Where one client's credentials come from: a fixed value, or a provider and its newest answer."""

import asyncio
import inspect
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from aios3get._protocol.identity import (
    Anonymous,
    BearerToken,
    Credentials,
    CredentialsProvider,
    Identity,
)
from aios3get.credentials.refreshing import Refreshing
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["CredentialsSource", "ask", "check_source", "name_of", "tell"]


class CredentialsSource(Refreshing[Identity]):
    """The newest snapshot of a provider, refreshed ahead of its end; itself a provider.

    Args:
        source: credentials, a bearer token, ``ANONYMOUS``, or a provider: a callable without
            arguments, sync or async, that gives one of them.
        clock: seconds since 1970.
        jitter: see ``Refreshing``.

    Raises:
        ConfigurationError: ``source`` is none of these.
    """

    def __init__(
        self,
        source: Identity | CredentialsProvider,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = lambda: random.uniform(0.9, 1.0),
    ) -> None:
        check_source(source)
        if isinstance(source, Credentials | BearerToken | Anonymous):
            source = _Fixed(source)
        super().__init__(self._ask, clock=clock, jitter=jitter)
        self._provider = source
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
        """Say that S3 refused ``used``; a provider that remembers is told too.

        It is one if it has a sync method ``invalidate(used)``, as ``cached`` ones do.
        """
        super().invalidate(used)
        tell(self._provider, used)

    async def _ask(self) -> Identity:
        answer = await ask(self._provider)
        if answer is None:
            raise CredentialsError(
                f"no credentials found; looked at: {name_of(self._provider)}. Pass"
                " credentials=Credentials(…), a callable that gives them, or ANONYMOUS to send"
                " requests unsigned"
            )
        return answer


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


class _Fixed:
    def __init__(self, value: Identity) -> None:
        self.value = value

    def __str__(self) -> str:
        return "the credentials passed in"

    async def __call__(self) -> Identity:
        return self.value


async def ask(provider: CredentialsProvider) -> Identity | None:
    """One answer of a provider; a sync one is called in a thread, so it may block.

    Raises:
        CredentialsError: the answer is not credentials.
    """
    if _is_async(provider):
        answer: object = provider()
    else:
        answer = await asyncio.to_thread(provider)
    if isinstance(answer, Awaitable):
        answer = await answer
    if answer is None or isinstance(answer, Credentials | BearerToken | Anonymous):
        return answer
    raise CredentialsError(
        f"{name_of(provider)} gave a {type(answer).__name__}; a provider gives Credentials"
    )


def tell(provider: object, used: Identity) -> None:
    """Have a provider that remembers forget ``used``."""
    if isinstance(provider, _Remembering):
        provider.invalidate(used)


@runtime_checkable
class _Remembering(Protocol):
    def invalidate(self, used: Identity) -> None: ...


def _is_async(provider: CredentialsProvider) -> bool:
    return inspect.iscoroutinefunction(provider) or inspect.iscoroutinefunction(
        getattr(provider, "__call__", None)  # noqa: B004 - whether it is async, not whether it is there
    )


def name_of(provider: object) -> str:
    """What to call a provider in an error: never its ``repr``, which may hold a secret.

    Our own providers say where they look with ``__str__``.
    """
    if type(provider).__str__ is not object.__str__ and type(provider).__module__.startswith(
        "aios3get."
    ):
        return str(provider)
    name = getattr(provider, "__qualname__", None) or type(provider).__qualname__
    return f"the provider {name}"

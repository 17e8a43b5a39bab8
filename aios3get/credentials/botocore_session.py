"""Credentials from a session of another Python SDK, which is not imported here."""

import asyncio
import inspect
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from aios3get._protocol.identity import Credentials, CredentialsProvider, Identity
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["from_botocore"]

# Longer than the longest session of AWS (36 hours).
_LONGEST_SECONDS: Final = 2**18


def from_botocore(session: Any) -> CredentialsProvider:
    """Return a provider of the credentials of a botocore, boto3, aiobotocore or aioboto3 session.

    The session finds and refreshes its credentials itself; sync methods are called in a thread.

    Args:
        session: an object with the method ``get_credentials``, sync or async.

    Raises:
        ConfigurationError: ``session`` has no such method.
    """
    if inspect.isclass(session) or not callable(getattr(session, "get_credentials", None)):
        raise ConfigurationError(
            "from_botocore() takes a session with the method get_credentials, such as"
            f" boto3.Session(), not a {type(session).__name__}"
        )
    return _SessionCredentials(session)


class _SessionCredentials(Provider):
    def __init__(self, session: Any) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"from_botocore({type(self._session).__module__}.{type(self._session).__name__})"

    __str__ = __repr__

    async def load(self, context: ProviderContext) -> Identity | Unavailable:
        source = await _call(self._session.get_credentials)
        if source is None:
            return Unavailable("the session has no credentials")
        await _call(source.get_frozen_credentials)  # refreshes them
        # The expiry is determined before the keys are read: if they are refreshed in between, it is
        # too early rather than too late.
        expires_at = _expires_at(source)
        keys = await _call(source.get_frozen_credentials)
        try:
            return Credentials(keys.access_key, keys.secret_key, keys.token or None, expires_at)
        except ConfigurationError as error:
            raise CredentialsError(f"{self} returned invalid credentials: {error}") from None


async def _call(method: Callable[[], Any]) -> Any:
    if inspect.iscoroutinefunction(method):
        return await method()
    result = await asyncio.to_thread(method)
    return await result if inspect.isawaitable(result) else result


def _expires_at(source: Any) -> datetime | None:
    # botocore documents only whether the expiry is within a number of seconds, so search for it.
    refresh_needed = getattr(source, "refresh_needed", None)
    if refresh_needed is None or not refresh_needed(refresh_in=_LONGEST_SECONDS):
        return None
    now, low, high = time.time(), 0, _LONGEST_SECONDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refresh_needed(refresh_in=middle) else (middle, high)
    return datetime.fromtimestamp(now + low, UTC)

"""Credentials of a session of another SDK for Python; none of them is imported."""

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

# Longer than any session of AWS lasts (36 hours).
_LONGEST_SECONDS: Final = 2**18


def from_botocore(session: Any) -> CredentialsProvider:
    """A provider of the credentials of a botocore, boto3, aiobotocore or aioboto3 session.

    The session finds and refreshes its credentials itself; sync methods are called in a thread.

    Args:
        session: an object with the method ``get_credentials``, sync or async.

    Raises:
        ConfigurationError: it has none.
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
        found = await _call(self._session.get_credentials)
        if found is None:
            return Unavailable("the session has no credentials")
        await _call(found.get_frozen_credentials)  # refreshes them
        # The end is determined before the keys: should they be refreshed in between, it is too
        # early rather than too late.
        expires_at = _expires_at(found)
        keys = await _call(found.get_frozen_credentials)
        try:
            return Credentials(keys.access_key, keys.secret_key, keys.token or None, expires_at)
        except ConfigurationError as error:
            raise CredentialsError(f"{self} gave unusable credentials: {error}") from None


async def _call(method: Callable[[], Any]) -> Any:
    if inspect.iscoroutinefunction(method):
        return await method()
    result = await asyncio.to_thread(method)
    return await result if inspect.isawaitable(result) else result


def _expires_at(found: Any) -> datetime | None:
    # What botocore documents of the end is whether it comes within so many seconds.
    refresh_needed = getattr(found, "refresh_needed", None)
    if refresh_needed is None or not refresh_needed(refresh_in=_LONGEST_SECONDS):
        return None
    now, low, high = time.time(), 0, _LONGEST_SECONDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refresh_needed(refresh_in=middle) else (middle, high)
    return datetime.fromtimestamp(now + low, UTC)

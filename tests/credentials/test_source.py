import functools
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from aios3get._protocol.identity import ANONYMOUS, BearerToken, Credentials, Identity
from aios3get.credentials import cached, chain
from aios3get.credentials.provider import name_of
from aios3get.credentials.source import CredentialsSource
from aios3get.errors import ConfigurationError, CredentialsError

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)


@pytest.mark.parametrize("fixed", [KEYS, ANONYMOUS, BearerToken("abc")])
async def test_fixed_credentials_are_available_at_once(fixed: Identity) -> None:
    source = CredentialsSource(fixed)
    assert source.current() is fixed
    assert await source.get() is fixed
    source.invalidate(fixed)
    assert source.current() is None
    assert await source.get() is fixed


async def test_fixed_credentials_are_used_until_they_expire() -> None:
    ending = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET, "t", datetime(2030, 1, 1, tzinfo=UTC))
    now = ending.expires_at.timestamp() - 60 if ending.expires_at else 0.0
    source = CredentialsSource(ending, clock=lambda: now)
    assert await source.get() is ending
    now += 59
    assert await source.get() is ending
    now += 1
    with pytest.raises(CredentialsError, match="expired at 2030-01-01T00:00:00"):
        await source.get()


async def test_sync_provider_runs_in_a_thread() -> None:
    threads: list[int] = []

    def provider() -> Credentials:
        threads.append(threading.get_ident())
        return KEYS

    assert await CredentialsSource(provider).get() is KEYS
    assert threads != [threading.get_ident()]


async def test_async_providers_run_on_the_loop() -> None:
    threads: list[int] = []

    async def provider(value: Credentials = KEYS) -> Credentials:
        threads.append(threading.get_ident())
        return value

    class Provider:
        async def __call__(self) -> Credentials:
            return await provider()

    for one in (provider, functools.partial(provider, KEYS), Provider(), lambda: provider(KEYS)):
        assert await CredentialsSource(one).get() is KEYS
    assert threads == [threading.get_ident()] * 4


async def test_source_is_a_provider() -> None:
    inner = CredentialsSource(KEYS)
    assert await CredentialsSource(inner).get() is KEYS
    assert cached(inner) is inner
    assert await cached(lambda: KEYS)() is KEYS


async def test_refused_credentials_are_dropped_by_a_cached_provider_in_a_chain() -> None:
    calls = 0

    def provider() -> Credentials:
        nonlocal calls
        calls += 1
        return Credentials(f"AKIAEXAMPLE{calls}", SECRET)

    outer = CredentialsSource(chain(lambda: None, cached(provider)))
    first = await outer.get()
    outer.invalidate(first)
    assert await outer.get() == Credentials("AKIAEXAMPLE2", SECRET)
    outer.invalidate(first)
    assert outer.current() == Credentials("AKIAEXAMPLE2", SECRET)


async def test_provider_that_returns_none_is_named_in_the_error() -> None:
    source = CredentialsSource(lambda: None)
    with pytest.raises(CredentialsError, match="no credentials found") as caught:
        await source.get()
    name = "test_provider_that_returns_none_is_named_in_the_error.<locals>.<lambda>"
    assert caught.value.sources == (f"the provider {name}: returned None",)


@pytest.mark.parametrize("source", [SECRET, {"a": SECRET}, Credentials, object(), 1])
def test_invalid_credentials_argument_is_refused(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="credentials must be Credentials") as caught:
        CredentialsSource(source)
    assert SECRET not in str(caught.value)


async def test_name_of_a_provider_shows_no_secret() -> None:
    def provider(secret: str) -> Credentials:
        return Credentials("AKIAIOSFODNN7EXAMPLE", secret)

    class Talkative:
        def __call__(self) -> Credentials:
            return KEYS

        def __repr__(self) -> str:
            return SECRET

        __str__ = __repr__

    for one in (functools.partial(provider, SECRET), Talkative(), KEYS):
        source = CredentialsSource(one)
        assert SECRET not in name_of(one) + repr(source) + str(source) + f"{source}"
    assert repr(CredentialsSource(KEYS)) == "<CredentialsSource the credentials passed in>"

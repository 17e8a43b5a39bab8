import asyncio
import pickle
from collections.abc import Awaitable
from typing import Any, NoReturn

import pytest

from aios3get import S3Client
from aios3get._protocol.identity import Credentials, Identity
from aios3get.credentials import (
    ANONYMOUS,
    SSO,
    AssumeRole,
    IBMCloudAPIKey,
    InstanceMetadata,
    ProfileCredentials,
    chain,
)
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable
from aios3get.errors import CredentialsError
from tests.credentials.conftest import load

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)
ROLE = "arn:aws:iam::123456789012:role/reader"


class Here(Provider):
    """Returns keys if the environment has them."""

    async def load(self, context: ProviderContext) -> Identity | Unavailable:
        return KEYS if "HERE" in context.environ else Unavailable("HERE is not set")


async def test_provider_is_loaded_with_the_context() -> None:
    assert await load(Here(), {"HERE": "1"}) is KEYS
    assert await load(Here()) == Unavailable("HERE is not set")


async def test_unavailable_provider_called_directly_returns_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await Here()() is None
    monkeypatch.setenv("HERE", "1")
    assert await Here()() is KEYS


@pytest.mark.parametrize("result", [SECRET, {"secret": SECRET}, (SECRET,)])
async def test_wrong_result_is_named_by_its_type(result: Any) -> None:
    with pytest.raises(CredentialsError, match=f"returned a {type(result).__name__}") as caught:
        await load(lambda: result)
    assert SECRET not in str(caught.value)


async def test_result_of_a_sync_provider_may_be_awaitable() -> None:
    future: asyncio.Future[Identity | None] = asyncio.get_running_loop().create_future()
    future.set_result(KEYS)

    async def provider() -> Awaitable[Identity | None]:
        return future

    with pytest.raises(CredentialsError, match="returned a Future"):
        await load(provider)  # type: ignore[arg-type]  # a coroutine that gives an awaitable
    assert await load(lambda: future) is KEYS


def test_clients_with_providers_pickle() -> None:
    anonymous = AssumeRole(ROLE, ANONYMOUS)
    for provider in (
        AssumeRole(ROLE),
        anonymous,
        InstanceMetadata(),
        ProfileCredentials("a"),
        SSO("a"),
    ):
        client = pickle.loads(pickle.dumps(S3Client(credentials=provider)))
        assert repr(client._config.credentials) == repr(provider)


@pytest.mark.parametrize(
    "credentials",
    [
        KEYS,
        AssumeRole(ROLE, KEYS),
        AssumeRole(ROLE, IBMCloudAPIKey("api-key")),
        chain(InstanceMetadata(), AssumeRole(ROLE, KEYS)),
        IBMCloudAPIKey("api-key"),
    ],
    ids=["keys", "role with keys", "role with API key", "chain", "API key"],
)
def test_client_with_a_secret_pickles_only_with_pickle_credentials(credentials: Any) -> None:
    assert pickle.dumps(credentials)
    with pytest.raises(TypeError, match="pickle_credentials=True"):
        pickle.dumps(S3Client(credentials=credentials))
    client = S3Client(credentials=credentials, pickle_credentials=True)
    assert repr(pickle.loads(pickle.dumps(client))._config.credentials) == repr(credentials)


async def test_sync_provider_that_raises_stop_iteration_does_not_hang_the_call() -> None:
    def provider() -> NoReturn:
        next(iter(()))
        raise AssertionError

    client = S3Client(credentials=provider, region="us-east-1")
    async with client, asyncio.timeout(5):
        with pytest.raises(CredentialsError, match="raised StopIteration"):
            await client.get_object("amzn-s3-demo-bucket", "sample.jpg")

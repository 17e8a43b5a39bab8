import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aios3get.credentials import BearerToken, CredentialsSource, IBMCloudAPIKey
from aios3get.errors import ConfigurationError, ConnectionFailed, CredentialsError

API_KEY = "EXAMPLE-ibm-api-key"
NOW = 1_700_000_000.0
INSTANCE = "crn:v1:bluemix:public:cloud-object-storage:global:a/123456789012:example::"


class IAM:
    """IBM's token service on loopback; each token lives ``lifetime`` seconds."""

    def __init__(self) -> None:
        self.forms: list[dict[str, str]] = []
        self.lifetime = 3600
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        if form.get("apikey") != API_KEY:
            reason = {
                "errorCode": "BXNIM0415E",
                "errorMessage": f"Provided API key {form.get('apikey')} could not be found.",
            }
            return web.json_response(reason, status=400)
        return web.json_response(
            {
                "access_token": f"token-{len(self.forms)}",
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                "expiration": 4_000_000_000,
            }
        )


@pytest.fixture
async def iam(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[IAM]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("no_proxy", raising=False)
    service = IAM()
    app = web.Application()
    app.router.add_post("/identity/token", service.token)
    async with TestServer(app) as server:
        service.url = str(server.make_url("/identity/token"))
        yield service


def responding(status: int, body: bytes | Mapping[str, Any]) -> Any:
    async def post(_: str, __: Mapping[str, str]) -> tuple[int, bytes]:
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()

    return post


async def test_api_key_is_exchanged_for_a_token(iam: IAM) -> None:
    provider = IBMCloudAPIKey(API_KEY, INSTANCE, iam_url=iam.url, clock=lambda: NOW)
    token = await provider()
    assert token == BearerToken(
        "token-1",
        datetime.fromtimestamp(NOW + 3600, UTC),
        (("ibm-service-instance-id", INSTANCE),),
    )
    assert iam.forms == [
        {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": API_KEY}
    ]


async def test_tokens_are_refreshed_before_they_expire(iam: IAM) -> None:
    now = NOW
    provider = IBMCloudAPIKey(API_KEY, iam_url=iam.url, clock=lambda: now)
    source = CredentialsSource(provider, clock=lambda: now, jitter=lambda: 1.0)

    async def token() -> str:
        held = await source.get()
        assert isinstance(held, BearerToken)
        assert held.headers()[1:] == ()
        return held.token

    assert [await token() for _ in range(3)] == ["token-1"] * 3
    now = NOW + 3600 - 599
    assert await token() == "token-2"
    assert len(iam.forms) == 2


async def test_error_of_a_refused_key_hides_the_key(iam: IAM) -> None:
    provider = IBMCloudAPIKey("wrong-EXAMPLE-key", iam_url=iam.url)
    with pytest.raises(CredentialsError) as caught:
        await provider()
    assert "BXNIM0415E: Provided API key *** could not be found. [400]" in str(caught.value)
    assert "wrong-EXAMPLE-key" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("status", "body", "message", "retryable"),
    [
        (503, b"<html>", "the response has no reason [503]", True),
        (429, {"errorCode": "slow"}, "slow [429]", True),
        (401, b"[]", "has no reason [401]", False),
        (302, b"", "has no reason [302]", False),
        (200, b"", "has no access_token", False),
        (200, b"\xff", "has no access_token", False),
        (200, b"[" * 100_000, "has no access_token", False),
        (200, {"access_token": "t"}, "no expires_in", False),
        (200, {"access_token": "t", "expires_in": "3600"}, "no expires_in", False),
        (200, {"access_token": "t", "expires_in": True}, "no expires_in", False),
        (200, {"access_token": "t", "expires_in": -1}, "no expires_in", False),
        (200, b'{"access_token": "t", "expires_in": NaN}', "no expires_in", False),
        (200, b'{"access_token": "t", "expires_in": 1e400}', "no expires_in", False),
        (200, {"access_token": 1, "expires_in": 1}, "no access_token", False),
        (200, {"access_token": "secret\n", "expires_in": 1}, "invalid access_token", False),
    ],
)
async def test_response_without_a_token_is_an_error(
    status: int, body: bytes | Mapping[str, Any], message: str, retryable: bool
) -> None:
    with pytest.raises(CredentialsError) as caught:
        await IBMCloudAPIKey(API_KEY, post=responding(status, body))()
    assert message in str(caught.value)
    assert str(caught.value).startswith("IBM Cloud IAM at iam.cloud.ibm.com returned no token: ")
    assert caught.value.retryable is retryable
    assert API_KEY not in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_unreachable_service_is_a_retryable_error() -> None:
    async def post(_: str, __: Mapping[str, str]) -> tuple[int, bytes]:
        raise ConnectionFailed("no route")

    with pytest.raises(CredentialsError, match="no route") as caught:
        await IBMCloudAPIKey(API_KEY, post=post)()
    assert caught.value.retryable
    assert isinstance(caught.value.__cause__, ConnectionFailed)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("",), {}, "api_key is empty"),
        ((None,), {}, "api_key is empty"),
        ((f"{API_KEY}\n",), {}, "white space"),
        ((API_KEY, ""), {}, "service_instance_id"),
        ((API_KEY, "a\r\nb"), {}, "service_instance_id"),
        (
            (API_KEY,),
            {"iam_url": "http://iam.cloud.ibm.com/identity/token"},
            "must start with http",
        ),
        ((API_KEY,), {"iam_url": "https://"}, "must start with https"),
        ((API_KEY,), {"iam_url": "https://u:p@iam.cloud.ibm.com/"}, "user name or password"),
    ],
)
def test_invalid_arguments_are_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        IBMCloudAPIKey(*arguments, **options)
    assert API_KEY not in str(caught.value)


def test_repr_and_str_hide_the_key() -> None:
    provider = IBMCloudAPIKey(API_KEY, INSTANCE)
    assert API_KEY not in repr(provider) + str(provider) + repr(CredentialsSource(provider))

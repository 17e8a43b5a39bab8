from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

from aios3get._protocol.credentials import container as protocol
from aios3get._protocol.identity import Credentials
from aios3get.credentials import ContainerCredentials, CredentialsSource
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Unavailable
from aios3get.errors import ConfigurationError, CredentialsError
from tests.credentials.conftest import first_calls_of_a_thousand_tasks, load
from tests.servers.container import ContainerService
from tests.servers.http_service import Request, Response

TOKEN = "pod identity/token+EXAMPLE=="


@pytest.fixture
def service() -> Iterator[ContainerService]:
    with ContainerService(token=TOKEN) as server:
        yield server


def environ(service: ContainerService, **more: str) -> dict[str, str]:
    return {
        "HOME": "/nowhere",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": service.full_uri,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
        **more,
    }


def expected(service: ContainerService) -> Credentials:
    return Credentials(
        f"ASIATASK{service.generation:012}",
        "container/secret+EXAMPLEKEY",
        f"container-session-token-{service.generation}==",
        service.expires_at.replace(microsecond=0),
    )


async def test_credentials_of_a_full_uri(service: ContainerService) -> None:
    assert await load(ContainerCredentials(), environ(service)) == expected(service)
    assert service.calls == [("GET", service.path)]


async def test_relative_uri_is_a_path_of_the_ecs_agent_and_precedes_a_full_uri(
    service: ContainerService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_ECS", service.url)
    full = "http://127.0.0.1:1/never"
    relative = environ(
        service,
        AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=service.path,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=full,
    )
    assert await load(ContainerCredentials(), relative) == expected(service)


async def test_requests_are_those_of_botocore(
    service: ContainerService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    by_file = environ(
        service,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path),
        AWS_CONTAINER_AUTHORIZATION_TOKEN="another",
    )
    for environment in (environ(service), by_file):
        service.requests.clear()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        theirs = botocore.session.Session().get_credentials()
        assert theirs.token == expected(service).session_token
        await load(ContainerCredentials(), environment)
        of_botocore, of_ours = service.requests
        assert _essence(of_ours) == _essence(of_botocore)


def _essence(request: Request) -> tuple[object, ...]:
    headers = request.headers["Accept"], request.headers["Authorization"]
    return request.method, request.path, request.query, request.body, headers


async def test_provider_is_unavailable_outside_a_container() -> None:
    loaded = await load(ContainerCredentials(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": ""})
    assert isinstance(loaded, Unavailable)
    assert loaded.reason == (
        "neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI"
        " is set"
    )
    assert not loaded.detected


async def test_rotated_token_file_is_read_again(service: ContainerService, tmp_path: Path) -> None:
    path = tmp_path / "token"
    provider = ContainerCredentials()
    environment = environ(service, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path))
    for generation, token in enumerate(("first", "second"), 1):
        service.token, service.generation = token, generation
        path.write_text(token)
        assert await load(provider, environment) == expected(service)


async def test_invalid_token_file_is_an_error_that_names_it(
    service: ContainerService, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    environment = environ(service, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(path))
    with pytest.raises(CredentialsError, match=f"No such file or directory: {path}"):
        await load(ContainerCredentials(), environment)
    path.write_text("secret\r\nX-Injected: yes")
    with pytest.raises(ConfigurationError, match=str(path)) as caught:
        await load(ContainerCredentials(), environment)
    assert "secret" not in str(caught.value)
    assert not service.requests


async def test_temporary_failure_is_retried(service: ContainerService) -> None:
    service.fail(Response(500))
    service.fail(Response(None))
    assert await load(ContainerCredentials(), environ(service)) == expected(service)


UNUSABLE = {
    "server error": (
        Response(503, "no credentials yet"),
        "has status 503: no credentials yet",
        True,
    ),
    "refusal": (
        Response(400, {"code": "AccessDenied", "message": "no role for the pod"}),
        "has status 400: AccessDenied: no role for the pod",
        False,
    ),
    "redirect": (Response(307, headers={"Location": "http://example.com"}), "status 307", False),
    "no JSON": (Response(200, b"\xff secret"), "is not a JSON object", False),
    "no key": (
        Response(200, {"Token": "secret", "Expiration": "2030-01-01T00:00:00Z"}),
        "has no AccessKeyId",
        False,
    ),
    "no end": (Response(200, {"Token": "secret"}), "has no Expiration", False),
    "odd end": (
        Response(200, {"Token": "secret", "Expiration": "secret"}),
        "has an Expiration that is not a time",
        False,
    ),
    "odd key": (
        Response(
            200,
            {
                "AccessKeyId": "secret key",
                "SecretAccessKey": "secret",
                "Token": "secret",
                "Expiration": "2030-01-01T00:00:00Z",
            },
        ),
        "access_key_id must be printable ASCII",
        False,
    ),
    "huge": (Response(200, b" " * 2_000_000), "longer than", False),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_invalid_response_names_the_variable_and_the_host(
    service: ContainerService, case: str
) -> None:
    fault, text, retryable = UNUSABLE[case]
    service.fail(fault, times=10)
    with pytest.raises(CredentialsError, match=text) as caught:
        await load(ContainerCredentials(), environ(service))
    assert str(caught.value).startswith("AWS_CONTAINER_CREDENTIALS_FULL_URI is set, but ")
    assert f"127.0.0.1:{service.port}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert service.path not in str(caught.value)
    assert caught.value.retryable is retryable


async def test_token_that_the_service_repeats_is_not_shown(service: ContainerService) -> None:
    token = "EXAMPLEtoken0123456789"
    environment = environ(service, AWS_CONTAINER_AUTHORIZATION_TOKEN=token)
    with pytest.raises(CredentialsError, match="has status 401: invalid token") as caught:
        await load(ContainerCredentials(), environment)
    assert token not in str(caught.value)


async def test_missing_service_is_a_credentials_error(unused_tcp_port: int) -> None:
    place = f"http://127.0.0.1:{unused_tcp_port}/v2"
    with pytest.raises(CredentialsError, match="FULL_URI is set, but no connection") as caught:
        await load(ContainerCredentials(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": place})
    assert caught.value.retryable


async def test_plain_http_to_another_host_is_refused_before_anything_is_sent() -> None:
    place = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/secret"}
    with pytest.raises(ConfigurationError, match=r"names the host 'example\.com' over http"):
        await load(ContainerCredentials(), place)


async def test_first_calls_of_a_thousand_tasks_make_one_request(service: ContainerService) -> None:
    def context() -> ProviderContext:
        return ProviderContext(environ=environ(service))

    source = CredentialsSource(ContainerCredentials(), contexts=context)
    got = await first_calls_of_a_thousand_tasks(source)
    assert got == {expected(service)}
    assert len(service.requests) == 1


def test_repr_and_str_name_the_source() -> None:
    assert repr(ContainerCredentials()) == "ContainerCredentials()"
    assert str(ContainerCredentials()) == "the container credentials service"

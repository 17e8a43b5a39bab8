import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from aios3get._protocol.identity import Credentials
from aios3get.credentials import CredentialsSource, InstanceMetadata
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.imds import load_instance_region
from aios3get.credentials.provider import Unavailable
from aios3get.errors import ConfigurationError, CredentialsError
from tests.credentials.conftest import Files, first_calls_of_a_thousand_tasks, load
from tests.servers.http_service import Response
from tests.servers.imds import Imds

ROLES = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture
def imds() -> Iterator[Imds]:
    with Imds() as server:
        yield server


def environ(imds: Imds, **more: str) -> dict[str, str]:
    return {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
        "AWS_REGION": "us-east-1",
        "HOME": "/nowhere",
        **more,
    }


def expected(imds: Imds) -> Credentials:
    served = imds.credentials()
    return Credentials(
        served["AccessKeyId"],
        served["SecretAccessKey"],
        served["Token"],
        imds.expires_at.replace(microsecond=0),
    )


async def test_credentials_of_the_role_are_requested_with_a_token(imds: Imds) -> None:
    assert await load(InstanceMetadata(), environ(imds)) == expected(imds)
    role = f"{ROLES}web+server@example"
    assert imds.calls == [("PUT", "/latest/api/token"), ("GET", ROLES), ("GET", role)]


async def test_requests_are_those_of_botocore(imds: Imds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
    theirs = botocore.session.Session().get_credentials()
    assert theirs.access_key == expected(imds).access_key_id
    assert theirs.token == expected(imds).session_token
    of_botocore = list(imds.requests)
    await load(InstanceMetadata(), environ(imds))
    of_ours = imds.requests[len(of_botocore) :]
    assert [_essence(request) for request in of_ours] == [_essence(r) for r in of_botocore]


def _essence(request: Any) -> tuple[object, ...]:
    named = {name.lower() for name in request.headers if name.lower().startswith("x-aws-")}
    return request.method, request.path, request.query, request.body, named


async def test_service_over_ipv6() -> None:
    with Imds("::1") as imds:
        assert "[::1]" in imds.url
        assert await load(InstanceMetadata(), environ(imds)) == expected(imds)


async def test_disabled_service_is_not_contacted(imds: Imds) -> None:
    loaded = await load(InstanceMetadata(), environ(imds, AWS_EC2_METADATA_DISABLED="True"))
    assert loaded == Unavailable("AWS_EC2_METADATA_DISABLED is true")
    assert not imds.requests


async def test_settings_of_the_profile(imds: Imds, files: Files) -> None:
    config = (
        f"[default]\nec2_metadata_service_endpoint = {imds.url}/\nec2_metadata_v1_disabled=false"
    )
    imds.issues_tokens = imds.requires_token = False
    assert await load(InstanceMetadata(), files(config=config)) == expected(imds)
    named = f"[profile other]\nec2_metadata_service_endpoint = {imds.url}\n"
    imds.issues_tokens = True
    environment = files(config=named, AWS_PROFILE="other")
    assert await load(InstanceMetadata(), environment) == expected(imds)


async def test_invalid_setting_names_its_source(imds: Imds) -> None:
    with pytest.raises(ConfigurationError, match="AWS_METADATA_SERVICE_TIMEOUT is 'soon'"):
        await load(InstanceMetadata(), environ(imds, AWS_METADATA_SERVICE_TIMEOUT="soon"))


async def test_imdsv1_is_used_only_if_enabled(imds: Imds) -> None:
    imds.issues_tokens = imds.requires_token = False
    loaded = await load(InstanceMetadata(), environ(imds))
    assert isinstance(loaded, Unavailable)
    assert loaded.detected
    assert loaded.reason == (
        f"127.0.0.1:{imds.port} rejects the request for an IMDSv2 token with status 404"
    )
    asking = environ(imds, AWS_EC2_METADATA_V1_DISABLED="false")
    assert await load(InstanceMetadata(), asking) == expected(imds)
    assert "X-aws-ec2-metadata-token" not in imds.requests[-1].headers


async def test_imdsv1_is_used_after_a_token_request_without_a_response(imds: Imds) -> None:
    # So it is in a container with a hop limit of 1.
    imds.requires_token = False
    imds.fail(Response(200, delay=5), path="/latest/api/token")
    quick = {"AWS_METADATA_SERVICE_TIMEOUT": "0.2", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1"}
    loaded = await load(InstanceMetadata(), environ(imds, **quick))
    assert isinstance(loaded, Unavailable)
    assert loaded.detected
    assert "HttpPutResponseHopLimit must be 2 or more" in loaded.reason
    imds.fail(Response(200, delay=5), path="/latest/api/token")
    asking = environ(imds, AWS_EC2_METADATA_V1_DISABLED="false", **quick)
    assert await load(InstanceMetadata(), asking) == expected(imds)


async def test_instance_without_a_role(imds: Imds) -> None:
    imds.role = None
    loaded = await load(InstanceMetadata(), environ(imds))
    reason = f"127.0.0.1:{imds.port} has no IAM role for this instance"
    assert loaded == Unavailable(reason, detected=True)


async def test_lost_session_token_is_replaced(imds: Imds) -> None:
    imds.fail(Response(401), path=ROLES)
    assert await load(InstanceMetadata(), environ(imds)) == expected(imds)
    assert len(imds.tokens) == 2


@pytest.mark.parametrize("path", ["/latest/api/token", ROLES, f"{ROLES}web"])
async def test_temporary_failure_is_retried(imds: Imds, path: str) -> None:
    imds.fail(Response(500), path=path)
    assert await load(InstanceMetadata(), environ(imds)) == expected(imds)


@pytest.mark.parametrize("fault", [Response(503, "busy"), Response(None)])
@pytest.mark.parametrize("path", ["/latest/api/token", ROLES, f"{ROLES}web"])
async def test_lasting_failure_is_a_retryable_error(imds: Imds, path: str, fault: Response) -> None:
    imds.fail(fault, path=path, times=10)
    with pytest.raises(CredentialsError, match=f"127.0.0.1:{imds.port}") as caught:
        await load(InstanceMetadata(), environ(imds))
    assert caught.value.retryable


async def test_number_of_attempts_is_a_setting(imds: Imds) -> None:
    imds.fail(Response(500), times=10)
    for attempts in (1, 3):
        imds.requests.clear()
        with pytest.raises(CredentialsError):
            await load(
                InstanceMetadata(),
                environ(imds, AWS_METADATA_SERVICE_NUM_ATTEMPTS=str(attempts)),
                sleep=no_sleep,
            )
        assert len(imds.requests) == attempts


GARBAGE = {
    "another service's page": (
        ROLES,
        Response(200, "<html>Welcome</html>"),
        "not one of the Instance",
    ),
    "an empty token": ("/latest/api/token", Response(200), "not one of the Instance"),
    "a redirect": (ROLES, Response(302, headers={"Location": "http://example.com"}), "status 302"),
    "no JSON": (f"{ROLES}web", Response(200, "secret!"), "is not a JSON object"),
    "no credentials": (f"{ROLES}web", Response(200, {"Code": "Success"}), "has no Token"),
    "a refusal": (
        f"{ROLES}web",
        Response(200, {"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume"}),
        "code AssumeRoleUnauthorizedAccess: EC2 cannot assume",
    ),
}


@pytest.mark.parametrize("case", GARBAGE)
async def test_invalid_response_is_an_error(imds: Imds, case: str) -> None:
    path, fault, text = GARBAGE[case]
    imds.fail(fault, path=path)
    with pytest.raises(CredentialsError, match=text) as caught:
        await load(InstanceMetadata(), environ(imds))
    assert "secret" not in str(caught.value)
    assert not caught.value.retryable


async def test_refused_connection_is_unavailable_immediately(unused_tcp_port: int) -> None:
    endpoint = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{unused_tcp_port}"}
    loaded = await load(InstanceMetadata(), {"HOME": "/nowhere", **endpoint})
    assert isinstance(loaded, Unavailable)
    assert not loaded.detected
    assert f"127.0.0.1:{unused_tcp_port}" in loaded.reason


async def test_dropped_packets_are_unavailable_within_two_connect_timeouts() -> None:
    with ExitStack() as stack:
        # A listener whose queue is full ignores further connections.
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(2):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(address)
        started = time.monotonic()
        loaded = await load(
            InstanceMetadata(),
            {
                "HOME": "/nowhere",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{address[1]}",
                "AWS_METADATA_SERVICE_TIMEOUT": "0.1",
            },
        )
        elapsed = time.monotonic() - started
    assert loaded == Unavailable(f"127.0.0.1:{address[1]} did not accept a connection within 0.1 s")
    assert 0.2 <= elapsed < 2


async def test_first_calls_of_a_thousand_tasks_make_one_exchange(imds: Imds) -> None:
    def context() -> ProviderContext:
        return ProviderContext(environ=environ(imds))

    source = CredentialsSource(InstanceMetadata(), contexts=context)
    got = await first_calls_of_a_thousand_tasks(source)
    assert got == {expected(imds)}
    assert len(imds.requests) == 3


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


class Clock:
    def __init__(self, moment: datetime) -> None:
        self.now = moment.timestamp()

    def __call__(self) -> float:
        return self.now


async def test_expired_credentials_of_the_service_stay_in_use(
    imds: Imds, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(imds.expires_at)
    provider = InstanceMetadata()
    loaded = await load(provider, environ(imds), clock=clock, random=lambda: 0.5)
    assert isinstance(loaded, Credentials)
    assert loaded.access_key_id == expected(imds).access_key_id
    assert loaded.expires_at == datetime.fromtimestamp(clock.now, UTC) + timedelta(minutes=7.5)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "imds-session-token" not in caplog.text
    imds.generation, imds.expires_at = 2, imds.expires_at + timedelta(hours=6)
    assert await load(provider, environ(imds), clock=clock) == expected(imds)


@pytest.mark.parametrize("fault", [Response(500), Response(404)])
async def test_credentials_stay_in_use_while_the_service_is_down(
    imds: Imds, fault: Response
) -> None:
    clock = Clock(imds.expires_at - timedelta(hours=1))
    provider = InstanceMetadata()
    first = await load(provider, environ(imds), clock=clock)
    imds.fail(fault, times=100)
    # Valid ones are the refreshing cache's, which tries again soon.
    if fault.status == 500:
        with pytest.raises(CredentialsError, match="status 500"):
            await load(provider, environ(imds), clock=clock)
    else:
        assert isinstance(await load(provider, environ(imds), clock=clock), Unavailable)
    clock.now += 3600
    loaded = await load(provider, environ(imds), clock=clock)
    assert isinstance(first, Credentials)
    assert isinstance(loaded, Credentials)
    assert loaded.access_key_id == first.access_key_id
    provider.invalidate(loaded)
    if fault.status == 500:
        with pytest.raises(CredentialsError, match="status 500"):
            await load(provider, environ(imds), clock=clock)
    else:
        assert isinstance(await load(provider, environ(imds), clock=clock), Unavailable)


async def test_credentials_are_refreshed_some_minutes_after_an_outage(
    imds: Imds,
) -> None:
    clock = Clock(imds.expires_at - timedelta(hours=6))
    provider = InstanceMetadata()

    def context() -> ProviderContext:
        return ProviderContext(environ=environ(imds), clock=clock, sleep=no_sleep)

    source = CredentialsSource(provider, clock=clock, contexts=context, jitter=lambda: 1.0)
    used = []
    for minutes in range(0, 8 * 60, 5):
        clock.now = imds.expires_at.timestamp() + (minutes - 6 * 60) * 60
        if minutes == 6 * 60 - 30:
            imds.fail(Response(500), times=10_000)
        if minutes == 7 * 60:
            imds.heal()
            imds.generation, imds.expires_at = 2, imds.expires_at + timedelta(hours=6)
        got = await source.get()
        assert isinstance(got, Credentials)
        used.append(got.access_key_id[-1])
    switch = used.index("2") * 5
    assert 7 * 60 <= switch <= 7 * 60 + 10
    assert set(used[switch // 5 :]) == {"2"}


async def test_region_of_the_instance(imds: Imds) -> None:
    async with ProviderContext(environ=environ(imds)) as context:
        assert await load_instance_region(context) == "eu-central-1"


async def test_instance_region_is_used_if_none_is_configured(imds: Imds) -> None:
    regions: list[str] = []
    for _ in range(2):
        async with ProviderContext(
            environ=environ(imds, AWS_REGION=""), on_region=regions.append
        ) as context:
            await InstanceMetadata().load(context)
            assert await context.region() == "eu-central-1"
    imds.fail(Response(500), path="/latest/meta-data/placement", times=9)
    without = environ(imds, AWS_REGION="", AWS_METADATA_SERVICE_NUM_ATTEMPTS="1")
    assert await load(InstanceMetadata(), without, on_region=regions.append) == expected(imds)
    await load(InstanceMetadata(), environ(imds), on_region=regions.append)
    assert regions == ["eu-central-1", "eu-central-1"]


async def test_region_is_none_if_the_service_is_disabled_absent_or_failing(
    imds: Imds, unused_tcp_port: int
) -> None:
    disabled = environ(imds, AWS_EC2_METADATA_DISABLED="true")
    absent = environ(imds) | {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{unused_tcp_port}"
    }
    imds.fail(Response(200, "<html>"), path="/latest/meta-data")
    for environment in (disabled, absent, environ(imds)):
        async with ProviderContext(environ=environment) as context:
            assert await load_instance_region(context) is None


def test_repr_and_str_name_the_source() -> None:
    assert repr(InstanceMetadata()) == "InstanceMetadata()"
    assert str(InstanceMetadata()) == "the EC2 instance metadata service"

import asyncio
import json
import logging
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.credentials
import botocore.session
import botocore.tokens
import pytest

from aios3get._protocol.identity import Credentials
from aios3get.credentials import SSO, CredentialsSource, ProfileCredentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Unavailable
from aios3get.errors import ConfigurationError, CredentialsError
from tests.credentials.conftest import Files, first_calls_of_a_thousand_tasks, load
from tests.servers.http_service import Request, Response
from tests.servers.sso import Sso

START_URL = "https://example.awsapps.com/start"
SESSION = f"""
[default]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Read Only/é
[sso-session corp]
sso_start_url = {START_URL}
sso_region = eu-west-1
sso_registration_scopes = sso:account:access
"""
LEGACY = f"""
[profile old]
sso_start_url = {START_URL}
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = Read Only/é
"""
ENDED = "2020-01-01T00:00:00Z"


@pytest.fixture
def sso() -> Iterator[Sso]:
    with Sso() as server:
        yield server


def endpoints(sso: Sso) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL_SSO": sso.url, "AWS_ENDPOINT_URL_SSO_OIDC": sso.url}


def expected(sso: Sso) -> Credentials:
    served = sso.credentials()
    return Credentials(
        served["accessKeyId"],
        served["secretAccessKey"],
        served["sessionToken"],
        sso.expires_at.replace(microsecond=0),
    )


async def test_credentials_from_the_token_of_a_session(
    sso: Sso, files: Files, tmp_path: Path
) -> None:
    sso.sign_in(tmp_path, "corp")
    assert await load(SSO(), files(config=SESSION, **endpoints(sso))) == expected(sso)
    assert sso.calls == [("GET", "/federation/credentials")]


async def test_credentials_from_the_token_of_legacy_settings(
    sso: Sso, files: Files, tmp_path: Path
) -> None:
    sso.sign_in(tmp_path, START_URL)
    environ = files(config=LEGACY, **endpoints(sso))
    assert await load(SSO("old"), environ) == expected(sso)
    assert await load(SSO(), {**environ, "AWS_PROFILE": "old"}) == expected(sso)


async def test_profile_with_sso_settings_uses_sso(sso: Sso, files: Files, tmp_path: Path) -> None:
    sso.sign_in(tmp_path, "corp")
    environ = files(config=SESSION, **endpoints(sso))
    assert await load(ProfileCredentials(), environ) == expected(sso)


async def test_expiring_token_is_refreshed_and_written_back(
    sso: Sso, files: Files, tmp_path: Path
) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=14)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = sso.sign_in(tmp_path, "corp", expiresAt=soon)
    environ = files(config=SESSION, **endpoints(sso))
    assert await load(SSO(), environ) == expected(sso)
    assert await load(SSO(), environ) == expected(sso)
    assert [path for _, path in sso.calls] == ["/token", *["/federation/credentials"] * 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ended", [True, False])
async def test_requests_and_cache_file_are_those_of_botocore(
    sso: Sso, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    changes = {"expiresAt": ENDED} if ended else {}
    environ = files(config=SESSION, **endpoints(sso))
    cache = tmp_path / ".aws" / "sso" / "cache"
    for provider in (botocore.credentials.SSOProvider, botocore.tokens.SSOTokenProvider):
        monkeypatch.setattr(provider, "_SSO_TOKEN_CACHE_DIR", str(cache))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / ".aws" / "config"))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    path = sso.sign_in(tmp_path, "corp", **changes)
    theirs = botocore.session.Session().get_credentials().get_frozen_credentials()
    of_botocore, file_of_botocore = list(sso.requests), json.loads(path.read_bytes())
    assert theirs.token == expected(sso).session_token

    sso.access_token, sso.refresh_token = "example-access-token-0", "example-refresh-token-0"
    sso.sign_in(tmp_path, "corp", **changes)
    assert await load(SSO(), environ) == expected(sso)
    of_ours, file_of_ours = sso.requests[len(of_botocore) :], json.loads(path.read_bytes())
    assert [_essence(request) for request in of_ours] == [_essence(r) for r in of_botocore]
    assert list(file_of_ours) == list(file_of_botocore)
    for name in ("expiresAt", "registrationExpiresAt"):
        moments = [datetime.fromisoformat(f.pop(name)) for f in (file_of_ours, file_of_botocore)]
        assert abs(moments[0] - moments[1]) < timedelta(minutes=1)
    assert file_of_ours == file_of_botocore


def _essence(request: Request) -> tuple[object, ...]:
    body = json.loads(request.body) if request.body else None
    named = {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() in {"content-type", "x-amz-sso_bearer_token"}
    }
    return request.method, request.path, request.query, body, named


async def test_profile_without_settings_is_no_source(files: Files) -> None:
    loaded = await load(SSO(), files(config="[default]\nsso_session = corp"))
    reason = "the profile 'default' has neither sso_account_id nor sso_role_name"
    assert loaded == Unavailable(reason)


async def test_missing_token_says_how_to_sign_in(sso: Sso, files: Files) -> None:
    environ = files(config=SESSION + LEGACY, **endpoints(sso))
    with pytest.raises(CredentialsError) as caught:
        await load(SSO(), environ)
    assert str(caught.value).startswith(
        "the SSO session 'corp' has no token: run `aws sso login --sso-session corp`"
    )
    with pytest.raises(CredentialsError, match=r"profile 'old' .* `aws sso login --profile old`"):
        await load(SSO("old"), environ)
    assert not sso.requests


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"refreshToken": None}, "the token cannot be refreshed"),
        ({"registrationExpiresAt": ENDED}, "the client registration expired at 2020-01-01"),
        ({"refreshToken": "used"}, "status 400: invalid_grant: invalid_grant was sent"),
    ],
)
async def test_expired_session_says_how_to_sign_in_again(
    sso: Sso, files: Files, tmp_path: Path, changes: Mapping[str, str | None], reason: str
) -> None:
    sso.sign_in(tmp_path, "corp", expiresAt=ENDED, **changes)
    with pytest.raises(CredentialsError, match=reason) as caught:
        await load(SSO(), files(config=SESSION, **endpoints(sso)))
    assert str(caught.value).startswith(
        "the SSO session 'corp' expired at 2020-01-01T00:00:00+00:00: run"
        " `aws sso login --sso-session corp` ("
    )
    assert "example-" not in str(caught.value)
    assert not caught.value.retryable


async def test_expired_legacy_session_is_not_refreshed(
    sso: Sso, files: Files, tmp_path: Path
) -> None:
    sso.sign_in(tmp_path, START_URL, expiresAt=ENDED)
    with pytest.raises(CredentialsError, match="run `aws sso login --profile old`"):
        await load(SSO("old"), files(config=LEGACY, **endpoints(sso)))
    assert not sso.requests


async def test_valid_token_is_used_if_the_refresh_fails(
    sso: Sso, files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    sso.sign_in(tmp_path, "corp", expiresAt=soon)
    sso.fail(Response(400), path="/token")
    assert await load(SSO(), files(config=SESSION, **endpoints(sso))) == expected(sso)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the SSO session 'corp' expires at" in caplog.text


async def test_refresh_by_another_process_is_used(sso: Sso, files: Files, tmp_path: Path) -> None:
    path = sso.sign_in(tmp_path, "corp", expiresAt=ENDED, refreshToken="used")
    respond = sso.respond

    def other_process_first(request: Request) -> Response:
        if request.path == "/token":
            sso.sign_in(tmp_path, "corp")
        return respond(request)

    sso.access_token = "example-access-token-5"
    sso.respond = other_process_first  # type: ignore[method-assign]
    assert await load(SSO(), files(config=SESSION, **endpoints(sso))) == expected(sso)
    assert json.loads(path.read_bytes())["accessToken"] == "example-access-token-5"


async def test_refreshed_token_is_used_if_it_cannot_be_saved(
    sso: Sso,
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def read_only(_: str, __: bytes) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("aios3get.credentials.sso.replace_file", read_only)
    sso.sign_in(tmp_path, "corp", expiresAt=ENDED)
    environ, provider = files(config=SESSION, **endpoints(sso)), SSO()
    for _ in range(2):
        assert await load(provider, environ) == expected(sso)
    assert [path for _, path in sso.calls].count("/token") == 1
    assert "Read-only file system" in caplog.text
    other = SESSION.replace("corp", "other").replace("[default]", "[profile other]")
    sso.sign_in(tmp_path, "other", accessToken="example-token-of-an-ended-session")
    with pytest.raises(CredentialsError, match="UnauthorizedException"):
        await load(provider, files(config=other, AWS_PROFILE="other", **endpoints(sso)))
    files(config=SESSION)
    sso.access_token = "example-access-token-9"
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    sso.sign_in(tmp_path, "corp", expiresAt=later)
    assert await load(provider, environ) == expected(sso)


@pytest.mark.parametrize("path", ["/token", "/federation/credentials"])
@pytest.mark.parametrize("fault", [Response(500), Response(429), Response(None)])
async def test_temporary_failure_is_retried_and_lasting_failure_is_retryable(
    sso: Sso, files: Files, tmp_path: Path, path: str, fault: Response
) -> None:
    sso.sign_in(tmp_path, "corp", expiresAt=ENDED)
    environ = files(config=SESSION, **endpoints(sso))
    sso.fail(fault, path=path, times=10)
    with pytest.raises(CredentialsError) as caught:
        await load(SSO(), environ, sleep=_no_sleep)
    assert caught.value.retryable
    sso.heal()
    sso.fail(fault, path=path)
    assert await load(SSO(), environ, sleep=_no_sleep) == expected(sso)


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Response(200, "<html>"), "is not a JSON object"),
        (Response(200, {}), "has no object roleCredentials"),
        (Response(200, {"roleCredentials": {"expiration": "1"}}), "has no number expiration"),
        (Response(403, {"message": "No access"}), "has status 403: No access"),
        (Response(307, headers={"Location": "http://example.com"}), "has status 307"),
    ],
)
async def test_invalid_response_is_an_error(
    sso: Sso, files: Files, tmp_path: Path, fault: Response, text: str
) -> None:
    sso.sign_in(tmp_path, "corp")
    sso.fail(fault)
    with pytest.raises(CredentialsError, match=text) as caught:
        await load(SSO(), files(config=SESSION, **endpoints(sso)))
    assert "the SSO session 'corp'" in str(caught.value)
    assert not caught.value.retryable


async def test_ended_session_says_how_to_sign_in_again(
    sso: Sso, files: Files, tmp_path: Path
) -> None:
    sso.sign_in(tmp_path, "corp", accessToken="example-token-of-an-ended-session")
    with pytest.raises(CredentialsError, match="UnauthorizedException: Session token") as caught:
        await load(SSO(), files(config=SESSION, **endpoints(sso)))
    assert str(caught.value).endswith("; run `aws sso login --sso-session corp`")
    assert "ended-session" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"accessToken": "example"}', b"\xff"])
async def test_damaged_cache_file_is_an_error_that_names_it(
    sso: Sso, files: Files, tmp_path: Path, data: bytes
) -> None:
    path = sso.sign_in(tmp_path, "corp")
    path.write_bytes(data)
    with pytest.raises(CredentialsError, match=str(path)):
        await load(SSO(), files(config=SESSION, **endpoints(sso)))


async def test_contradicting_settings_are_refused(sso: Sso, files: Files) -> None:
    config = SESSION.replace("[sso-session", "sso_region = us-east-1\n[sso-session")
    with pytest.raises(ConfigurationError, match="sso_region of the profile 'default' differs"):
        await load(SSO(), files(config=config, **endpoints(sso)))


async def test_first_calls_of_a_thousand_tasks_make_one_request(
    sso: Sso, files: Files, tmp_path: Path
) -> None:
    sso.sign_in(tmp_path, "corp", expiresAt=ENDED)
    environ = files(config=SESSION, **endpoints(sso))
    source = CredentialsSource(SSO(), contexts=lambda: ProviderContext(environ=environ))
    got = await first_calls_of_a_thousand_tasks(source)
    assert got == {expected(sso)}
    assert [path for _, path in sso.calls] == ["/token", "/federation/credentials"]


def test_repr_and_str_name_the_profile() -> None:
    assert (repr(SSO()), str(SSO())) == ("SSO(None)", "SSO of the profile")
    assert (repr(SSO("corp")), str(SSO("corp"))) == ("SSO('corp')", "SSO of the profile 'corp'")

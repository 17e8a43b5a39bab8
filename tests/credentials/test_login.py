import asyncio
import json
import logging
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from aios3get._protocol.identity import Credentials
from aios3get.credentials import CredentialsSource, ProfileCredentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.login import Login
from aios3get.errors import CredentialsError
from tests.credentials.conftest import Files, first_calls_of_a_thousand_tasks, load
from tests.servers.http_service import Request, Response
from tests.servers.sign_in import SESSION, SignIn

VALID, ENDING, ENDED = timedelta(minutes=14), timedelta(minutes=4), timedelta(minutes=-1)


@pytest.fixture
def sign_in() -> Iterator[SignIn]:
    with SignIn() as server:
        yield server


@pytest.fixture
def environ(sign_in: SignIn, tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": "/nowhere",
        "AWS_LOGIN_CACHE_DIRECTORY": str(tmp_path),
        "AWS_ENDPOINT_URL_SIGNIN": sign_in.url,
        "AWS_REGION": "eu-west-1",
    }


def same_keys(loaded: object, sign_in: SignIn) -> bool:
    keys = sign_in.keys()
    return isinstance(loaded, Credentials) and keys == {
        "accessKeyId": loaded.access_key_id,
        "secretAccessKey": loaded.secret_access_key,
        "sessionToken": loaded.session_token,
    }


async def test_valid_credentials_come_from_the_cache_file(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path
) -> None:
    sign_in.log_in(tmp_path, VALID)
    assert same_keys(await load(Login(SESSION), environ), sign_in)
    assert not sign_in.requests


async def test_profile_with_a_login_session_uses_its_credentials(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path, files: Files
) -> None:
    sign_in.log_in(tmp_path, VALID)
    more = files(config=f"[default]\nlogin_session = {SESSION}")
    assert same_keys(await load(ProfileCredentials(), {**environ, **more}), sign_in)


async def test_cache_folder_is_below_the_home_folder_by_default(
    sign_in: SignIn, tmp_path: Path
) -> None:
    folder = tmp_path / ".aws" / "login" / "cache"
    folder.mkdir(parents=True)
    sign_in.log_in(folder, VALID)
    assert same_keys(await load(Login(SESSION), {"HOME": str(tmp_path)}), sign_in)


@pytest.mark.parametrize("remaining", [ENDING, ENDED])
async def test_expiring_session_is_refreshed_and_written_back(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path, remaining: timedelta
) -> None:
    path = sign_in.log_in(tmp_path, remaining)
    for _ in range(2):
        loaded = await load(Login(SESSION), environ)
        assert same_keys(loaded, sign_in)
        assert isinstance(loaded, Credentials)
        assert loaded.expires_at is not None
        assert abs(loaded.expires_at - datetime.now(UTC) - timedelta(minutes=15)) < timedelta(
            minutes=1
        )
    assert sign_in.calls == [("POST", "/v1/token")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]


async def test_request_and_cache_file_are_those_of_botocore(
    sign_in: SignIn,
    environ: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[default]\nlogin_session = {SESSION}\nregion = eu-west-1")
    for name, value in {**environ, "AWS_CONFIG_FILE": str(config)}.items():
        monkeypatch.setenv(name, value)
    files, keys = [], []
    for ours in (False, True):
        sign_in.generation, sign_in.refresh_token = 0, "example-refresh-token-0"
        path = sign_in.log_in(tmp_path, ENDED, signInRegion="us-west-2")
        if ours:
            assert same_keys(await load(Login(SESSION), environ), sign_in)
        else:
            theirs = botocore.session.Session().get_credentials().get_frozen_credentials()
            keys.append(theirs.access_key)
        files.append(json.loads(path.read_bytes()))
    assert keys == [sign_in.keys()["accessKeyId"]]
    of_botocore, of_ours = sign_in.requests
    assert of_ours.json == of_botocore.json
    assert of_ours.headers["Content-Type"] == of_botocore.headers["Content-Type"]
    ends = [datetime.fromisoformat(file["accessToken"].pop("expiresAt")) for file in files]
    assert abs(ends[0] - ends[1]) < timedelta(minutes=1)
    assert files[0] == files[1]


async def test_region_of_the_sign_in_precedes_the_configured_one(
    sign_in: SignIn, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del environ["AWS_ENDPOINT_URL_SIGNIN"]
    urls = []

    async def fetch(self: ProviderContext, request: Any) -> None:
        urls.append(request().url)
        raise CredentialsError("stop")

    monkeypatch.setattr(ProviderContext, "fetch", fetch)
    for region in ("us-west-2", None):
        sign_in.log_in(tmp_path, ENDED, signInRegion=region)
        with pytest.raises(CredentialsError, match="stop"):
            await load(Login(SESSION), environ)
    assert urls == [
        "https://us-west-2.signin.aws.amazon.com/v1/token",
        "https://eu-west-1.signin.aws.amazon.com/v1/token",
    ]


async def test_unknown_session_says_how_to_log_in(environ: Mapping[str, str]) -> None:
    with pytest.raises(CredentialsError) as caught:
        await load(Login(SESSION), environ)
    assert str(caught.value).startswith(
        f"the login session {SESSION} is unknown: run `aws login` (No such file or directory: "
    )


@pytest.mark.parametrize("missing", ["accessToken", "refreshToken", "dpopKey", "clientId"])
async def test_incomplete_cache_file_is_an_error_that_names_it(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path, missing: str
) -> None:
    path = sign_in.log_in(tmp_path, VALID, **{missing: None})
    with pytest.raises(CredentialsError, match=f"{path.name} has no .*{missing}"):
        await load(Login(SESSION), environ)


async def test_expired_session_says_how_to_log_in_again(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path
) -> None:
    sign_in.log_in(tmp_path, ENDED, refreshToken="used")
    with pytest.raises(CredentialsError, match="TOKEN_EXPIRED: The token has expired") as caught:
        await load(Login(SESSION), environ)
    assert str(caught.value).startswith(
        f"the login session {SESSION} has ended: run `aws login` (the response from 127.0.0.1:"
    )
    assert not caught.value.retryable


async def test_valid_credentials_are_used_if_the_refresh_fails(
    sign_in: SignIn,
    environ: Mapping[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sign_in.log_in(tmp_path, ENDING, refreshToken="used")
    assert same_keys(await load(Login(SESSION), environ), sign_in)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_missing_cryptography_raises_only_after_the_credentials_expired(
    sign_in: SignIn,
    environ: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    sign_in.log_in(tmp_path, ENDING)
    assert same_keys(await load(Login(SESSION), environ), sign_in)
    sign_in.log_in(tmp_path, ENDED)
    with pytest.raises(CredentialsError, match=r'pip install "aios3get\[login\]"'):
        await load(Login(SESSION), environ)
    assert not sign_in.requests


async def test_damaged_key_is_an_error_that_does_not_show_it(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path
) -> None:
    sign_in.log_in(tmp_path, ENDED, dpopKey="example-secret")
    with pytest.raises(CredentialsError, match="has a dpopKey that is not a P-256 key") as caught:
        await load(Login(SESSION), environ)
    assert "example-secret" not in str(caught.value)


async def test_refresh_by_another_process_is_used(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path
) -> None:
    sign_in.log_in(tmp_path, ENDED, refreshToken="used")
    respond = sign_in.respond

    def other_process_first(request: Request) -> Response:
        sign_in.log_in(tmp_path, VALID)
        return respond(request)

    sign_in.respond = other_process_first  # type: ignore[method-assign]
    assert same_keys(await load(Login(SESSION), environ), sign_in)


async def test_refreshed_session_is_used_if_it_cannot_be_saved(
    sign_in: SignIn,
    environ: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def read_only(_: str, __: bytes) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("aios3get.credentials.login.replace_file", read_only)
    sign_in.log_in(tmp_path, ENDED)
    provider = Login(SESSION)
    for _ in range(2):
        assert same_keys(await load(provider, environ), sign_in)
    assert len(sign_in.requests) == 1
    assert "Read-only file system" in caplog.text


@pytest.mark.parametrize("fault", [Response(500), Response(None), Response(429)])
async def test_temporary_failure_is_retried_with_a_new_proof(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path, fault: Response
) -> None:
    sign_in.log_in(tmp_path, ENDED)
    sign_in.fail(fault)
    assert same_keys(await load(Login(SESSION), environ, sleep=_no_sleep), sign_in)
    first, second = (request.headers["DPoP"] for request in sign_in.requests)
    assert first != second
    sign_in.log_in(tmp_path, ENDED)
    sign_in.fail(fault, times=10)
    with pytest.raises(CredentialsError) as caught:
        await load(Login(SESSION), environ, sleep=_no_sleep)
    assert caught.value.retryable


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Response(200, "<html>"), "is not a JSON object"),
        (Response(200, {"expiresIn": 900}), "has no object accessToken"),
        (Response(200, {"accessToken": {}, "expiresIn": "1"}), "has no number expiresIn"),
    ],
)
async def test_invalid_response_is_an_error(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path, fault: Response, text: str
) -> None:
    path = sign_in.log_in(tmp_path, ENDED)
    before = path.read_bytes()
    sign_in.fail(fault)
    with pytest.raises(CredentialsError, match=text):
        await load(Login(SESSION), environ)
    assert path.read_bytes() == before


async def test_first_calls_of_a_thousand_tasks_make_one_request(
    sign_in: SignIn, environ: Mapping[str, str], tmp_path: Path
) -> None:
    sign_in.log_in(tmp_path, ENDED)
    source = CredentialsSource(Login(SESSION), contexts=lambda: ProviderContext(environ=environ))
    got = await first_calls_of_a_thousand_tasks(source)
    assert len(got) == 1
    assert same_keys(got.pop(), sign_in)
    assert len(sign_in.requests) == 1


def test_repr_and_str_name_the_session() -> None:
    assert repr(Login(SESSION)) == f"Login('{SESSION}')"
    assert str(Login(SESSION)) == f"the login session {SESSION}"

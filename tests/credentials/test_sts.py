import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aios3get.credentials import (
    ANONYMOUS,
    AssumeRole,
    BearerToken,
    Credentials,
    CredentialsSource,
    EnvironmentCredentials,
    ProfileCredentials,
    WebIdentity,
    cached,
)
from aios3get.credentials.context import ProviderContext
from aios3get.errors import ConfigurationError, CredentialsError, S3Error
from tests.credentials.conftest import Files, load
from tests.servers.http_service import Response
from tests.servers.sts import Sts, issued, refusal

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = Credentials(KEY_ID, SECRET)
ROLE = "arn:aws:iam::123456789012:role/reader"
BASE = "arn:aws:iam::123456789012:role/base"
KEY = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Sts]:
    with Sts() as server:
        yield server


@pytest.fixture
def sts(running: Sts) -> Sts:
    running.reset()
    running.add(KEYS)
    return running


async def no_wait(_: float) -> None:
    pass


def environ(sts: Sts, **more: str) -> dict[str, str]:
    return {
        "HOME": "/nowhere",
        "AWS_ENDPOINT_URL_STS": sts.url,
        "AWS_REGION": "eu-central-1",
        "NO_PROXY": "*",
        **more,
    }


def same_key(loaded: object, expected: Credentials) -> bool:
    assert isinstance(loaded, Credentials)
    assert loaded.expires_at is not None
    return (loaded.access_key_id, loaded.secret_access_key, loaded.session_token) == (
        expected.access_key_id,
        expected.secret_access_key,
        expected.session_token,
    )


async def test_role_is_assumed_with_the_credentials_passed_in(sts: Sts) -> None:
    sts.clock = lambda: 1_800_000_000.7
    loaded = await load(AssumeRole(ROLE, KEYS), environ(sts), clock=sts.clock)
    assert loaded == issued(ROLE, KEY_ID, datetime.fromtimestamp(1_800_003_600, UTC))
    assert sts.forms == [
        {
            "Version": "2011-06-15",
            "Action": "AssumeRole",
            "RoleArn": ROLE,
            "RoleSessionName": "aios3get-1800000000",
        }
    ]
    assert sts.regions == ["eu-central-1"]


async def test_all_arguments_of_a_role_are_sent(sts: Sts) -> None:
    sts.mfa_codes = ["123456"]
    sts.external_ids[ROLE] = "example-id"
    provider = AssumeRole(
        ROLE,
        KEYS,
        session_name="me@example.com",
        external_id="example-id",
        duration_seconds=900,
        mfa_serial="arn:aws:iam::123456789012:mfa/me",
        mfa_token=lambda: " 123456\n",
    )
    loaded = await load(provider, environ(sts))
    assert same_key(loaded, issued(ROLE, KEY_ID))
    (form,) = sts.forms
    assert form["RoleSessionName"] == "me@example.com"
    assert form["DurationSeconds"] == "900"


async def test_mfa_token_may_be_async_and_is_called_for_each_load(sts: Sts) -> None:
    sts.mfa_codes = ["000001", "000002"]
    codes = iter(sts.mfa_codes[:])

    async def code() -> str:
        return next(codes)

    provider = AssumeRole(ROLE, KEYS, mfa_serial="GAHT12345678", mfa_token=code)
    await load(provider, environ(sts))
    await load(provider, environ(sts))
    assert sts.mfa_codes == []


async def test_source_is_any_provider_even_another_role(sts: Sts) -> None:
    async def vault() -> Credentials:
        return KEYS

    loaded = await load(AssumeRole(ROLE, AssumeRole(BASE, vault)), environ(sts))
    assert same_key(loaded, issued(ROLE, issued(BASE, KEY_ID).access_key_id))


async def test_source_defaults_to_the_default_chain(sts: Sts) -> None:
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    provider = AssumeRole(ROLE)
    assert same_key(await load(provider, environ(sts, **keys)), issued(ROLE, KEY_ID))


async def test_source_without_credentials_is_an_error_that_names_it(sts: Sts) -> None:
    with pytest.raises(CredentialsError, match=f"found to assume the role {ROLE}") as caught:
        await load(AssumeRole(ROLE, EnvironmentCredentials()), environ(sts))
    assert caught.value.sources == ("the environment: AWS_ACCESS_KEY_ID is not set",)


@pytest.mark.parametrize("source", [ANONYMOUS, BearerToken("secret-token")])
async def test_only_credentials_can_assume_a_role(sts: Sts, source: Any) -> None:
    with pytest.raises(CredentialsError, match="assumed with Credentials, not with") as caught:
        await load(AssumeRole(ROLE, source), environ(sts))
    assert "secret-token" not in str(caught.value)
    assert sts.forms == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"role_arn": ""},
        {"role_arn": ROLE, "source": SECRET},
        {"role_arn": ROLE, "duration_seconds": 0},
        {"role_arn": ROLE, "duration_seconds": "3600"},
        {"role_arn": ROLE, "mfa_serial": "GAHT12345678"},
        {"role_arn": ROLE, "mfa_token": lambda: "123456"},
    ],
)
def test_invalid_arguments_are_refused_by_the_constructor(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AssumeRole(**arguments)
    assert SECRET not in str(caught.value)


async def test_refusal_is_not_retried_and_shows_its_reason(sts: Sts) -> None:
    sts.external_ids[ROLE] = "example-id"
    with pytest.raises(CredentialsError) as caught:
        await load(AssumeRole(ROLE, KEYS), environ(sts))
    assert str(caught.value).startswith(
        f"the response from STS for the role {ROLE} has status 403: AccessDenied: not authorized to"
        " perform: sts:AssumeRole (request id c6104cbe"
    )
    assert len(sts.forms) == 1


async def test_unknown_key_is_refused_without_the_secret(sts: Sts) -> None:
    with pytest.raises(CredentialsError, match="InvalidClientTokenId") as caught:
        await load(AssumeRole(ROLE, Credentials("AKIAI44QH8DHBEXAMPLE", SECRET)), environ(sts))
    assert SECRET not in str(caught.value)


async def test_server_error_and_throttling_are_retried_with_a_new_signature(
    sts: Sts,
) -> None:
    now = 1_800_000_000.0
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += 400

    sts.clock = lambda: now
    sts.fail(Response(500, b"oops"))
    sts.fail(refusal(400, "Throttling", "Rate exceeded"))
    loaded = await load(
        AssumeRole(ROLE, KEYS), environ(sts), clock=lambda: now, sleep=wait, random=lambda: 1.0
    )
    assert same_key(loaded, issued(ROLE, KEY_ID))
    assert waits == [0.2, 0.4]


async def test_lasting_failure_is_a_retryable_error(sts: Sts) -> None:
    sts.fail(refusal(503, "ServiceUnavailable", "later"), times=3)
    with pytest.raises(CredentialsError, match="status 503: ServiceUnavailable: later") as caught:
        await load(AssumeRole(ROLE, KEYS), environ(sts), sleep=no_wait)
    assert caught.value.retryable


async def test_unreachable_endpoint_is_a_retryable_error_without_secrets(
    sts: Sts, unused_tcp_port: int
) -> None:
    there = environ(sts, AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(CredentialsError, match="cannot be assumed: no connection to") as caught:
        await load(AssumeRole(ROLE, KEYS), there, sleep=no_wait)
    assert caught.value.retryable
    assert caught.value.__cause__ is None


async def test_malformed_response_is_an_error(sts: Sts) -> None:
    for body in (b"", b"<html>", b"\xff" * 100, b"{}"):
        sts.fail(Response(200, body))
        with pytest.raises(CredentialsError, match="has no complete credentials"):
            await load(AssumeRole(ROLE, KEYS), environ(sts))


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
async def test_wrong_clock_is_corrected_once_and_reported(sts: Sts, skew: float) -> None:
    now = time.time()
    sts.clock = lambda: now + skew
    offsets: list[float] = []

    def correct(seconds: float) -> None:
        nonlocal now
        offsets.append(seconds)
        now += seconds
        sts.clock = lambda: now

    provider = AssumeRole(ROLE, KEYS)
    loaded = await load(provider, environ(sts), clock=lambda: now, correct_clock=correct)
    assert same_key(loaded, issued(ROLE, KEY_ID))
    assert [round(offset, -1) for offset in offsets] == [skew]

    clock = sts.clock
    sts.clock = lambda: clock() + skew
    loaded = await load(provider, environ(sts), clock=clock)
    assert same_key(loaded, issued(ROLE, KEY_ID))


async def test_expired_source_is_renewed_once(sts: Sts) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    expired = Credentials("ASIAIOSFODNN7EXAMPLE", SECRET, "old", past)
    sts.add(expired)
    # The source does not know that its credentials have expired.
    given = [Credentials(expired.access_key_id, SECRET, "old"), KEYS]
    source = cached(lambda: given.pop(0))
    assert same_key(await load(AssumeRole(ROLE, source), environ(sts)), issued(ROLE, KEY_ID))
    assert given == []
    with pytest.raises(CredentialsError, match="ExpiredToken"):
        await load(
            AssumeRole(ROLE, Credentials(expired.access_key_id, SECRET, "old")), environ(sts)
        )


async def test_thousand_first_calls_assume_the_role_once(sts: Sts) -> None:
    source = CredentialsSource(
        AssumeRole(ROLE, KEYS), contexts=lambda: ProviderContext(environ=environ(sts))
    )
    loaded = await asyncio.gather(*(source.get() for _ in range(1_000)))
    assert len(sts.forms) == 1
    assert {id(each) for each in loaded} == {id(source.current())}


@pytest.fixture
def token_file(tmp_path: Path, sts: Sts) -> Path:
    path = tmp_path / "token"
    path.write_text("first.token\n")
    sts.tokens = {"first.token"}
    return path


def write(path: Path, content: str | bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


async def test_web_identity_sends_the_files_token_unsigned(sts: Sts, token_file: Path) -> None:
    loaded = await load(WebIdentity(ROLE, token_file, session_name="pod"), environ(sts))
    assert same_key(loaded, issued(ROLE, "first.token"))
    (form,) = sts.forms
    assert form == {
        "Version": "2011-06-15",
        "Action": "AssumeRoleWithWebIdentity",
        "RoleArn": ROLE,
        "RoleSessionName": "pod",
        "WebIdentityToken": "first.token",
    }


async def test_web_identity_reads_a_rotated_file_anew(sts: Sts, token_file: Path) -> None:
    provider = WebIdentity(ROLE, token_file)
    await load(provider, environ(sts))
    write(token_file, "second.token")
    sts.tokens = {"second.token"}
    assert same_key(await load(provider, environ(sts)), issued(ROLE, "second.token"))


async def test_expired_web_identity_token_is_read_again(sts: Sts, token_file: Path) -> None:
    write(token_file, "expired.token")
    clock = sts.clock

    def rotate() -> float:
        write(token_file, "first.token")
        return clock()

    sts.clock = rotate
    loaded = await load(WebIdentity(ROLE, token_file), environ(sts))
    assert same_key(loaded, issued(ROLE, "first.token"))


async def test_web_identity_does_not_send_an_expired_token_again(
    sts: Sts, token_file: Path
) -> None:
    write(token_file, "expired.token")
    seconds = count(1_800_000_000)  # the default session name has the time in it
    with pytest.raises(CredentialsError, match="ExpiredTokenException: Token expired"):
        await load(WebIdentity(ROLE, token_file), environ(sts), clock=lambda: float(next(seconds)))
    assert len(sts.forms) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xff\xfe\x00", "the file is not UTF-8 text"),
        (b"x" * 100_000, "File too large"),
    ],
)
async def test_invalid_token_file_is_an_error_that_names_it(
    sts: Sts, token_file: Path, content: bytes | None, message: str
) -> None:
    write(token_file, content)
    with pytest.raises(CredentialsError, match=message) as caught:
        await load(WebIdentity(ROLE, token_file), environ(sts))
    assert str(token_file) in str(caught.value)
    assert sts.forms == []


async def test_refused_web_identity_shows_the_reason_and_not_the_token(
    sts: Sts, token_file: Path
) -> None:
    write(token_file, f"unknown.{SECRET}")
    with pytest.raises(CredentialsError, match=r"InvalidIdentityToken: .*provider found") as caught:
        await load(WebIdentity(ROLE, token_file), environ(sts))
    assert SECRET not in str(caught.value)


def test_invalid_arguments_of_a_web_identity_are_refused() -> None:
    for arguments in (("", "/t"), (ROLE, ""), (ROLE, "/t", -1)):
        with pytest.raises(ConfigurationError):
            WebIdentity(*arguments[:2], duration_seconds=next(iter(arguments[2:]), None))


async def test_profile_assumes_its_chain_of_roles(sts: Sts, files: Files) -> None:
    config = (
        f"[profile a]\nrole_arn = {ROLE}\nsource_profile = b\n"
        f"[profile b]\nrole_arn = {BASE}\nsource_profile = c\n[profile c]\n{KEY}"
    )
    found = await load(ProfileCredentials("a"), environ(sts) | files(config=config))
    assert same_key(found, issued(ROLE, issued(BASE, KEY_ID).access_key_id))
    assert [form["RoleArn"] for form in sts.forms] == [BASE, ROLE]


async def test_profile_with_mfa_needs_a_callable_for_the_code(sts: Sts, files: Files) -> None:
    serial = "arn:aws:iam::123456789012:mfa/me"
    config = f"[default]\nrole_arn = {ROLE}\nsource_profile = default\nmfa_serial = {serial}\n{KEY}"
    there = environ(sts) | files(config=config)
    with pytest.raises(S3Error, match=rf"{serial}; pass credentials=ProfileCredentials\(None, mfa"):
        await load(ProfileCredentials(), there)
    sts.mfa_codes = ["123456"]
    loaded = await load(ProfileCredentials(mfa_token=lambda: "123456"), there)
    assert same_key(loaded, issued(ROLE, KEY_ID))


async def test_profile_assumes_its_role_with_the_environments_key(sts: Sts, files: Files) -> None:
    config = f"[default]\nrole_arn = {ROLE}\ncredential_source = Environment"
    there = environ(sts) | files(config=config)
    with pytest.raises(CredentialsError, match="no credentials found to assume") as caught:
        await load(ProfileCredentials("default"), there)
    assert caught.value.sources == ("the environment: AWS_ACCESS_KEY_ID is not set",)
    there |= {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    loaded = await load(ProfileCredentials("default"), there)
    assert same_key(loaded, issued(ROLE, KEY_ID))


async def test_web_identity_of_the_environment_is_used_without_an_explicit_profile(
    sts: Sts, token_file: Path, files: Files
) -> None:
    there = environ(sts, AWS_WEB_IDENTITY_TOKEN_FILE=str(token_file), AWS_ROLE_ARN=ROLE) | files(
        config=f"[default]\n{KEY}"
    )
    loaded = await load(ProfileCredentials(), there)
    assert same_key(loaded, issued(ROLE, "first.token"))
    assert await load(ProfileCredentials("default"), there) == KEYS
    assert await load(ProfileCredentials(), there, profile="default") == KEYS


def test_reprs_show_no_secret() -> None:
    for provider in (AssumeRole(ROLE, KEYS, external_id=SECRET), WebIdentity(ROLE, "/token")):
        assert SECRET not in repr(provider) + str(provider)
    assert repr(WebIdentity(ROLE, "/token")) == f"WebIdentity({ROLE!r}, '/token')"

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from aios3get.credentials import (
    ANONYMOUS,
    Credentials,
    CredentialsSource,
    EnvironmentCredentials,
    ProfileCredentials,
    chain,
    default_chain,
)
from aios3get.errors import ConfigurationError, CredentialsError

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ENVIRON = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
STATIC = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
OTHER = "aws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = other\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    return tmp_path


def files(home: Path, *, config: str = "", credentials: str = "") -> dict[str, str]:
    (home / ".aws/config").write_text(config)
    (home / ".aws/credentials").write_text(credentials)
    return {"HOME": str(home)}


@pytest.mark.parametrize(
    ("extra", "token", "expires_at"),
    [
        ({}, None, None),
        ({"AWS_SESSION_TOKEN": ""}, None, None),
        ({"AWS_SESSION_TOKEN": "new", "AWS_SECURITY_TOKEN": "old"}, "new", None),
        ({"AWS_SECURITY_TOKEN": "old"}, "old", None),
        (
            {"AWS_CREDENTIAL_EXPIRATION": "2030-01-31T12:00:00Z"},
            None,
            datetime(2030, 1, 31, 12, tzinfo=UTC),
        ),
        (
            {"AWS_CREDENTIAL_EXPIRATION": "2030-01-31T12:00:00"},
            None,
            datetime(2030, 1, 31, 12, tzinfo=UTC),
        ),
        (
            {"AWS_CREDENTIAL_EXPIRATION": "2030-01-31T12:00:00+02:00"},
            None,
            datetime(2030, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
async def test_the_environment(
    extra: dict[str, str], token: str | None, expires_at: datetime | None
) -> None:
    found = await EnvironmentCredentials(environ=ENVIRON | extra)()
    assert found == Credentials(KEY_ID, SECRET, token, expires_at)


@pytest.mark.parametrize(
    "environ", [{}, dict.fromkeys(ENVIRON, ""), {"AWS_SESSION_TOKEN": "t", "PATH": "/"}]
)
async def test_an_environment_without_keys(environ: dict[str, str]) -> None:
    assert await EnvironmentCredentials(environ=environ)() is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": ""}, "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not"),
        (
            {"AWS_SECRET_ACCESS_KEY": ""},
            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not",
        ),
        ({"AWS_SECRET_ACCESS_KEY": f"{SECRET}\n"}, "secret_access_key has white space"),
        ({"AWS_SESSION_TOKEN": "a b"}, "session_token must be printable"),
        ({"AWS_CREDENTIAL_EXPIRATION": "soon"}, "AWS_CREDENTIAL_EXPIRATION is 'soon'"),
    ],
)
async def test_half_an_environment(changed: dict[str, str], message: str) -> None:
    with pytest.raises(CredentialsError, match=message) as caught:
        await EnvironmentCredentials(environ=ENVIRON | changed)()
    assert SECRET not in str(caught.value)


async def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "named-here")
    assert await EnvironmentCredentials()() == Credentials(KEY_ID, SECRET)
    assert "'named-here'" in str(ProfileCredentials())
    assert await CredentialsSource(default_chain()).get() == Credentials(KEY_ID, SECRET)


@pytest.mark.parametrize(
    ("profile", "environ", "config", "credentials"),
    [
        (None, {}, "", f"[default]\n{STATIC}"),
        (None, {}, f"[default]\n{STATIC}", ""),
        (None, {}, f"[default]\n{OTHER}", f"[default]\n{STATIC}"),
        (None, {}, f"[default]\n{STATIC}", "[default]\naws_session_token = of-no-key"),
        (None, {"AWS_PROFILE": "a"}, f"[profile a]\n{STATIC}", f"[default]\n{OTHER}"),
        ("a", {"AWS_PROFILE": "b"}, f"[profile b]\n{OTHER}", f"[a]\n{STATIC}"),
        ("a", {}, "[profile a]\ncredential_process = x", f"[a]\n{STATIC}"),
    ],
)
async def test_static_keys_of_a_profile(
    home: Path, profile: str | None, environ: dict[str, str], config: str, credentials: str
) -> None:
    environ = environ | files(home, config=config, credentials=credentials)
    found = await ProfileCredentials(profile, environ=environ)()
    assert found == Credentials(KEY_ID, SECRET)


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("aws_session_token = t", "t"),
        ("aws_security_token = s", "s"),
        ("aws_session_token = t\naws_security_token = s", "t"),
        ("aws_session_token =", None),
    ],
)
async def test_the_token_of_a_profile(home: Path, line: str, token: str | None) -> None:
    environ = files(home, credentials=f"[default]\n{STATIC}{line}")
    found = await ProfileCredentials(environ=environ)()
    assert found is not None
    assert found.session_token == token


async def test_keys_are_read_anew_at_each_call(home: Path) -> None:
    provider = ProfileCredentials(environ=files(home, credentials=f"[default]\n{OTHER}"))
    first = await provider()
    files(home, credentials=f"[default]\n{STATIC}")
    assert first != await provider() == Credentials(KEY_ID, SECRET)


async def test_a_profile_without_keys_gives_none(home: Path) -> None:
    assert await ProfileCredentials(environ={"HOME": str(home)})() is None
    environ = files(home, config="[default]\nregion = eu-central-1")
    assert await ProfileCredentials("default", environ=environ)() is None


@pytest.mark.parametrize(
    ("setting", "keys"),
    [
        ("role_arn = arn:aws:iam::123456789012:role/r", STATIC),
        ("web_identity_token_file = /t", STATIC),
        ("sso_account_id = 123456789012", STATIC),
        ("sso_session = s", ""),
        ("sso_start_url = https://example.com", ""),
        ("credential_process = /bin/keys", ""),
        ("login_session = arn", ""),
        ("source_profile = b", ""),
    ],
)
async def test_a_source_of_another_kind_is_never_skipped(
    home: Path, setting: str, keys: str
) -> None:
    environ = files(home, config=f"[profile a]\n{setting}", credentials=f"[a]\n{keys}")
    name = setting.partition(" ")[0]
    with pytest.raises(CredentialsError, match=f"'a' gets its credentials by {name}.*callable"):
        await ProfileCredentials("a", environ=environ)()


@pytest.mark.parametrize(
    ("config", "credentials", "message"),
    [
        ("", f"[default]\naws_access_key_id = {KEY_ID}", "has aws_access_key_id but no aws_secr"),
        (
            f"[default]\naws_secret_access_key = {SECRET}",
            "",
            "config file has aws_secret_access_key but no aws_access_key_id",
        ),
        (
            f"[default]\naws_secret_access_key = {SECRET}",
            f"[default]\naws_access_key_id = {KEY_ID}",
            "credentials file has aws_access_key_id but no",
        ),
        ("", f"[default]\n{STATIC}  {SECRET}", "default.*control character"),
    ],
)
async def test_half_a_profile(home: Path, config: str, credentials: str, message: str) -> None:
    environ = files(home, config=config, credentials=credentials)
    with pytest.raises(CredentialsError, match=message) as caught:
        await ProfileCredentials(environ=environ)()
    assert SECRET not in str(caught.value)


async def test_a_missing_profile_says_where_it_was_looked_for(home: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await ProfileCredentials("absent", environ={"HOME": str(home)})()
    assert "'absent'" in str(caught.value)
    assert f"{home}/.aws/credentials (no such file)" in str(caught.value)
    assert f"{home}/.aws/config (no such file)" in str(caught.value)


async def test_a_chain_takes_the_first_that_has_some() -> None:
    asked: list[str] = []

    def nothing() -> None:
        asked.append("nothing")

    async def keys() -> Credentials:
        asked.append("keys")
        return Credentials(KEY_ID, SECRET)

    first = chain(nothing, keys, lambda: ANONYMOUS)
    assert await CredentialsSource(first).get() == Credentials(KEY_ID, SECRET)
    assert asked == ["nothing", "keys"]
    assert await CredentialsSource(chain(nothing, lambda: ANONYMOUS)).get() is ANONYMOUS


async def test_an_error_ends_the_chain() -> None:
    halved: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": KEY_ID}
    both = chain(EnvironmentCredentials(environ=halved), lambda: ANONYMOUS)
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY is not"):
        await CredentialsSource(both).get()


@pytest.mark.parametrize("providers", [(), (ANONYMOUS,), (lambda: None, SECRET)])
def test_what_is_no_chain(providers: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"chain\(\)") as caught:
        chain(*providers)
    assert SECRET not in str(caught.value)


async def test_the_default_chain_tells_all_it_looked_at(home: Path) -> None:
    source = CredentialsSource(default_chain(environ={"HOME": str(home), "AWS_PROFILE": ""}))
    with pytest.raises(CredentialsError) as caught:
        await source.get()
    for part in (
        "AWS_ACCESS_KEY_ID",
        "profile 'default'",
        f"{home}/.aws/credentials",
        f"{home}/.aws/config",
        "ANONYMOUS",
        "Credentials(…)",
        "callable",
    ):
        assert part in str(caught.value)


async def test_the_environment_goes_before_its_profile(home: Path) -> None:
    environ = files(home, credentials=f"[a]\n{OTHER}") | ENVIRON | {"AWS_PROFILE": "a"}
    found = await CredentialsSource(default_chain(environ=environ)).get()
    assert found == Credentials(KEY_ID, SECRET)


async def test_an_explicit_profile_goes_before_the_environment(home: Path) -> None:
    environ = files(home, credentials=f"[a]\n{OTHER}") | ENVIRON
    found = await CredentialsSource(default_chain("a", environ=environ)).get()
    assert isinstance(found, Credentials)
    assert found.access_key_id == "AKIAI44QH8DHBEXAMPLE"


def test_no_provider_shows_a_secret(home: Path) -> None:
    environ = files(home, credentials=f"[default]\n{STATIC}") | ENVIRON
    everything = chain(EnvironmentCredentials(environ=environ), ProfileCredentials(environ=environ))
    for provider in (EnvironmentCredentials(environ=environ), ProfileCredentials(), everything):
        assert SECRET not in repr(provider) + str(provider)

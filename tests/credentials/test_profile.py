from pathlib import Path

import pytest

from aios3get.credentials import Credentials, ProfileCredentials
from aios3get.credentials.provider import Unavailable
from aios3get.errors import ConfigurationError, CredentialsError
from tests.credentials.conftest import Files, load

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
STATIC = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
OTHER = "aws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = other\n"


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
    files: Files, profile: str | None, environ: dict[str, str], config: str, credentials: str
) -> None:
    environ = files(config=config, credentials=credentials) | environ
    assert await load(ProfileCredentials(profile), environ) == Credentials(KEY_ID, SECRET)
    assert await load(ProfileCredentials(), environ, profile=profile) == Credentials(KEY_ID, SECRET)


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("aws_session_token = t", "t"),
        ("aws_security_token = s", "s"),
        ("aws_session_token = t\naws_security_token = s", "t"),
        ("aws_session_token =", None),
    ],
)
async def test_session_token_of_a_profile(files: Files, line: str, token: str | None) -> None:
    environ = files(credentials=f"[default]\n{STATIC}{line}")
    assert await load(ProfileCredentials(), environ) == Credentials(KEY_ID, SECRET, token)


async def test_keys_are_read_anew_for_each_load(files: Files) -> None:
    provider = ProfileCredentials()
    first = await load(provider, files(credentials=f"[default]\n{OTHER}"))
    second = await load(provider, files(credentials=f"[default]\n{STATIC}"))
    assert first != second == Credentials(KEY_ID, SECRET)


async def test_profile_without_keys_is_unavailable_and_names_the_files(
    files: Files, tmp_path: Path
) -> None:
    loaded = await load(ProfileCredentials(), {"HOME": "/nowhere"})
    assert isinstance(loaded, Unavailable)
    assert "/nowhere/.aws/credentials (no such file)" in loaded.reason
    assert "/nowhere/.aws/config (no such file)" in loaded.reason
    environ = files(config="[default]\nregion = eu-central-1")
    assert isinstance(await load(ProfileCredentials("default"), environ), Unavailable)


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
    files: Files, setting: str, keys: str
) -> None:
    environ = files(config=f"[profile a]\n{setting}", credentials=f"[a]\n{keys}")
    name = setting.partition(" ")[0]
    with pytest.raises(CredentialsError, match=f"'a' gets its credentials by {name}.*callable"):
        await load(ProfileCredentials("a"), environ)


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
async def test_half_a_key_is_an_error_without_the_secret(
    files: Files, config: str, credentials: str, message: str
) -> None:
    environ = files(config=config, credentials=credentials)
    with pytest.raises(CredentialsError, match=message) as caught:
        await load(ProfileCredentials(), environ)
    assert SECRET not in str(caught.value)


async def test_missing_profile_names_the_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load(ProfileCredentials("absent"), {"HOME": str(tmp_path)})
    assert "'absent'" in str(caught.value)
    assert f"{tmp_path}/.aws/credentials (no such file)" in str(caught.value)
    assert f"{tmp_path}/.aws/config (no such file)" in str(caught.value)


async def test_provider_called_by_itself_reads_the_files_of_the_process(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = files(credentials=f"[default]\n{STATIC}")["HOME"]
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{home}/.aws/credentials")
    assert await ProfileCredentials()() == Credentials(KEY_ID, SECRET)


def test_name_of_the_provider() -> None:
    assert str(ProfileCredentials("a")) == "the profile 'a'"
    assert repr(ProfileCredentials("a")) == "ProfileCredentials('a')"

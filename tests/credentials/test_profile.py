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


async def test_profile_without_a_source_is_unavailable_and_names_the_files(files: Files) -> None:
    loaded = await load(ProfileCredentials(), {"HOME": "/nowhere"})
    assert isinstance(loaded, Unavailable)
    assert loaded.sources("") == (
        "a web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set",
        "the profile 'default': has no source of credentials in"
        " /nowhere/.aws/credentials (no such file) and /nowhere/.aws/config (no such file)",
    )
    environ = files(config="[default]\nregion = eu-central-1")
    loaded = await load(ProfileCredentials("default"), environ)
    assert isinstance(loaded, Unavailable)
    assert "has no source" in loaded.reason


async def test_setting_that_belongs_to_a_source_is_detected(files: Files) -> None:
    environ = files(config="[profile a]\nsso_session = corp\nsource_profile = b")
    loaded = await load(ProfileCredentials("a"), environ)
    assert loaded == Unavailable(
        "has sso_session and source_profile, but no matching settings", detected=True
    )


async def test_process_of_a_profile(files: Files) -> None:
    document = f'{{"Version": 1, "AccessKeyId": "{KEY_ID}", "SecretAccessKey": "{SECRET}"}}'
    environ = files(config=f"[default]\ncredential_process = echo '{document}'")
    assert await load(ProfileCredentials(), environ) == Credentials(KEY_ID, SECRET)


async def test_provider_of_an_unchanged_source_is_kept(files: Files) -> None:
    environ = files(config="[default]\ncredential_process = true")
    provider = ProfileCredentials()
    for _ in range(2):
        with pytest.raises(CredentialsError):
            await load(provider, environ)
        kept = provider._provider
    files(config="[default]\ncredential_process = false")
    with pytest.raises(CredentialsError):
        await load(provider, environ)
    assert provider._provider is not kept


async def test_missing_profile_names_the_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load(ProfileCredentials("absent"), {"HOME": str(tmp_path)})
    assert "'absent'" in str(caught.value)
    assert f"{tmp_path}/.aws/credentials (no such file)" in str(caught.value)
    assert f"{tmp_path}/.aws/config (no such file)" in str(caught.value)


async def test_provider_called_directly_reads_the_files_of_the_process(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = files(credentials=f"[default]\n{STATIC}")["HOME"]
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{home}/.aws/credentials")
    assert await ProfileCredentials()() == Credentials(KEY_ID, SECRET)


def test_name_of_the_provider() -> None:
    assert str(ProfileCredentials("a")) == "the profile 'a'"
    assert repr(ProfileCredentials("a")) == "ProfileCredentials('a')"

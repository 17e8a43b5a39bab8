from datetime import UTC, datetime, timedelta, timezone

import pytest

from aios3get.credentials import Credentials, EnvironmentCredentials
from aios3get.credentials.provider import Unavailable
from aios3get.errors import CredentialsError
from tests.credentials.conftest import load

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}


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
async def test_keys_token_and_expiry(
    extra: dict[str, str], token: str | None, expires_at: datetime | None
) -> None:
    loaded = await load(EnvironmentCredentials(), KEYS | extra)
    assert loaded == Credentials(KEY_ID, SECRET, token, expires_at)


@pytest.mark.parametrize(
    "environ", [{}, dict.fromkeys(KEYS, ""), {"AWS_SESSION_TOKEN": "t", "PATH": "/"}]
)
async def test_environment_without_keys_is_unavailable(environ: dict[str, str]) -> None:
    loaded = await load(EnvironmentCredentials(), environ)
    assert loaded == Unavailable("AWS_ACCESS_KEY_ID is not set")


async def test_secret_without_key_id_is_detected_but_not_an_error_as_in_botocore() -> None:
    loaded = await load(EnvironmentCredentials(), {"AWS_SECRET_ACCESS_KEY": SECRET})
    assert loaded == Unavailable(
        "AWS_ACCESS_KEY_ID is not set, although AWS_SECRET_ACCESS_KEY is", detected=True
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": ""},
            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not",
        ),
        ({"AWS_SECRET_ACCESS_KEY": f"{SECRET}\n"}, "secret_access_key has white space"),
        ({"AWS_SESSION_TOKEN": "a b"}, "session_token must be printable"),
        ({"AWS_CREDENTIAL_EXPIRATION": "soon"}, "AWS_CREDENTIAL_EXPIRATION is 'soon'"),
    ],
)
async def test_invalid_variables_are_an_error_without_the_secret(
    changed: dict[str, str], message: str
) -> None:
    with pytest.raises(CredentialsError, match=message) as caught:
        await load(EnvironmentCredentials(), KEYS | changed)
    assert SECRET not in str(caught.value)


async def test_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert await EnvironmentCredentials()() == Credentials(KEY_ID, SECRET)


async def test_passed_mapping_replaces_the_environment() -> None:
    other = {"AWS_ACCESS_KEY_ID": "AKIAI44QH8DHBEXAMPLE", "AWS_SECRET_ACCESS_KEY": "other"}
    loaded = await load(EnvironmentCredentials(environ=KEYS), other)
    assert loaded == Credentials(KEY_ID, SECRET)


def test_repr_and_str_show_no_secret() -> None:
    provider = EnvironmentCredentials(environ=KEYS)
    assert SECRET not in repr(provider) + str(provider)

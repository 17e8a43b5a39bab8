import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.credentials
import botocore.session
import pytest

from aios3get.credentials import Credentials, CredentialsSource, from_botocore
from aios3get.credentials.provider import Unavailable
from aios3get.errors import ConfigurationError, CredentialsError
from tests.credentials.conftest import Files, load

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Refreshing:
    """botocore's temporary credentials, which it refreshes."""

    def __init__(self, *lifetimes: timedelta) -> None:
        self.ends = [datetime.now(UTC) + lifetime for lifetime in lifetimes]
        self.threads: list[int] = []
        self.number = 0
        self.credentials = botocore.credentials.RefreshableCredentials.create_from_metadata(
            self.metadata(), self.metadata, "test"
        )

    def metadata(self) -> dict[str, str]:
        self.threads.append(threading.get_ident())
        self.number += 1
        return {
            "access_key": f"ASIAEXAMPLE{self.number}",
            "secret_key": SECRET,
            "token": f"token-{self.number}",
            "expiry_time": self.ends[min(self.number, len(self.ends)) - 1].isoformat(),
        }


class Session:
    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def get_credentials(self) -> Any:
        return self._credentials


class AsyncCredentials:
    """Credentials with aiobotocore's async interface."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self.refresh_needed = credentials.refresh_needed

    async def get_frozen_credentials(self) -> Any:
        return self._credentials.get_frozen_credentials()


class AsyncSession(Session):
    async def get_credentials(self) -> Any:
        return self._credentials


async def test_static_keys_of_a_botocore_session(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"[a]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    home = files(credentials=text)["HOME"]
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{home}/.aws/credentials")
    provider = from_botocore(botocore.session.Session(profile="a"))
    assert await load(provider) == Credentials(KEY_ID, SECRET)


async def test_session_without_credentials_is_unavailable() -> None:
    assert await load(from_botocore(Session(None))) == Unavailable("the session has no credentials")
    with pytest.raises(CredentialsError) as caught:
        await CredentialsSource(from_botocore(Session(None))).get()
    assert caught.value.sources == (
        f"from_botocore({__name__}.Session): the session has no credentials",
    )


@pytest.mark.parametrize("hours", [0.3, 1, 12, 36])
async def test_expiry_is_found_to_the_second_and_never_too_late(hours: float) -> None:
    theirs = Refreshing(timedelta(hours=hours))
    for session in (
        Session(theirs.credentials),
        AsyncSession(AsyncCredentials(theirs.credentials)),
    ):
        loaded = await load(from_botocore(session))
        assert isinstance(loaded, Credentials)
        assert loaded.session_token == "token-1"
        assert loaded.expires_at is not None
        assert timedelta() <= theirs.ends[0] - loaded.expires_at < timedelta(seconds=3)


async def test_expiring_credentials_are_refreshed_by_botocore_off_the_event_loop() -> None:
    theirs = Refreshing(timedelta(minutes=5), timedelta(hours=1))
    theirs.threads.clear()
    loaded = await load(from_botocore(Session(theirs.credentials)))
    assert isinstance(loaded, Credentials)
    assert loaded.session_token == "token-2"
    assert loaded.expires_at is not None
    assert abs(loaded.expires_at - theirs.ends[1]) < timedelta(seconds=3)
    assert theirs.threads != [threading.get_ident()]


async def test_credentials_without_expiry_have_none() -> None:
    without_end = Refreshing(timedelta(hours=1)).credentials
    without_end._expiry_time = None
    loaded = await load(from_botocore(Session(without_end)))
    assert isinstance(loaded, Credentials)
    assert loaded.expires_at is None


async def test_errors_of_the_session_are_not_quoted_and_kept_as_the_cause() -> None:
    class Failing(Session):
        def get_credentials(self) -> Any:
            raise RuntimeError(SECRET)

    with pytest.raises(CredentialsError, match="failed: RuntimeError") as caught:
        await CredentialsSource(from_botocore(Failing(None))).get()
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    empty = Session(botocore.credentials.Credentials("", SECRET))
    with pytest.raises(CredentialsError, match="invalid credentials: access_key_id is empty"):
        await load(from_botocore(empty))


@pytest.mark.parametrize("session", [None, SECRET, Session, object()])
def test_object_without_get_credentials_is_refused(session: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes a session") as caught:
        from_botocore(session)
    assert SECRET not in str(caught.value)

import copy
import pickle
from datetime import UTC, datetime

import pytest

from aios3get._protocol.identity import ANONYMOUS, Anonymous, BearerToken, Credentials
from aios3get.errors import ConfigurationError

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "AQoDYXdzEJr//EXAMPLETOKEN=="
LATER = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda value: f"{value!s:>9}"])
@pytest.mark.parametrize(
    "value", [Credentials(KEY_ID, SECRET, TOKEN, LATER), BearerToken(TOKEN, LATER)]
)
def test_no_text_form_shows_a_secret(show: type[str], value: object) -> None:
    text = show(value)
    assert SECRET not in text
    assert TOKEN not in text
    assert "2030" in text


def test_repr_shows_the_access_key_id() -> None:
    assert KEY_ID in repr(Credentials(KEY_ID, SECRET))


@pytest.mark.parametrize(
    "value",
    [
        Credentials(KEY_ID, SECRET),
        Credentials(KEY_ID, SECRET, TOKEN, LATER),
        BearerToken(TOKEN, LATER, (("ibm-service-instance-id", "crn:1"),)),
    ],
)
def test_identities_copy_pickle_and_hash(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert hash(value) == hash(copy.copy(value))


def test_anonymous_is_a_singleton() -> None:
    assert pickle.loads(pickle.dumps(ANONYMOUS)) is ANONYMOUS
    assert copy.deepcopy(ANONYMOUS) is ANONYMOUS
    assert repr(ANONYMOUS) == "ANONYMOUS"
    assert isinstance(ANONYMOUS, Anonymous)
    assert ANONYMOUS.expires_at is None


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("", SECRET), "access_key_id is empty"),
        ((KEY_ID, ""), "secret_access_key is empty"),
        ((None, SECRET), "access_key_id must be text, not None"),
        ((KEY_ID, b"secret"), "secret_access_key must be text, not bytes"),
        ((f"{KEY_ID}\n", SECRET), "access_key_id must be printable ASCII"),
        (("AKIA EXAMPLE", SECRET), "access_key_id must be printable ASCII"),
        (("AKIAÉ", SECRET), "access_key_id must be printable ASCII"),
        ((KEY_ID, f"{SECRET}\n"), "secret_access_key has white space"),
        ((KEY_ID, f" {SECRET}"), "secret_access_key has white space"),
        ((KEY_ID, f"a\0{SECRET}"), "secret_access_key has white space"),
        ((KEY_ID, SECRET, ""), "session_token must be printable ASCII"),
        ((KEY_ID, SECRET, f"{TOKEN}\r\nHost: x"), "session_token must be printable ASCII"),
        ((KEY_ID, SECRET, 1), "session_token must be text, not int"),
        ((KEY_ID, SECRET, TOKEN, datetime(2030, 1, 1)), "no time zone"),
        (
            (KEY_ID, SECRET, TOKEN, "2030-01-01"),
            "expires_at must be an aware datetime or None, not str",
        ),
    ],
)
def test_invalid_credentials_are_a_configuration_error(
    arguments: tuple[str, str], rule: str
) -> None:
    with pytest.raises(ConfigurationError, match=rule) as caught:
        Credentials(*arguments)
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_secret_and_id_of_other_servers_are_accepted() -> None:
    assert Credentials("test:tester", "pässwort with space").session_token is None


@pytest.mark.parametrize("token", ["", "a b", "a\n", None, b"a"])
def test_invalid_bearer_token_is_a_configuration_error(token: str) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        BearerToken(token)


def test_bearer_token_with_naive_expiry_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="time zone"):
        BearerToken(TOKEN, datetime(2030, 1, 1))


def test_headers_of_a_bearer_token() -> None:
    instance = ("ibm-service-instance-id", "crn:1")
    assert BearerToken("abc", extra_headers=(instance,)).headers() == (
        ("Authorization", "Bearer abc"),
        instance,
    )

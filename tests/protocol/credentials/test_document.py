import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.credentials.document import Document
from aios3get._protocol.identity import Credentials
from aios3get.errors import CredentialsError

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def document(**members: object) -> Document:
    return Document.parse(json.dumps(members).encode(), "the response")


@given(st.binary() | st.text().map(str.encode))
def test_text_that_is_no_object_is_refused_without_being_shown(data: bytes) -> None:
    with pytest.raises(CredentialsError, match=r"^it is not a JSON object$") as caught:
        Document.parse(data + b"]", "it")
    assert caught.value.__context__ is None


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a": %s}' % (b"[" * 100_000)])
def test_deep_nesting_is_refused(data: bytes) -> None:
    with pytest.raises(CredentialsError, match="is not a JSON object"):
        Document.parse(data, "it")


def test_text_members() -> None:
    found = document(a="x", empty="", null=None, number=1)
    assert found.text("a") == found.optional_text("a") == "x"
    for name in ("empty", "null", "missing"):
        assert found.optional_text(name) is None
        with pytest.raises(CredentialsError, match=f"the response has no {name}"):
            found.text(name)
    with pytest.raises(CredentialsError, match="has a number that is not a string"):
        found.optional_text("number")


@pytest.mark.parametrize("value", ["two words", "line\r\nbreak", "ü"])
def test_text_for_a_header_is_printable_ascii_without_spaces(value: str) -> None:
    assert document(token="abc").header_text("token") == "abc"
    with pytest.raises(CredentialsError, match="token that cannot be sent in a header") as caught:
        document(token=value).header_text("token")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-31T12:00:00Z",
        "2030-01-31T12:00:00UTC",
        "2030-01-31T12:00:00+00:00",
        "2030-01-31T13:00:00.000+01:00",
    ],
)
def test_timestamps_with_a_time_zone(text: str) -> None:
    assert document(end=text).timestamp("end") == datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", ["2029-01-31T12:00:00", "2029-01-31", "soon", "2030-13-01T00Z"])
def test_other_timestamps_are_refused(value: str) -> None:
    with pytest.raises(CredentialsError, match="has an end that is not a time like 2030") as caught:
        document(end=value).timestamp("end")
    assert value not in str(caught.value)


def test_moments_are_counted() -> None:
    epoch = datetime.fromtimestamp(0, UTC)
    moment = document(end=1_500).moment("end", epoch, timedelta(milliseconds=1))
    assert moment == epoch + timedelta(seconds=1.5)


@pytest.mark.parametrize("value", [None, "1", True, [1], 1e300, -1e300, float("nan")])
def test_other_moments_are_refused(value: object) -> None:
    with pytest.raises(CredentialsError, match=r"has (?:no number end|an end out of range)"):
        document(end=value).moment("end", datetime.fromtimestamp(0, UTC), timedelta(seconds=1))


def test_objects_keep_their_origin() -> None:
    with pytest.raises(CredentialsError, match="the response has no b"):
        document(a={"c": 1}).object("a").text("b")
    with pytest.raises(CredentialsError, match="the response has no object a"):
        document(a=[]).object("a")


def test_credentials_of_named_members() -> None:
    found = document(id="AKIAIOSFODNN7EXAMPLE", key=SECRET)
    assert found.credentials("id", "key", None, None) == Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)
    with pytest.raises(CredentialsError, match="the response has invalid credentials: session"):
        found.credentials("id", "key", "two words", None)
    with pytest.raises(CredentialsError, match="the response has no token"):
        found.credentials("id", "token", None, None)


def test_repr_shows_no_member() -> None:
    assert SECRET not in repr(document(key=SECRET))

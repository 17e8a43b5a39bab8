import base64
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.credentials.redaction import redact


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _urlsafe_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "text",
    [
        "The config profile (corp) could not be found",
        "botocore.exceptions.ProfileNotFound: no such profile",
        "unable to open /opt/company/.aws/config: permission denied",
        "connection to vault.example.com:8200 refused, see /usr/lib/python3.11/site-packages",
        "set AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN first",
        "UnrecognizedClientException",
        "arn:aws:iam::123456789012:role/reader cannot be assumed",
        "exit 1",
        "",
    ],
)
def test_plain_messages_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"key {SECRET}", "key ***"),
        ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=***"),
        ("password: hunter2", "password: ***"),
        ("helper: error: --password hunter2 is wrong", "helper: error: --password *** is wrong"),
        ('{"SecretAccessKey": "abc def", "x": 1}', '{"SecretAccessKey": ***, "x": 1}'),
        ("{'client-secret': 'abc def", "{'client-secret': ***"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("sent bearer abc to the host", "sent bearer *** to the host"),
        ("https://me:pw@vault.example.com/v1", "https://***@vault.example.com/v1"),
        (
            "GET https://example.com/login?ticket=1&b=2 failed",
            "GET https://example.com/login?*** failed",
        ),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "***"),
        ("session 0a1b2c3d-0000-4000-8000-0123456789ab", "session ***"),
        ("c0ffee00c0ffee00c0ffee00", "***"),
    ],
)
def test_secrets_are_replaced(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@given(st.binary(min_size=15), st.sampled_from([bytes.hex, _base64, _urlsafe_base64]))
def test_encoded_bytes_are_never_shown(data: bytes, encode: Callable[[bytes], str]) -> None:
    assert encode(data) not in redact(f"failed with {encode(data)} at once")


def test_end_of_a_long_text_is_quoted_on_one_line() -> None:
    assert redact("one\n  two\r\n") == "one two"
    assert redact("word " * 1000 + "last") == ("word " * 1000 + "last")[-300:]


@pytest.mark.parametrize("spaces", range(4083, 4093))
def test_secret_that_the_limit_cuts_is_not_shown(spaces: int) -> None:
    # The last 4,096 characters begin with the end of a password, too short to be noticed.
    assert redact("password=" + "x" * 100 + " " * spaces + "why") == "why"


@pytest.mark.parametrize(
    "text", ["a-" * 2048, "a" * 4096 + "!", "aA" * 2048, "//a" * 1365, "pass" * 1024, "?" * 4096]
)
def test_crafted_texts_take_no_longer_than_others(text: str) -> None:
    started = time.perf_counter()
    redact(text)
    assert time.perf_counter() - started < 0.5

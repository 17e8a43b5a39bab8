import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aios3get import errors
from aios3get._http.exception_mapping import failure_of
from aios3get._protocol.timeouts import Timeouts

LINK = URL("https://example.test/key?X-Amz-Signature=SECRET")
NO_ROUTE = OSError(113, "No route to host")


def key(proxy: str | None = None) -> Any:
    place = None if proxy is None else URL(proxy)
    return ConnectionKey("example.test", 443, True, True, place, None, None)


def no_http(message: str) -> aiohttp.ClientResponseError:
    headers = CIMultiDictProxy(CIMultiDict[str]())
    request: Any = aiohttp.RequestInfo(LINK, "GET", headers, LINK)
    return aiohttp.ClientResponseError(request, (), status=400, message=message)


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (TimeoutError(), errors.TransportTimeout, True),
        (aiohttp.ClientConnectorError(key(), NO_ROUTE), errors.ConnectionFailed, True),
        (aiohttp.ServerFingerprintMismatch(b"", b"", "h", 1), errors.ConnectionFailed, False),
        (aiohttp.InvalidURL(LINK), errors.ConfigurationError, False),
        (aiohttp.ServerDisconnectedError(), errors.ConnectionLost, True),
        (aiohttp.ClientPayloadError("broken"), errors.ConnectionLost, True),
        (RuntimeError("Connection closed."), errors.ConnectionLost, True),
        (RuntimeError("Session is closed"), errors.ConfigurationError, False),
        (ConnectionResetError(104, "reset"), errors.ConnectionLost, True),
        (UnicodeError("label empty or too long"), errors.ConfigurationError, False),
        (AssertionError(), errors.ConfigurationError, False),
        (no_http("Bad status line"), errors.ConnectionLost, True),
        (no_http("Too many headers received"), errors.ConnectionLost, False),
        (no_http("Got more than 65536 bytes when reading: b'x'"), errors.ConnectionLost, False),
        (LookupError(), errors.ConnectionFailed, False),
    ],
)
def test_each_has_a_class_of_ours(
    error: Exception, kind: type[errors.S3Error], retryable: bool
) -> None:
    failure = failure_of(error, Timeouts())
    assert type(failure) is kind
    assert failure.retryable is retryable
    shown = str(failure) + repr(failure) + repr(failure.__cause__)
    assert "SECRET" not in shown


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Bad status line:\n  Expected HTTP/:\n\n  b'SECRET'\n    ^", "Bad status line"),
        ("Invalid HTTP header: b'SECRET'", "Invalid HTTP header"),
        ("Bad status line 'SECRET'", "Bad status line"),
        (
            "Transfer-Encoding can't be present with Content-Length:\n\n  b'SECRET'",
            "Transfer-Encoding can't be present with Content-Length",
        ),
        ("Data after `Connection: close`:\n\n  b'SECRET'", "Data after `Connection: close`"),
    ],
)
def test_what_is_no_http_is_not_quoted(said: str, told: str) -> None:
    assert str(failure_of(no_http(said), Timeouts())) == f"the answer is not HTTP: {told}"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Response payload is not completed: <ContentLengthError: 400, message='Not enough data"
            " (received 3 of 9 bytes).'>. ConnectionResetError(104, 'reset')",
            "Not enough data (received 3 of 9 bytes).",
        ),
        (
            "Response payload is not completed: <TransferEncodingError: 400,"
            r' message="Invalid character:\n\n  b\'SECRET\'">',
            "Invalid character",
        ),
    ],
)
def test_nor_is_a_body(said: str, told: str) -> None:
    failure = failure_of(aiohttp.ClientPayloadError(said), Timeouts())
    assert str(failure) == f"the connection broke: {told}"
    assert failure.__cause__ is None


def test_the_cause_is_aiohttps_unless_it_names_a_proxy() -> None:
    direct = aiohttp.ClientConnectorError(key(), NO_ROUTE)
    assert failure_of(direct, Timeouts()).__cause__ is direct
    proxied = aiohttp.ClientConnectorError(key("http://u:SECRET@proxy.example"), NO_ROUTE)
    assert failure_of(proxied, Timeouts()).__cause__ is NO_ROUTE


def test_a_certificate_that_is_not_trusted_is_told_of() -> None:
    refused = ssl.SSLCertVerificationError(1, "self-signed")
    error = aiohttp.ClientConnectorCertificateError(key(), refused)
    failure = failure_of(error, Timeouts())
    assert "self-signed" in str(failure)
    assert failure.__cause__ is error
    assert not failure.retryable


def test_what_a_server_sends_neither_slows_nor_fills_the_text() -> None:
    for sent in (" " * 5_000_000, "\n" * 5_000_000, "message=" * 600_000):
        failure = failure_of(
            no_http(f"Data after `Connection: close`:\n\n  {sent}SECRET"), Timeouts()
        )
        assert len(str(failure)) < 100
        assert "SECRET" not in str(failure)

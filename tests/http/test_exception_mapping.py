import ssl
import time
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aios3get import errors
from aios3get._http.exception_mapping import ConnectionBroken, map_exception
from aios3get._protocol.timeouts import Timeouts

LINK = URL("https://example.test/key?X-Amz-Signature=SECRET")
NO_ROUTE = OSError(113, "No route to host")


def key(proxy: str | None = None) -> Any:
    place = None if proxy is None else URL(proxy)
    return ConnectionKey("example.test", 443, True, True, place, None, None)


def _hidden(error: Exception) -> ConnectionBroken:
    broken = ConnectionBroken()
    broken.__cause__ = error
    return broken


def not_http(message: str) -> aiohttp.ClientResponseError:
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
        (RuntimeError("Session is closed"), errors.UsageError, False),
        (ConnectionResetError(104, "reset"), errors.ConnectionLost, True),
        (UnicodeError("label empty or too long"), errors.ConfigurationError, False),
        (AssertionError(), errors.ConfigurationError, False),
        (ValueError("Cannot combine AUTHORIZATION"), errors.ConfigurationError, False),
        (_hidden(ConnectionResetError(104, "reset")), errors.ConnectionLost, True),
        (not_http("Bad status line"), errors.ConnectionLost, True),
        (not_http("Too many headers received"), errors.ConnectionLost, False),
        (not_http("Got more than 65536 bytes when reading: b'x'"), errors.ConnectionLost, False),
        (LookupError(), errors.ConnectionFailed, False),
    ],
)
def test_each_exception_is_mapped_to_an_error_without_secrets(
    error: Exception, kind: type[errors.S3Error], retryable: bool
) -> None:
    failure = map_exception(error, Timeouts())
    assert type(failure) is kind
    assert failure.retryable is retryable
    shown = str(failure) + repr(failure) + repr(failure.__cause__)
    assert "SECRET" not in shown


@pytest.mark.parametrize(
    ("text", "reason"),
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
def test_response_that_is_not_http_is_not_quoted(text: str, reason: str) -> None:
    assert str(map_exception(not_http(text), Timeouts())) == f"the response is not HTTP: {reason}"


@pytest.mark.parametrize(
    ("text", "reason"),
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
def test_body_is_not_quoted(text: str, reason: str) -> None:
    failure = map_exception(aiohttp.ClientPayloadError(text), Timeouts())
    assert str(failure) == f"the connection broke: {reason}"
    assert failure.__cause__ is None


@pytest.mark.parametrize("proxy", [None, "http://u:SECRET@proxy.example"])
def test_cause_of_a_connection_failure_is_the_systems_error(proxy: str | None) -> None:
    error = aiohttp.ClientConnectorError(key(proxy), NO_ROUTE)
    assert map_exception(error, Timeouts()).__cause__ is NO_ROUTE


def test_untrusted_certificate_is_described() -> None:
    refused = ssl.SSLCertVerificationError(1, "self-signed")
    error = aiohttp.ClientConnectorCertificateError(key("http://u:SECRET@proxy.example"), refused)
    failure = map_exception(error, Timeouts())
    assert "self-signed" in str(failure)
    assert failure.__cause__ is refused
    assert not failure.retryable


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"])
def test_server_that_does_not_speak_tls_is_described(reason: str) -> None:
    refused = ssl.SSLError(1, "plain text")
    refused.reason = reason
    failure = map_exception(aiohttp.ClientConnectorSSLError(key(), refused), Timeouts())
    assert str(failure).startswith("example.test:443 does not speak TLS")
    assert not failure.retryable


def test_other_tls_error_is_retryable() -> None:
    refused = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    failure = map_exception(aiohttp.ClientConnectorSSLError(key(), refused), Timeouts())
    assert "EOF occurred" in str(failure)
    assert failure.retryable


def test_no_exception_behind_an_error_has_frames() -> None:
    def fail(error: Exception, cause: Exception) -> None:
        try:
            raise cause
        except Exception:
            raise error from None

    first, second = KeyError("first"), OSError(104, "second")
    with pytest.raises(OSError, match="second"):
        fail(second, first)
    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        fail(aiohttp.ClientConnectorError(key(), second), LookupError())
    failure = map_exception(caught.value, Timeouts())
    assert failure.__cause__ is second
    assert (first.__traceback__, second.__traceback__) == (None, None)


@pytest.mark.parametrize(
    "sent", [" " * 5_000_000, "\n" * 5_000_000, "message=" * 600_000, " b" * 2_500_000]
)
def test_long_text_of_a_server_neither_slows_nor_fills_the_message(sent: str) -> None:
    started = time.process_time()
    for error in (
        not_http(f"Data after `Connection: close`:\n\n  {sent}SECRET"),
        not_http(sent),
        aiohttp.ClientPayloadError(sent),
    ):
        assert len(str(map_exception(error, Timeouts()))) < 600
        assert "SECRET" not in str(map_exception(error, Timeouts()))
    assert time.process_time() - started < 1

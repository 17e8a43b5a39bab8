"""Maps aiohttp's exceptions to errors of this package, which contain no URLs, bytes or frames."""

import re
import ssl
from typing import Any, Final

import aiohttp

from aios3get import errors
from aios3get._protocol.timeouts import Timeouts

__all__ = ["BROKEN", "HEAD_LIMITS", "ConnectionBroken", "map_exception"]

# S3 allows 2 KB of user metadata, so more headers than the 128 that aiohttp accepts by default;
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
HEAD_LIMITS: Final[dict[str, Any]] = {
    "max_headers": 2_500,
    "max_field_size": 65_536,
    "max_line_size": 65_536,
}

# aiohttp's stream reader raises ``RuntimeError`` when its connection is closed.
BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError, RuntimeError)

# Their texts contain the whole URL, including a presigned query, or bytes of the response.
_REVEALING: Final = (
    TimeoutError,
    ValueError,
    aiohttp.ClientResponseError,
    aiohttp.ClientPayloadError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)

# OpenSSL's reasons for a plain-text response to a TLS handshake: up to 3.1, and since 3.2.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")

# The same response would exceed these limits again.
_beyond_limits = re.compile(r"Got more than \d+ bytes|Too many (headers|trailers)").search

# aiohttp may quote a whole body.
_LONGEST: Final = 500

# aiohttp quotes the bytes that it cannot parse, as a literal or on separate lines; a payload error
# contains the parser's error as a literal.
_quoted = re.compile(r"\n| b?['\"]|\\n|['\"]>").search


class ConnectionBroken(aiohttp.ClientError):
    """Wraps an exception after which aiohttp would send the request again."""


def map_exception(error: Exception, timeouts: Timeouts) -> errors.S3Error:
    """Return the error of this package for an exception that aiohttp raised.

    ``error`` and its causes lose their tracebacks, because aiohttp's frames hold headers and URLs.
    aiohttp itself keeps some of these exceptions, in reference cycles with frames that lead to all
    of their callers.
    """
    _drop_frames(error)
    if isinstance(error, ConnectionBroken) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    failure = _no_connection(error, timeouts) or _no_response(error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        failure.__cause__ = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        # The error itself contains the proxy's URL with its password.
        failure.__cause__ = error.os_error
    elif not isinstance(error, _REVEALING):
        failure.__cause__ = error
    return failure


def _drop_frames(error: BaseException) -> None:
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            chain += [each.__cause__, each.__context__, getattr(each, "os_error", None)]


def _no_connection(error: Exception, timeouts: Timeouts) -> errors.TransportError | None:
    failure: errors.TransportError
    match error:
        case TimeoutError():
            failure = errors.TransportTimeout(
                f"no connection within {timeouts.connect:g} s",
                limit="connect",
                seconds=timeouts.connect,
            )
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            failure = errors.ConnectionFailed(f"the server's certificate is not trusted: {error}")
            failure.retryable = False
        case aiohttp.ClientHttpProxyError():
            failure = errors.ConnectionFailed(f"the proxy responded {error.status} {error.message}")
        case aiohttp.ClientConnectorError() if _is_plain_text(error.os_error):
            failure = errors.ConnectionFailed(
                f"{error.host}:{error.port} does not speak TLS; if it serves plain http there, use"
                " an http:// URL"
            )
            failure.retryable = False
        case aiohttp.ClientConnectorError():
            failure = errors.ConnectionFailed(f"no connection: {error}")
        case _:
            return None
    return failure


def _is_plain_text(error: OSError) -> bool:
    return isinstance(error, ssl.SSLError) and getattr(error, "reason", None) in _NOT_TLS


def _no_response(error: Exception) -> errors.S3Error:
    failure: errors.S3Error
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            failure = errors.ConfigurationError("the URL is not an http or https URL with a host")
        case aiohttp.ClientResponseError():
            failure = _not_http(error.message)
        case aiohttp.ClientPayloadError():
            failure = errors.ConnectionLost(f"the connection broke: {_unquoted(str(error))}")
        case RuntimeError() if "ession is closed" in str(error):
            failure = errors.UsageError("the aiohttp session given as session= is closed")
        case aiohttp.ServerDisconnectedError():
            failure = errors.ConnectionLost("the server closed the connection before its response")
        case aiohttp.ClientError() | OSError() | RuntimeError():
            failure = errors.ConnectionLost(
                f"the connection broke: {error or type(error).__name__}"
            )
        case ValueError() if "AUTHORIZATION" in str(error):
            failure = errors.ConfigurationError(
                "the session given as session= has a password for the host, from auth= or with"
                " trust_env=True from the netrc file, which would replace the signature; pass a"
                " session without it"
            )
        case ValueError() | AssertionError():
            failure = errors.ConfigurationError(
                "the request cannot be sent: its URL, or its proxy's, has an invalid host or port"
            )
        case _:
            failure = errors.ConnectionFailed(f"sending the request failed: {type(error).__name__}")
            failure.retryable = False
    return failure


def _not_http(reason: str) -> errors.ConnectionLost:
    if not _beyond_limits(reason[:_LONGEST]):
        return errors.ConnectionLost(f"the response is not HTTP: {_unquoted(reason)}")
    failure = errors.ConnectionLost(
        "the response's head exceeds the limits of the client:"
        f" {HEAD_LIMITS['max_headers']:,} headers, {HEAD_LIMITS['max_field_size']:,} bytes each"
    )
    failure.retryable = False
    return failure


def _unquoted(text: str) -> str:
    """Return aiohttp's reason without the bytes that it quotes."""
    text = text[:_LONGEST]
    quote = _quoted(text)
    if quote is not None:
        text = text[: quote.start()]
    return text.rpartition("message=")[2].strip(" '\":")

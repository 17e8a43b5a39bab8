"""What of aiohttp's exceptions is which of ours, in words that show no URL and no bytes."""

import re
import ssl
from typing import Final

import aiohttp

from aios3get import errors
from aios3get._protocol.timeouts import Timeouts

__all__ = ["BROKEN", "HEAD_LIMITS", "failure_of"]

# S3 allows 2 KB of user metadata, so more headers than the 128 that aiohttp accepts by itself;
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
HEAD_LIMITS: Final = {"max_headers": 2_500, "max_field_size": 65_536, "max_line_size": 65_536}

# ``RuntimeError`` is how aiohttp's stream reader says that its connection is gone.
BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError, RuntimeError)

# Their texts hold the whole URL, with a presigned query if there is one, or bytes of the answer.
_TELLING: Final = (
    TimeoutError,
    ValueError,
    aiohttp.ClientResponseError,
    aiohttp.ClientPayloadError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)

# The same answer would pass these limits again.
_beyond_limits = re.compile(r"Got more than \d+ bytes|Too many (headers|trailers)").search

# What aiohttp quotes may be a whole body.
_LONGEST: Final = 500

# aiohttp quotes what it cannot parse, as a literal or on lines of its own, and in a payload's
# error the parser's error as a literal.
_quoted = re.compile(r":?(?:\s*\n| b?['\"]|\\n)|['\"]>", re.ASCII)


def failure_of(error: Exception, timeouts: Timeouts) -> errors.S3Error:
    """The error of ours that stands for one of aiohttp's, or for what it let through."""
    failure = _no_connection(error, timeouts) or _no_answer(error)
    key = getattr(error, "_conn_key", None)
    if key is not None and key.proxy is not None:
        # The proxy's URL stands in it, with its password if a user's session chose the proxy.
        failure.__cause__ = getattr(error, "os_error", None)
    elif not isinstance(error, _TELLING) or isinstance(error, ssl.SSLError):
        failure.__cause__ = error
    return failure


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
            failure = errors.ConnectionFailed(f"the proxy answered {error.status} {error.message}")
        case aiohttp.ClientConnectorError():
            failure = errors.ConnectionFailed(f"no connection: {error}")
        case _:
            return None
    return failure


def _no_answer(error: Exception) -> errors.S3Error:
    failure: errors.S3Error
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            failure = errors.ConfigurationError("the URL is not an http or https URL with a host")
        case aiohttp.ClientResponseError():
            failure = _no_http(error.message)
        case aiohttp.ClientPayloadError():
            failure = errors.ConnectionLost(f"the connection broke: {_worded(str(error))}")
        case RuntimeError() if "ession is closed" in str(error):
            failure = errors.ConfigurationError("the aiohttp session given as session= is closed")
        case aiohttp.ServerDisconnectedError():
            failure = errors.ConnectionLost("the server closed the connection before its answer")
        case aiohttp.ClientError() | OSError() | RuntimeError():
            failure = errors.ConnectionLost(
                f"the connection broke: {error or type(error).__name__}"
            )
        case ValueError() | AssertionError():
            failure = errors.ConfigurationError(
                "the request cannot be sent: its URL, or its proxy's, has a host or a port that"
                " cannot be"
            )
        case _:
            failure = errors.ConnectionFailed(f"sending the request failed: {type(error).__name__}")
            failure.retryable = False
    return failure


def _no_http(reason: str) -> errors.ConnectionLost:
    if not _beyond_limits(reason[:_LONGEST]):
        return errors.ConnectionLost(f"the answer is not HTTP: {_worded(reason)}")
    failure = errors.ConnectionLost(
        "the answer's head is larger than a client reads: at most"
        f" {HEAD_LIMITS['max_headers']:,} headers, {HEAD_LIMITS['max_field_size']:,} bytes each"
    )
    failure.retryable = False
    return failure


def _worded(text: str) -> str:
    """aiohttp's reason without the bytes that it is about."""
    said = _quoted.split(text[:_LONGEST], 1)[0]
    return said.rpartition("message=")[2].lstrip("'\"")

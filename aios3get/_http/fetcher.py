"""Small requests to the services that provide credentials, separate from S3's connections."""

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from aios3get._http.connections import UNSIGNED_HEADERS
from aios3get._http.proxies import DIRECT, Proxies
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.errors import ConnectionFailed, ConnectionLost, TransportError, TransportTimeout

__all__ = ["Fetcher"]

_MAX_BYTES: Final = 1_048_576

# The instance's own services over IPv6, such as fd00:ec2::254:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
_EC2_LOCAL: Final = IPv6Network("fd00:ec2::/32")

_RETRYABLE_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})


def _is_retryable(response: FetchedResponse) -> bool:
    return response.status in _RETRYABLE_STATUS


class Fetcher:
    """Sends small requests and reads their whole responses; never follows a redirect.

    It holds one aiohttp session for each event loop, opened by the first request there and closed
    by ``aclose``. Loopback and link-local addresses are never reached through a proxy.

    Args:
        verify: True for the system's certificates, False to accept any, or a context.
        proxies: select the proxy of a request.
        retry: the policy for ``fetch`` without ``attempts``.
        sleep: waits a number of seconds.
        random: returns a number in [0, 1), for the jitter of waits.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool = True,
        proxies: Proxies = DIRECT,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._verify = verify
        self._proxies = proxies
        self._retry = retry or RetryPolicy(attempts=3)
        self._sleep = sleep
        self._random = random
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._process = os.getpid()

    async def fetch(
        self,
        request: FetchRequest | Callable[[], FetchRequest],
        *,
        timeout: float = 10.0,
        connect_timeout: float | None = None,
        max_bytes: int = _MAX_BYTES,
        proxy: bool = True,
        attempts: int | None = None,
        is_retryable: Callable[[FetchedResponse], bool] = _is_retryable,
    ) -> FetchedResponse:
        """Send the request and return the response to the last attempt, with any status.

        Args:
            request: the request, or a function that builds it anew for each attempt, such as a
                signed one.
            timeout: seconds for one attempt, from the connection to the last byte of the body.
            connect_timeout: seconds for TCP and TLS within ``timeout``; None for no separate limit.
            max_bytes: the longest body.
            proxy: False to connect directly, ignoring the settings.
            attempts: the most attempts; None for those of the retry policy.
            is_retryable: whether a response should be retried; by default 408, 429 and server
                errors.

        Raises:
            TransportTimeout: no complete response within ``timeout`` or ``connect_timeout``.
            ConnectionFailed: no connection.
            ConnectionLost: the connection broke.
            TransportError: the body is longer than ``max_bytes``.
            ConfigurationError: the environment's proxy is not the URL of an HTTP proxy.
        """
        attempts = self._retry.attempts if attempts is None else attempts
        retries = 0
        while True:
            outcome = await self._attempt(
                request() if callable(request) else request,
                timeout,
                connect_timeout,
                max_bytes,
                proxy,
            )
            if isinstance(outcome, FetchedResponse):
                retryable = is_retryable(outcome)
            else:
                retryable = outcome.retryable
            if not retryable or retries + 1 >= attempts:
                break
            retries += 1
            await self._sleep(self._retry.delay(retries, self._random()))
        if isinstance(outcome, FetchedResponse):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # its traceback holds this frame

    async def aclose(self) -> None:
        """Close the running loop's session."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None and self._process == os.getpid():
            await session.close()

    async def _attempt(
        self,
        request: FetchRequest,
        timeout: float,
        connect_timeout: float | None,
        max_bytes: int,
        proxy: bool,
    ) -> FetchedResponse | TransportError:
        # Errors are returned, and aiohttp's error is not their cause: error reporters send the
        # locals of aiohttp's frames, which hold headers and bodies.
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await self._send(request, connect_timeout, max_bytes, proxy)
        except TimeoutError:
            seconds = timeout if limit.expired() or connect_timeout is None else connect_timeout
            doing = "respond" if limit.expired() else "accept a connection"
            return TransportTimeout(
                f"{request.host} did not {doing} within {seconds:g} s",
                limit="idle" if limit.expired() else "connect",
                seconds=seconds,
            )
        except aiohttp.ClientConnectorError as error:
            return _no_connection(request.host, error)
        except aiohttp.ClientError as error:
            return ConnectionLost(
                f"{request.host} sent no complete response: {type(error).__name__}"
            )
        except OSError as error:
            return ConnectionLost(f"the connection to {request.host} broke: {error.strerror}")
        except (RuntimeError, ValueError) as error:
            # The session was closed meanwhile, or the host is invalid.
            failure = ConnectionFailed(
                f"no request can be sent to {request.host}: {type(error).__name__}"
            )
            failure.retryable = False
            return failure

    async def _send(
        self, request: FetchRequest, connect_timeout: float | None, max_bytes: int, proxy: bool
    ) -> FetchedResponse | TransportError:
        added: dict[str, str] = {}
        route: dict[str, Any] = {}
        parts = urlsplit(request.url)
        if proxy and not _is_local(parts.hostname or ""):
            added, route = self._proxies.route(parts.scheme, request.host)
        async with self._session().request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,
            headers={**UNSIGNED_HEADERS, **request.headers, **added},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=connect_timeout),
            **route,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    failure = TransportError(
                        f"the response of {request.host} is longer than {max_bytes:,} bytes"
                    )
                    failure.retryable = False
                    return failure
            return FetchedResponse(response.status, response.headers, bytes(body))

    def _session(self) -> aiohttp.ClientSession:
        if self._process != os.getpid():
            # The sockets belong to the parent process.
            _left_to_parent.append(self._sessions)
            self._sessions, self._process = {}, os.getpid()
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            for other in list(self._sessions):
                if other.is_closed():
                    del self._sessions[other]
            session = self._sessions[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._verify, keepalive_timeout=5.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept", "Content-Type"),
                auto_decompress=False,
            )
        return session


_left_to_parent: Final[list[object]] = []


def _is_local(host: str) -> bool:
    """Whether the host is this machine, or a service that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address in _EC2_LOCAL


def _no_connection(host: str, error: aiohttp.ClientConnectorError) -> ConnectionFailed:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason: object = error.certificate_error
        failure = ConnectionFailed(f"the certificate of {host} is not trusted: {reason}")
        failure.retryable = False
        return failure
    number = error.os_error.errno or 0
    # asyncio's own text repeats the address; a resolver's numbers are below 0.
    reason = os.strerror(number) if number > 0 else error.os_error.strerror
    return ConnectionFailed(f"no connection to {host}: {reason or type(error).__name__}")

"""Bytes out, bytes in: the only module that hands requests to aiohttp."""

import asyncio
import inspect
import ssl
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aios3get import errors
from aios3get._io.admission import Admission
from aios3get._io.proxies import DIRECT, Proxies
from aios3get._io.watchdog import Wait, Watchdog
from aios3get._protocol.http import HttpHead, HttpRequest
from aios3get._protocol.timeouts import Timeouts
from aios3get._version import __version__

__all__ = ["Answer", "Transport"]

# Sent unsigned: proxies and some stores change them. Without "identity" aiohttp asks for gzip,
# which would change lengths, ranges and checksums.
_UNSIGNED_HEADERS: Final = {
    "User-Agent": f"aios3get/{__version__} aiohttp/{aiohttp.__version__}",
    "Accept-Encoding": "identity",
}

# S3 allows 2 KB of user metadata, so more headers than the 128 that aiohttp accepts by itself;
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
_HEAD_LIMITS: Final = {"max_headers": 2_500, "max_field_size": 65_536, "max_line_size": 65_536}

# What is left of a body is read off to save the connection, if it is no more than this.
_DRAIN_BYTES: Final = 262_144
_DRAIN_SECONDS: Final = 1.0

_CLOSED: Final = "the client is closed; create a new one"


def _accepted_by(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


# aiohttp takes these per session or per request only since some release.
_SESSION_OPTIONS: Final = _accepted_by(aiohttp.ClientSession.__init__, _HEAD_LIMITS)
_REQUEST_OPTIONS: Final = _accepted_by(
    aiohttp.ClientSession._request, {"auto_decompress": False, **_HEAD_LIMITS}
)


class Transport:
    """Connections of one event loop, shared by all requests of a client there.

    Args:
        session: the user's own session, left open at the end; None to own one.
        verify: True for aiohttp's default context, False to check nothing, or a context.
        proxies: which proxy a request takes.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts,
        max_concurrency: int,
        session: aiohttp.ClientSession | None = None,
        verify: ssl.SSLContext | bool = True,
        proxies: Proxies = DIRECT,
    ) -> None:
        self.admission: Admission[Answer] = Admission(max_concurrency)
        self.watchdog = Watchdog(timeouts.idle, self.admission.holders)
        self.loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._verify = verify
        self._proxies = proxies if proxies.by_scheme else None
        self._given = session
        self._pooled = session
        self._fresh = session
        self._closed = False
        self._options: dict[str, Any] = {"allow_redirects": False}
        self._grace = 0.0
        if session is None:
            # Without a pool limit nothing queues, so this covers names, TCP and TLS.
            self._limit = aiohttp.ClientTimeout(connect=timeouts.connect)
        else:
            # A queue for the user's own pool is theirs, and no part of connecting.
            limit = aiohttp.ClientTimeout(sock_connect=timeouts.connect)
            self._options |= {"timeout": limit, "raise_for_status": False, **_REQUEST_OPTIONS}
            self._grace = timeouts.connect

    async def send(self, request: HttpRequest, *, fresh: bool = False) -> "Answer":
        """Send the request and wait for the answer's head.

        Args:
            request: sent exactly as it is.
            fresh: on a new connection, to an address resolved anew.

        Raises:
            TransportError: no head arrived.
            ConfigurationError: the URL is not one, or the client or its session is closed.
        """
        if self._closed:
            raise errors.ConfigurationError(_CLOSED)
        answer = Answer(self)
        admission = self.admission
        if not admission.try_enter(answer):
            await admission.enter(answer)
        self.watchdog.begin(answer, self._grace)
        try:
            session = (self._fresh if fresh else self._pooled) or self._open(fresh=fresh)
            method, url, headers = request
            options: dict[str, Any] = self._options
            if self._proxies is not None:
                options = {**options, "proxy": self._proxies.proxy_for(*_origin(url))}
            if self._given is not None:
                headers = {**headers, **_UNSIGNED_HEADERS}
            response = await session.request(
                method, URL(url, encoded=True), headers=headers, **options
            )
            answer.response = response
            answer.status = response.status
            answer.headers = response.headers
            return answer
        except BaseException as error:
            admission.leave(answer)
            failure = self.failure(error, answer)
            if failure is None:
                raise
            if isinstance(failure, errors.ConnectionLost):
                failure.reused = self._given is None and not answer.connected
        finally:
            self.watchdog.end(answer)
        raise failure

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        reuse: dict[str, Any] = (
            {"force_close": True, "use_dns_cache": False}
            if fresh
            else {"keepalive_timeout": self._timeouts.keep_alive, "ttl_dns_cache": 30}
        )
        session = aiohttp.ClientSession(
            connector=_Connector(self.watchdog, limit=0, ssl=self._verify, **reuse),
            cookie_jar=_NoCookies(),
            request_class=_Request,
            headers=_UNSIGNED_HEADERS,
            timeout=self._limit,
            auto_decompress=False,
            **_SESSION_OPTIONS,
        )
        # A signed request is never sent twice: every attempt is built, stamped and signed anew.
        session._retry_connection = False
        if fresh:
            self._fresh = session
        else:
            self._pooled = session
        return session

    async def aclose(self) -> None:
        """Close the connections; a session of the user's stays open."""
        self._closed = True
        self.admission.close(errors.ConfigurationError(_CLOSED))
        self.watchdog.stop()
        for answer in [*self.admission.holders]:
            answer.close()
        if self._given is None:
            sessions, self._pooled, self._fresh = (self._pooled, self._fresh), None, None
            for session in filter(None, sessions):
                await session.close()

    def failure(self, error: BaseException, wait: Wait) -> errors.S3Error | None:
        """The error of ours that ``error`` stands for, without a URL in it; None if it is none."""
        timed_out = wait.is_timeout()
        if isinstance(error, asyncio.CancelledError):
            if not timed_out:
                return None
            if self._closed:
                return _closed_meanwhile()
            idle = self._timeouts.idle
            return errors.TransportTimeout(
                f"no byte came for {idle:g} s",
                limit="idle",
                seconds=idle,
                loop_blocked=self.watchdog.longest_pause(idle),
            )
        if not isinstance(error, _FAILURES):
            return None
        failure = _failure(error, self._timeouts)
        if self._closed and isinstance(failure, errors.TransportError):
            failure = _closed_meanwhile()
        if isinstance(failure, errors.TransportTimeout):
            failure.loop_blocked = self.watchdog.longest_pause(failure.seconds)
        return failure


class _Request(aiohttp.ClientRequest):
    """A request that is finished when it comes: aiohttp adds no header of its own."""

    def update_headers(self, headers: Any) -> None:
        """Take them all, ``Host`` included, as they were signed."""
        self.headers = CIMultiDict(headers)
        if "Host" not in self.headers:  # as with somebody's link
            self.headers["Host"] = self.url.host_port_subcomponent or ""

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add none."""

    def send(self, conn: Any) -> Any:
        """Send it, unless the connection holds what came while nobody had asked.

        That must not be taken for this request's answer.
        """
        if conn.protocol.should_close:
            raise aiohttp.ServerDisconnectedError
        return super().send(conn)


class _Connector(aiohttp.TCPConnector):
    """Tells the watchdog who is connecting, which has a limit of its own."""

    def __init__(self, watchdog: Watchdog, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]  # as aiohttp types it
        self._watchdog = watchdog

    async def _create_connection(self, *args: Any, **options: Any) -> Any:
        wait = self._watchdog.connecting()
        try:
            return await super()._create_connection(*args, **options)
        finally:
            self._watchdog.connected(wait)


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps none and has none, where aiohttp's own makes an empty jar for each request."""

    _none: Final[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:
        """None for any URL."""
        return self._none


class Answer(Wait):
    """The slot of one request, and then its answer, whose body is to be read.

    Attributes:
        status: HTTP's; 0 as long as no head has come.
        headers: the head's, from then on.
        response: aiohttp's, from then on.
        within: what a read is awaited through, for a call with a deadline.
    """

    status = 0
    headers: CIMultiDictProxy[str]
    response: aiohttp.ClientResponse
    within: Callable[[Awaitable[bytes]], Awaitable[bytes]] | None = None

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def head(self) -> HttpHead:
        """Status and headers as one value."""
        return HttpHead(self.status, self.headers)

    @property
    def from_wire(self) -> bool:
        """Whether an HTTP connection brought it, rather than a test double of aiohttp's."""
        return self.response.version is not None

    @property
    def held(self) -> bool:
        """Whether its slot, and perhaps a connection, are still in use."""
        return self in self._transport.admission.holders

    async def read(self) -> bytes:
        """The next bytes of the body as they came, or nothing at its end.

        Raises:
            TransportError: the connection broke or went silent, or the call's time is over.
        """
        chunk = await (self._read() if self.within is None else self.within(self._read()))
        if not chunk:
            self._transport.admission.leave(self)
        return chunk

    def read_nowait(self) -> bytes | None:
        """All the rest of a body that has arrived whole; None if ``read`` has to be awaited."""
        content = self.response.content
        if not content.is_eof():
            return None
        try:
            rest = content.read_nowait()
        except _FAILURES:
            return None  # ``read`` says what it means
        # At the body's end aiohttp has given the connection back already.
        self._transport.admission.leave(self)
        return rest

    async def _read(self) -> bytes:
        watchdog = self._transport.watchdog
        watchdog.begin(self)
        try:
            return await self.response.content.readany()
        except BaseException as error:
            failure = self._transport.failure(error, self)
            if failure is None:
                raise
        finally:
            watchdog.end(self)
        self.close()
        raise failure

    async def read_all(self, limit: int, seconds: float) -> bytes:
        """What comes of the body, up to ``limit`` bytes and within ``seconds``; then give it back.

        A body that breaks is as good as one that ends: this is for what explains a refusal.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(seconds):
                while len(body) < limit and (chunk := await self.read()):
                    body += chunk
        except (errors.TransportError, TimeoutError):
            pass
        finally:
            self.close()
        return bytes(body[:limit])

    def at_end(self) -> bool:
        """Whether the body is known to have ended, nothing being left to read."""
        return self.response.content.at_eof()

    async def release(self, remaining: int | None) -> None:
        """Give the connection back, reading off what little may remain, or close it.

        Args:
            remaining: body bytes not read yet, None if unknown.
        """
        if not self.held:
            return
        try:
            if remaining is not None and remaining <= _DRAIN_BYTES:
                async with asyncio.timeout(_DRAIN_SECONDS):
                    while await self.read():
                        pass
        except (errors.TransportError, TimeoutError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection, unless the body has arrived whole: then it goes back."""
        if self.status and self.held:
            if self.response.connection is not None or not self.response.content.is_eof():
                self.response.close()
            self._transport.admission.leave(self)

    def close_soon(self) -> None:
        """Close the connection from any thread, as the garbage collector needs it."""
        loop = self._transport.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(self.close)


def _closed_meanwhile() -> errors.ConnectionLost:
    failure = errors.ConnectionLost("the client was closed meanwhile")
    failure.retryable = False
    return failure


def _origin(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme, rest.partition("/")[0].partition("?")[0]


# ``RuntimeError`` is how aiohttp's stream reader says that its connection is gone.
_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, RuntimeError)

# Their texts hold the whole URL, with a presigned query if there is one.
_TELLING_URLS: Final = (
    TimeoutError,
    aiohttp.ClientResponseError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


def _failure(error: BaseException, timeouts: Timeouts) -> errors.S3Error:
    failure: errors.S3Error
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
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            failure = errors.ConfigurationError("the URL is not an http or https URL with a host")
        case aiohttp.ClientResponseError():
            failure = errors.ConnectionLost(f"the answer is not HTTP: {error.message}")
        case RuntimeError() if "ession is closed" in str(error):
            failure = errors.ConfigurationError("the aiohttp session given as session= is closed")
        case aiohttp.ServerDisconnectedError():
            failure = errors.ConnectionLost("the server closed the connection before its answer")
        case _:
            failure = errors.ConnectionLost(
                f"the connection broke: {error or type(error).__name__}"
            )
    if not isinstance(error, _TELLING_URLS):
        failure.__cause__ = error
    return failure

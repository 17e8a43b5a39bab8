"""The client's own aiohttp sessions, which send each request once and unchanged."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from http.cookies import SimpleCookie
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from yarl import URL

from aios3get._http.aiohttp_private import Connector, Request, start_request
from aios3get._http.direct import SUPPORTED, DirectRequests, DirectResponse, TakeBody
from aios3get._http.exception_mapping import HEAD_LIMITS, ConnectionBroken
from aios3get._http.resolver import Resolver
from aios3get._http.watchdog import Watchdog
from aios3get._protocol.timeouts import Timeouts
from aios3get._version import __version__

__all__ = ["UNSIGNED_HEADERS", "OwnSessions", "send_once"]

# Not signed, because proxies and some stores change them. Without "identity", aiohttp requests
# gzip, which would change lengths, ranges and checksums.
UNSIGNED_HEADERS: Final = {
    "User-Agent": f"aios3get/{__version__} aiohttp/{aiohttp.__version__}",
    "Accept-Encoding": "identity",
}


async def send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A client middleware that keeps aiohttp from sending a request again.

    aiohttp repeats a GET if its kept connection turns out to be closed. This package signs each
    attempt anew instead.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionBroken from error


_MIDDLEWARES: Final = (send_once,)


class OwnSessions:
    """Two aiohttp sessions: one keeps connections, the other opens one for each request.

    Args:
        timeouts: ``connect`` and ``keep_alive`` apply.
        verify: True for aiohttp's default TLS context, False to accept any certificate, or a
            context.
        watchdog: is notified when a request is connecting.
        buffer: receives small responses.

    Attributes:
        resolver: shared by both sessions.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        verify: SSLContext | bool,
        watchdog: Watchdog,
        buffer: bytearray,
    ) -> None:
        self.resolver = Resolver(aiohttp.DefaultResolver())
        self.pooled: aiohttp.ClientSession | None = None
        self.fresh: aiohttp.ClientSession | None = None
        self._timeouts = timeouts
        self._verify = verify
        self._watchdog = watchdog
        self._buffer = buffer
        self._direct: DirectRequests | None = None

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        options: Mapping[str, Any],
        *,
        fresh: bool,
        take: TakeBody | None = None,
    ) -> aiohttp.ClientResponse | DirectResponse:
        """Send a request and wait for the response's head.

        Args:
            method: the HTTP method.
            url: sent exactly as it is.
            headers: sent exactly as they are, with ``UNSIGNED_HEADERS``.
            options: aiohttp's, such as ``proxy``.
            fresh: use a new connection, to a newly resolved address.
            take: as for ``Transport.send``.
        """
        session = (self.fresh if fresh else self.pooled) or self._open(fresh=fresh)
        if self._direct is not None and method == "GET" and not fresh and not options:
            response = await self._direct.send(url, headers, take)
            if response is not None:
                return response
        return await start_request(
            session,
            method,
            URL(url, encoded=True),
            headers=headers,
            allow_redirects=False,
            **options,
        )

    async def aclose(self) -> None:
        """Close both sessions with their connections."""
        sessions, self.pooled, self.fresh = (self.pooled, self.fresh), None, None
        # Each is closed, even if this task is cancelled while it waits for one.
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.resolver.close)
            for session in filter(None, sessions):
                stack.push_async_callback(session.close)

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        options: dict[str, Any]
        if fresh:
            options = {"force_close": True, "resolver": self.resolver.uncached()}
        else:
            options = {
                "keepalive_timeout": self._timeouts.keep_alive,
                "resolver": self.resolver,
            }
        connector = Connector(
            self._watchdog, limit=0, ssl=self._verify, use_dns_cache=False, **options
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=_NoCookies(),
            request_class=Request,
            headers=UNSIGNED_HEADERS,
            middlewares=_MIDDLEWARES,
            # Without a pool limit nothing queues, so this covers name resolution, TCP and TLS.
            timeout=aiohttp.ClientTimeout(connect=self._timeouts.connect),
            auto_decompress=False,
            **HEAD_LIMITS,
        )
        if fresh:
            self.fresh = session
        else:
            self.pooled = session
            if SUPPORTED:
                self._direct = DirectRequests(session, _MIDDLEWARES, UNSIGNED_HEADERS, self._buffer)
        return session


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps no cookies. ``DummyCookieJar`` creates a ``SimpleCookie`` for each request."""

    _none: Final[SimpleCookie] = SimpleCookie()

    def filter_cookies(self, request_url: URL) -> SimpleCookie:
        """Return no cookies."""
        return self._none

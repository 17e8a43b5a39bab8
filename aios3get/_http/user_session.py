"""Sends requests through the user's aiohttp session, and validates that it adds nothing to them."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from aios3get import errors
from aios3get._http.aiohttp_private import has_middlewares, loop_of
from aios3get._http.connections import UNSIGNED_HEADERS, send_once
from aios3get._http.exception_mapping import HEAD_LIMITS

__all__ = ["UserSession", "validate_session"]

# Headers that identify the sender or change the response; they must be signed.
_is_signed = re.compile(
    r"authorization|host|range|if-.*|x-amz-.*|content-.*|transfer-encoding", re.IGNORECASE
).fullmatch

_FROM_NETRC: Final = " (with trust_env=True it may come from the netrc file)"

# ``ClientSession(cookies=…)`` sends its cookies to every host, so also to this reserved name
# (RFC 2606 section 2).
_ANY_HOST: Final = URL("https://any.invalid/")


class UserSession:
    """Sends requests through a session that belongs to the user, and never closes it.

    Args:
        session: the user's session; validated before each request.
        connect: seconds for TCP and TLS, without the wait for the user's pool.

    Attributes:
        session: the user's session.
    """

    resolver = None

    def __init__(self, session: aiohttp.ClientSession, connect: float) -> None:
        self.session = session
        self._options: dict[str, Any] = {
            "timeout": aiohttp.ClientTimeout(sock_connect=connect),
            "raise_for_status": False,
            "auto_decompress": False,
            **HEAD_LIMITS,
        }

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        options: Mapping[str, Any],
        *,
        fresh: bool,
        take: object = None,
    ) -> aiohttp.ClientResponse:
        """Send a request and wait for the response's head.

        The arguments are those of ``OwnSessions.send``. ``fresh`` is ignored, because the user's
        connector keeps the connections and addresses, and no body is taken.

        Raises:
            ConfigurationError: the session would add headers that must be signed, or cookies and
                logins that must not be sent to the hosts of presigned links.
            UsageError: the session belongs to another event loop.
        """
        validate_session(self.session)

        async def check(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            _validate_request(request, headers)
            return await send_once(request, handler)

        return await self.session.request(
            method,
            URL(url, encoded=True),
            headers={**headers, **UNSIGNED_HEADERS},
            allow_redirects=False,
            middlewares=(check,),
            **self._options,
            **options,
        )

    async def aclose(self) -> None:
        """Leave the session open."""


def validate_session(session: aiohttp.ClientSession) -> None:
    """Reject a session that cannot be used for S3.

    Raises:
        ConfigurationError: it has a login, cookies for every host, or middlewares.
        UsageError: it belongs to another event loop.
    """
    if loop_of(session) is not asyncio.get_running_loop():
        raise errors.UsageError(
            "the session given as session= belongs to another event loop; a client with session="
            " works only on the event loop that its session was created on"
        )
    if session.auth is not None:
        raise errors.ConfigurationError(
            "the session given as session= has auth=, which would replace the signature and be sent"
            " with the links of get_url; pass a session without it"
        )
    if "Cookie" in session.headers or session.cookie_jar.filter_cookies(_ANY_HOST):
        raise errors.ConfigurationError(
            "the session given as session= has cookies for every host, which would be sent to S3"
            " and with the links of get_url; pass a session whose cookies are bound to hosts"
        )
    if has_middlewares(session):
        raise errors.ConfigurationError(
            "the session given as session= has middlewares, which could change a signed request or"
            " send it twice; pass a session without them, such as"
            " ClientSession(connector=session.connector, connector_owner=False)"
        )


def _validate_request(request: aiohttp.ClientRequest, given: Mapping[str, str]) -> None:
    """Reject a request if the session or its trace configs added a header that must be signed."""
    expected = {name.lower(): value for name, value in given.items()}
    expected.setdefault("host", request.url.host_port_subcomponent or "")
    for name, value in request.headers.items():
        if _is_signed(name) and expected.get(name.lower()) != value:
            raise errors.ConfigurationError(
                f"the session given as session= adds the header {name}"
                f"{_FROM_NETRC if name.lower() == 'authorization' else ''}, which is not signed and"
                " would be sent with the links of get_url; pass a session without it"
            )

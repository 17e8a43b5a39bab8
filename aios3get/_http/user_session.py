"""A session of the user's: what it may not do, and what each request must tell it."""

import asyncio
import netrc
import os
import re
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from aios3get import errors
from aios3get._http.connections import accepted_by
from aios3get._http.exception_mapping import HEAD_LIMITS

__all__ = ["check_given", "options_for"]

_SETTINGS: Final = accepted_by(
    aiohttp.ClientSession._request, {"auto_decompress": False, **HEAD_LIMITS}
)


def options_for(connect: float) -> dict[str, Any]:
    """What each request says where the session's own settings must not hold.

    Args:
        connect: seconds for TCP and TLS. A queue for the user's own pool is theirs, and no part
            of connecting.
    """
    limit = aiohttp.ClientTimeout(sock_connect=connect)
    return {"timeout": limit, "raise_for_status": False, **_SETTINGS}


# What says who asks, or for what: it must be signed, and is for nobody else's link.
_choosing = re.compile(
    r"authorization|cookie|host|range|if-.*|x-amz-.*|content-.*|transfer-encoding", re.IGNORECASE
).fullmatch


# ``ClientSession(cookies=…)`` sends its cookies to every host, this one too (RFC 2606 section 2).
_ANY_HOST: Final = URL("https://any.invalid/")


async def check_given(session: aiohttp.ClientSession, url: str) -> None:
    """Refuse a user's session of another loop, or that would add what must not be added.

    Raises:
        ConfigurationError: it is, or would.
    """
    if session._loop is not asyncio.get_running_loop():
        raise errors.ConfigurationError(
            "the session given as session= belongs to another event loop; a client with session="
            " serves only the loop that its session was made on"
        )
    adds = next((name for name in session.headers if _choosing(name)), None)
    if adds is not None:
        raise errors.ConfigurationError(
            f"the session given as session= adds the header {adds} to every request, unsigned and"
            " to get_url's links too; give one without it"
        )
    if session.cookie_jar.filter_cookies(_ANY_HOST):
        raise errors.ConfigurationError(
            "the session given as session= has cookies for every host, which would go to S3 and to"
            " get_url's links too; give one whose cookies belong to the hosts that they are for"
        )
    if session.auth is not None:
        raise errors.ConfigurationError(
            "the session given as session= has auth=, which would replace the signature and go to"
            " get_url's links too; give one without it"
        )
    if session.trust_env:
        host = URL(url, encoded=True).host or ""
        if await asyncio.to_thread(_in_netrc, host):
            raise errors.ConfigurationError(
                f"the session given as session= has trust_env=True, and the netrc file has a"
                f" password for {host} that aiohttp would send; give one without trust_env"
            )


def _in_netrc(host: str) -> bool:
    """Whether aiohttp would find a password for the host."""
    try:
        named = os.environ.get("NETRC")
        path = Path.home() / ("_netrc" if os.name == "nt" else ".netrc")
        return netrc.netrc(named or str(path)).authenticators(host) is not None
    except (OSError, RuntimeError, ValueError, netrc.NetrcParseError):
        return False

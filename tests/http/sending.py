"""Short ways to send a request through a transport and to read its response."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import aiohttp
from yarl import URL

from aios3get._http.aiohttp_private import Connection, ConnectionKey, take_idle_connection
from aios3get._http.direct import TakeBody
from aios3get._http.transport import Response, Transport
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.timeouts import Timeouts
from tests.servers.scripted import Connection as ScriptedConnection

QUICK: Final = Timeouts(connect=1.5, idle=0.3)

OpenTransport = Callable[..., Transport]


async def get(
    transport: Transport,
    url: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    fresh: bool = False,
    take: TakeBody | None = None,
) -> Response:
    """The response to a GET, once there is a permit for it."""
    permit = transport.try_acquire() or await transport.acquire()
    return await transport.send(HttpRequest("GET", url, headers), permit, fresh=fresh, take=take)


async def read_body(response: Response) -> bytes:
    """The whole body, as it arrives."""
    body = bytearray()
    while chunk := await response.read():
        body += chunk
    return bytes(body)


async def take_or_make_connection(
    connector: aiohttp.BaseConnector, key: ConnectionKey
) -> Connection:
    """Replaces ``take_idle_connection``, so that first requests are sent directly, too."""
    connection = await take_idle_connection(connector, key)
    if connection is not None:
        return connection
    url = URL.build(scheme="https" if key.is_ssl else "http", host=key.host, port=key.port)
    request = aiohttp.ClientRequest("GET", url, loop=asyncio.get_running_loop())
    return await connector.connect(request, [], aiohttp.ClientTimeout(connect=QUICK.connect))


def read_large_request(connection: ScriptedConnection) -> None:
    """Read a request without keeping it; a step of a ``ScriptedServer``'s script."""
    end = b""
    while end != b"\r\n\r\n":
        received = connection.socket.recv(1 << 20)
        assert received
        end = (end + received)[-4:]


# More than the sockets' buffers take while the server does not read: by Linux's defaults at most
# 4 MiB to send and 6 MiB received.
LARGE_HEADERS: Final = {"A": "b" * (12 << 20)}

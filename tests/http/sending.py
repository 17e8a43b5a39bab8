"""Short ways to send a request through a transport and to read its response."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from aios3get._http.transport import Response, Transport
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.timeouts import Timeouts

QUICK: Final = Timeouts(connect=1.5, idle=0.3)

OpenTransport = Callable[..., Transport]


async def get(
    transport: Transport,
    url: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    fresh: bool = False,
) -> Response:
    """The response to a GET, once there is a permit for it."""
    permit = transport.try_acquire() or await transport.acquire()
    return await transport.send(HttpRequest("GET", url, headers), permit, fresh=fresh)


async def read_body(response: Response) -> bytes:
    """The whole body, as it arrives."""
    body = bytearray()
    while chunk := await response.read():
        body += chunk
    return bytes(body)

"""Real host names that end on loopback: only a user's own aiohttp session knows."""

import socket
import ssl
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["LoopbackResolver", "loopback_session"]


class LoopbackResolver(AbstractResolver):
    """Every name is 127.0.0.1; a port in ``ports`` is another one there.

    aiohttp connects to the port of the answer, not of the URL, so ``{443: 18443}`` lets a server
    without the right to listen on 443 be reached by its real URL. ``asked`` lists the questions.
    """

    def __init__(self, ports: Mapping[int, int]) -> None:
        self.ports = ports
        self.asked: list[tuple[str, int]] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append((host, port))
        answer = ResolveResult(
            hostname=host,
            host="127.0.0.1",
            port=self.ports.get(port, port),
            family=socket.AF_INET,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_NUMERICHOST,
        )
        return [answer]

    async def close(self) -> None:
        pass


def loopback_session(
    ports: Mapping[int, int], trust: ssl.SSLContext | None = None
) -> aiohttp.ClientSession:
    """A session as a user would make it, with that resolver and the trust given."""
    connector = aiohttp.TCPConnector(
        resolver=LoopbackResolver(ports), ssl=True if trust is None else trust
    )
    return aiohttp.ClientSession(connector=connector)

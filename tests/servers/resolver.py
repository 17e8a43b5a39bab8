"""A resolver that leads real host names to loopback."""

import socket
import ssl
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["LoopbackResolver", "loopback_session"]


class LoopbackResolver(AbstractResolver):
    """Resolves every name to 127.0.0.1, and the ports in ``ports`` to others.

    aiohttp connects to the port that the resolver returns, not to the URL's, so ``{443: 18443}``
    reaches a server that may not listen on 443 by its real URL.

    ``questions`` lists the requested hosts and ports.
    """

    def __init__(self, ports: Mapping[int, int]) -> None:
        self.ports = ports
        self.questions: list[tuple[str, int]] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.questions.append((host, port))
        result = ResolveResult(
            hostname=host,
            host="127.0.0.1",
            port=self.ports.get(port, port),
            family=socket.AF_INET,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_NUMERICHOST,
        )
        return [result]

    async def close(self) -> None:
        pass


def loopback_session(
    ports: Mapping[int, int], trust: ssl.SSLContext | None = None
) -> aiohttp.ClientSession:
    """A user's session with that resolver; ``trust`` is its TLS context."""
    connector = aiohttp.TCPConnector(
        resolver=LoopbackResolver(ports), ssl=True if trust is None else trust
    )
    return aiohttp.ClientSession(connector=connector)

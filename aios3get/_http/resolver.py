"""Name resolution with a short cache, one lookup at a time for each name, and failover."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["Resolver"]

_CACHE_SECONDS: Final = 30.0
_AVOID_SECONDS: Final = 30.0
_LIMIT: Final = 256

_Key = tuple[str, int, socket.AddressFamily]


class _Name:
    """The latest addresses of a name, and the lookup in progress, if any."""

    __slots__ = ("addresses", "expires", "lookup", "turn")

    def __init__(self) -> None:
        self.addresses: list[ResolveResult] = []
        self.expires = 0.0
        self.lookup: asyncio.Task[list[ResolveResult]] | None = None
        self.turn = 0


class Resolver(AbstractResolver):
    """Orders the addresses of a name for each new connection.

    The first address rotates with each connection. Addresses that failed within the last 30 seconds
    come last, the latest failure at the very end.

    Args:
        source: the resolver that does the lookups.
        clock: returns seconds, monotonic.
    """

    def __init__(
        self, source: AbstractResolver, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.source = source
        self._clock = clock
        self._names: dict[_Key, _Name] = {}
        self._failed: dict[str, float] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of the name, at most 30 seconds old."""
        return await self.lookup(host, port, family, cached=True)

    async def lookup(
        self, host: str, port: int, family: socket.AddressFamily, *, cached: bool
    ) -> list[ResolveResult]:
        """Return the addresses of the name.

        A lookup continues if a task that waits for it is cancelled, because others may wait for it.

        Args:
            host: the name.
            port: copied into the result.
            family: the family of the addresses; ``AF_UNSPEC`` for any.
            cached: whether to accept the addresses of an earlier lookup.
        """
        key = host, port, family
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _LIMIT:
                del self._names[next(iter(self._names))]
            name = self._names[key] = _Name()
        if not (cached and self._clock() < name.expires):
            if name.lookup is None:
                name.lookup = asyncio.create_task(self.source.resolve(host, port, family))
                name.lookup.add_done_callback(lambda task: self._finish(name, task))
            # Read from the task, because an eager task may end before its callbacks run.
            name.addresses = await asyncio.shield(name.lookup)
        return self._order(name)

    def avoid(self, address: str) -> None:
        """Order the address last for the next 30 seconds, because an attempt failed."""
        self._failed.pop(address, None)
        if len(self._failed) >= _LIMIT:
            del self._failed[next(iter(self._failed))]
        self._failed[address] = self._clock()

    def uncached(self) -> AbstractResolver:
        """Return a view of this resolver that looks up each name anew."""
        return _Uncached(self)

    async def close(self) -> None:
        """Cancel the lookups in progress and close the source."""
        for name in self._names.values():
            if name.lookup is not None:
                name.lookup.cancel()
        await self.source.close()

    def _finish(self, name: _Name, task: asyncio.Task[list[ResolveResult]]) -> None:
        name.lookup = None
        # ``exception()`` also keeps asyncio from reporting an error that no task waits for.
        if not task.cancelled() and task.exception() is None:
            name.addresses = task.result()
            name.expires = self._clock() + _CACHE_SECONDS

    def _order(self, name: _Name) -> list[ResolveResult]:
        addresses = name.addresses
        if not addresses:
            return []
        turn = name.turn % len(addresses)
        name.turn += 1
        recently = self._clock() - _AVOID_SECONDS
        return sorted(
            [*addresses[turn:], *addresses[:turn]],
            key=lambda each: max(recently, self._failed.get(each["host"], recently)),
        )


class _Uncached(AbstractResolver):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._resolver.lookup(host, port, family, cached=False)

    async def close(self) -> None:
        """Leave the shared resolver open."""

import asyncio
import socket
import sys

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from aios3get._http.resolver import Resolver


class Source(AbstractResolver):
    """Returns ``count`` addresses 192.0.2.1, 192.0.2.2, … when ``ready`` is set."""

    def __init__(self, count: int = 3) -> None:
        self.count = count
        self.lookups: list[str] = []
        self.error: Exception | None = None
        self.ready = asyncio.Event()
        self.ready.set()
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.lookups.append(host)
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return [
            ResolveResult(
                hostname=host, host=f"192.0.2.{last}", port=port, family=family, proto=6, flags=0
            )
            for last in range(1, self.count + 1)
        ]

    async def close(self) -> None:
        self.closed = True


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def order(resolver: AbstractResolver, host: str = "s3.example") -> str:
    """The last numbers of the addresses in their order."""
    results = await resolver.resolve(host, 443, socket.AF_UNSPEC)
    return "".join(result["host"].rpartition(".")[2] for result in results)


async def test_first_address_rotates_for_each_name() -> None:
    resolver = Resolver(Source())
    assert [await order(resolver) for _ in range(4)] == ["123", "231", "312", "123"]
    assert await order(resolver, "other.example") == "123"


async def test_addresses_are_kept_for_a_short_time() -> None:
    source, clock = Source(), Clock()
    resolver = Resolver(source, clock)
    await order(resolver)
    clock.now += 29.9
    source.count = 2
    assert await order(resolver) == "231"
    clock.now += 0.1
    assert await order(resolver) == "12"
    assert len(source.lookups) == 2


async def test_uncached_lookup_is_sent_and_refreshes_the_cache() -> None:
    source = Source()
    resolver = Resolver(source)
    await order(resolver)
    source.count = 2
    assert await order(resolver.uncached()) == "21"
    assert await order(resolver) == "12"
    assert len(source.lookups) == 2


@pytest.mark.parametrize("cached", [True, False])
async def test_concurrent_lookups_of_a_name_share_one_request(cached: bool) -> None:
    source = Source(2)
    resolver = Resolver(source)
    view = resolver if cached else resolver.uncached()
    source.ready.clear()
    waiting = [asyncio.create_task(order(view)) for _ in range(64)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    source.ready.set()
    results = await asyncio.gather(*waiting[1:])
    assert (sorted(set(results)), len(source.lookups)) == (["12", "21"], 1)
    assert waiting[0].cancelled()


async def test_failed_lookup_fails_all_waiters_and_is_not_cached() -> None:
    source = Source()
    source.error = OSError("no such name")
    resolver = Resolver(source)
    results = await asyncio.gather(*(order(resolver) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["no such name"] * 3
    source.error = None
    assert await order(resolver) == "123"
    assert len(source.lookups) == 2


async def test_failed_lookup_without_waiters_is_silent() -> None:
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    source = Source()
    source.error = OSError("no such name")
    source.ready.clear()
    waiting = asyncio.create_task(order(Resolver(source)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    source.ready.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not reports


async def test_name_without_addresses_has_none() -> None:
    assert await order(Resolver(Source(0))) == ""


async def test_addresses_that_failed_recently_come_last_the_latest_at_the_end() -> None:
    clock = Clock()
    resolver = Resolver(Source(), clock)

    async def in_order() -> list[str]:
        return [await order(resolver) for _ in range(3)]

    resolver.avoid("192.0.2.1")
    assert await in_order() == ["231", "231", "321"]
    clock.now += 1
    resolver.avoid("192.0.2.2")
    assert await in_order() == ["312"] * 3
    clock.now += 29.5
    assert await in_order() == ["132", "312", "312"]
    clock.now += 1
    assert await in_order() == ["123", "231", "312"]


async def test_source_that_does_not_wait_serves_eager_tasks() -> None:
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    resolver = Resolver(Source())
    assert [await order(resolver) for _ in range(2)] == ["123", "231"]


async def test_cached_names_and_failures_are_bounded() -> None:
    resolver = Resolver(Source())
    for number in range(300):
        resolver.avoid(f"198.51.100.{number}")
        await order(resolver, f"{number}.example")
    assert (len(resolver._failed), len(resolver._names)) == (256, 256)


async def test_closing_cancels_lookups_and_closes_the_source() -> None:
    source = Source()
    source.ready.clear()
    resolver = Resolver(source)
    waiting = asyncio.create_task(order(resolver))
    await asyncio.sleep(0)
    await resolver.uncached().close()
    assert not source.closed
    await resolver.close()
    await asyncio.wait({waiting}, timeout=5)
    assert waiting.cancelled()
    assert source.closed

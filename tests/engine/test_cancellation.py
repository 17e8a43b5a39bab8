import asyncio
import gc
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aios3get._http import transport
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import BUCKET, KEY, acquired, quick_client, transport_of
from tests.servers.tls import Authority

CONTENT = bytes(range(256)) * 4000


@pytest.fixture(params=["tcp", "tls"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[S3Server]:
    tls = authority.server_context() if request.param == "tls" else None
    with S3Server.in_thread(tls=tls) as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


@pytest.fixture
async def client(server: S3Server, authority: Authority) -> AsyncIterator[S3Client]:
    asyncio.get_running_loop().set_debug(False)
    async with quick_client(server, verify=authority.client_context()) as made:
        yield made


class CancelAt:
    """Awaits something, and cancels its task at the given suspension, counted from 1."""

    def __init__(self, inner: Awaitable[Any], at: int) -> None:
        self._inner = inner
        self._at = at
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._inner.__await__()
        task = asyncio.current_task()
        assert task is not None
        count = 0
        sent: BaseException | None = None
        while True:
            try:
                waited = inner.throw(sent) if sent is not None else next(inner)
            except StopIteration as done:
                return done.value
            count += 1
            if count == self._at:
                self.reached = True
                # From outside, while the task is suspended here.
                asyncio.get_running_loop().call_soon(task.cancel)
            sent = None
            try:
                yield waited
            except BaseException as error:
                sent = error


@contextmanager
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


async def cancelled_everywhere(
    client: Callable[[], S3Client], what: Callable[[S3Client], Awaitable[Any]]
) -> int:
    """Run it again and again, cancelled one suspension later each time; how many there were."""
    at = 0
    while True:
        at += 1
        fresh = client()
        before = asyncio.all_tasks()
        with no_warnings():
            inner = CancelAt(what(fresh), at)
            task = asyncio.ensure_future(_awaited(inner))
            done, _ = await asyncio.wait({task}, timeout=20)
            assert done, f"cancelled at suspension {at}, it hangs"
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
            await _settled(before)
            if asyncio.get_running_loop() in fresh._loops:
                transport = transport_of(fresh)
                assert transport.limiter.in_use == 0, at
                assert acquired(transport) == 0, at
            await fresh.aclose()
        if not inner.reached:
            return at - 1


async def _awaited(inner: CancelAt) -> Any:
    return await inner


async def _settled(before: set["asyncio.Task[Any]"]) -> None:
    """Tasks that go on on purpose, such as a load that others wait for, end soon."""
    async with asyncio.timeout(10):
        while asyncio.all_tasks() - before:  # noqa: ASYNC110 - they are nobody's to wait for
            await asyncio.sleep(0.001)


async def _get(client: S3Client) -> None:
    await (await client.get_object(BUCKET, KEY)).aclose()


async def _get_and_read(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        assert await obj.read() == CONTENT


async def _iterate(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        assert b"".join([chunk async for chunk in obj]) == CONTENT


async def _head(client: S3Client) -> None:
    await client.head_object(BUCKET, KEY)


async def _presign(client: S3Client) -> None:
    await client.presign_get_object(BUCKET, KEY)


async def _close(client: S3Client) -> None:
    async with client:
        obj = await client.get_object(BUCKET, KEY)
        await obj.read(10)
        await obj.aclose()


async def _missing(client: S3Client) -> None:
    try:
        await client.get_object(BUCKET, "missing")
    except LookupError:
        raise AssertionError from None
    except Exception:
        return


CALLS = [_get, _get_and_read, _iterate, _head, _presign, _close, _missing]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("server", "warm"),
    [("tls", False), ("tcp", True)],
    indirect=["server"],
    ids=["first-call-over-tls", "later-call-over-tcp"],
)
async def test_a_call_may_be_cancelled_anywhere(
    server: S3Server,
    authority: Authority,
    call: Callable[[S3Client], Awaitable[None]],
    warm: bool,
) -> None:
    asyncio.get_running_loop().set_debug(False)
    trust = authority.client_context()

    def fresh() -> S3Client:
        return quick_client(server, verify=trust)

    async def warmed(client: S3Client) -> None:
        await client.head_object(BUCKET, KEY)
        await call(client)

    count = await cancelled_everywhere(fresh, warmed if warm else call)
    # From Python 3.14 on, a thread that is done at once suspends nobody.
    presigning = 0 if sys.version_info >= (3, 14) else 1
    assert count >= (presigning if call is _presign else 3)


@pytest.mark.parametrize(
    "fault",
    [faults.drop_after(5000), faults.status(503), faults.reset_before_head()],
    ids=lambda fault: fault.name,
)
@pytest.mark.parametrize("server", ["tls"], indirect=True)
async def test_a_retry_may_be_cancelled_anywhere(
    server: S3Server, authority: Authority, fault: faults.Fault
) -> None:
    asyncio.get_running_loop().set_debug(False)
    trust = authority.client_context()

    def fresh() -> S3Client:
        server.faults.clear()
        server.faults.add(fault)
        return quick_client(server, verify=trust)

    assert await cancelled_everywhere(fresh, _get_and_read) >= 5


async def test_a_wait_in_line_may_be_cancelled(client: S3Client, server: S3Server) -> None:
    one = quick_client(server, max_concurrency=1, verify=client._config.verify)
    async with one:
        first = await one.get_object(BUCKET, KEY)
        waiting = [asyncio.create_task(_get(one)) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        await asyncio.sleep(0)
        await first.aclose()
        waiting[1].cancel()
        await asyncio.wait(waiting, timeout=10)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        assert transport_of(one).limiter.in_use == 0


async def test_a_read_of_so_many_bytes_loses_none_when_cancelled(
    client: S3Client, server: S3Server
) -> None:
    server.faults.add(faults.stall_after(5000, 0.15))
    async with client.get_object(BUCKET, KEY) as obj:
        assert await obj.read(100) == CONTENT[:100]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await obj.read(10_000)
        assert await obj.read(10_000) == CONTENT[100:10_100]
        assert await obj.read() == CONTENT[10_100:]


@pytest.mark.parametrize("way", ["readinto", "line", "chunks"])
async def test_other_reads_lose_none_either(client: S3Client, server: S3Server, way: str) -> None:
    lines = b"x" * 20_000 + b"\n" + b"y" * 20_000
    server.put_object(BUCKET, "lines", lines)
    server.faults.add(faults.stall_after(5000, 0.15))
    buffer = bytearray(20_001)

    async with client.get_object(BUCKET, "lines") as obj:

        async def step() -> bytes:
            if way == "readinto":
                return bytes(buffer[: await obj.readinto(buffer)])
            if way == "line":
                return await anext(obj.iter_lines(keepends=True))
            return await anext(obj.iter_chunks(20_001))

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await step()
        assert await step() == lines[:20_001]
        assert await step() == lines[20_001:]


async def test_a_cancelled_read_of_everything_closes_the_body(
    client: S3Client, server: S3Server
) -> None:
    server.faults.add(faults.stall_after(5000))
    obj = await client.get_object(BUCKET, KEY)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await obj.read()
    assert transport_of(client).limiter.in_use == 0
    with pytest.raises(Exception, match="the body is closed"):
        await obj.read()


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_cancelled_block_does_not_wait_for_the_rest(
    server: S3Server, authority: Authority, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_DRAIN_SECONDS", 60.0)
    server.faults.add(faults.stall_after(len(CONTENT) - 10))
    trust = authority.client_context()
    async with quick_client(server, verify=trust, timeouts=Timeouts(idle=60)) as client:
        read = asyncio.Event()

        async def block() -> None:
            opening = client.get_object(BUCKET, KEY)
            async with await opening if by_hand else opening as obj:
                await obj.read(len(CONTENT) - 10)
                read.set()
                await obj.read(10)

        task = asyncio.create_task(block())
        await read.wait()
        task.cancel()
        _, hanging = await asyncio.wait({task}, timeout=10)
        assert not hanging
        assert task.cancelled()
        assert transport_of(client).limiter.in_use == 0


@pytest.mark.parametrize("server", ["tcp"], indirect=True)
async def test_a_timeout_of_the_callers_is_told_from_ours(
    client: S3Client, server: S3Server
) -> None:
    server.faults.add(faults.stall_before_head(), times=None)
    task = asyncio.current_task()
    assert task is not None
    for seconds in (0.05, 0.1):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(seconds):
                await client.get_object(BUCKET, KEY)
        assert type(caught.value) is TimeoutError
        assert task.cancelling() == 0

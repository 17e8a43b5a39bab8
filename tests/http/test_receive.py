import asyncio
import gc
import random
import socket
import ssl
import sys
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from unittest.mock import Mock

import aiohttp
import pytest
from multidict import CIMultiDict

from aios3get._http.receive import SPARE_BYTES, BodyReceiver, OnData
from tests.http.sending import LARGE_HEADERS, read_large_request
from tests.servers.scripted import (
    Script,
    ScriptedServer,
    Step,
    close,
    drip,
    flood,
    hang,
    http_response,
    read_request,
    reset,
    send,
    truncate,
    wait,
)
from tests.servers.tls import Authority

pytestmark = pytest.mark.every_loop

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the option has no effect elsewhere")

MIB = 1 << 20
BODY = random.Random(1).randbytes(3 * MIB)
SMALL = http_response(b"small")
UNTOUCHED = 0xEE
SPARE = bytearray(SPARE_BYTES)


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    return authority.server_context() if request.param == "https" else None


@pytest.fixture
async def session(authority: Authority) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=1, ssl=authority.client_context())
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield session
        assert not connector._acquired


@asynccontextmanager
async def receiving(session: aiohttp.ClientSession, url: str) -> AsyncIterator[BodyReceiver]:
    async with session.get(url) as response:
        yield BodyReceiver(response, SPARE)


class Destination:
    """Memory for a body, and what was reported of it."""

    def __init__(self, size: int) -> None:
        self.memory = bytearray([UNTOUCHED]) * size
        self.reported = bytearray()
        self._progress = asyncio.Event()

    def on_data(self, piece: memoryview) -> None:
        self.reported += piece
        self._progress.set()

    async def arrival_of(self, count: int) -> None:
        while len(self.reported) < count:
            self._progress.clear()
            await self._progress.wait()

    def assert_holds(self, expected: bytes) -> None:
        """Exactly the expected bytes were written and reported."""
        assert self.reported == expected
        assert self.memory[: len(expected)] == expected
        assert self.memory.count(UNTOUCHED, len(expected)) == len(self.memory) - len(expected)


async def fetch(
    session: aiohttp.ClientSession, url: str, size: int, destination: Destination | None = None
) -> Destination:
    destination = destination or Destination(size)
    async with receiving(session, url) as receiver:
        count = await receiver.readinto(memoryview(destination.memory), destination.on_data)
    assert count == len(destination.reported)
    return destination


async def assert_usable(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as response:
        assert await response.read() == b"small"


def serving(*bodies: bytes) -> Script:
    steps: list[Step] = []
    for body in bodies:
        steps += [read_request(), send(body)]
    return [*steps, hang()]


async def test_bodies_of_all_sizes_share_one_connection(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    sizes = [0, 1, 70_000, MIB // 4, MIB // 4 + 1, 400_000, MIB, 3 * MIB]
    bodies = [part for size in sizes for part in (http_response(BODY[:size]), SMALL)]
    with ScriptedServer(serving(*bodies), tls=tls) as server:
        for size in sizes:
            (await fetch(session, server.url, size)).assert_holds(BODY[:size])
            await assert_usable(session, server.url)
        assert len(server.connections) == 1


async def test_large_body_does_not_pass_through_aiohttp(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(serving(http_response(BODY)), tls=tls) as server:
        destination = Destination(len(BODY))
        async with session.get(server.url) as response:
            receiver = BodyReceiver(response, SPARE)
            await receiver.readinto(memoryview(destination.memory), destination.on_data)
            assert response.content.total_bytes <= MIB
    destination.assert_holds(BODY)


async def test_larger_destination_keeps_its_rest(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(serving(http_response(BODY[:MIB]), SMALL), tls=tls) as server:
        destination = await fetch(session, server.url, 2 * MIB)
        destination.assert_holds(BODY[:MIB])
        await assert_usable(session, server.url)


@pytest.mark.parametrize("seed", range(4))
async def test_pieces_of_any_size(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, seed: int
) -> None:
    chance = random.Random(seed)
    response, steps = http_response(BODY[:MIB]), [read_request()]
    while response:
        size = chance.choice((1, 100, 1_460, 16_384, 65_536, 400_000))
        steps += [send(response[:size]), wait(chance.choice((0, 0, 0.001)))]
        response = response[size:]
    with ScriptedServer([*steps, *serving(SMALL)], tls=tls) as server:
        (await fetch(session, server.url, MIB)).assert_holds(BODY[:MIB])
        await assert_usable(session, server.url)


async def test_last_bytes_one_by_one(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    response = http_response(BODY[:MIB])
    trickle = [read_request(), send(response[:-50]), drip(response[-50:], 0.001)]
    with ScriptedServer([*trickle, *serving(SMALL)], tls=tls) as server:
        (await fetch(session, server.url, MIB)).assert_holds(BODY[:MIB])
        await assert_usable(session, server.url)


@pytest.mark.parametrize("seed", range(4))
async def test_destinations_of_any_size_share_one_body(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, seed: int
) -> None:
    chance = random.Random(seed)
    with ScriptedServer(serving(http_response(BODY), SMALL), tls=tls) as server:
        received, reported = bytearray(), bytearray()
        async with receiving(session, server.url) as receiver:
            while len(received) < len(BODY):
                if chance.random() < 0.1:
                    chunk = await receiver.readany()
                    assert chunk
                    received += chunk
                    reported += chunk
                    continue
                memory = bytearray(chance.choice((1, 1_000, 65_536, 300_000, MIB)))
                count = await receiver.readinto(memoryview(memory), reported.extend)
                assert count == len(memory) or len(received) + count == len(BODY)
                received += memory[:count]
                assert await receiver.readinto(memoryview(bytearray())) == 0
            assert await receiver.readinto(memoryview(bytearray(1))) == 0
            assert await receiver.readany() == b""
        assert received == reported == BODY
        await assert_usable(session, server.url)
        assert len(server.connections) == 1


@LINUX
async def test_large_body_is_received_in_batches_until_its_end(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    def low_water(transport: asyncio.Transport) -> int:
        option = socket.SOL_SOCKET, socket.SO_RCVLOWAT
        size: int = transport.get_extra_info("socket").getsockopt(*option)
        return size

    with ScriptedServer(serving(http_response(BODY)), tls=tls) as server:
        async with session.get(server.url) as response:
            assert response.connection is not None
            transport = response.connection.transport
            assert transport is not None
            receiver = BodyReceiver(response, SPARE)
            await receiver.readinto(memoryview(bytearray(MIB)))
            assert low_water(transport) == MIB // 4
            await receiver.readinto(memoryview(bytearray(2 * MIB)))
            assert low_water(transport) == 1


@LINUX
async def test_socket_without_batches_is_read_as_usual(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "SO_RCVLOWAT", 9_999)
    with ScriptedServer(serving(http_response(BODY), SMALL), tls=tls) as server:
        (await fetch(session, server.url, len(BODY))).assert_holds(BODY)
        await assert_usable(session, server.url)


@LINUX
async def test_less_than_a_batch_is_received_soon(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    head_and_body = http_response(BODY)
    arriving = head_and_body[: MIB + 100_000]
    length = len(arriving) - (len(head_and_body) - len(BODY))
    with ScriptedServer([read_request(), send(arriving), hang()], tls=tls) as server:
        destination = Destination(len(BODY))
        reading = asyncio.create_task(fetch(session, server.url, len(BODY), destination))
        async with asyncio.timeout(5):
            await destination.arrival_of(length)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


@pytest.mark.parametrize("cut", [0, 1, 100_000, 700_000, MIB - 1])
@pytest.mark.parametrize("end", [close(), truncate(), reset()], ids=["close", "truncate", "reset"])
async def test_connection_lost_in_the_body(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, cut: int, end: Step
) -> None:
    whole = http_response(BODY[:MIB])
    begun = whole[: len(whole) - MIB + cut]
    # A reset may discard what the client has not read yet.
    lossy = end.__qualname__.startswith("reset")
    cutting = [read_request(), send(begun), wait(0.1 if lossy else 0), end]
    with ScriptedServer(cutting, serving(whole), tls=tls) as server:
        destination = Destination(MIB)
        with pytest.raises(aiohttp.ClientError):
            await fetch(session, server.url, MIB, destination)
        expected = len(destination.reported) if lossy else cut
        destination.assert_holds(BODY[:expected])
        (await fetch(session, server.url, MIB)).assert_holds(BODY[:MIB])
        assert len(server.connections) == 2


async def test_connection_that_is_being_lost_is_not_taken_over(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    begun = http_response(BODY[:1_000], length=MIB)
    with ScriptedServer([read_request(), send(begun), hang()], tls=tls) as server:
        async with session.get(server.url) as response:
            assert response.connection is not None
            assert response.connection.transport is not None
            response.connection.transport.abort()
            # asyncio's TLS transport has now scheduled the loss for the protocol that it has.
            await asyncio.sleep(0)
            receiver = BodyReceiver(response, SPARE)
            async with asyncio.timeout(5):
                with pytest.raises(aiohttp.ClientError):
                    await receiver.readinto(memoryview(bytearray(MIB)))


async def test_error_says_how_many_bytes_are_missing(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(
        [read_request(), send(http_response(BODY[:700_000], length=MIB))], tls=tls
    ) as server:
        async with receiving(session, server.url) as receiver:
            memory = memoryview(bytearray(MIB))
            with pytest.raises(aiohttp.ClientPayloadError, match="348576 bytes of the body are"):
                await receiver.readinto(memory)
            with pytest.raises(aiohttp.ClientPayloadError, match="348576 bytes of the body are"):
                await receiver.readinto(memory)
            with pytest.raises(aiohttp.ClientPayloadError, match="348576 bytes of the body are"):
                await receiver.readany()


async def test_connection_lost_between_two_reads(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    begun = send(http_response(BODY[: 2 * MIB], length=3 * MIB))
    with ScriptedServer([read_request(), begun, reset()], tls=tls) as server:
        async with receiving(session, server.url) as receiver:
            destination = Destination(MIB)
            with suppress(aiohttp.ClientError):  # the reset may come first
                await receiver.readinto(memoryview(destination.memory), destination.on_data)
            await asyncio.sleep(0.02)
            memory = memoryview(bytearray(3 * MIB))
            with pytest.raises(aiohttp.ClientError):
                await receiver.readinto(memory, destination.on_data)
        assert BODY.startswith(destination.reported)


@pytest.mark.parametrize(
    "excess", [b"X", b"X" * 70_000, http_response(b"poison")], ids=["byte", "many", "response"]
)
async def test_excess_bytes_after_the_body_close_the_connection(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, excess: bytes
) -> None:
    with ScriptedServer(
        serving(http_response(BODY[:MIB]) + excess), serving(SMALL), tls=tls
    ) as server:
        (await fetch(session, server.url, MIB)).assert_holds(BODY[:MIB])
        await assert_usable(session, server.url)
        assert len(server.connections) == 2


async def test_late_excess_bytes_close_the_connection(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    late = [read_request(), send(http_response(BODY[:MIB])), wait(0.02), send(b"X" * 10), hang()]
    with ScriptedServer(late, serving(SMALL), tls=tls) as server:
        (await fetch(session, server.url, MIB)).assert_holds(BODY[:MIB])
        await asyncio.sleep(0.1)
        await assert_usable(session, server.url)
        assert len(server.connections) == 2


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_server_that_closes_after_the_body(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, version: str
) -> None:
    closing = [
        read_request(),
        send(http_response(BODY[:MIB], "Connection: close", version=version)),
        close(),
    ]
    with ScriptedServer(closing, tls=tls) as server:
        for _ in range(2):
            (await fetch(session, server.url, MIB)).assert_holds(BODY[:MIB])
        assert len(server.connections) == 2


@pytest.mark.parametrize(
    "response",
    [
        http_response(
            b"%x\r\n" % MIB + BODY[:MIB] + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=""
        ),
        http_response(BODY[:MIB], length=""),
        http_response(BODY[: MIB // 8]),
    ],
    ids=["chunked", "until EOF", "short"],
)
async def test_other_bodies_are_copied(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, response: bytes
) -> None:
    with ScriptedServer([read_request(), send(response)], tls=tls) as server:
        destination = Destination(MIB)
        async with session.get(server.url) as received:
            receiver = BodyReceiver(received, SPARE)
            count = await receiver.readinto(memoryview(destination.memory), destination.on_data)
            assert received.content.total_bytes == count
            assert await receiver.readany() == b""
        destination.assert_holds(BODY[:count])
        assert count in (MIB // 8, MIB)


@pytest.mark.parametrize("framing", ["direct", "chunked"])
async def test_read_ends_when_enough_bytes_have_arrived(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, framing: str
) -> None:
    if framing == "direct":
        response = http_response(BODY[:MIB])
    else:
        body = b"%x\r\n" % MIB + BODY[:MIB] + b"\r\n0\r\n\r\n"
        response = http_response(body, "Transfer-Encoding: chunked", length="")
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: object) -> None:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result(10)

    script = [read_request(), send(response[:600_000]), hold, send(response[600_000:]), hang()]
    with ScriptedServer(script, tls=tls) as server:
        destination = Destination(MIB)
        memory = memoryview(destination.memory)
        async with receiving(session, server.url) as receiver:
            first = await receiver.readinto(memory, destination.on_data, 500_000)
            assert 500_000 <= first < 600_000
            released.set()
            second = await receiver.readinto(memory[first:], destination.on_data, 1)
            assert second
            rest = memory[first + second :]
            await receiver.readinto(rest, destination.on_data, len(rest))
        destination.assert_holds(BODY[:MIB])


async def test_small_destinations_are_filled_from_the_buffer_of_aiohttp(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(serving(http_response(BODY[:MIB])), tls=tls) as server:
        received = bytearray()
        async with session.get(server.url) as response:
            receiver, memory = BodyReceiver(response, SPARE), bytearray(1_000)
            while count := await receiver.readinto(memoryview(memory)):
                received += memory[:count]
            assert response.content.total_bytes == MIB
        assert received == BODY[:MIB]


async def test_nothing_is_received_between_two_reads(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    sent = 0

    def count(_: object) -> None:
        nonlocal sent
        sent += 1

    megabytes = [step for _ in range(64) for step in (send(BODY[:MIB]), count)]
    with ScriptedServer(
        [read_request(), send(http_response(length=64 * MIB)), *megabytes], tls=tls
    ) as server:
        async with receiving(session, server.url) as receiver:
            for _ in range(2):
                assert await receiver.readinto(memoryview(bytearray(MIB))) == MIB
                await asyncio.sleep(0.05)
            # What the sockets' buffers hold, at most 4 MiB and 6 MiB by Linux's defaults.
            assert sent < 32


async def read_chunks(receiver: BodyReceiver) -> bytes:
    chunks: list[bytes] = []
    while chunk := await receiver.readany():
        chunks.append(chunk)
    return b"".join(chunks)


async def test_chunks_of_a_large_body_do_not_pass_through_aiohttp(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(
        serving(http_response(BODY), http_response(BODY), SMALL), tls=tls
    ) as server:
        for _ in range(2):
            async with session.get(server.url) as response:
                assert await read_chunks(BodyReceiver(response, SPARE)) == BODY
                assert response.content.total_bytes < MIB
        await assert_usable(session, server.url)
        assert len(server.connections) == 1


async def test_chunks_are_not_received_much_faster_than_they_are_read(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(
        [read_request(), send(http_response(BODY, length=64 * MIB)), flood(BODY)], tls=tls
    ) as server:
        async with receiving(session, server.url) as receiver:
            for _ in range(8):
                assert await receiver.readany()
                await asyncio.sleep(0.01)
                assert sum(map(len, receiver.unread)) <= 2 * SPARE_BYTES


@pytest.mark.parametrize("excess", [b"X", b"X" * 70_000], ids=["byte", "many"])
async def test_excess_bytes_after_the_last_chunk_close_the_connection(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, excess: bytes
) -> None:
    with ScriptedServer(serving(http_response(BODY) + excess), serving(SMALL), tls=tls) as server:
        async with receiving(session, server.url) as receiver:
            assert await read_chunks(receiver) == BODY
        await assert_usable(session, server.url)
        assert len(server.connections) == 2


@pytest.mark.parametrize("end", [close(), reset()], ids=["close", "reset"])
async def test_connection_lost_after_some_chunks(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, end: Step
) -> None:
    begun = send(http_response(BODY[: 2 * MIB], length=3 * MIB))
    with ScriptedServer([read_request(), begun, wait(0.1), end], tls=tls) as server:
        async with receiving(session, server.url) as receiver:
            received = b""
            while len(received) < 2 * MIB:
                received += await receiver.readany()
            for _ in range(2):
                with pytest.raises(aiohttp.ClientPayloadError, match="1048576 bytes of the body"):
                    await receiver.readany()
        assert received == BODY[: 2 * MIB]


async def test_chunks_after_cancelled_reads_are_complete(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(serving(http_response(BODY), SMALL), tls=tls) as server:
        received = b""
        async with receiving(session, server.url) as receiver:
            while len(received) < len(BODY):
                with suppress(TimeoutError):
                    async with asyncio.timeout(random.Random(len(received)).choice([0, 0.001, 1])):
                        received += await receiver.readany()
                await asyncio.sleep(0)
            assert await receiver.readany() == b""
        assert received == BODY
        await assert_usable(session, server.url)


async def stalled(session: aiohttp.ClientSession, url: str, destination: Destination) -> None:
    """Cancel a read in the middle of a body."""
    task = asyncio.create_task(fetch(session, url, MIB, destination))
    await destination.arrival_of(600_000)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_cancelled_read_leaves_the_destination_alone(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    whole = http_response(BODY[:MIB])
    stalling = [read_request(), send(whole[: 600_000 + len(whole) - MIB]), wait(0.05), flood(b"X")]
    with ScriptedServer(stalling, serving(SMALL), tls=tls) as server:
        destination = Destination(MIB)
        await stalled(session, server.url, destination)
        destination.memory[:] = bytes([UNTOUCHED]) * MIB
        await asyncio.sleep(0.1)
        assert destination.memory.count(UNTOUCHED) == MIB
        await assert_usable(session, server.url)
        assert len(server.connections) == 2


async def test_read_after_a_cancelled_one_continues_at_the_next_byte(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    whole = http_response(BODY[:MIB])
    begun = 600_000 + len(whole) - MIB
    pausing = [read_request(), send(whole[:begun]), wait(0.05), send(whole[begun:])]
    with ScriptedServer([*pausing, *serving(SMALL)], tls=tls) as server:
        destination = Destination(MIB)
        memory = memoryview(destination.memory)
        async with receiving(session, server.url) as receiver:
            reading = asyncio.create_task(receiver.readinto(memory, destination.on_data))
            await destination.arrival_of(600_000)
            reading.cancel()
            await asyncio.wait([reading])
            assert reading.cancelled()
            await asyncio.sleep(0.1)
            await receiver.readinto(memory[len(destination.reported) :], destination.on_data)
        destination.assert_holds(BODY[:MIB])
        await assert_usable(session, server.url)
        assert len(server.connections) == 1


@pytest.mark.parametrize("rest", [100, MIB // 2])
async def test_bytes_that_arrive_while_a_read_is_cancelled_are_read_next(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, rest: int
) -> None:
    with ScriptedServer(serving(http_response(BODY[:MIB]), SMALL), tls=tls) as server:
        destination = Destination(MIB)
        memory = memoryview(destination.memory)
        async with receiving(session, server.url) as receiver:
            await receiver.readinto(memory[: MIB - rest], destination.on_data)
            await asyncio.sleep(0.02)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await receiver.readany()
            count = await receiver.readinto(memory[-rest : 10 - rest], destination.on_data)
            assert count == 10
            piece = await receiver.readany()
            assert piece
            memory[10 - rest :][: len(piece)] = piece
            destination.reported += piece
            await receiver.readinto(memory[10 - rest + len(piece) :], destination.on_data)
            assert await receiver.readany() == b""
        destination.assert_holds(BODY[:MIB])
        await assert_usable(session, server.url)


async def test_request_that_is_still_being_sent(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    whole = http_response(BODY[:MIB])
    early = [send(whole[:-1]), wait(0.05), read_large_request, send(whole[-1:])]
    with ScriptedServer([*early, *serving(SMALL)], tls=tls) as server:
        destination = Destination(MIB)
        async with session.get(server.url, headers=LARGE_HEADERS) as response:
            receiver = BodyReceiver(response, SPARE)
            await receiver.readinto(memoryview(destination.memory), destination.on_data)
        destination.assert_holds(BODY[:MIB])
        await assert_usable(session, server.url)
        assert len(server.connections) == 1


async def test_no_view_of_the_destination_remains(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    whole = http_response(BODY[:MIB])
    stalling = [read_request(), send(whole[: 600_000 + len(whole) - MIB]), hang()]
    with ScriptedServer(stalling, serving(whole), tls=tls) as server:
        destination = Destination(MIB)
        await stalled(session, server.url, destination)
        await asyncio.sleep(0)  # asyncio keeps the task until the end of this callback
        destination.memory.clear()  # a BufferError while it is exported
        destination = await fetch(session, server.url, MIB)
        destination.memory.clear()


@pytest.mark.parametrize("seed", range(2))
async def test_cancellation_at_any_moment(
    authority: Authority, tls: ssl.SSLContext | None, seed: int
) -> None:
    chance = random.Random(seed)
    # The connector's own limit can forget a waiting task when another is cancelled.
    limit, connector = asyncio.Semaphore(4), aiohttp.TCPConnector(ssl=authority.client_context())
    serve = [step for _ in range(100) for step in serving(http_response(BODY[:MIB]))[:-1]]
    destinations = [Destination(MIB) for _ in range(40)]
    with ScriptedServer(serve, tls=tls) as server:
        async with aiohttp.ClientSession(connector=connector) as session:

            async def attempt(destination: Destination) -> bool:
                try:
                    async with limit, asyncio.timeout(chance.choice((0.001, 0.005, 0.02, 20))):
                        await fetch(session, server.url, MIB, destination)
                except TimeoutError:
                    destination.memory[:] = bytes([UNTOUCHED]) * MIB
                    return False
                return True

            finished = await asyncio.gather(*(attempt(one) for one in destinations))
            assert not connector._acquired
            await asyncio.sleep(0.02)
    assert any(finished)
    for destination, whole in zip(destinations, finished, strict=True):
        assert BODY.startswith(destination.reported)
        if whole:
            destination.assert_holds(BODY[:MIB])
        else:
            assert destination.memory.count(UNTOUCHED) == MIB


async def test_error_of_the_callback_is_raised(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    def fail(at: int, piece: memoryview) -> None:
        destination.on_data(piece)
        if len(destination.reported) >= at:
            raise ZeroDivisionError

    for at in (1, MIB // 2, MIB):
        with ScriptedServer(serving(http_response(BODY[:MIB])), serving(SMALL), tls=tls) as server:
            destination = Destination(MIB)
            async with receiving(session, server.url) as receiver:
                on_data: OnData = partial(fail, at)
                with pytest.raises(ZeroDivisionError):
                    await receiver.readinto(memoryview(destination.memory), on_data)
            destination.assert_holds(BODY[: len(destination.reported)])
            await assert_usable(session, server.url)


async def test_abort_ends_a_read_of_another_task(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None
) -> None:
    begun = http_response(BODY[:600_000], length=MIB)
    with ScriptedServer([read_request(), send(begun), hang()], serving(SMALL), tls=tls) as server:
        async with receiving(session, server.url) as receiver:
            reading = asyncio.create_task(receiver.readinto(memoryview(bytearray(MIB))))
            await asyncio.sleep(0.05)
            receiver.abort()
            receiver.abort()
            with pytest.raises(aiohttp.ClientPayloadError, match="Connection closed"):
                await reading
        await assert_usable(session, server.url)


async def test_bytes_that_arrive_between_two_reads_raise_an_error(
    session: aiohttp.ClientSession,
) -> None:
    # A transport that goes on reading after pause_reading() would shift the body.
    with ScriptedServer(serving(http_response(BODY))) as server:
        async with receiving(session, server.url) as receiver:
            await receiver.readinto(memoryview(bytearray(MIB)))
            assert receiver.get_buffer(-1)
            receiver.buffer_updated(1)
            with pytest.raises(aiohttp.ClientPayloadError):
                await receiver.readinto(memoryview(bytearray(MIB)))


async def test_response_without_a_connection_is_copied() -> None:
    # as the test doubles of aiohttp make them
    content = aiohttp.StreamReader(Mock(), 2 * MIB)
    content.feed_data(BODY[:MIB])
    content.feed_eof()
    headers = CIMultiDict({"Content-Length": str(MIB)})
    double = Mock(spec=aiohttp.ClientResponse, content=content, headers=headers, connection=None)
    destination = Destination(MIB)
    receiver = BodyReceiver(double, SPARE)
    await receiver.readinto(memoryview(destination.memory), destination.on_data)
    destination.assert_holds(BODY[:MIB])


@pytest.mark.lifetime
@pytest.mark.parametrize("length", [MIB, 2 * MIB], ids=["whole", "broken"])
async def test_receiver_is_freed_by_reference_counting(
    session: aiohttp.ClientSession, tls: ssl.SSLContext | None, length: int
) -> None:
    async def read(url: str) -> Sequence[weakref.ref[object]]:
        async with session.get(url) as response:
            receiver = BodyReceiver(response, SPARE)
            with suppress(aiohttp.ClientPayloadError):
                await receiver.readinto(memoryview(bytearray(length)))
            return weakref.ref(receiver), weakref.ref(response)

    gc.collect()
    gc.disable()
    try:
        with ScriptedServer(
            [read_request(), send(http_response(BODY[:MIB], length=length))], tls=tls
        ) as server:
            references = await read(server.url)
            # A TLS transport keeps the methods of its last BufferedProtocol as long as it lives.
            for _ in range(500):
                if not any(reference() for reference in references):
                    break
                await asyncio.sleep(0.01)
            assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()

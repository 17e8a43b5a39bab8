"""What a body does where its connection, its framing or its reader misbehaves."""

import asyncio
import time
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aios3get import errors
from aios3get._engine.s3_object import S3Object
from aios3get._protocol.identity import Credentials
from aios3get._protocol.retry import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import BUCKET, KEY, READERS, nothing_leaks, quick_client, transport_of
from tests.servers.scripted import (
    Script,
    ScriptedServer,
    close,
    hang,
    http_response,
    read_request,
    reset,
    send,
    wait,
)

ETAG = '"fba9dede5f27731c9771645a39863328"'
SIZE = 102_400
CONTENT = bytes(range(256)) * (SIZE // 256)
HALF = SIZE // 2
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def client_of(server: ScriptedServer, **options: Any) -> S3Client:
    return S3Client(
        **{
            "endpoint_url": server.url,
            "region": "us-east-1",
            "credentials": EXAMPLE,
            "retry": RetryPolicy(attempts=2, wait_initial=0.001, wait_max=0.002),
            "timeouts": Timeouts(idle=5),
            **options,
        }
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def chunked_range(start: int, *headers: str, size: int = SIZE) -> bytes:
    """The head of a 206 response whose body, to the object's end, is framed by chunks."""
    return http_response(
        b"",
        f"ETag: {ETAG}",
        f"Content-Range: bytes {start}-{size - 1}/{size}",
        "Transfer-Encoding: chunked",
        *headers,
        status="206 Partial Content",
        length="",
    )


def in_two_chunks(pause: float) -> Script:
    """All of ``CONTENT`` as a range in chunks, with a pause before the second half and the end."""
    return [
        read_request(),
        send(chunked_range(0) + chunk(CONTENT[:HALF])),
        wait(pause),
        send(chunk(CONTENT[HALF:])),
        wait(pause),
        send(LAST_CHUNK),
        hang(),
    ]


async def test_read_cancelled_before_the_last_chunk_of_a_known_end_loses_nothing() -> None:
    with ScriptedServer(in_two_chunks(0.15)) as server:
        async with client_of(server) as client:
            async with client.get_object(BUCKET, KEY, range="bytes=0-") as obj:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):  # the second half has come, its end has not
                        await obj.read(SIZE)
                assert await obj.read() == CONTENT
            with nothing_leaks(client):
                pass


async def test_chunks_of_a_known_end_have_the_requested_size() -> None:
    with ScriptedServer(in_two_chunks(0.02)) as server:
        async with client_of(server) as client:
            obj = await client.get_object(BUCKET, KEY, range="bytes=0-")
            sizes = [len(each) async for each in obj.iter_chunks(100_000)]
    assert sizes == [100_000, SIZE - 100_000]


@pytest.mark.parametrize("reader", READERS)
async def test_body_closed_while_it_waits_for_the_end_of_its_chunks_raises(reader: str) -> None:
    announced = f"x-amz-checksum-crc32: {crc32(CONTENT)}"
    script = [
        read_request(),
        send(chunked_range(0, announced, "x-amz-checksum-type: FULL_OBJECT") + chunk(CONTENT)),
        hang(),
    ]
    with ScriptedServer(script) as server:
        async with client_of(server) as client:
            obj = await client.get_object(BUCKET, KEY, range="bytes=0-")
            reading = asyncio.ensure_future(READERS[reader](obj))
            await asyncio.sleep(0.05)
            await obj.aclose()
            with pytest.raises(errors.UsageError, match="the body is closed"):
                await reading
            assert not obj.verified
            with nothing_leaks(client):
                pass


def crc32(body: bytes) -> str:
    return b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


CUT = [
    read_request(),
    send(http_response(CONTENT[:HALF], f"ETag: {ETAG}", length=SIZE)),
    reset(),
]
BUSY = [
    read_request(),
    send(http_response(b"", "Retry-After: 1", status="503 Slow Down")),
    close(),
]
REST = [read_request(), send(chunked_range(HALF) + chunk(CONTENT[HALF:]) + LAST_CHUNK), close()]


async def test_reads_cancelled_during_a_backoff_spend_no_attempts_and_keep_its_time() -> None:
    retry = RetryPolicy(attempts=3, wait_initial=0.001, wait_max=0.6)
    with ScriptedServer(CUT, BUSY, REST) as server:
        async with client_of(server, retry=retry) as client:
            obj = await client.get_object(BUCKET, KEY)
            reading = asyncio.create_task(obj.read(SIZE))
            async with asyncio.timeout(10):
                while obj._call.not_before is None or len(server.requests) < 2:  # noqa: ASYNC110 - nothing else tells
                    await asyncio.sleep(0.001)
            began = time.monotonic()
            reading.cancel()
            for _ in range(8):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(obj.read(SIZE), 0.02)
            assert len(server.requests) == 2
            assert await obj.read(SIZE) == CONTENT
            assert time.monotonic() - began > 0.4
            assert obj.attempts == len(server.requests) == 3


async def test_polling_a_large_read_takes_linear_time(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.get_running_loop().set_debug(False)
    size = 48 << 20
    server.put_object(BUCKET, "large", bytes(size))
    copied = 0
    real = S3Object._put_back

    def counted(obj: S3Object) -> None:
        nonlocal copied
        copied += 0 if obj._partial is None else obj._partial.filled
        real(obj)

    monkeypatch.setattr(S3Object, "_put_back", counted)
    async with quick_client(server) as client, client.get_object(BUCKET, "large") as obj:
        polls = 0
        while True:
            try:
                body = await asyncio.wait_for(obj.read(size), 0.002)
                break
            except TimeoutError:
                polls += 1
    assert len(body) == size
    assert polls > 3
    assert copied == 0


async def test_cancelled_read_is_continued_by_a_read_of_any_kind(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ways: dict[str, Callable[[S3Object], Awaitable[bytes]]] = {
        "the same": lambda obj: obj.read(SIZE),
        "fewer": lambda obj: obj.read(100),
        "more": lambda obj: obj.read(2 * SIZE),
        "all": lambda obj: obj.read(),
        "chunk": anext,
        "line": lambda obj: anext(obj.iter_lines(keepends=True)),
        "into": _into,
    }
    for way in ways.values():
        server.faults.add(faults.stall_after(HALF, 0.1))
        async with quick_client(server) as client, client.get_object(BUCKET, KEY) as obj:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await obj.read(SIZE)
            assert " at 0 of" in repr(obj)
            first = await way(obj)
            assert first
            assert first + await obj.read() == CONTENT


async def _into(obj: S3Object) -> bytes:
    buffer = bytearray(1000)
    return bytes(buffer[: await obj.readinto(buffer)])


async def test_start_stop_and_size_say_which_bytes_the_body_is(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT, parts=[HALF, HALF])
    expected: dict[tuple[str, Any], tuple[int, int]] = {
        ("range", None): (0, SIZE),
        ("range", "bytes=100-199"): (100, 200),
        ("range", "bytes=-10"): (SIZE - 10, SIZE),
        ("part_number", 2): (HALF, SIZE),
    }
    async with quick_client(server) as client:
        for (name, value), (start, stop) in expected.items():
            async with client.get_object(BUCKET, KEY, **{name: value}) as obj:
                assert (obj.start, obj.stop, obj.size) == (start, stop, SIZE)
        server.faults.add(faults.ignore_range())
        async with client.get_object(BUCKET, KEY, range="bytes=100-199") as obj:
            assert (obj.start, obj.stop, obj.size) == (100, 200, SIZE)


async def test_stop_of_a_body_without_a_length_is_known_at_its_end() -> None:
    head = http_response(b"", f"ETag: {ETAG}", "Transfer-Encoding: chunked", length="")
    with ScriptedServer([read_request(), send(head + chunk(CONTENT) + LAST_CHUNK)]) as server:
        async with client_of(server) as client, client.get_object(BUCKET, KEY) as obj:
            assert (obj.start, obj.stop, obj.size) == (0, None, None)
            await obj.read()
            assert (obj.start, obj.stop, obj.size) == (0, SIZE, None)


async def test_error_of_a_body_names_the_object_and_the_bytes() -> None:
    with ScriptedServer(CUT, [read_request(), close()]) as server:
        async with client_of(server) as client:
            obj = await client.get_object(BUCKET, KEY)
            with pytest.raises(errors.ConnectionLost) as caught:
                await obj.read()
    error = caught.value
    assert (error.method, error.bucket, error.key) == ("GET", BUCKET, KEY)
    assert str(error).startswith(f"GET {BUCKET}/{KEY}: ")
    assert (error.bytes_received, error.bytes_expected) == (HALF, SIZE)
    assert error.attempts == obj.attempts == len(server.requests)


async def test_broken_body_that_is_dropped_unread_holds_no_permit(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.drop_after(1000))
    server.faults.add(faults.status(503, retry_after=60))
    async with quick_client(server, retry=RetryPolicy(wait_max=60)) as client:
        obj = await client.get_object(BUCKET, KEY)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await obj.read(SIZE)
        assert transport_of(client).limiter.in_use == 0
        del obj

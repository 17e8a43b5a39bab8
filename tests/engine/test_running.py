import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from aios3get import errors
from aios3get._engine.s3_object import S3Object
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import BUCKET, KEY, own_sessions, quick_client

CONTENT = bytes(range(256)) * 4000

# The names of the modules that the event loop's thread imports.
PROGRAM = f"""
import asyncio, sys, threading
from aios3get import S3Client, errors

async def main():
    async with S3Client(endpoint_url=sys.argv[1], region="us-east-1") as client:
        async with client.get_object("{BUCKET}", "{KEY}") as obj:
            await obj.read()
            obj.info.etag
        await client.head_object("{BUCKET}", "{KEY}")
        await client.presign_get_object("{BUCKET}", "{KEY}")
        try:
            await client.get_object("{BUCKET}", "missing")
        except errors.NoSuchKey:
            print("end")

def note(event, arguments):
    if event == "import" and threading.current_thread() is threading.main_thread():
        if arguments[0].startswith(("aios3get", "anycrc", "xml")):
            print(arguments[0])

sys.addaudithook(note)
asyncio.run(main())
"""


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server.in_thread() as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


async def read(client: S3Client) -> bytes:
    async with client.get_object(BUCKET, KEY) as obj:
        return await obj.read()


def test_first_calls_import_nothing_on_the_event_loop(server: S3Server) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": server.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.credentials.secret_access_key,
    }
    command = [sys.executable, "-c", PROGRAM, server.endpoint_url]
    assert subprocess.check_output(command, env={**os.environ, **keys}, text=True) == "end\n"


def test_client_works_on_consecutive_event_loops(server: S3Server) -> None:
    client = quick_client(server)
    for _ in range(5):
        assert asyncio.run(read(client)) == CONTENT
    # The loop that runs now finds those that ended, and only the newest of them is kept.
    assert len(client._loops) == 1
    assert server.connections_opened == 5


def test_client_works_on_event_loops_of_several_threads(server: S3Server) -> None:
    client = quick_client(server)
    found: list[bytes] = []

    async def several() -> None:
        found.extend(await asyncio.gather(*(read(client) for _ in range(5))))

    threads = [threading.Thread(target=asyncio.run, args=(several(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [CONTENT] * 20


async def test_close_reaches_the_connections_of_other_event_loops(server: S3Server) -> None:
    client = quick_client(server)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        future = asyncio.run_coroutine_threadsafe(read(client), loop)
        assert await asyncio.wrap_future(future) == CONTENT
        session = own_sessions(client._loops[loop].exchange.transport).pooled
        assert session is not None
        await client.aclose()
        async with asyncio.timeout(10):
            while not session.closed:  # noqa: ASYNC110 - aiohttp tells nobody
                await asyncio.sleep(0.01)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize("closed", [True, False])
def test_body_read_on_another_event_loop_raises_usage_error(server: S3Server, closed: bool) -> None:
    server.faults.add(faults.stall_after(10))
    client = quick_client(server, timeouts=Timeouts(idle=30))

    async def begun() -> S3Object:
        obj = await client.get_object(BUCKET, KEY)
        assert await obj.read(10) == CONTENT[:10]
        return obj

    with asyncio.Runner() as first, asyncio.Runner() as second:
        obj = first.run(begun())
        limiter = obj._stream._exchange.transport.limiter
        if closed:
            first.close()
        with pytest.raises(errors.UsageError, match="opened on another event loop"):
            second.run(obj.read())
        second.run(obj.aclose())
        if not closed:
            assert limiter.in_use == 1
            first.run(asyncio.sleep(0))
        assert limiter.in_use == 0

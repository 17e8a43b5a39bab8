"""CPU time of one 1 KiB GET, side by side: bare aiohttp with the same headers, aios3get and peers.

    uv run --no-dev --group bench python benchmarks/small_get.py

All peers run in this one process, against one server in another, in short rounds that take turns,
each with another peer first; the figures are medians over the rounds of CPU time (user and system,
all threads) per GET, and their ratio to bare aiohttp's in the same round. Every GET reads its body;
aios3get also verifies its CRC64NVME. Peers that are not installed are left out.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
IN_FLIGHT = 16
BODY = bytes(range(256)) * 4

Get = Callable[[], Awaitable[bytes]]


class Answering(asyncio.Protocol):
    """Answers every request with the same object, as S3 words it."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        requests = (self.pending + data).split(b"\r\n\r\n")
        self.pending = requests.pop()
        if requests:
            self.transport.write(self.answer * len(requests))


async def serve() -> None:
    from aios3get._protocol.hashing import ALGORITHMS, encode_digest

    checksum = encode_digest(ALGORITHMS["CRC64NVME"].digest_of(BODY))
    head = (
        "HTTP/1.1 200 OK\r\n"
        "x-amz-id-2: eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran\r\n"
        "x-amz-request-id: 318BC8BC148832E5\r\n"
        "Date: Wed, 28 Oct 2009 22:32:00 GMT\r\n"
        "Last-Modified: Mon, 12 Oct 2009 17:50:00 GMT\r\n"
        'ETag: "fba9dede5f27731c9771645a39863328"\r\n'
        "x-amz-server-side-encryption: AES256\r\n"
        f"x-amz-checksum-crc64nvme: {checksum}\r\n"
        "x-amz-checksum-type: FULL_OBJECT\r\n"
        "Accept-Ranges: bytes\r\n"
        "Content-Type: binary/octet-stream\r\n"
        f"Content-Length: {len(BODY)}\r\n"
        "Server: AmazonS3\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(head.encode() + BODY), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@asynccontextmanager
async def bare_aiohttp(endpoint: str) -> AsyncIterator[Get]:
    import aiohttp

    headers = {
        "x-amz-checksum-mode": "ENABLED",
        "x-amz-date": "20130524T000000Z",
        "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Authorization": "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        "User-Agent": "bare",
        "Accept-Encoding": "identity",
    }
    url = f"{endpoint}/{BUCKET}/{KEY}"
    async with aiohttp.ClientSession() as session:

        async def get() -> bytes:
            async with session.get(url, headers=headers) as response:
                return await response.read()

        yield get


@asynccontextmanager
async def aios3get(endpoint: str) -> AsyncIterator[Get]:
    from aios3get import Credentials, S3Client

    async with S3Client(
        endpoint_url=endpoint,
        region="us-east-1",
        credentials=Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY),
    ) as s3:

        async def get() -> bytes:
            obj = await s3.get_object(BUCKET, KEY, checksum_mode=True)
            body = await obj.read()
            assert obj.verified
            return body

        yield get


@asynccontextmanager
async def obstore(endpoint: str) -> AsyncIterator[Get]:
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=ACCESS_KEY_ID,
        secret_access_key=SECRET_ACCESS_KEY,
        client_options={"allow_http": True},
    )

    async def get() -> bytes:
        result = await store.get_async(KEY)
        return bytes(await result.bytes_async())

    yield get


@asynccontextmanager
async def aiobotocore(endpoint: str) -> AsyncIterator[Get]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    async with get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=AioConfig(max_pool_connections=IN_FLIGHT),
    ) as client:

        async def get() -> bytes:
            answer = await client.get_object(Bucket=BUCKET, Key=KEY)
            async with answer["Body"] as stream:
                body: bytes = await stream.read()
                return body

        yield get


async def cpu_per_get(get: Get, count: int) -> float:
    """Microseconds of this process's CPU time for each of ``count`` GETs."""
    turns = iter(range(count))

    async def worker() -> None:
        for _ in turns:
            assert len(await get()) == len(BODY)

    before = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.process_time() - before) / count * 1e6


async def compare(endpoint: str, rounds: int, count: int) -> None:
    async with AsyncExitStack() as stack:
        peers: dict[str, Get] = {}
        for peer in (bare_aiohttp, aios3get, obstore, aiobotocore):
            try:
                peers[peer.__name__] = await stack.enter_async_context(peer(endpoint))
            except ImportError as missing:
                print(f"{peer.__name__:14} left out: {missing}")
        for get in peers.values():
            await cpu_per_get(get, 5 * count)
        figures: dict[str, list[float]] = {name: [] for name in peers}
        order = deque(peers)
        for _ in range(rounds):
            for name in order:
                figures[name].append(await cpu_per_get(peers[name], count))
            order.rotate()
    bare = figures["bare_aiohttp"]
    print(f"{'':14} {'µs CPU/GET':>11} {'x bare':>7}   (min to max)")
    for name, found in figures.items():
        ratios = [mine / theirs for mine, theirs in zip(found, bare, strict=True)]
        print(
            f"{name:14} {statistics.median(found):11.1f} {statistics.median(ratios):7.2f}"
            f"   ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=45)
    parser.add_argument("--count", type=int, default=400, help="GETs per round and peer")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if arguments.serve:
        asyncio.run(serve())
        return
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True
    ) as server:
        if cores:
            os.sched_setaffinity(server.pid, {cores[-1]})
            os.sched_setaffinity(0, {cores[0]})
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            asyncio.run(compare(f"http://127.0.0.1:{port}", arguments.rounds, arguments.count))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()

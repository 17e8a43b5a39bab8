import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from aios3get import S3Client
from tests.servers.foreign import ensure_bucket, fetch, put_object
from tests.servers.keys import KEYS, rclone_refuses
from tests.servers.process import RealServer

# One worker starts the servers for all of its tests.
pytestmark = pytest.mark.xdist_group("real-servers")

BUCKET = "amzn-s3-demo-keys"


def body_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def put_all(server: RealServer, keys: Iterable[str]) -> dict[str, str]:
    """Put each key with botocore's signature; returns the keys refused and their errors."""
    ensure_bucket(server, BUCKET)
    refused = {}
    for key in keys:
        try:
            put_object(server, BUCKET, key, body_of(key))
        except ValueError as error:
            refused[key] = str(error)
    return refused


def accepted_keys(server: RealServer) -> list[str]:
    return [key for key in KEYS if server.name != "rclone" or not rclone_refuses(key)]


@pytest.fixture
async def client(real_server: RealServer) -> AsyncIterator[S3Client]:
    async with S3Client(**real_server.client_options) as client:
        yield client


def test_corpus_has_every_byte_of_utf8() -> None:
    held = set("".join(KEYS).encode())
    # Servers keep no key with a NUL; C0, C1 and F5 to FF never stand in UTF-8.
    assert held == set(range(1, 256)) - {0xC0, 0xC1} - set(range(0xF5, 0x100))
    assert len(set(KEYS)) == len(KEYS)
    assert max(len(key.encode()) for key in KEYS) == 1024


async def test_every_key_is_read_and_presigned(real_server: RealServer, client: S3Client) -> None:
    keys = accepted_keys(real_server)
    assert put_all(real_server, keys) == {}
    wrong: dict[str, object] = {}

    async def check(key: str) -> None:
        try:
            obj = await client.get_object(BUCKET, key)
            link = await client.presign_get_object(BUCKET, key)
            fetched = await asyncio.get_running_loop().run_in_executor(pool, fetch, link.url)
            if (await obj.read(), fetched.body) != (body_of(key), body_of(key)):
                wrong[key] = fetched
        except Exception as error:
            wrong[key] = error

    with ThreadPoolExecutor(4) as pool:
        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(check(key))
    assert wrong == {}


def test_rclone_refuses_the_keys_left_out(rclone: RealServer) -> None:
    # A key that ends in a slash may become a folder.
    left_out = [key for key in KEYS if rclone_refuses(key) and not key.endswith("/")]
    assert list(put_all(rclone, left_out)) == left_out

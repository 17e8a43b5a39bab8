import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from aios3get import Credentials, S3Client
from tests.servers.foreign import botocore_client, fetch, put_object
from tests.servers.keys import KEYS, rclone_refuses
from tests.servers.process import RealServer

BUCKET = "amzn-s3-demo-keys"


def body_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def put_all(server: RealServer, keys: Iterable[str]) -> dict[str, str]:
    """Put each key with botocore's signature; what the server refused, and how."""
    client = botocore_client(server)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    client.close()
    refused = {}
    for key in keys:
        try:
            put_object(server, BUCKET, key, body_of(key))
        except ValueError as error:
            refused[key] = str(error)
    return refused


@pytest.fixture(params=["swift", "rclone", pytest.param("radosgw", marks=pytest.mark.deep)])
def server(request: pytest.FixtureRequest) -> RealServer:
    found: RealServer = request.getfixturevalue(request.param)
    return found


def accepted(server: RealServer) -> list[str]:
    return [key for key in KEYS if server.name != "rclone" or not rclone_refuses(key)]


@pytest.fixture
async def client(server: RealServer) -> AsyncIterator[S3Client]:
    keys = Credentials(server.access_key_id, server.secret_access_key)
    async with S3Client(
        endpoint_url=server.endpoint_url, region=server.region, credentials=keys
    ) as client:
        yield client


def test_the_corpus_holds_every_byte_that_utf8_can() -> None:
    held = set("".join(KEYS).encode())
    # NUL is no character of a key that servers keep; C0, C1 and F5 to FF are never UTF-8
    assert held == set(range(1, 256)) - {0xC0, 0xC1} - set(range(0xF5, 0x100))
    assert len(set(KEYS)) == len(KEYS)
    assert max(len(key.encode()) for key in KEYS) == 1024


async def test_every_key_is_read_and_linked_as_it_was_put(
    server: RealServer, client: S3Client
) -> None:
    keys = accepted(server)
    assert put_all(server, keys) == {}
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


def test_rclone_refuses_what_the_corpus_leaves_out(rclone: RealServer) -> None:
    # what ends in a slash may become a folder instead
    left_out = [key for key in KEYS if rclone_refuses(key) and not key.endswith("/")]
    assert list(put_all(rclone, left_out)) == left_out

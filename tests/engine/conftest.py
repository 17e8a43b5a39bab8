"""One object in an embedded server, and a way to read it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aios3get import S3Client
from aios3get.testing import S3Server
from tests.reading_client import BUCKET, KEY

CONTENT = bytes(range(256)) * 40


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    """A server on the test's event loop, with ``CONTENT`` stored."""
    # Debug mode logs every callback that takes long, and the server's are on the same loop.
    asyncio.get_running_loop().set_debug(False)
    async with S3Server() as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Only reference counting frees objects during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def read(client: S3Client, **options: Any) -> bytes:
    async with client.get_object(BUCKET, KEY, **options) as obj:
        return await obj.read()

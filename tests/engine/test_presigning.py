import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aios3get.client import S3Client
from aios3get.testing import S3Server
from tests.reading_client import (
    BUCKET,
    KEY,
    quick_client,
)

CONTENT = bytes(range(256)) * 40


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    # Debug mode notes a stack for every callback, and here the server's run on the same loop.
    asyncio.get_running_loop().set_debug(False)
    async with S3Server() as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


async def read(client: S3Client, **options: Any) -> bytes:
    async with client.get_object(BUCKET, KEY, **options) as obj:
        return await obj.read()


async def test_link_is_signed_with_the_corrected_clock(server: S3Server) -> None:
    server.clock_skew = 3600.0
    async with quick_client(server) as client:
        assert await read(client) == CONTENT
        assert client._state is not None
        assert 3590 < client._state.clock_offset < 3610
        assert await read(client) == CONTENT
        link = await client.presign_get_object(BUCKET, KEY)
    assert [request.status for request in server.requests] == [403, 200, 200]
    assert link.expires_at is not None
    ahead = link.expires_at - datetime.now(UTC) - timedelta(seconds=3600)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)

import asyncio
from collections.abc import AsyncIterator

import pytest

from aios3get import errors
from aios3get._protocol.identity import Credentials
from aios3get.testing import S3Server, faults
from tests.reading_client import (
    BUCKET,
    KEY,
    QUICK,
    nothing_leaks,
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


class TestLinks:
    async def test_link_is_sent_unchanged_and_without_credentials(self, server: S3Server) -> None:
        key = "a b+c/ü~'()*!%41.jpg"
        server.put_object(BUCKET, key, CONTENT)
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, key, response_content_type="text/x y")
            async with client.get_url(link.url) as obj:
                assert await obj.read() == CONTENT
        request = server.requests[-1]
        assert link.url == f"{server.endpoint_url}{request.raw_path}"
        assert not {"authorization", "x-amz-date", "x-amz-content-sha256"} & {
            name.lower() for name in request.headers
        }

    async def test_interrupted_link_is_resumed(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY)
            server.faults.add(faults.drop_after(1000))
            async with client.get_url(link, range="bytes=100-9999") as obj:
                assert await obj.read() == CONTENT[100:10_000]
        assert [r.headers["Range"] for r in server.requests] == [
            "bytes=100-9999",
            "bytes=1100-9999",
        ]
        assert server.requests[0].raw_path == server.requests[1].raw_path

    async def test_link_to_a_replaced_object_raises_object_changed(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY)
            server.faults.add(
                faults.replace_object(lambda: server.put_object(BUCKET, KEY, b"new"), after=10)
            )
            with pytest.raises(errors.ObjectChanged):
                await (await client.get_url(link)).read()

    async def test_link_with_signed_range_is_not_resumed(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, range="bytes=0-99")
            async with client.get_url(link) as obj:
                assert await obj.read() == CONTENT[:100]
            server.faults.add(faults.drop_after(10))
            with nothing_leaks(client), pytest.raises(errors.ConnectionLost):
                await (await client.get_url(link)).read()

    async def test_link_with_signed_condition_is_resumed(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            info = await client.head_object(BUCKET, KEY)
            for options in ({"if_match": info.etag}, {"if_none_match": '"another"'}):
                link = await client.presign_get_object(BUCKET, KEY, **options)
                server.faults.add(faults.drop_after(1000))
                server.requests.clear()
                with nothing_leaks(client):
                    assert await (await client.get_url(link)).read() == CONTENT
                assert [request.status for request in server.requests] == [200, 206]

    async def test_link_to_a_part_is_read_and_verified(self, server: S3Server) -> None:
        server.put_object(
            BUCKET,
            KEY,
            CONTENT,
            parts=[4000, 4000, 2240],
            checksum_algorithm="CRC32C",
            checksum_type="COMPOSITE",
        )
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, part_number=2, checksum_mode=True)
            async with client.get_url(link) as obj:
                assert await obj.read() == CONTENT[4000:8000]
                assert obj.verified
            server.faults.add(faults.drop_after(10))
            with nothing_leaks(client), pytest.raises(errors.ConnectionLost):
                await (await client.get_url(link)).read()
            with pytest.raises(errors.ParameterError, match="part 2"):
                client.get_url(link, range="bytes=0-9")

    async def test_expired_link_raises_presigned_url_expired(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, expires_in=60)
            server.clock_skew = 120.0
            with pytest.raises(errors.PresignedUrlExpired):
                await client.get_url(link)
            server.clock_skew = 0.0
            server.faults.add(faults.status(403))
            with pytest.raises(errors.AccessDenied) as caught:
                await client.get_url(link)
            assert not isinstance(caught.value, errors.PresignedUrlExpired)

    async def test_clock_is_not_corrected_by_the_response_to_a_link(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, expires_in=60)
            server.clock_skew = 7200.0
            with pytest.raises(errors.S3Error):
                await client.get_url(link)
            assert client._state is not None
            assert client._state.clock_offset == 0.0

    async def test_link_is_read_without_client_credentials(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY)

        def never() -> Credentials:
            raise AssertionError("the provider was called")

        async with quick_client(server, credentials=never, retry=QUICK) as client:
            assert await (await client.get_url(link)).read() == CONTENT

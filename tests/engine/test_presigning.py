from datetime import UTC, datetime, timedelta

import pytest

from aios3get import Credentials, RetryPolicy
from aios3get.errors import CredentialsError
from aios3get.testing import S3Server
from tests.engine.conftest import CONTENT, read
from tests.reading_client import (
    BUCKET,
    KEY,
    credentials_of,
    quick_client,
)


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


async def test_provider_that_fails_for_a_moment_is_called_again_for_a_link(
    server: S3Server,
) -> None:
    failures = [OSError("no route to host")]

    def load() -> Credentials:
        if failures:
            raise failures.pop()
        return credentials_of(server.credentials)

    async with quick_client(server, credentials=load) as client:
        link = await client.presign_get_object(BUCKET, KEY)
        async with client.get_url(link) as obj:
            assert await obj.read() == CONTENT
    assert not failures
    assert len(server.requests) == 1


async def test_provider_that_keeps_failing_ends_presigning_after_its_attempts(
    server: S3Server,
) -> None:
    loads = 0

    def load() -> Credentials:
        nonlocal loads
        loads += 1
        raise OSError("no route to host")

    retry = RetryPolicy(attempts=3, wait_initial=0.001, wait_max=0.002)
    async with quick_client(server, credentials=load, retry=retry) as client:
        with pytest.raises(CredentialsError, match="OSError") as caught:
            await client.presign_get_object(BUCKET, KEY)
    assert caught.value.retryable
    # Loads pause after a failure, and calls get the same error meanwhile.
    assert 1 < loads <= 3


async def test_provider_without_credentials_ends_presigning_at_once(server: S3Server) -> None:
    loads = 0

    def load() -> None:
        nonlocal loads
        loads += 1

    async with quick_client(server, credentials=load) as client:
        with pytest.raises(CredentialsError):
            await client.presign_get_object(BUCKET, KEY)
    assert loads == 1


async def test_options_are_in_the_link_or_in_its_headers(server: S3Server) -> None:
    async with quick_client(server) as client:
        link = await client.presign_get_object(
            BUCKET, KEY, range="bytes=10-19", response_content_type="text/plain", expires_in=60
        )
        assert "response-content-type=text%2Fplain" in link.url
        assert link.headers == {"Range": "bytes=10-19"}
        async with client.get_url(link) as obj:
            assert obj.info.content_type == "text/plain"
            assert await obj.read() == CONTENT[10:20]

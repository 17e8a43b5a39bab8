"""A user's service, tested with aioresponses as in ``docs/aioresponses.md``."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from inspect import signature
from typing import Any
from unittest.mock import Mock

import pytest
import pytest_asyncio
from aiohttp import ClientConnectionError, ClientResponse
from aioresponses import aioresponses
from yarl import URL

from aios3get import Credentials, RetryPolicy, S3Client, errors

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"
LOCATION = f"https://{BUCKET}.s3.eu-central-1.amazonaws.com/{KEY}"
BODY = b"\xff\xd8\xff\xe0 a photograph"
HEADERS = {"Content-Length": str(len(BODY)), "ETag": '"0123456789abcdef0123456789abcdef"'}
NO_SUCH_KEY = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
)


class Photos:
    """The service under test."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    async def load(self, key: str) -> bytes | None:
        try:
            async with self._s3.get_object(BUCKET, key) as obj:
                return await obj.read()
        except errors.NoSuchKey:
            return None

    async def age(self, key: str, now: datetime) -> float:
        info = await self._s3.head_object(BUCKET, key)
        assert info.last_modified is not None
        return (now - info.last_modified).total_seconds()

    async def fetch(self, link: str) -> bytes:
        async with self._s3.get_url(link) as obj:
            return await obj.read()


class Response(ClientResponse):
    """The response class of aioresponses 0.7.9 with the argument that aiohttp 3.14 requires."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if "stream_writer" in signature(ClientResponse.__init__).parameters:
            options["stream_writer"] = Mock(output_size=0)
        super().__init__(*args, **options)


@pytest.fixture
def s3() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


@pytest_asyncio.fixture
async def photos() -> AsyncIterator[Photos]:
    async with S3Client(
        region="eu-central-1",
        credentials=Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        retry=RetryPolicy(attempts=2, wait_initial=0, wait_max=0),
    ) as client:
        yield Photos(client)


async def test_body_without_content_length_is_read(s3: aioresponses, photos: Photos) -> None:
    s3.get(LOCATION, body=BODY, response_class=Response)
    assert await photos.load(KEY) == BODY


async def test_object_is_read_with_a_signed_request(s3: aioresponses, photos: Photos) -> None:
    s3.get(LOCATION, body=BODY, headers=HEADERS, response_class=Response)
    assert await photos.load(KEY) == BODY
    (sent,) = s3.requests["GET", URL(LOCATION)]
    assert sent.kwargs["headers"]["Authorization"].startswith("AWS4-HMAC-SHA256 ")


async def test_error_document_raises_its_error(s3: aioresponses, photos: Photos) -> None:
    s3.get(LOCATION, status=404, body=NO_SUCH_KEY, response_class=Response)
    assert await photos.load(KEY) is None


async def test_503_is_retried(s3: aioresponses, photos: Photos) -> None:
    s3.get(LOCATION, status=503, response_class=Response)
    s3.get(LOCATION, body=BODY, headers=HEADERS, response_class=Response)
    assert await photos.load(KEY) == BODY
    assert len(s3.requests["GET", URL(LOCATION)]) == 2


async def test_connection_error_is_retried_and_raised(s3: aioresponses, photos: Photos) -> None:
    s3.get(LOCATION, exception=ClientConnectionError("no route"), repeat=True)
    with pytest.raises(errors.TransportError) as caught:
        await photos.load(KEY)
    assert caught.value.attempts == len(s3.requests["GET", URL(LOCATION)])


async def test_truncated_body_is_resumed(s3: aioresponses, photos: Photos) -> None:
    s3.get(LOCATION, body=BODY[:7], headers=HEADERS, response_class=Response)
    rest = {
        "Content-Length": str(len(BODY) - 7),
        "Content-Range": f"bytes 7-{len(BODY) - 1}/{len(BODY)}",
        "ETag": HEADERS["ETag"],
    }
    s3.get(LOCATION, status=206, body=BODY[7:], headers=rest, response_class=Response)
    assert await photos.load(KEY) == BODY
    _, resumed = s3.requests["GET", URL(LOCATION)]
    assert resumed.kwargs["headers"]["Range"] == f"bytes=7-{len(BODY) - 1}"
    assert resumed.kwargs["headers"]["If-Match"] == HEADERS["ETag"]


async def test_metadata_is_parsed(s3: aioresponses, photos: Photos) -> None:
    headers = {**HEADERS, "Last-Modified": "Mon, 12 Oct 2009 17:50:00 GMT"}
    s3.head(LOCATION, headers=headers, response_class=Response)
    assert await photos.age(KEY, datetime(2009, 10, 12, 17, 51, tzinfo=UTC)) == 60


async def test_presigned_url_is_read_unsigned(s3: aioresponses, photos: Photos) -> None:
    link = f"{LOCATION}?X-Amz-Expires=60&X-Amz-Signature=0123"
    s3.get(link, body=BODY, headers=HEADERS, response_class=Response)
    assert await photos.fetch(link) == BODY
    (sent,) = s3.requests["GET", URL(link)]
    assert "Authorization" not in sent.kwargs["headers"]


async def test_concurrent_calls_are_read(s3: aioresponses, photos: Photos) -> None:
    s3.get(LOCATION, body=BODY, headers=HEADERS, response_class=Response, repeat=True)
    assert await asyncio.gather(*(photos.load(KEY) for _ in range(100))) == [BODY] * 100

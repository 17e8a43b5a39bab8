"""The web services of ``examples/``, over HTTP, with a client of one permit behind them."""

import asyncio
import importlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import pytest
import uvicorn
from aiohttp import web

from aios3get import RetryPolicy, S3Client
from aios3get.cli import demo
from aios3get.testing import S3Server, faults

_BODY = b"hello, world\n"
_PHOTO = f"/{demo.KEY}"


@asynccontextmanager
async def _aiohttp() -> AsyncIterator[int]:
    application = importlib.import_module("aiohttp_service").application()
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _fastapi() -> AsyncIterator[int]:
    config = uvicorn.Config(importlib.import_module("fastapi_service").app, log_level="critical")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([listener]))
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            yield listener.getsockname()[1]
            server.should_exit = True


Request = Callable[..., Awaitable[tuple[int, Mapping[str, str], bytes]]]


@pytest.fixture(params=[_aiohttp, _fastapi], ids=["aiohttp", "fastapi"])
async def port(
    request: pytest.FixtureRequest, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[int]:
    demo.fill(server)
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")

    def one_permit(**options: Any) -> S3Client:
        return S3Client(max_concurrency=1, retry=RetryPolicy(attempts=1), **options)

    with mock.patch.dict(os.environ, server.environ, clear=True):
        module = importlib.import_module(f"{request.param.__name__[1:]}_service")
        monkeypatch.setattr(module, "S3Client", one_permit)
        async with request.param() as number:
            yield number


@pytest.fixture
async def send(port: int) -> AsyncIterator[Request]:
    limit = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=limit) as session:

        async def send(
            path: str, method: str = "GET", **headers: str
        ) -> tuple[int, Mapping[str, str], bytes]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.request(method, path, headers=named) as response:
                return response.status, response.headers, await response.read()

        yield send


async def test_get_streams_the_object_with_its_headers(send: Request, server: S3Server) -> None:
    status, headers, body = await send("/hello.txt")
    assert (status, body) == (200, _BODY)
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Length"] == str(len(_BODY))
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"]
    assert headers["Last-Modified"]
    assert "x-amz-request-id" not in headers


async def test_head_has_the_headers_of_get(send: Request) -> None:
    _, expected, _ = await send(_PHOTO)
    status, headers, body = await send(_PHOTO, "HEAD", Range="bytes=0-4")
    assert (status, body) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified"):
        assert headers[name] == expected[name]


@pytest.mark.parametrize("unit", ["bytes", "Bytes"])
async def test_range_is_partial_content(send: Request, unit: str) -> None:
    status, headers, body = await send("/hello.txt", Range=f"{unit}=0-4")
    assert (status, body) == (206, b"hello")
    assert headers["Content-Range"] == "bytes 0-4/13"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "lines=0-4"},
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=0-4", "If_Range": '"other"'},
        {"If_Modified_Since": "yesterday"},
    ],
    ids=str,
)
async def test_ignored_header_gets_the_whole_object(send: Request, headers: dict[str, str]) -> None:
    status, _, body = await send("/hello.txt", **headers)
    assert (status, body) == (200, _BODY)


async def test_conditions(send: Request) -> None:
    _, known, _ = await send("/hello.txt")
    etag, date = known["ETag"], known["Last-Modified"]
    for condition in ({"If_None_Match": etag}, {"If_Modified_Since": date}):
        for method in ("GET", "HEAD"):
            status, headers, body = await send("/hello.txt", method, **condition)
            assert (status, headers["ETag"], body) == (304, etag, b"")
    earlier = "Sat, 01 Jan 2000 00:00:00 GMT"
    for condition in ({"If_Match": '"other"'}, {"If_Unmodified_Since": earlier}):
        status, _, _ = await send("/hello.txt", **condition)
        assert status == 412


async def test_errors_are_mapped_to_statuses(send: Request, server: S3Server) -> None:
    status, headers, _ = await send("/hello.txt", Range="bytes=99-")
    assert (status, headers["Content-Range"]) == (416, "bytes */13")
    status, _, body = await send("/hello.txt", Range="bytes=9-1")
    assert (status, b"range" in body) == (400, True)
    assert (await send("/empty", Range="bytes=0-"))[1]["Content-Range"] == "bytes */0"
    assert (await send("/missing.txt"))[0] == 404
    server.faults.add(faults.status(403, "AccessDenied"))
    assert (await send("/hello.txt"))[0] == 502
    server.faults.add(faults.status(503, "SlowDown"))
    assert (await send("/hello.txt"))[0] == 503


async def test_disconnected_reader_releases_its_permit(
    send: Request, port: int, server: S3Server
) -> None:
    server.faults.add(faults.stall_after(100_000))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {_PHOTO} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readexactly(50_000)
    writer.close()
    assert (await send("/hello.txt"))[2] == _BODY


async def test_interrupted_object_is_not_a_complete_response(
    send: Request, server: S3Server
) -> None:
    server.faults.add(faults.drop_after(100_000))
    with pytest.raises(aiohttp.ClientPayloadError):
        await send(_PHOTO)
    assert (await send("/hello.txt"))[2] == _BODY

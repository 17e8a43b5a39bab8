"""The service of ``examples/links_service.py``, with aiohttp and in a browser."""

import asyncio
import importlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import aiohttp
import pytest
from aiohttp import web

from aios3get.cli import demo
from aios3get.testing import S3Server

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Without these, Chromium contacts hosts of its vendor.
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture
async def url(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    demo.fill(server)
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    with mock.patch.dict(os.environ, server.environ, clear=True):
        runner = web.AppRunner(importlib.import_module("links_service").application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


async def test_page_links_to_presigned_urls(url: str, server: S3Server) -> None:
    async with aiohttp.ClientSession(url) as session:
        async with session.get("/") as response:
            assert 'href="/get/hello.txt"' in await response.text()
        async with session.get("/get/hello.txt") as response:
            assert (response.status, await response.text()) == (200, "hello, world\n")
            assert response.headers["Content-Disposition"] == 'inline; filename="hello.txt"'
            assert response.url.port == int(server.endpoint_url.rpartition(":")[2])
        async with session.get("/get/missing.txt") as response:
            assert response.status == 404


@pytest.mark.skipif(_CHROMIUM is None, reason="Chromium is not installed")
async def test_browser_follows_the_link_to_the_object(
    url: str, server: S3Server, tmp_path: Path
) -> None:
    assert _CHROMIUM is not None
    options = (*_OPTIONS, f"--user-data-dir={tmp_path}", "--dump-dom", f"{url}/get/hello.txt")
    browser = await asyncio.create_subprocess_exec(
        _CHROMIUM, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(60):
        page, _ = await browser.communicate()
    assert b"hello, world" in page
    assert [request.method for request in server.requests[:2]] == ["HEAD", "GET"]

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aios3get._http.fetcher import post_form
from aios3get.errors import ConnectionFailed, TransportError, TransportTimeout

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("no_proxy", raising=False)


class Server:
    def __init__(self) -> None:
        self.handler: Handler = self.echo
        self.seen: list[str] = []

    async def echo(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        return web.json_response({**form, "accept": request.headers["Accept"]}, status=201)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path)
        return await self.handler(request)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    ours = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", ours.answer)
    async with TestServer(app) as running:
        yield ours, str(running.make_url("/token"))


async def test_a_form_and_its_answer(server: tuple[Server, str]) -> None:
    status, body = await post_form(server[1], {"grant_type": "urn:x", "apikey": "a&b=c"})
    assert status == 201
    assert body == b'{"grant_type": "urn:x", "apikey": "a&b=c", "accept": "application/json"}'


async def test_the_secret_does_not_follow_a_redirect(server: tuple[Server, str]) -> None:
    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    server[0].handler = redirect
    assert (await post_form(server[1], {}))[0] == 307
    assert server[0].seen == ["/token"]


async def test_a_far_too_long_answer(server: tuple[Server, str]) -> None:
    async def lengthy(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(64):
            with suppress(ConnectionError):
                await response.write(b"x" * 65_536)
        return response

    server[0].handler = lengthy
    with pytest.raises(TransportError, match="larger than 1 MiB"):
        await post_form(server[1], {})


async def test_no_answer_in_time(server: tuple[Server, str]) -> None:
    async def stall(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.Response()

    server[0].handler = stall
    with pytest.raises(TransportTimeout, match=r"did not answer within 0\.05 s") as caught:
        await post_form(server[1], {}, seconds=0.05)
    assert (caught.value.limit, caught.value.seconds) == ("deadline", 0.05)


async def test_no_server(unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionFailed, match=r"no answer from 127\.0\.0\.1"):
        await post_form(f"http://127.0.0.1:{unused_tcp_port}/", {})


async def test_by_way_of_the_proxy_of_the_environment(
    server: tuple[Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server[1].removesuffix("/token"))
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("REQUEST_METHOD", raising=False)
    assert (await post_form("http://iam.invalid/token", {}))[0] == 201


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_proxys_password_is_told_to_the_proxy_alone(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    monkeypatch.delenv("NO_PROXY")
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:hunter2@127.0.0.1:{port}")
        told = ""
        try:
            await post_form(f"{scheme}://iam.invalid/token", {})
        except ConnectionFailed as error:
            told = "".join(traceback.format_exception(error)) + repr(error.__cause__)
    assert b"Proxy-Authorization: Basic dXNlcjpodW50ZXIy" in heads[0]
    assert bool(told) is (scheme == "https")
    assert "hunter2" not in told

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aios3get._http.fetcher import Fetcher
from aios3get._http.proxies import Proxies
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.errors import (
    ConnectionFailed,
    ConnectionLost,
    S3Error,
    TransportError,
    TransportTimeout,
)
from tests.servers.tls import Authority

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    def __init__(self) -> None:
        self.handler: Handler = self.echo
        self.requests: list[web.BaseRequest] = []
        self.url = ""

    async def echo(self, request: web.Request) -> web.StreamResponse:
        body = f"{request.method} {request.raw_path} {await request.text()}"
        return web.Response(status=201, text=body)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.handler(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    ours = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", ours.respond)
    async with TestServer(app) as running:
        ours.url = str(running.make_url("/"))
        yield ours


class Waits(list[float]):
    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
async def waits() -> Waits:
    return Waits()


@pytest.fixture
async def fetcher(waits: Waits) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(retry=RetryPolicy(attempts=3), sleep=waits, random=lambda: 0.5)
    yield fetcher
    await fetcher.aclose()


async def test_request_is_sent_unchanged(server: Server, fetcher: Fetcher) -> None:
    url = f"{server.url}a%2fb/..?x=%7e&y"
    response = await fetcher.fetch(FetchRequest("PUT", url, {"X-Name": "v"}, b"a=b"))
    assert (response.status, response.body) == (201, b"PUT /a%2fb/..?x=%7e&y a=b")
    (request,) = server.requests
    assert request.headers["X-Name"] == "v"
    assert request.headers["User-Agent"].startswith("aios3get/")
    assert {"Accept", "Content-Type"}.isdisjoint(request.headers)


async def test_redirect_is_not_followed(server: Server, fetcher: Fetcher) -> None:
    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    server.handler = redirect
    assert (await fetcher.fetch(FetchRequest("POST", server.url))).status == 307
    assert len(server.requests) == 1


async def test_body_beyond_the_limit_is_an_error_that_is_not_retried(
    server: Server, fetcher: Fetcher
) -> None:
    async def lengthy(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(64):
            with suppress(ConnectionError):
                await response.write(b"x" * 65_536)
        return response

    server.handler = lengthy
    with pytest.raises(TransportError, match="longer than 1,048,576 bytes"):
        await fetcher.fetch(FetchRequest("GET", server.url))
    assert len(server.requests) == 1


async def test_slow_head_and_slow_body_are_timeouts(server: Server, fetcher: Fetcher) -> None:
    async def slow_body(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.sleep(1)
        return response

    async def slow_head(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.Response()

    for handler in (slow_head, slow_body):
        server.handler = handler
        with pytest.raises(TransportTimeout, match=r"did not respond within 0\.05 s") as caught:
            await fetcher.fetch(FetchRequest("GET", server.url), timeout=0.05, attempts=1)
        assert caught.value.seconds == 0.05


async def test_connection_that_is_not_accepted_in_time(fetcher: Fetcher) -> None:
    # The address is reserved for documentation (RFC 5737): nothing responds there.
    with pytest.raises(S3Error, match=r"192\.0\.2\.1"):
        await fetcher.fetch(
            FetchRequest("GET", "http://192.0.2.1/"), connect_timeout=0.02, attempts=1
        )


async def test_refused_connection(fetcher: Fetcher, unused_tcp_port: int, waits: Waits) -> None:
    with pytest.raises(ConnectionFailed, match=rf"to 127\.0\.0\.1:{unused_tcp_port}: .*refused"):
        await fetcher.fetch(FetchRequest("GET", f"http://127.0.0.1:{unused_tcp_port}/"))
    assert waits == [0.1, 0.2]


async def test_incomplete_and_malformed_responses_are_connection_lost(fetcher: Fetcher) -> None:
    replies = [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies.pop(0))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionLost, match="sent no complete response"):
            await fetcher.fetch(FetchRequest("POST", f"http://127.0.0.1:{port}/"))
    assert not replies


async def test_server_error_is_retried_and_the_last_response_returned(
    server: Server, fetcher: Fetcher, waits: Waits
) -> None:
    statuses = [500, 429, 503]

    async def fail(_: web.Request) -> web.StreamResponse:
        return web.Response(status=statuses.pop(0))

    server.handler = fail
    assert (await fetcher.fetch(FetchRequest("GET", server.url))).status == 503
    assert len(server.requests) == 3
    assert waits == [0.1, 0.2]


async def test_request_is_rebuilt_for_each_attempt(server: Server, fetcher: Fetcher) -> None:
    made: list[str] = []

    def make() -> FetchRequest:
        made.append(f"{server.url}{len(made)}")
        return FetchRequest("GET", made[-1])

    def is_retryable(response: FetchedResponse) -> bool:
        return not response.body.startswith(b"GET /1")

    response = await fetcher.fetch(make, attempts=5, is_retryable=is_retryable)
    assert response.body == b"GET /1 "
    assert len(made) == 2


async def test_proxy_password_is_sent_to_the_proxy_only() -> None:
    heads: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        fetcher = Fetcher(proxies=Proxies.always(f"http://user:hunter2@127.0.0.1:{port}"))
        response = await fetcher.fetch(FetchRequest("GET", "http://sts.example/"), attempts=1)
        assert response.status == 407
        with pytest.raises(TransportError) as caught:
            await fetcher.fetch(FetchRequest("GET", "https://sts.example/"), attempts=1)
        await fetcher.aclose()
    assert [head.partition(b" HTTP")[0] for head in heads] == [
        b"GET http://sts.example/",
        b"CONNECT sts.example:443",
    ]
    assert all(b"Proxy-Authorization: Basic dXNlcjpodW50ZXIy" in head for head in heads)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "[fd00:ec2::254]", "[fe80::1]"]
)
async def test_local_addresses_are_never_reached_through_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_route(*_: object) -> None:
        raise AssertionError("a proxy was looked for")

    monkeypatch.setattr(Proxies, "route", no_route)
    fetcher = Fetcher(proxies=Proxies.always("http://proxy.example:3128"))
    with suppress(TransportError):
        await fetcher.fetch(FetchRequest("GET", f"http://{host}:1/"), timeout=0.01, attempts=1)
    await fetcher.aclose()


async def test_caller_can_forbid_the_proxy(server: Server) -> None:
    fetcher = Fetcher(proxies=Proxies.always("http://127.0.0.1:1"))
    url = server.url.replace("127.0.0.1", "ignored.localhost")
    with suppress(TransportError):
        await fetcher.fetch(FetchRequest("GET", url), proxy=False, attempts=1)
    with pytest.raises(ConnectionFailed, match="no connection to ignored"):
        await fetcher.fetch(FetchRequest("GET", url), attempts=1)
    await fetcher.aclose()


async def test_certificates_are_verified(authority: Authority) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.Response(text="trusted")

    app = web.Application()
    app.router.add_get("/", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.server_context())
    await site.start()
    request = FetchRequest("GET", f"https://127.0.0.1:{runner.addresses[0][1]}/")
    trusting, other = Fetcher(verify=authority.client_context()), Fetcher()
    assert (await trusting.fetch(request)).body == b"trusted"
    with pytest.raises(ConnectionFailed, match=r"certificate of .* is not trusted") as caught:
        await other.fetch(request)
    assert not caught.value.retryable
    for fetcher in (trusting, other):
        await fetcher.aclose()
    await runner.cleanup()


async def test_one_session_for_each_loop_is_opened_by_the_first_request(server: Server) -> None:
    fetcher = Fetcher()
    assert not fetcher._sessions
    await asyncio.gather(*(fetcher.fetch(FetchRequest("GET", server.url)) for _ in range(5)))
    (session,) = fetcher._sessions.values()

    def elsewhere() -> None:
        async def fetch() -> None:
            await fetcher.fetch(FetchRequest("GET", server.url))
            assert len(fetcher._sessions) == 2
            await fetcher.aclose()

        asyncio.run(fetch())

    await asyncio.to_thread(elsewhere)
    assert [*fetcher._sessions.values()] == [session]
    await fetcher.aclose()
    assert session.closed
    await fetcher.aclose()


def test_session_of_a_loop_that_ended_is_forgotten() -> None:
    fetcher = Fetcher()

    async def leave_open() -> Any:
        return fetcher._session()

    async def close(session: Any) -> None:
        fetcher._session()
        assert len(fetcher._sessions) == 1
        await fetcher.aclose()
        await session.close()

    asyncio.run(close(asyncio.run(leave_open())))


async def test_forked_process_leaves_the_parents_session_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetcher = Fetcher()
    parent = fetcher._session()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    await fetcher.aclose()
    assert not parent.closed
    child = fetcher._session()
    assert child is not parent
    await fetcher.aclose()
    assert child.closed
    await parent.close()


def _locals(trace: TracebackType | None) -> Iterator[Any]:
    while trace is not None:
        yield from trace.tb_frame.f_locals.items()
        trace = trace.tb_next


@pytest.mark.parametrize("where", ["refused", "silent"])
async def test_frames_of_an_error_hold_no_secret(
    where: str, unused_tcp_port: int, fetcher: Fetcher
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1] if where == "silent" else unused_tcp_port
        request = FetchRequest(
            "POST", f"http://127.0.0.1:{port}/?t={SECRET}", {"T": SECRET}, SECRET.encode()
        )
        error: BaseException | None = None
        try:
            await fetcher.fetch(request, timeout=0.05)
        except TransportError as caught:
            error = caught
        assert error is not None
        trace = error.__traceback__
        assert error.__cause__ is error.__context__ is None
        assert trace is not None
        shown = "".join(map(repr, _locals(trace.tb_next)))
        assert "FetchRequest(POST" in shown
        assert SECRET not in shown

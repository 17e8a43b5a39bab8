import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest

from aios3get import errors
from aios3get._io.proxies import Proxies
from aios3get._io.transport import Answer, Transport
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.timeouts import Timeouts
from tests.servers.lying import LyingServer, answer, close, flood, read_request, send
from tests.servers.tls import Authority
from tests.shell.reading_client import acquired

QUICK = Timeouts(connect=1.5, idle=0.3)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(timeouts=QUICK, max_concurrency=4)
    yield made
    await made.aclose()
    assert made.admission.taken == 0
    assert not made.admission.holders


async def get(transport: Transport, url: str, *, fresh: bool = False, **headers: str) -> Answer:
    return await transport.send(HttpRequest("GET", url, headers), fresh=fresh)


async def whole(answered: Answer) -> bytes:
    found = bytearray()
    while chunk := await answered.read():
        found += chunk
    return bytes(found)


async def test_what_goes_out_is_what_was_given(transport: Transport) -> None:
    with LyingServer([read_request(), send(answer(b"body"))]) as server:
        url = f"{server.url}/a%2Fb/../%41+~'()*?x=%20&y=/:@&z"
        assert await whole(await get(transport, url, Host="example.test", Range="bytes=0-")) == (
            b"body"
        )
        lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == f"GET {url.removeprefix(server.url)} HTTP/1.1"
    names = {line.partition(":")[0].lower() for line in lines[1:] if line}
    assert names == {"host", "range", "user-agent", "accept-encoding"}
    assert "Host: example.test" in lines
    assert "Accept-Encoding: identity" in lines


async def test_redirects_are_not_followed(transport: Transport) -> None:
    moved = answer(b"", "Location: http://127.0.0.1:1/", status="302 Found")
    with LyingServer([read_request(), send(moved)]) as server:
        answered = await get(transport, server.url)
        assert answered.status == 302
        answered.close()


async def test_cookies_are_not_kept(transport: Transport) -> None:
    replies = [read_request(), send(answer(b"", "Set-Cookie: a=b"))] * 2
    with LyingServer(replies) as server:
        for _ in range(2):
            await whole(await get(transport, server.url))
        assert b"cookie" not in server.requests[1].lower()


async def test_connections_are_kept_unless_a_fresh_one_is_asked_for(transport: Transport) -> None:
    with LyingServer([read_request(), send(answer(b"x"))] * 4) as server:
        for fresh in (False, False, True, True, False):
            await whole(await get(transport, server.url, fresh=fresh))
        assert [len(requests) for requests in server.connections] == [3, 1, 1]


async def test_a_closed_port_is_no_connection(transport: Transport) -> None:
    with pytest.raises(errors.ConnectionFailed, match="no connection"):
        await get(transport, "http://127.0.0.1:1/")


async def test_a_name_that_is_none_is_no_connection(transport: Transport) -> None:
    with pytest.raises(errors.TransportError):
        await get(transport, "http://no-such-host.invalid/")


@contextmanager
def deaf() -> Iterator[str]:
    """A port whose queue is full, so that no connection comes about."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/?X-Amz-Signature=secret"
        for other in others:
            other.close()


async def test_connecting_has_its_own_limit(transport: Transport) -> None:
    with deaf() as url, pytest.raises(errors.TransportTimeout) as caught:
        await get(transport, url)
    assert (caught.value.limit, caught.value.seconds) == ("connect", QUICK.connect)
    assert str(caught.value) == "no connection within 1.5 s"
    assert caught.value.__cause__ is None


async def test_so_it_has_with_a_users_session() -> None:
    async with aiohttp.ClientSession() as session:
        transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
        with deaf() as url, pytest.raises(errors.TransportTimeout) as caught:
            await get(transport, url)
        assert caught.value.limit == "connect"
        await transport.aclose()


async def test_a_users_session_may_be_bent_as_it_likes() -> None:
    body = b"\x1f\x8b plain"
    reply = answer(body, "Content-Encoding: gzip", *(f"x-amz-meta-{n}: x" for n in range(200)))
    with LyingServer([read_request(), send(reply)]) as server:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.0001)) as session:
            transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
            answered = await get(transport, server.url)
            assert await whole(answered) == body
            assert len(answered.headers) > 200
            await transport.aclose()
            assert not session.closed


async def test_what_is_no_url_is_the_callers_mistake(transport: Transport) -> None:
    for url in ("http:///path", "ftp://h/"):
        with pytest.raises(errors.ConfigurationError, match="not an http or https URL"):
            await get(transport, url)


async def test_a_proxy_is_asked() -> None:
    with LyingServer([read_request(), send(answer(b"by proxy"))]) as proxy:
        transport = Transport(timeouts=QUICK, max_concurrency=1, proxies=Proxies.always(proxy.url))
        assert await whole(await get(transport, "http://example.test/key")) == b"by proxy"
        assert proxy.requests[0].startswith(b"GET http://example.test/key HTTP/1.1")
        await transport.aclose()


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_is_no_connection(status: str) -> None:
    with LyingServer([read_request(), send(answer(b"", status=status)), close()]) as proxy:
        transport = Transport(timeouts=QUICK, max_concurrency=1, proxies=Proxies.always(proxy.url))
        with pytest.raises(errors.ConnectionFailed, match="the proxy answered"):
            await get(transport, "https://example.test/key")
        await transport.aclose()


async def test_a_certificate_that_is_not_trusted_is_not_tried_again(authority: Authority) -> None:
    transport = Transport(timeouts=QUICK, max_concurrency=1)
    with (
        LyingServer([read_request()], tls=authority.server_context()) as server,
        pytest.raises(errors.ConnectionFailed, match="not trusted") as caught,
    ):
        await get(transport, server.url)
    assert not caught.value.retryable
    await transport.aclose()


class TestGivingBack:
    async def test_little_is_read_off(self, transport: Transport) -> None:
        replies = [read_request(), send(answer(bytes(200_000)))] * 2
        with LyingServer(replies) as server:
            for _ in range(2):
                answered = await get(transport, server.url)
                await answered.release(200_000)
                assert not answered.held
            assert len(server.connections) == 1

    @pytest.mark.parametrize("remaining", [None, 300_000])
    async def test_much_or_unknown_is_not(
        self, transport: Transport, remaining: int | None
    ) -> None:
        with LyingServer([read_request(), send(answer(bytes(10_000_000)))]) as server:
            for _ in range(2):
                await (await get(transport, server.url)).release(remaining)
            assert len(server.connections) == 2
        assert acquired(transport) == 0

    async def test_what_does_not_come_is_not_waited_for_long(self, transport: Transport) -> None:
        with LyingServer(
            [read_request(), send(answer(b"x", length=100)), read_request()]
        ) as server:
            answered = await get(transport, server.url)
            async with asyncio.timeout(5):
                await answered.release(100)
            assert not answered.held
            await answered.release(100)

    async def test_an_error_body_is_read_up_to_a_limit(self, transport: Transport) -> None:
        script = [read_request(), send(answer(b"", length=10**9)), flood(b"x" * 1000)]
        with LyingServer(script) as server:
            found = await (await get(transport, server.url)).read_all(5000, 5.0)
        assert found == b"x" * 5000

    async def test_an_error_body_that_breaks_is_as_good_as_its_beginning(
        self, transport: Transport
    ) -> None:
        with LyingServer([read_request(), send(answer(b"<Error>", length=99)), close()]) as server:
            assert await (await get(transport, server.url)).read_all(5000, 5.0) == b"<Error>"

    async def test_an_error_body_that_stalls_is_too(self, transport: Transport) -> None:
        script: list[Any] = [read_request(), send(answer(b"<Error>", length=99)), read_request()]
        with LyingServer(script) as server:
            assert await (await get(transport, server.url)).read_all(5000, 0.1) == b"<Error>"

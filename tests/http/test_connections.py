import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from aios3get import errors
from aios3get._http.transport import Transport
from tests.http.sending import OpenTransport, get, read_body
from tests.reading_client import own_sessions
from tests.servers.scripted import ScriptedServer, close, hang, http_response, read_request, send

pytestmark = pytest.mark.usefixtures("request_path")


async def test_url_and_headers_are_sent_unchanged_with_two_headers_added(
    transport: Transport,
) -> None:
    with ScriptedServer([read_request(), send(http_response(b"body"))]) as server:
        url = f"{server.url}/a%2Fb/../%41+~'()*?x=%20&y=/:@&z"
        await read_body(await get(transport, url, {"Host": "example.test", "Range": "bytes=0-"}))
        lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == f"GET {url.removeprefix(server.url)} HTTP/1.1"
    names = {line.partition(":")[0].lower() for line in lines[1:] if line}
    assert names == {"host", "range", "user-agent", "accept-encoding"}
    assert "Host: example.test" in lines
    assert "Accept-Encoding: identity" in lines


async def test_host_header_defaults_to_the_host_of_the_url(transport: Transport) -> None:
    with ScriptedServer([read_request(), send(http_response(b""))]) as server:
        await read_body(await get(transport, server.url))
        assert f"\r\nHost: {server.url.removeprefix('http://')}\r\n".encode() in server.requests[0]


async def test_redirects_are_not_followed(transport: Transport) -> None:
    moved = http_response(b"", "Location: http://127.0.0.1:1/", status="302 Found")
    with ScriptedServer([read_request(), send(moved)]) as server:
        response = await get(transport, server.url)
        assert response.status == 302
        response.close()


async def test_cookies_are_not_kept(transport: Transport) -> None:
    with ScriptedServer(
        [read_request(), send(http_response(b"", "Set-Cookie: a=b"))] * 2
    ) as server:
        for _ in range(2):
            await read_body(await get(transport, server.url))
        assert b"cookie" not in server.requests[1].lower()


async def test_connections_are_kept_except_fresh_ones(transport: Transport) -> None:
    with ScriptedServer([read_request(), send(http_response(b"x"))] * 4) as server:
        for fresh in (False, False, True, True, False):
            await read_body(await get(transport, server.url, fresh=fresh))
        assert [len(requests) for requests in server.connections] == [3, 1, 1]


async def test_request_is_not_sent_again_when_its_kept_connection_is_lost(
    transport: Transport,
) -> None:
    lost = [read_request(), send(http_response(b"x")), read_request(), close()]
    with ScriptedServer(lost, [read_request(), send(http_response(b"again"))]) as server:
        await read_body(await get(transport, server.url))
        with pytest.raises(errors.ConnectionLost, match="closed the connection") as caught:
            await get(transport, server.url)
        assert caught.value.reused
        assert len(server.requests) == 2


async def test_lost_new_connection_is_not_marked_as_reused(
    transport: Transport,
) -> None:
    with ScriptedServer([read_request(), close()]) as server:
        with pytest.raises(errors.ConnectionLost) as caught:
            await get(transport, server.url)
        assert not caught.value.reused
        assert len(server.requests) == 1


class TestAddresses:
    @pytest.fixture
    async def lookups(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """``several.test`` is 127.0.0.1 and 127.0.0.2; the lookups of it."""
        loop = asyncio.get_running_loop()
        getaddrinfo, lookups = loop.getaddrinfo, list[str]()

        async def resolve(host: Any, port: Any, **options: Any) -> Any:
            if host != "several.test":
                return await getaddrinfo(host, port, **options)
            lookups.append(host)
            kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
            return [(*kind, (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        return lookups

    @pytest.fixture
    async def servers(self) -> AsyncIterator[tuple[int, list[str]]]:
        """A server at 127.0.0.1 that fails, one at 127.0.0.2 that works: the port, the requests."""
        served: list[str] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    request = await reader.readuntil(b"\r\n\r\n")
                    served.append(writer.get_extra_info("sockname")[0])
                    if served[-1] == "127.0.0.2":
                        writer.write(http_response(b"well"))
                    elif b"/reset" in request:
                        break
                    elif b"/half" in request:
                        writer.write(http_response(b"half", length=99))
                        break
                    else:
                        writer.write(http_response(b"", status="503 Slow Down"))
            writer.close()

        first = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = first.sockets[0].getsockname()[1]
        second = await asyncio.start_server(serve, "127.0.0.2", port)
        yield port, served
        for server in (first, second):
            server.close()

    @pytest.mark.parametrize("path", ["/503", "/reset", "/half"])
    async def test_address_that_failed_is_not_tried_next(
        self, transport: Transport, servers: tuple[int, list[str]], lookups: list[str], path: str
    ) -> None:
        port, served = servers
        url = f"http://several.test:{port}"
        with suppress(errors.TransportError):
            await read_body(await get(transport, url + path))
        for _ in range(2):
            assert await read_body(await get(transport, url + path, fresh=True)) == b"well"
        assert served == ["127.0.0.1", "127.0.0.2", "127.0.0.2"]
        assert len(lookups) == 3

    async def test_kept_connection_that_fails_is_known_by_its_address(
        self, transport: Transport, servers: tuple[int, list[str]], lookups: list[str]
    ) -> None:
        port, served = servers
        own_sessions(transport).resolver.avoid("127.0.0.2")
        for _ in range(2):
            failed = await get(transport, f"http://several.test:{port}/503")
            await read_body(failed)
        assert failed.permit.address is None
        own_sessions(transport).resolver.avoid("127.0.0.2")
        failed.avoid_address()
        await read_body(await get(transport, f"http://several.test:{port}/503", fresh=True))
        assert served == ["127.0.0.1", "127.0.0.1", "127.0.0.2"]

    @pytest.mark.parametrize("fresh", [False, True])
    async def test_new_connections_rotate_the_addresses(
        self,
        transport: Transport,
        servers: tuple[int, list[str]],
        lookups: list[str],
        fresh: bool,
    ) -> None:
        port, served = servers
        url = f"http://several.test:{port}/"
        for response in await asyncio.gather(*(get(transport, url, fresh=fresh) for _ in range(4))):
            response.close()
        assert sorted(served) == ["127.0.0.1"] * 2 + ["127.0.0.2"] * 2
        assert len(lookups) == 1


@pytest.mark.parametrize("steps", range(5))
async def test_closing_closes_both_sessions_even_when_cancelled(
    open_transport: OpenTransport, steps: int
) -> None:
    with ScriptedServer([read_request(), send(http_response(b"x")), hang()]) as server:
        transport = open_transport()
        for fresh in (False, True):
            await read_body(await get(transport, server.url, fresh=fresh))
        sessions = own_sessions(transport).pooled, own_sessions(transport).fresh
        closing = asyncio.create_task(transport.aclose())
        await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        assert all(session is not None and session.closed for session in sessions)

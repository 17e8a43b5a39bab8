import asyncio
import inspect
import os
import socket
import threading
import traceback
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from aios3get import errors
from aios3get._http.aiohttp_private import Connector, Protocol, Request, has_middlewares, loop_of
from aios3get._http.transport import Transport
from aios3get._http.watchdog import Watchdog
from tests.http.sending import OpenTransport, get, read_body
from tests.reading_client import own_sessions
from tests.servers.scripted import ScriptedServer, hang, http_response, read_request, send, wait
from tests.servers.tls import Authority

# The methods and properties that are called or overridden, with their parameters.
METHODS: list[tuple[type[Any], str, list[str]]] = [
    (aiohttp.ClientSession, "_request", ["method", "str_or_url"]),
    (aiohttp.ClientRequest, "update_headers", ["headers"]),
    (aiohttp.ClientRequest, "update_auto_headers", ["skip_auto_headers"]),
    (aiohttp.ClientRequest, "send", ["conn"]),
    (aiohttp.TCPConnector, "_create_connection", ["req", "traces", "timeout"]),
    (ResponseHandler, "connection_made", ["transport"]),
    (ResponseHandler, "connection_lost", ["exc"]),
    (ResponseHandler, "close", []),
    (ResponseHandler, "abort", []),
    (ResponseHandler, "pause_reading", []),
    (ResponseHandler, "resume_reading", []),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    METHODS,
    ids=[f"{owner.__name__}.{name}" for owner, name, _ in METHODS],
)
def test_aiohttp_still_has_the_method(owner: type[Any], name: str, parameters: list[str]) -> None:
    method = getattr(owner, name, None)
    assert method is not None, f"aiohttp has no {owner.__name__}.{name} any more"
    names = list(inspect.signature(method).parameters)[1:]
    assert names[: len(parameters)] == parameters, f"{owner.__name__}.{name} takes {names}"


@pytest.mark.parametrize("name", ["_loop", "_middlewares"])
async def test_aiohttps_session_still_has_the_attribute(name: str) -> None:
    async with aiohttp.ClientSession() as session:
        assert hasattr(session, name), f"aiohttp has no ClientSession.{name} any more"


async def test_aiohttps_connector_still_makes_protocols_with_its_factory() -> None:
    async with aiohttp.TCPConnector() as connector:
        factory: Any = getattr(connector, "_factory", None)
        assert factory is not None, "aiohttp has no TCPConnector._factory any more"
        assert isinstance(factory(), ResponseHandler)
    async with Connector(Watchdog(1.0)) as own:
        assert type(own._factory()) is Protocol


@pytest.mark.parametrize("name", ["transport", "should_close", "_payload", "_reading_paused"])
async def test_aiohttps_protocol_still_has_the_attribute(name: str) -> None:
    protocol = ResponseHandler(asyncio.get_running_loop())
    assert hasattr(protocol, name), f"aiohttp has no ResponseHandler.{name} any more"


async def test_aiohttps_response_still_keeps_its_protocol(transport: Transport) -> None:
    with ScriptedServer([read_request(), send(http_response(b"x"))]) as server:
        response = await get(transport, server.url)
        await read_body(response)
        protocol = getattr(response._response, "_protocol", None)
    assert isinstance(protocol, Protocol), "aiohttp has no ClientResponse._protocol any more"
    assert protocol.address == "127.0.0.1"


async def test_loop_and_middlewares_of_a_session() -> None:
    async with aiohttp.ClientSession() as plain:
        assert loop_of(plain) is asyncio.get_running_loop()
        assert not has_middlewares(plain)

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
        assert has_middlewares(session)


async def test_data_that_no_request_asked_for_is_not_the_next_response(
    transport: Transport,
) -> None:
    stray = [
        read_request(),
        send(http_response(b"first")),
        wait(0.05),
        send(http_response(b"stray")),
        hang(),
    ]
    with ScriptedServer(stray) as server:
        assert await read_body(await get(transport, server.url)) == b"first"
        await asyncio.sleep(0.2)
        with pytest.raises(errors.ConnectionLost) as caught:
            await get(transport, server.url)
        assert caught.value.reused
        assert len(server.requests) == 1


async def test_request_adds_no_header_of_aiohttps() -> None:
    session = aiohttp.ClientSession(request_class=Request)
    async with session:
        with ScriptedServer([read_request(), send(http_response(b""))]) as server:
            async with session.get(server.url, headers={"Host": "example.test", "A": "b"}):
                assert server.requests[0] == b"GET / HTTP/1.1\r\nHost: example.test\r\nA: b\r\n\r\n"


async def test_connection_learns_its_peer_and_the_watchdog_when_it_connects(
    transport: Transport,
) -> None:
    with ScriptedServer([read_request(), send(http_response(b"x"))] * 2) as server:
        for connected, address in ((True, "127.0.0.1"), (False, None)):
            response = await get(transport, server.url)
            assert (response.permit.connected_at is not None) == connected
            assert response.permit.address == address
            await read_body(response)


async def test_body_with_invalid_framing_fails_at_once_and_is_not_quoted(
    transport: Transport,
) -> None:
    head = http_response(b"", "Transfer-Encoding: chunked", length="")
    script = [read_request(), send(head), wait(0.05), send(b"3\r\nabcSECRET\r\n"), hang()]
    with ScriptedServer(script) as server:
        response = await get(transport, server.url)
        with pytest.raises(errors.ConnectionLost, match="framing") as caught:
            await read_body(response)
        assert "SECRET" not in "".join(traceback.format_exception(caught.value))


async def test_reading_is_resumed_only_where_it_was_paused(transport: Transport) -> None:
    body = bytes(4_000_000)
    with ScriptedServer([read_request(), send(http_response(body))]) as server:
        response = await get(transport, server.url)
        await asyncio.sleep(0.1)
        (protocol,) = own_sessions(transport).pooled.connector._acquired  # type: ignore[union-attr]
        assert protocol._reading_paused
        assert await read_body(response) == body


@pytest.mark.parametrize("fresh", [False, True])
async def test_closing_does_not_wait_for_a_tls_peers_close_notify(
    open_transport: OpenTransport, authority: Authority, fresh: bool
) -> None:
    before = _sockets()
    listening = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()
    served = asyncio.get_running_loop().run_in_executor(
        None, _serve_without_close_notify, listening, authority, ending
    )
    transport = open_transport(verify=authority.client_context())
    url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
    response = await get(transport, url, fresh=fresh)
    assert await response.read() == b"x"
    response.close()
    await asyncio.sleep(0.05)
    # The sockets left are both of the server's.
    left = _sockets() - before
    ending.set()
    await served
    listening.close()
    assert left == 2


def _sockets() -> int:
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return count


def _serve_without_close_notify(
    listening: socket.socket, authority: Authority, ending: threading.Event
) -> None:
    accepted, _ = listening.accept()
    with authority.server_context().wrap_socket(accepted, server_side=True) as connection:
        connection.recv(65536)
        connection.sendall(http_response(b"x", length=9))
        ending.wait(10)

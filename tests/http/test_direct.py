import asyncio
import gc
import os
import ssl
import time
import weakref
from collections.abc import Sequence
from functools import partial
from types import FunctionType
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest

from aios3get import errors
from aios3get._http import aiohttp_private, connections, direct
from aios3get._http.aiohttp_private import (
    REUSES_PARSERS,
    Connection,
    ResponseHandler,
    missing_parts,
)
from aios3get._http.direct import DirectResponse
from aios3get._http.proxies import Proxies
from aios3get._http.receive import SPARE_BYTES
from aios3get._http.transport import Response, Transport
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.timeouts import Timeouts
from tests.http.sending import (
    LARGE_HEADERS,
    OpenTransport,
    get,
    read_body,
    read_large_request,
)
from tests.reading_client import acquired, own_sessions
from tests.servers.scripted import (
    Script,
    ScriptedServer,
    Step,
    close,
    drip,
    hang,
    http_response,
    read_request,
    reset,
    send,
    wait,
)
from tests.servers.tls import Authority

pytestmark = pytest.mark.every_loop

LARGE = os.urandom(1 << 20)

ENDINGS = CLOSE, RESET, HANG = close(), reset(), hang()


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, authority: Authority) -> ssl.SSLContext | None:
    return authority.server_context() if request.param == "https" else None


@pytest.fixture
async def transport(open_transport: OpenTransport, authority: Authority) -> Transport:
    return open_transport(verify=authority.client_context())


def is_direct(response: Response) -> bool:
    return isinstance(response._response, DirectResponse)


def serving(*responses: bytes) -> Script:
    """Sends one response after the other, and keeps the connection."""
    return [step for data in responses for step in (read_request(), send(data))] + [hang()]


WARM = http_response(b"warm")


async def warm_up(transport: Transport, url: str) -> None:
    """Make the transport keep a connection."""
    response = await get(transport, url)
    assert not is_direct(response)
    assert await read_body(response) == b"warm"


async def test_second_get_of_a_connection_is_sent_directly(
    transport: Transport, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(
        serving(WARM, http_response(b"one"), http_response(b"two")), tls=tls
    ) as server:
        await warm_up(transport, f"{server.url}/")
        for body in (b"one", b"two"):
            response = await get(transport, f"{server.url}/")
            assert is_direct(response)
            assert response.status == 200
            assert response.headers["content-length"] == "3"
            assert response.from_wire
            assert response.read_nowait() == body
            assert not response.held
        assert len(server.connections) == 1
    assert acquired(transport) == 0


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-C: c\r\n\r\n1\r\nc\r\n0\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\nX-N: n\r\n\r\n"


@pytest.mark.parametrize("reuses", [True, False])
async def test_consecutive_responses_of_a_connection_do_not_mix(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, reuses: bool
) -> None:
    assert REUSES_PARSERS or aiohttp.__version__.startswith("3.13.")
    monkeypatch.setattr(direct, "REUSES_PARSERS", reuses and REUSES_PARSERS)

    def plain(number: int) -> bytes:
        return http_response(b"%d" % number, f"X-{number}: {number}")

    large = http_response(LARGE)
    sent = [plain(1), CHUNKED, plain(2), NO_CONTENT, plain(3), plain(4), large, plain(5)]
    with ScriptedServer(serving(WARM, *sent)) as server:
        await warm_up(transport, f"{server.url}/")
        for data in sent:
            response = await get(transport, f"{server.url}/")
            head, _, body = data.partition(b"\r\n\r\n")
            names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n")[1:]]
            assert [*response.headers] == names
            assert response.status == int(head.split()[1])
            assert await read_body(response) == (b"c" if data == CHUNKED else body)
        assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a%2Fb/../%41+~'()*?x=%20&y=/:@&z", {"Host": "example.test", "Range": "bytes=0-"}),
        ("/?X-Amz-Signature=0123", {}),
        ("/", {"x-amz-date": "20130524T000000Z", "Authorization": "AWS4-HMAC-SHA256 é"}),
    ],
)
async def test_direct_and_session_requests_are_identical(
    transport: Transport, path: str, headers: dict[str, str]
) -> None:
    with ScriptedServer(serving(WARM, WARM)) as server:
        for expected in (False, True):
            response = await get(transport, server.url + path, headers)
            assert is_direct(response) == expected
            await read_body(response)
        ordinary, direct = (request.split(b"\r\n") for request in server.requests)
    assert ordinary[0] == direct[0]
    assert sorted(ordinary) == sorted(direct)


@pytest.mark.parametrize("name", ["host", "user-agent", "accept-encoding"])
async def test_header_of_the_request_replaces_the_clients_own(
    transport: Transport, name: str
) -> None:
    with ScriptedServer(serving(WARM, WARM)) as server:
        for _ in range(2):
            response = await get(transport, f"{server.url}/", {name: "a.example"})
            await read_body(response)
        ordinary, second = (sorted(request.split(b"\r\n")) for request in server.requests)
    assert ordinary == second


@pytest.mark.parametrize("where", ["path", "name", "value"])
async def test_line_break_is_not_sent(transport: Transport, where: str) -> None:
    with ScriptedServer(serving(WARM)) as server:
        await warm_up(transport, f"{server.url}/")
        name = "A\r\nB" if where == "name" else "A"
        value = "c\r\nD: e" if where == "value" else "c"
        path = "/\r\nF: g" if where == "path" else "/"
        with pytest.raises(errors.S3Error):
            await get(transport, server.url + path, {name: value})
        assert len(server.requests) == 1


# Everything that HTTP/1.1 allows for a response to a GET, and some that it does not.
RESPONSES: dict[str, Sequence[Step]] = {
    "whole": [send(http_response(b"body"))],
    "empty": [send(http_response(b""))],
    "error": [send(http_response(b"<Error/>", status="404 Not Found"))],
    "redirect": [send(http_response(b"", "Location: /", status="301 Moved Permanently"))],
    "204": [send(http_response(b"", length="", status="204 No Content"))],
    "304": [send(http_response(b"", "ETag: a", length="", status="304 Not Modified"))],
    "304 with a length": [send(http_response(b"", length=5, status="304 Not Modified"))],
    "in bytes": [drip(http_response(b"body", "A: b"), 0.0005)],
    "head first": [send(http_response(b"", length=4)), wait(0.02), send(b"body")],
    "body in two pieces": [send(http_response(b"bo", length=4)), wait(0.02), send(b"dy")],
    "large": [send(http_response(LARGE))],
    "chunked": [
        send(http_response(b"4\r\nbody\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=""))
    ],
    "gzip and chunked": [
        send(
            http_response(b"4\r\nbody\r\n0\r\n\r\n", "Transfer-Encoding: gzip, chunked", length="")
        )
    ],
    "chunked with a length": [
        send(http_response(b"4\r\nbody\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    ],
    "gzip": [send(http_response(b"\x1f\x8b", "Content-Encoding: gzip"))],
    "until the end": [send(http_response(b"body", length="")), CLOSE],
    "HTTP/1.0": [send(http_response(b"body", version="1.0")), CLOSE],
    "Connection: close": [send(http_response(b"body", "Connection: close")), CLOSE],
    "interim": [send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + http_response(b"body"))],
    "interim first": [
        send(b"HTTP/1.1 100 Continue\r\n\r\n"),
        wait(0.02),
        send(http_response(b"b")),
    ],
    "upgrade": [
        send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: upgrade\r\n\r\n")
    ],
    "upgrade with 200": [send(http_response(b"body", "Upgrade: tcp", "Connection: upgrade"))],
    "bare line feeds": [send(b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody")],
    "obsolete folding": [send(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 4\r\n\r\nbody")],
    "not HTTP": [send(b"SSH-2.0-OpenSSH\r\n\r\n")],
    "not HTTP, no end": [send(b"SSH-2.0-OpenSSH\r\n"), CLOSE],
    "status 600": [send(http_response(b"body", status="600 What"))],
    "status 099": [send(http_response(b"body", status="099 What"))],
    "signed length": [send(http_response(b"body", length="+4"))],
    "negative length": [send(http_response(b"body", length="-4"))],
    "two lengths in one": [send(http_response(b"body", length="4, 4"))],
    "two lengths": [send(http_response(b"body", "Content-Length: 4"))],
    "two different lengths": [send(http_response(b"body", "Content-Length: 5"))],
    "length of other digits": [send(http_response(b"body").replace(b": 4", ": \u0664".encode()))],
    "huge length": [send(http_response(b"body", length="9" * 30)), CLOSE],
    "no header": [send(b"HTTP/1.1 200 OK\r\n\r\n"), CLOSE],
    "null in a header": [send(http_response(b"body", "A: \0"))],
    "too many headers": [send(http_response(b"body", *["A: b"] * 3_000))],
    "too large a header": [send(http_response(b"body", "A: " + "b" * 70_000))],
    "a byte behind the body": [send(http_response(b"body") + b"X")],
    "a response behind the body": [send(http_response(b"body") + http_response(b"stray"))],
    "a response in large behind the body": [send(http_response(b"body") + http_response(LARGE))],
    "repeated header": [send(http_response(b"body", "A: b", "a: c"))],
    "closed": [CLOSE],
    "reset": [RESET],
    "cut in the head": [send(http_response(b"body")[:20]), CLOSE],
    "cut in the body": [send(http_response(b"body", length=9)), CLOSE],
    "reset in the body": [send(http_response(b"body", length=9)), wait(0.05), RESET],
    "silent": [HANG],
    "silent in the body": [send(http_response(b"body", length=9)), HANG],
}


Outcome = tuple[Any, ...]


async def outcome(transport: Transport, url: str, direct: bool | None = None) -> Outcome:
    """The status, headers and body of the response, or the error."""
    try:
        response = await get(transport, url)
        assert direct in (None, is_direct(response))
        body = await read_body(response)
    except errors.S3Error as error:
        reused = isinstance(error, errors.ConnectionLost) and error.reused
        return type(error), str(error), error.retryable, reused
    return response.status, sorted(response.headers.items()), body, response.from_wire


@pytest.mark.parametrize("name", RESPONSES)
async def test_direct_and_session_responses_are_identical(
    open_transport: OpenTransport,
    authority: Authority,
    tls: ssl.SSLContext | None,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    outcomes = []
    for supported in (False, True):
        monkeypatch.setattr(connections, "SUPPORTED", supported)
        transport = open_transport(verify=authority.client_context())
        script = [read_request(), send(WARM), read_request(), *RESPONSES[name]]
        if RESPONSES[name][-1] not in ENDINGS:
            script += [read_request(), send(http_response(b"next")), hang()]
        with ScriptedServer(script, serving(http_response(b"next")), tls=tls) as server:
            await warm_up(transport, f"{server.url}/")
            first = await outcome(transport, f"{server.url}/", direct=supported)
            await asyncio.sleep(0.05 if RESPONSES[name][-1] in ENDINGS else 0.01)
            second = await outcome(transport, f"{server.url}/")
            assert acquired(transport) == 0
            outcomes.append((first, second, len(server.connections)))
    assert outcomes[0] == outcomes[1]


async def test_data_on_an_idle_connection_closes_it(
    transport: Transport, tls: ssl.SSLContext | None
) -> None:
    stray = [*serving(WARM, http_response(b"body"))[:-1], wait(0.05), send(WARM), hang()]
    with ScriptedServer(stray, serving(http_response(b"next")), tls=tls) as server:
        await warm_up(transport, f"{server.url}/")
        assert await read_body(await get(transport, f"{server.url}/")) == b"body"
        await asyncio.sleep(0.2)
        assert await read_body(await get(transport, f"{server.url}/")) == b"next"
        assert [len(requests) for requests in server.connections] == [2, 1]


async def test_connection_that_the_server_closed_is_not_used(
    transport: Transport, tls: ssl.SSLContext | None
) -> None:
    closing = serving(WARM, http_response(b"body"))[:-1]
    with ScriptedServer(closing, serving(http_response(b"next")), tls=tls) as server:
        await warm_up(transport, f"{server.url}/")
        assert await read_body(await get(transport, f"{server.url}/")) == b"body"
        await asyncio.sleep(0.05)
        assert await read_body(await get(transport, f"{server.url}/")) == b"next"


async def test_cancelled_request_closes_its_connection(
    transport: Transport, tls: ssl.SSLContext | None
) -> None:
    late = [*serving(WARM)[:-1], read_request(), wait(0.1), send(http_response(b"late")), hang()]
    with ScriptedServer(late, serving(http_response(b"next")), tls=tls) as server:
        await warm_up(transport, f"{server.url}/")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await get(transport, f"{server.url}/")
        assert acquired(transport) == 0
        assert transport.limiter.in_use == 0
        assert await read_body(await get(transport, f"{server.url}/")) == b"next"


async def test_body_that_is_not_read_closes_its_connection(
    transport: Transport, tls: ssl.SSLContext | None
) -> None:
    with ScriptedServer(serving(WARM, http_response(LARGE)), serving(WARM), tls=tls) as server:
        await warm_up(transport, f"{server.url}/")
        response = await get(transport, f"{server.url}/")
        assert is_direct(response)
        reading = asyncio.create_task(read_body(response))
        await asyncio.sleep(0)
        response.close()
        with pytest.raises(errors.ConnectionLost):
            await reading
        assert acquired(transport) == 0
        await warm_up(transport, f"{server.url}/")


async def test_large_body_is_received_directly_into_memory(
    transport: Transport, tls: ssl.SSLContext | None
) -> None:
    script = serving(WARM, http_response(LARGE), http_response(b"small"), http_response(LARGE))
    with ScriptedServer(script, tls=tls) as server:
        await warm_up(transport, f"{server.url}/")
        for expected in (LARGE, b"small", LARGE):
            response, memory = await get(transport, f"{server.url}/"), bytearray(len(LARGE))
            assert is_direct(response)
            count = await response.readinto(memoryview(memory))
            assert memory[:count] == expected
            assert not response.held
        assert len(server.connections) == 1


async def test_body_is_paused_until_its_reader_runs(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = [0]
    data_received = aiohttp_private.Protocol.data_received

    def count(self: aiohttp_private.Protocol, data: bytes) -> None:
        copied[-1] += len(data)
        data_received(self, data)

    monkeypatch.setattr(aiohttp_private.Protocol, "data_received", count)
    body = 8 * LARGE
    with ScriptedServer(serving(WARM, *[http_response(body)] * 4)) as server:
        await warm_up(transport, f"{server.url}/")
        for _ in range(4):
            copied.append(0)
            sending = asyncio.create_task(get(transport, f"{server.url}/"))
            await asyncio.sleep(0)
            time.sleep(0.02)  # the body arrives meanwhile
            response, memory = await sending, bytearray(len(body))
            assert is_direct(response)
            await response.readinto(memoryview(memory))
            assert memory == body
    assert max(copied) <= SPARE_BYTES


async def test_heads_gets_and_fresh_gets_alternate(transport: Transport) -> None:
    head = http_response(b"", length=5)
    script = serving(WARM, http_response(b"one"), head, http_response(b"two"))
    with ScriptedServer(script, serving(http_response(b"fresh"))) as server:
        await warm_up(transport, f"{server.url}/")
        assert await read_body(await get(transport, f"{server.url}/")) == b"one"
        permit = await transport.acquire()
        response = await transport.send(HttpRequest("HEAD", server.url + "/", {}), permit)
        assert not is_direct(response)
        assert await response.read() == b""
        response = await get(transport, server.url, fresh=True)
        assert not is_direct(response)
        assert await read_body(response) == b"fresh"
        assert await read_body(await get(transport, f"{server.url}/")) == b"two"
        assert [len(requests) for requests in server.connections] == [4, 1]


PARTIAL = "206 Partial Content"


class Taker:
    """Takes bodies, or refuses them."""

    def __init__(self, *, accepts: bool = True) -> None:
        self.accepts = accepts
        self.bodies: list[bytes] = []

    def __call__(self, body: memoryview) -> bool:
        self.bodies.append(bytes(body))
        return self.accepts


@pytest.mark.parametrize("accepts", [True, False])
async def test_whole_body_with_status_206_is_offered_to_the_caller(
    transport: Transport, tls: ssl.SSLContext | None, accepts: bool
) -> None:
    bodies = [b"one" * 5_000, b"", b"three"]
    responses = [http_response(body, "A: b", status=PARTIAL) for body in bodies]
    with ScriptedServer(serving(WARM, *responses), tls=tls) as server:
        await warm_up(transport, f"{server.url}/")
        taker = Taker(accepts=accepts)
        for body in bodies:
            response = await get(transport, f"{server.url}/", take=taker)
            assert taker.bodies.pop() == body
            assert (response.status, response.headers["A"]) == (206, "b")
            assert response.taken is accepts
            assert await read_body(response) == (b"" if accepts else body)
            assert not response.held
        assert len(server.connections) == 1
    assert acquired(transport) == 0


_CHUNKED_206 = CHUNKED.replace(b"200 OK", PARTIAL.encode())
NOT_OFFERED: dict[str, list[Step]] = {
    "status 200": [send(http_response(b"body"))],
    "status 404": [send(http_response(b"body", status="404 Not Found"))],
    "status 503": [send(http_response(b"body", status="503 Slow Down"))],
    "in two pieces": [drip(http_response(b"body", status=PARTIAL), 0.03, 50)],
    "chunked": [send(_CHUNKED_206)],
    "too short": [send(http_response(b"body", length=9, status=PARTIAL)), CLOSE],
    "too long": [send(http_response(b"bodyX", length=4, status=PARTIAL))],
    "not HTTP": [send(http_response(b"body", status=PARTIAL)[1:])],
    "nothing": [CLOSE],
}


@pytest.mark.parametrize("name", NOT_OFFERED)
async def test_other_bodies_are_not_offered_to_the_caller(
    transport: Transport, tls: ssl.SSLContext | None, name: str
) -> None:
    script = [read_request(), send(WARM), read_request(), *NOT_OFFERED[name], hang()]
    with ScriptedServer(script, tls=tls) as server:
        await warm_up(transport, f"{server.url}/")
        taker = Taker()
        try:
            response = await get(transport, f"{server.url}/", take=taker)
            assert not response.taken
            assert await read_body(response) in (b"body", b"c")
        except errors.TransportError:
            assert name in ("too short", "too long", "not HTTP", "nothing")
        assert taker.bodies == []


async def test_body_is_not_offered_to_a_cancelled_caller(transport: Transport) -> None:
    taker = Taker()
    late = http_response(b"late", status=PARTIAL)
    with ScriptedServer(serving(WARM)) as server:
        await warm_up(transport, f"{server.url}/")
        task = asyncio.create_task(get(transport, f"{server.url}/", take=taker))
        pooled = own_sessions(transport).pooled
        connector: Any = pooled and pooled.connector
        await asyncio.sleep(0)  # the request is sent
        (protocol,) = connector._acquired
        task.cancel()
        # The response arrives in the iteration of the loop in which the task is cancelled.
        protocol.receiver.get_buffer(-1)[: len(late)] = late
        protocol.receiver.buffer_updated(len(late))
        with pytest.raises(asyncio.CancelledError):
            await task
    assert taker.bodies == []


async def test_connections_that_receive_at_once_share_a_buffer(
    open_transport: OpenTransport, tls: ssl.SSLContext | None, authority: Authority
) -> None:
    transport = open_transport(verify=authority.client_context(), max_concurrency=16)
    bodies = [bytes([number]) * 50_000 for number in range(64)]

    def step(connection: Any) -> None:
        connection.read_request()
        path = connection.requests[-1].split(b" ")[1]
        connection.socket.sendall(http_response(bodies[int(path[1:])]))

    with ScriptedServer([step] * 200, tls=tls) as server:

        async def fetch(number: int) -> bytes:
            return await read_body(await get(transport, f"{server.url}/{number}"))

        for _ in range(2):
            assert await asyncio.gather(*(fetch(number) for number in range(64))) == bodies


class LyingProxy:
    """Passes for the original function, as wrapt's proxies do."""

    original: Any = vars(aiohttp.ClientSession)["_request"]

    def __init__(self, patched: Any) -> None:
        self._patched = patched

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return FunctionType

    def __getattr__(self, name: str) -> Any:
        return getattr(LyingProxy.original, name)

    def __get__(self, session: Any, owner: Any = None) -> Any:
        return self if session is None else LyingMethod(self._patched, session)


class LyingMethod:
    def __init__(self, patched: Any, session: Any) -> None:
        self.__func__ = LyingProxy.original
        self._call = partial(patched, session)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **options)


class TestSessionFallback:
    """Requests that something has to observe are sent through the session."""

    async def assert_taken(self, transport: Transport) -> None:
        with ScriptedServer(serving(WARM, WARM)) as server:
            for _ in range(2):
                await warm_up(transport, f"{server.url}/")
            assert len(server.connections) == 1

    async def test_with_a_session_of_the_users(self, open_transport: OpenTransport) -> None:
        async with aiohttp.ClientSession() as session:
            await self.assert_taken(open_transport(session=session))

    async def test_with_a_proxy(self, open_transport: OpenTransport) -> None:
        with ScriptedServer(serving(WARM, WARM)) as proxy:
            transport = open_transport(proxies=Proxies({"http": proxy.url}))
            for _ in range(2):
                await warm_up(transport, "http://example.test/")

    @pytest.mark.parametrize("where", ["class", "instance", "proxy"])
    async def test_with_a_patched_session(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        seen: list[str] = []
        original = aiohttp.ClientSession._request

        async def patched(
            session: aiohttp.ClientSession, method: str, url: Any, **options: Any
        ) -> aiohttp.ClientResponse:
            seen.append(method)
            return await original(session, method, url, **options)

        with ScriptedServer(serving(WARM, WARM, WARM)) as server:
            await warm_up(transport, f"{server.url}/")
            session = own_sessions(transport).pooled
            assert session is not None
            if where == "class":
                monkeypatch.setattr(aiohttp.ClientSession, "_request", patched)
            elif where == "proxy":
                monkeypatch.setattr(aiohttp.ClientSession, "_request", LyingProxy(patched))
            else:
                monkeypatch.setattr(session, "_request", patched.__get__(session))
            for _ in range(2):
                await warm_up(transport, f"{server.url}/")
        assert seen == ["GET", "GET"]

    @pytest.mark.parametrize("what", ["trace", "middleware"])
    async def test_with_what_an_instrumentation_adds(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        seen: list[str] = []

        async def on_start(_: Any, __: Any, params: aiohttp.TraceRequestStartParams) -> None:
            seen.append(params.method)

        async def middleware(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            seen.append(request.method)
            return await handler(request)

        original = aiohttp.ClientSession.__init__

        def init(session: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
            if what == "trace":
                trace = aiohttp.TraceConfig()
                trace.on_request_start.append(on_start)
                options["trace_configs"] = [trace]
            else:
                options["middlewares"] = (*options["middlewares"], middleware)
            original(session, *args, **options)

        monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)
        await self.assert_taken(transport)
        assert seen == ["GET", "GET"]

    @pytest.mark.parametrize(
        "origin", ["http://user:password@{}", "http://{}?query", "http://{}/#a"]
    )
    async def test_with_unusual_urls(self, transport: Transport, origin: str) -> None:
        with ScriptedServer(serving(WARM, WARM, WARM)) as server:
            await warm_up(transport, f"{server.url}/")
            await warm_up(transport, origin.format(server.url.removeprefix("http://")))


# What is taken away, or has other parameters, and what is reported.
CHANGES: list[tuple[object, str, object]] = [
    (aiohttp.TCPConnector, "_get", None),
    (aiohttp.TCPConnector, "_get", lambda self, key: None),
    (aiohttp.ClientRequest, "__init__", lambda self, method, url: None),
    (aiohttp.ClientRequest, "connection_key", None),
    (ResponseHandler, "set_response_params", lambda self: None),
    (ResponseHandler, "data_received", None),
    (ResponseHandler, "read", None),
    (ResponseHandler, "force_close", None),
    (ResponseHandler, "should_close", lambda self: True),
    (Connection, "protocol", None),
    (Connection, "release", None),
    (Connection, "close", None),
    (aiohttp_private, "HttpResponseParser", lambda *args: None),
    (aiohttp_private, "HttpResponseParser", Mock()),
]


def test_aiohttp_has_all_parts_that_are_needed() -> None:
    assert not missing_parts()
    assert direct.SUPPORTED


@pytest.mark.parametrize(("owner", "name", "replacement"), CHANGES)
def test_missing_part_is_named_in_a_warning(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
    replacement: object,
) -> None:
    monkeypatch.setattr(owner, name, replacement)
    part = name if owner is aiohttp_private else f"{owner.__name__}.{name}"
    assert missing_parts() == [part]
    assert not direct._is_supported()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"lacks {part}: small GETs are sent through ClientSession" in record.getMessage()


async def test_only_aiohttps_own_function_is_not_observed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def patched(*args: Any, **options: Any) -> None: ...

    async with aiohttp.ClientSession() as session:
        for replacement in (patched, LyingProxy(patched), None):
            monkeypatch.setattr(aiohttp.ClientSession, "_request", replacement)
            assert aiohttp_private.is_observed(session, ())
        monkeypatch.undo()
        assert not aiohttp_private.is_observed(session, ())


@pytest.mark.parametrize(
    "url",
    [
        *("", "/", "http://127.0.0.1", "http:///", "http://[::1/", "ftp://127.0.0.1/"),
        *("http://example.test:80/", "http://user@example.test/", "http://example.test?a/"),
    ],
)
async def test_unusual_origins_are_left_to_aiohttp(transport: Transport, url: str) -> None:
    with ScriptedServer(serving(WARM)) as server:
        await warm_up(transport, server.url)
        requests = own_sessions(transport)._direct
        assert requests is not None
        assert await requests.send(url, {}) is None
        assert len(requests._origins) == 0


async def test_request_that_is_sent_slowly(
    open_transport: OpenTransport, tls: ssl.SSLContext | None, authority: Authority
) -> None:
    transport = open_transport(verify=authority.client_context(), timeouts=Timeouts(idle=5))
    slow = [wait(0.05), read_large_request, send(http_response(b"body"))]
    with ScriptedServer([*serving(WARM)[:-1], *slow, *slow, hang()], tls=tls) as server:
        await warm_up(transport, server.url)
        for _ in range(2):
            response = await get(transport, f"{server.url}/", LARGE_HEADERS)
            assert is_direct(response)
            assert await read_body(response) == b"body"


async def test_origins_are_forgotten_beyond_a_limit(transport: Transport) -> None:
    with ScriptedServer(serving(WARM)) as server:
        await warm_up(transport, f"{server.url}/")
        requests = own_sessions(transport)._direct
        assert requests is not None
        for port in range(1_000, 1_200):
            assert await requests.send(f"http://127.0.0.1:{port}/", {}) is None
        assert len(requests._origins) <= direct._MOST_ORIGINS


async def test_response_is_freed_by_reference_counting(
    transport: Transport, tls: ssl.SSLContext | None
) -> None:
    async def fetch(url: str) -> weakref.ref[Response]:
        response = await get(transport, url)
        assert is_direct(response)
        await read_body(response)
        return weakref.ref(response)

    script = serving(WARM, http_response(b"whole"), http_response(LARGE))
    gc.collect()
    gc.disable()
    try:
        with ScriptedServer(script, tls=tls) as server:
            await warm_up(transport, f"{server.url}/")
            for _ in range(2):
                reference = await fetch(f"{server.url}/")
                await asyncio.sleep(0)
                assert reference() is None
    finally:
        gc.enable()

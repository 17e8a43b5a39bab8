import asyncio
import os
import socket
import threading
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import aiohttp
import pytest
import yarl

from aios3get import errors
from aios3get._http.connections import _SESSION_OPTIONS
from aios3get._http.proxies import Proxies
from aios3get._http.transport import Response, Transport
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.timeouts import Timeouts
from tests.reading_client import acquired
from tests.servers.scripted import (
    ScriptedServer,
    close,
    drip,
    flood,
    hang,
    http_response,
    read_request,
    send,
    wait,
)
from tests.servers.tls import Authority

QUICK = Timeouts(connect=1.5, idle=0.3)
YARL = tuple(int(number) for number in yarl.__version__.split(".")[:2])


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(timeouts=QUICK, max_concurrency=4)
    yield made
    await made.aclose()
    assert made.limiter.in_use == 0
    assert not made.responses


async def get(transport: Transport, url: str, *, fresh: bool = False, **headers: str) -> Response:
    permit = transport.try_acquire() or await transport.acquire()
    return await transport.send(HttpRequest("GET", url, headers), permit, fresh=fresh)


async def whole(answered: Response) -> bytes:
    found = bytearray()
    while chunk := await answered.read():
        found += chunk
    return bytes(found)


async def test_what_goes_out_is_what_was_given(transport: Transport) -> None:
    with ScriptedServer([read_request(), send(http_response(b"body"))]) as server:
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
    moved = http_response(b"", "Location: http://127.0.0.1:1/", status="302 Found")
    with ScriptedServer([read_request(), send(moved)]) as server:
        answered = await get(transport, server.url)
        assert answered.status == 302
        answered.close()


async def test_cookies_are_not_kept(transport: Transport) -> None:
    replies = [read_request(), send(http_response(b"", "Set-Cookie: a=b"))] * 2
    with ScriptedServer(replies) as server:
        for _ in range(2):
            await whole(await get(transport, server.url))
        assert b"cookie" not in server.requests[1].lower()


async def test_connections_are_kept_unless_a_fresh_one_is_asked_for(transport: Transport) -> None:
    with ScriptedServer([read_request(), send(http_response(b"x"))] * 4) as server:
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
    reply = http_response(
        body, "Content-Encoding: gzip", *(f"x-amz-meta-{n}: x" for n in range(200))
    )
    with ScriptedServer([read_request(), send(reply)]) as server:
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
    with ScriptedServer([read_request(), send(http_response(b"by proxy"))]) as proxy:
        transport = Transport(timeouts=QUICK, max_concurrency=1, proxies=Proxies.always(proxy.url))
        assert await whole(await get(transport, "http://example.test/key")) == b"by proxy"
        assert proxy.requests[0].startswith(b"GET http://example.test/key HTTP/1.1")
        await transport.aclose()


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_is_no_connection(status: str) -> None:
    with ScriptedServer(
        [read_request(), send(http_response(b"", status=status)), close()]
    ) as proxy:
        transport = Transport(timeouts=QUICK, max_concurrency=1, proxies=Proxies.always(proxy.url))
        with pytest.raises(errors.ConnectionFailed, match="the proxy answered"):
            await get(transport, "https://example.test/key")
        await transport.aclose()


async def test_a_certificate_that_is_not_trusted_is_not_tried_again(authority: Authority) -> None:
    transport = Transport(timeouts=QUICK, max_concurrency=1)
    with (
        ScriptedServer([read_request()], tls=authority.server_context()) as server,
        pytest.raises(errors.ConnectionFailed, match="not trusted") as caught,
    ):
        await get(transport, server.url)
    assert not caught.value.retryable
    await transport.aclose()


class TestGivingBack:
    async def test_little_is_read_off(self, transport: Transport) -> None:
        replies = [read_request(), send(http_response(bytes(200_000)))] * 2
        with ScriptedServer(replies) as server:
            for _ in range(2):
                answered = await get(transport, server.url)
                await answered.release(200_000)
                assert not answered.held
            assert len(server.connections) == 1

    @pytest.mark.parametrize("remaining", [None, 300_000])
    async def test_much_or_unknown_is_not(
        self, transport: Transport, remaining: int | None
    ) -> None:
        with ScriptedServer([read_request(), send(http_response(bytes(10_000_000)))]) as server:
            for _ in range(2):
                await (await get(transport, server.url)).release(remaining)
            assert len(server.connections) == 2
        assert acquired(transport) == 0

    async def test_what_does_not_come_is_not_waited_for_long(self, transport: Transport) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"x", length=100)), read_request()]
        ) as server:
            answered = await get(transport, server.url)
            async with asyncio.timeout(5):
                await answered.release(100)
            assert not answered.held
            await answered.release(100)

    async def test_an_error_body_is_read_up_to_a_limit(self, transport: Transport) -> None:
        script = [read_request(), send(http_response(b"", length=10**9)), flood(b"x" * 1000)]
        with ScriptedServer(script) as server:
            found = await (await get(transport, server.url)).read_error_body(5000, 5.0)
        assert found == b"x" * 5000

    async def test_an_error_body_that_breaks_is_as_good_as_its_beginning(
        self, transport: Transport
    ) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"<Error>", length=99)), close()]
        ) as server:
            assert await (await get(transport, server.url)).read_error_body(5000, 5.0) == b"<Error>"

    async def test_an_error_body_that_stalls_is_too(self, transport: Transport) -> None:
        script: list[Any] = [
            read_request(),
            send(http_response(b"<Error>", length=99)),
            read_request(),
        ]
        with ScriptedServer(script) as server:
            assert await (await get(transport, server.url)).read_error_body(5000, 0.1) == b"<Error>"


async def test_an_upgrade_leaves_no_connection_behind(transport: Transport) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    with ScriptedServer([read_request(), send(upgrade), hang()]) as server:
        answered = await get(transport, server.url)
        assert await answered.read_error_body(100, 5.0) == b""
        assert not answered.held
        assert acquired(transport) == 0


@pytest.mark.parametrize(
    "place",
    ["127.0.0.1:99999", "[::1", "h:abc", f"{'a' * 64}.example", "a..b", "....", "ab\\c", ":80"],
)
async def test_a_host_or_port_that_cannot_be_is_the_callers_mistake(
    transport: Transport, place: str
) -> None:
    if "\\" in place and YARL < (1, 24):
        pytest.skip("this release of yarl takes it for a host's name")
    with pytest.raises(errors.ConfigurationError, match="host") as caught:
        await get(transport, f"http://user:secret@{place}/?X-Amz-Signature=secret")
    assert caught.value.__cause__ is None
    assert "secret" not in repr(caught.value)


async def test_whatever_a_users_session_raises_has_a_type() -> None:
    async def broken(*_: object) -> None:
        raise KeyError("of the user's own")

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(broken)
    async with aiohttp.ClientSession(trace_configs=[hooks]) as session:
        transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
        with pytest.raises(errors.ConnectionFailed, match="KeyError") as caught:
            await get(transport, "http://127.0.0.1:1/")
        assert isinstance(caught.value.__cause__, KeyError)
        assert not caught.value.retryable
        await transport.aclose()


@pytest.mark.parametrize(
    "head",
    [
        *(["x-amz-meta-n: SECRET"] * 3000,),
        ["x-amz-meta-n: " + "SECRET" * 20_000],
    ],
    ids=["headers", "bytes"],
)
async def test_a_head_beyond_the_limits_would_be_so_again(
    transport: Transport, head: list[str]
) -> None:
    if len(head) > 1 and "max_headers" not in _SESSION_OPTIONS:
        pytest.skip("this release of aiohttp does not count headers")
    with ScriptedServer([read_request(), send(http_response(b"", *head)), hang()]) as server:
        with pytest.raises(errors.ConnectionLost, match="larger than a client reads") as caught:
            await get(transport, server.url)
        assert not caught.value.retryable
        assert "SECRET" not in repr(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"SECRET of a body\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx SECRET: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: SECRET\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcSECRET",
    ],
)
async def test_an_answer_that_is_no_http_is_not_quoted(transport: Transport, data: bytes) -> None:
    with ScriptedServer([read_request(), send(data), hang()]) as server:
        with pytest.raises(errors.ConnectionLost, match=r"is not HTTP: \w") as caught:
            await get(transport, server.url)
        assert caught.value.retryable
        told = repr(caught.value)
        assert "SECRET" not in told
        assert "\\n" not in told
        assert caught.value.__cause__ is None


async def test_a_body_framed_badly_breaks_at_once_and_is_not_quoted(transport: Transport) -> None:
    head = http_response(b"", "Transfer-Encoding: chunked", length="")
    script = [read_request(), send(head), wait(0.05), send(b"3\r\nabcSECRET\r\n"), hang()]
    with ScriptedServer(script) as server:
        answered = await get(transport, server.url)
        with pytest.raises(errors.ConnectionLost, match="framing") as caught:
            await whole(answered)
        assert "SECRET" not in "".join(traceback.format_exception(caught.value))


async def test_a_body_cut_short_is_told_of_in_one_line(transport: Transport) -> None:
    with ScriptedServer([read_request(), send(http_response(b"abc", length=9)), close()]) as server:
        answered = await get(transport, server.url)
        with pytest.raises(errors.ConnectionLost, match=r"broke: Not enough data .*[^>]$"):
            await whole(answered)


class TestProxyPasswords:
    _drops_it: Final = [read_request(), send(b"HTTP/1.1 200 OK\r\n\r\n"), close()]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_the_password_goes_to_the_proxy_and_into_no_error(self, scheme: str) -> None:
        script = self._drops_it if scheme == "https" else [read_request(), close()]
        with ScriptedServer(script) as proxy:
            by = Proxies.always(proxy.url.replace("//", "//user:p%40SECRET@"))
            transport = Transport(timeouts=QUICK, max_concurrency=1, proxies=by)
            with pytest.raises(errors.TransportError) as caught:
                await get(transport, f"{scheme}://example.test/key")
            await transport.aclose()
            told = b64encode(b"user:p@SECRET")
            assert b"Proxy-Authorization: Basic " + told in proxy.requests[0]
        self._check(caught.value, "SECRET", told.decode())

    async def test_nor_does_that_of_a_users_session(self) -> None:
        with ScriptedServer(self._drops_it) as proxy:
            by = proxy.url.replace("//", "//user:SECRET@")
            async with aiohttp.ClientSession(proxy=by) as session:
                transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
                with pytest.raises(errors.ConnectionFailed) as caught:
                    await get(transport, "https://example.test/key")
                await transport.aclose()
        assert isinstance(caught.value.__cause__, OSError)
        self._check(caught.value, "SECRET")

    def _check(self, error: BaseException | None, *secrets: str) -> None:
        while error is not None:
            shown = repr(error) + str(error) + repr(vars(error))
            assert not [secret for secret in secrets if secret in shown]
            error = error.__cause__ or error.__context__


class TestAddresses:
    @pytest.fixture
    async def hosts(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """``several.test`` is 127.0.0.1 and 127.0.0.2; gives the questions asked for it."""
        loop = asyncio.get_running_loop()
        real, asked = loop.getaddrinfo, list[str]()

        async def resolve(host: Any, port: Any, **options: Any) -> Any:
            if host != "several.test":
                return await real(host, port, **options)
            asked.append(host)
            kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
            return [(*kind, (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        return asked

    @pytest.fixture
    async def servers(self) -> AsyncIterator[tuple[int, list[str]]]:
        """The first address is down, the second well; gives the port and who was asked."""
        met: list[str] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    request = await reader.readuntil(b"\r\n\r\n")
                    met.append(writer.get_extra_info("sockname")[0])
                    if met[-1] == "127.0.0.2":
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
        yield port, met
        for each in (first, second):
            each.close()

    @pytest.mark.parametrize("path", ["/503", "/reset", "/half"])
    async def test_what_failed_is_not_what_is_tried_next(
        self, servers: tuple[int, list[str]], hosts: list[str], path: str
    ) -> None:
        port, met = servers
        url = f"http://several.test:{port}"
        transport = Transport(timeouts=QUICK, max_concurrency=4)
        try:
            failed = await get(transport, url + path)
            with suppress(errors.TransportError):
                await whole(failed)
        except errors.TransportError:
            pass
        for _ in range(2):
            assert await whole(await get(transport, url + path, fresh=True)) == b"well"
        assert met == ["127.0.0.1", "127.0.0.2", "127.0.0.2"]
        assert len(hosts) == 3
        await transport.aclose()

    async def test_one_kept_alive_that_fails_is_known_by_its_address(
        self, servers: tuple[int, list[str]], hosts: list[str]
    ) -> None:
        port, met = servers
        transport = Transport(timeouts=QUICK, max_concurrency=4)
        for _ in range(2):
            failed = await get(transport, f"http://several.test:{port}/503")
            await whole(failed)
        assert failed.permit.address is None
        await whole(await get(transport, f"http://several.test:{port}/503", fresh=True))
        assert met == ["127.0.0.1", "127.0.0.1", "127.0.0.2"]
        await transport.aclose()

    async def test_new_connections_take_turns(
        self, servers: tuple[int, list[str]], hosts: list[str]
    ) -> None:
        port, met = servers
        for fresh in (False, True):
            transport = Transport(timeouts=QUICK, max_concurrency=4)
            url = f"http://several.test:{port}/"
            for answered in await asyncio.gather(
                *(get(transport, url, fresh=fresh) for _ in range(4))
            ):
                answered.close()
            await transport.aclose()
            assert sorted(met) == ["127.0.0.1"] * 2 + ["127.0.0.2"] * 2
            met.clear()


class TestPermits:
    async def test_a_request_waits_for_a_permit_no_longer_than_the_queue_timeout(self) -> None:
        transport = Transport(timeouts=Timeouts(queue=0.05), max_concurrency=1)
        held = await transport.acquire()
        with pytest.raises(errors.TransportTimeout) as caught:
            await transport.acquire()
        assert str(caught.value) == (
            "no permit within 0.05 s: waiting for one of max_concurrency=1 permits"
        )
        assert (caught.value.limit, caught.value.retryable) == ("queue", False)
        held.release()
        (await transport.acquire()).release()
        await transport.aclose()

    async def test_a_failed_request_releases_its_permit(self, transport: Transport) -> None:
        permit = await transport.acquire()
        with pytest.raises(errors.ConnectionFailed):
            await transport.send(HttpRequest("GET", "http://127.0.0.1:1/", {}), permit)
        assert transport.limiter.in_use == 0

    async def test_an_uncounted_permit_is_watched_for_idle_time_and_closed_with_the_client(
        self, transport: Transport
    ) -> None:
        for _ in range(transport.limiter.limit):
            await transport.acquire()
        with ScriptedServer(
            [read_request(), send(http_response(b"x", length=9)), hang()]
        ) as server:
            request = HttpRequest("GET", server.url, {})
            response = await transport.send(request, transport.uncounted_permit())
            assert await response.read() == b"x"
            with pytest.raises(errors.TransportTimeout):
                await response.read()
            assert not response.held
            response = await transport.send(request, transport.uncounted_permit())
            await transport.aclose()
            assert not response.held
        for permit in [*transport.limiter.holders]:
            permit.release()

    async def test_a_closed_client_grants_no_permit(self, transport: Transport) -> None:
        permit = await transport.acquire()
        await transport.aclose()
        for attempt in (
            transport.acquire(),
            transport.send(HttpRequest("GET", "http://127.0.0.1:1/", {}), permit),
        ):
            with pytest.raises(errors.UsageError, match="closed"):
                await attempt
        with pytest.raises(errors.UsageError, match="closed"):
            transport.try_acquire()


class TestClosing:
    async def test_a_pause_ends_after_its_time_or_with_the_transport(self) -> None:
        transport = Transport(timeouts=QUICK, max_concurrency=1)
        assert await transport.pause(0.01) is None
        waiting = transport.pause(3600)
        await transport.aclose()
        for pause in (waiting, transport.pause(3600)):
            assert isinstance(await pause, errors.ConnectionLost)
        await asyncio.sleep(0)
        assert not transport._pauses

    async def test_a_call_whose_turn_comes_in_the_same_moment_sends_nothing(self) -> None:
        with ScriptedServer([read_request(), send(http_response(b"x")), hang()]) as server:
            transport = Transport(timeouts=QUICK, max_concurrency=1)
            first = await get(transport, server.url)
            others = [asyncio.create_task(get(transport, server.url)) for _ in range(3)]
            await asyncio.sleep(0)
            first.close()
            await transport.aclose()
            found = await asyncio.gather(*others, return_exceptions=True)
            assert [str(each) for each in found] == ["the client is closed; create a new one"] * 3
            # Each caller's error tells of that call.
            assert len({id(each) for each in found}) == 3
            assert (transport._pooled, transport.limiter.in_use) == (None, 0)
            assert len(server.requests) == 1

    @pytest.mark.parametrize("steps", range(5))
    async def test_it_closes_all_even_when_cancelled(self, steps: int) -> None:
        with ScriptedServer([read_request(), send(http_response(b"x")), hang()]) as server:
            transport = Transport(timeouts=QUICK, max_concurrency=1)
            for fresh in (False, True):
                await whole(await get(transport, server.url, fresh=fresh))
            sessions = transport._pooled, transport._fresh
            closing = asyncio.create_task(transport.aclose())
            await asyncio.sleep(0)
            for _ in range(steps):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait({closing})
            assert all(session is not None and session.closed for session in sessions)

    @pytest.mark.parametrize("fresh", [False, True])
    async def test_it_does_not_wait_for_a_tls_peers_farewell(
        self, authority: Authority, fresh: bool
    ) -> None:
        before = _sockets()
        listening = socket.create_server(("127.0.0.1", 0))
        ending = threading.Event()
        started = asyncio.get_running_loop().run_in_executor(
            None, _never_says_farewell, listening, authority, ending
        )
        transport = Transport(timeouts=QUICK, max_concurrency=1, verify=authority.client_context())
        answered = await get(
            transport, f"https://127.0.0.1:{listening.getsockname()[1]}/", fresh=fresh
        )
        assert await answered.read() == b"x"
        answered.close()
        await transport.aclose()
        await asyncio.sleep(0.05)
        # What is left are both ends that this test holds itself.
        left = _sockets() - before
        ending.set()
        await started
        listening.close()
        assert left == 2


def _sockets() -> int:
    count = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return count


def _never_says_farewell(
    listening: socket.socket, authority: Authority, ending: threading.Event
) -> None:
    accepted, _ = listening.accept()
    with authority.server_context().wrap_socket(accepted, server_side=True) as connection:
        connection.recv(65536)
        connection.sendall(http_response(b"x", length=9))
        ending.wait(10)


async def test_a_head_that_trickles_in_is_no_answer(transport: Transport) -> None:
    script = [read_request(), drip(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50, 0.01)]
    with ScriptedServer(script) as server:
        with pytest.raises(errors.TransportTimeout, match=r"no response came for 0\.3 s") as caught:
            await get(transport, server.url)
        assert caught.value.limit == "idle"


MIB = 1 << 20


@pytest.fixture
def large() -> bytes:
    return os.urandom(MIB)


async def test_readinto_fills_memory_and_gives_connection_and_permit_back(
    transport: Transport, large: bytes
) -> None:
    with ScriptedServer([read_request(), send(http_response(large))] * 3) as server:
        for _ in range(3):
            response, memory, seen = await get(transport, server.url), bytearray(MIB), bytearray()
            assert await response.readinto(memoryview(memory), seen.extend) == MIB
            assert memory == seen == large
            assert not response.held
            assert await response.readinto(memoryview(memory)) == 0
            assert await response.read() == b""
        assert len(server.connections) == 1


async def test_readinto_and_read_share_one_body(transport: Transport, large: bytes) -> None:
    with ScriptedServer([read_request(), send(http_response(large)), hang()]) as server:
        response, memory = await get(transport, server.url), bytearray(MIB // 2)
        first = await response.read()
        assert await response.readinto(memoryview(memory)) == MIB // 2
        assert first + memory + await whole(response) == large
        assert not response.held


async def test_readinto_reports_the_bytes_before_the_connection_broke(
    transport: Transport, large: bytes
) -> None:
    cut = http_response(large[:700_000], length=MIB)
    with ScriptedServer([read_request(), send(cut)]) as server:
        response, seen = await get(transport, server.url), bytearray()
        with pytest.raises(errors.ConnectionLost, match="348576 bytes of the body are missing"):
            await response.readinto(memoryview(bytearray(MIB)), seen.extend)
        assert seen == large[:700_000]
        assert not response.held
        assert acquired(transport) == 0


async def test_idle_limit_counts_from_the_last_piece_of_readinto(
    transport: Transport, large: bytes
) -> None:
    whole_response = http_response(large)
    slow = [
        step
        for at in range(0, len(whole_response), 200_000)
        for step in (send(whole_response[at : at + 200_000]), wait(0.15))
    ]
    with ScriptedServer([read_request(), *slow]) as server:
        memory = bytearray(MIB)
        response = await get(transport, server.url)
        assert await response.readinto(memoryview(memory)) == MIB
        assert memory == large


async def test_readinto_ends_when_no_byte_comes(transport: Transport, large: bytes) -> None:
    stalled = http_response(large[:700_000], length=MIB)
    with ScriptedServer([read_request(), send(stalled), hang()]) as server:
        response, seen = await get(transport, server.url), bytearray()
        with pytest.raises(errors.TransportTimeout, match=r"no byte came for 0\.3 s"):
            await response.readinto(memoryview(bytearray(MIB)), seen.extend)
        assert seen == large[:700_000]
        assert not response.held
        assert acquired(transport) == 0


@pytest.mark.parametrize("ending", ["response", "transport"])
async def test_readinto_ends_when_it_is_closed(
    transport: Transport, large: bytes, ending: str
) -> None:
    stalled = http_response(large[:700_000], length=MIB)
    with ScriptedServer([read_request(), send(stalled), hang()]) as server:
        response = await get(transport, server.url)
        reading = asyncio.create_task(response.readinto(memoryview(bytearray(MIB))))
        await asyncio.sleep(0.05)
        if ending == "response":
            response.close()
        else:
            await transport.aclose()
        with pytest.raises(errors.ConnectionLost):
            await reading
        assert not response.held


async def test_little_that_readinto_left_is_read_off(transport: Transport, large: bytes) -> None:
    with ScriptedServer([read_request(), send(http_response(large))] * 2) as server:
        for _ in range(2):
            response = await get(transport, server.url)
            assert await response.readinto(memoryview(bytearray(MIB - 1_000))) == MIB - 1_000
            await response.release(1_000)
        assert len(server.connections) == 1


async def test_cancelled_readinto_and_close_leave_nothing_behind(
    transport: Transport, large: bytes
) -> None:
    stalled = http_response(large[:700_000], length=MIB)
    with ScriptedServer([read_request(), send(stalled), hang()]) as server:
        response = await get(transport, server.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await response.readinto(memoryview(bytearray(MIB)))
        response.close()
        assert not response.held
        assert acquired(transport) == 0

import asyncio
import gc
import os
import traceback
import weakref
from base64 import b64encode
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

import aiohttp
import pytest
import yarl

from aios3get import errors
from aios3get._http.proxies import Proxies
from aios3get._http.transport import Transport
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.timeouts import Timeouts
from tests.http.sending import OpenTransport, get, read_body
from tests.reading_client import acquired, own_sessions
from tests.servers.scripted import (
    ScriptedServer,
    Step,
    close,
    drip,
    flood,
    hang,
    http_response,
    read_request,
    reset,
    send,
    wait,
)
from tests.servers.tls import Authority

pytestmark = pytest.mark.usefixtures("request_path")

YARL = tuple(int(number) for number in yarl.__version__.split(".")[:2])


class TestConnecting:
    async def test_closed_port_is_a_connection_failure(self, transport: Transport) -> None:
        with pytest.raises(errors.ConnectionFailed, match="no connection") as caught:
            await get(transport, "http://127.0.0.1:1/")
        assert isinstance(caught.value.__cause__, OSError)

    async def test_unknown_name_is_a_connection_failure(self, transport: Transport) -> None:
        with pytest.raises(errors.TransportError):
            await get(transport, "http://no-such-host.invalid/")

    async def test_connecting_has_its_own_timeout(
        self, open_transport: OpenTransport, url_without_connection: str
    ) -> None:
        # Longer than the idle limit, which does not count while connecting.
        transport = open_transport(timeouts=Timeouts(connect=0.5, idle=0.2))
        with pytest.raises(errors.TransportTimeout) as caught:
            await get(transport, url_without_connection)
        assert (caught.value.limit, caught.value.seconds) == ("connect", 0.5)
        assert str(caught.value) == "no connection within 0.5 s"
        assert caught.value.__cause__ is None

    async def test_untrusted_certificate_is_not_retried(
        self, transport: Transport, authority: Authority
    ) -> None:
        with (
            ScriptedServer([read_request()], tls=authority.server_context()) as server,
            pytest.raises(errors.ConnectionFailed, match="not trusted") as caught,
        ):
            await get(transport, server.url)
        assert not caught.value.retryable

    async def test_https_to_a_port_that_serves_http_names_the_scheme_to_use(
        self, transport: Transport
    ) -> None:
        plain = [send(http_response(b"", status="400 Bad Request")), hang()]
        with ScriptedServer(plain) as server:
            address = server.url.removeprefix("http://")
            with pytest.raises(errors.ConnectionFailed) as caught:
                await get(transport, f"https://{address}/?X-Amz-Signature=SECRET")
        assert str(caught.value) == (
            f"{address} does not speak TLS; if it serves plain http there, use an http:// URL"
        )
        assert not caught.value.retryable

    @pytest.mark.parametrize("url", ["http:///path", "ftp://h/"])
    async def test_another_url_than_http_is_a_configuration_error(
        self, transport: Transport, url: str
    ) -> None:
        with pytest.raises(errors.ConfigurationError, match="not an http or https URL"):
            await get(transport, url)

    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1:99999", "[::1", "h:abc", f"{'a' * 64}.example", "a..b", "....", "ab\\c", ":80"],
    )
    async def test_invalid_host_or_port_is_a_configuration_error(
        self, transport: Transport, host: str
    ) -> None:
        if "\\" in host and YARL < (1, 24):
            pytest.skip("this release of yarl takes it for a host's name")
        with pytest.raises(errors.ConfigurationError, match="host") as caught:
            await get(transport, f"http://user:SECRET@{host}/?X-Amz-Signature=SECRET")
        assert caught.value.__cause__ is None
        assert "SECRET" not in repr(caught.value)


class TestProxies:
    async def test_requests_go_through_the_proxy(self, open_transport: OpenTransport) -> None:
        with ScriptedServer([read_request(), send(http_response(b"by proxy"))]) as proxy:
            transport = open_transport(proxies=Proxies.always(proxy.url))
            response = await get(transport, "http://example.test/key")
            assert await read_body(response) == b"by proxy"
            assert proxy.requests[0].startswith(b"GET http://example.test/key HTTP/1.1")

    @pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
    async def test_proxy_that_refuses_is_a_connection_failure(
        self, open_transport: OpenTransport, status: str
    ) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"", status=status)), close()]
        ) as proxy:
            transport = open_transport(proxies=Proxies.always(proxy.url))
            with pytest.raises(errors.ConnectionFailed, match=f"the proxy responded {status}"):
                await get(transport, "https://example.test/key")

    _drops_connection: Final = [read_request(), send(b"HTTP/1.1 200 OK\r\n\r\n"), close()]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_password_goes_to_the_proxy_and_into_no_error(
        self, open_transport: OpenTransport, scheme: str
    ) -> None:
        script = self._drops_connection if scheme == "https" else [read_request(), close()]
        login = b64encode(b"user:p@SECRET").decode()
        with ScriptedServer(script) as proxy:
            proxies = Proxies.always(proxy.url.replace("//", "//user:p%40SECRET@"))
            with pytest.raises(errors.TransportError) as caught:
                await get(open_transport(proxies=proxies), f"{scheme}://example.test/key")
            assert f"Proxy-Authorization: Basic {login}".encode() in proxy.requests[0]
        _check_for_secrets(caught.value, "SECRET", login)

    async def test_password_of_a_users_session_goes_into_no_error(
        self, open_transport: OpenTransport
    ) -> None:
        with ScriptedServer(self._drops_connection) as proxy:
            url = proxy.url.replace("//", "//user:SECRET@")
            async with aiohttp.ClientSession(proxy=url) as session:
                with pytest.raises(errors.ConnectionFailed) as caught:
                    await get(open_transport(session=session), "https://example.test/key")
        assert isinstance(caught.value.__cause__, OSError)
        _check_for_secrets(caught.value, "SECRET")


class TestHeads:
    @pytest.mark.parametrize(
        "head",
        [["x-amz-meta-n: SECRET"] * 3000, ["x-amz-meta-n: " + "SECRET" * 20_000]],
        ids=["headers", "bytes"],
    )
    async def test_head_beyond_the_limits_is_not_retried(
        self, transport: Transport, head: list[str]
    ) -> None:
        with (
            ScriptedServer([read_request(), send(http_response(b"", *head)), hang()]) as server,
            pytest.raises(
                errors.ConnectionLost, match="exceeds the limits of the client"
            ) as caught,
        ):
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
    async def test_response_that_is_not_http_is_not_quoted(
        self, transport: Transport, data: bytes
    ) -> None:
        with (
            ScriptedServer([read_request(), send(data), hang()]) as server,
            pytest.raises(errors.ConnectionLost, match=r"is not HTTP: \w") as caught,
        ):
            await get(transport, server.url)
        assert caught.value.retryable
        assert "SECRET" not in repr(caught.value)
        assert "\\n" not in repr(caught.value)
        assert caught.value.__cause__ is None

    async def test_complete_head_must_arrive_within_the_idle_timeout(
        self, transport: Transport
    ) -> None:
        script = [read_request(), drip(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50, 0.01)]
        with (
            ScriptedServer(script) as server,
            pytest.raises(errors.TransportTimeout) as caught,
        ):
            await get(transport, server.url)
        assert str(caught.value) == "no response arrived within 0.3 s"
        assert caught.value.limit == "idle"

    @pytest.mark.parametrize("status", ["000 None", "099 Low", "999 High"])
    async def test_response_with_an_odd_status_releases_its_permit(
        self, transport: Transport, status: str
    ) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"x", status=status)), hang()]
        ) as server:
            response = await get(transport, server.url)
            assert response.status == int(status[:3])
            response.close()
            assert transport.limiter.in_use == 0

    async def test_upgrade_response_closes_its_connection(self, transport: Transport) -> None:
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
        with ScriptedServer([read_request(), send(upgrade), hang()]) as server:
            response = await get(transport, server.url)
            assert await response.read_error_body(100, 5.0) == b""
            assert not response.held
            assert acquired(transport) == 0


class TestBodies:
    async def test_truncated_body_is_described_in_one_line(self, transport: Transport) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"abc", length=9)), close()]
        ) as server:
            response = await get(transport, server.url)
            with pytest.raises(errors.ConnectionLost, match=r"broke: Not enough data .*[^>]$"):
                await read_body(response)

    async def test_idle_limit_holds_after_a_cancellation_in_the_same_loop_iteration(
        self, transport: Transport
    ) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"x", length=9)), hang()]
        ) as server:
            response = await get(transport, server.url)
            assert await response.read() == b"x"
            task = asyncio.create_task(response.read())
            await asyncio.sleep(0.01)
            response.permit.expire()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            # A cancellation is not taken for an expiry,
            task = asyncio.create_task(response.read())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait({task}, timeout=1)
            assert task.cancelled()
            # and the limit still holds.
            with pytest.raises(errors.TransportTimeout, match=r"no byte arrived within 0\.3 s"):
                async with asyncio.timeout(5):
                    await response.read()

    async def test_small_rest_of_a_body_is_drained_to_keep_the_connection(
        self, transport: Transport
    ) -> None:
        replies = [read_request(), send(http_response(bytes(200_000)))] * 2
        with ScriptedServer(replies) as server:
            for _ in range(2):
                response = await get(transport, server.url)
                await response.release(200_000)
                assert not response.held
            assert len(server.connections) == 1

    @pytest.mark.parametrize("remaining", [None, 300_000])
    async def test_large_or_unknown_rest_of_a_body_is_not_drained(
        self, transport: Transport, remaining: int | None
    ) -> None:
        with ScriptedServer([read_request(), send(http_response(bytes(10_000_000)))]) as server:
            for _ in range(2):
                await (await get(transport, server.url)).release(remaining)
            assert len(server.connections) == 2
        assert acquired(transport) == 0

    async def test_draining_ends_if_the_rest_does_not_arrive(self, transport: Transport) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"x", length=100)), read_request()]
        ) as server:
            response = await get(transport, server.url)
            async with asyncio.timeout(5):
                await response.release(100)
            assert not response.held
            await response.release(100)

    @pytest.mark.parametrize(
        ("rest", "seconds", "body"),
        [
            ([send(http_response(b"", length=10**9)), flood(b"x" * 1000)], 5.0, b"x" * 5000),
            ([send(http_response(b"<Error>", length=99)), close()], 5.0, b"<Error>"),
            ([send(http_response(b"<Error>", length=99)), hang()], 0.1, b"<Error>"),
        ],
        ids=["endless", "truncated", "stalled"],
    )
    async def test_error_body_is_read_within_limits(
        self, transport: Transport, rest: list[Step], seconds: float, body: bytes
    ) -> None:
        with ScriptedServer([read_request(), *rest]) as server:
            response = await get(transport, server.url)
            assert await response.read_error_body(5000, seconds) == body
            assert not response.held


class TestPermits:
    async def test_request_waits_for_a_permit_no_longer_than_the_queue_limit(
        self, open_transport: OpenTransport
    ) -> None:
        transport = open_transport(timeouts=Timeouts(queue=0.05), max_concurrency=1)
        held = await transport.acquire()
        with pytest.raises(errors.TransportTimeout) as caught:
            await transport.acquire()
        message, _, holders = str(caught.value).partition("; ")
        assert message == "no permit within 0.05 s: waiting for one of max_concurrency=1 permits"
        assert holders.startswith("the oldest of 1 in use is 0.0")
        assert (caught.value.limit, caught.value.retryable) == ("queue", False)
        held.release()
        (await transport.acquire()).release()

    async def test_failed_request_releases_its_permit(self, transport: Transport) -> None:
        permit = await transport.acquire()
        with pytest.raises(errors.ConnectionFailed):
            await transport.send(HttpRequest("GET", "http://127.0.0.1:1/", {}), permit)
        assert transport.limiter.in_use == 0

    async def test_uncounted_permit_is_watched_for_idle_time_and_closed_with_the_client(
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

    async def test_closed_client_grants_no_permit(self, transport: Transport) -> None:
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
    async def test_pause_ends_after_its_time_or_with_the_transport(
        self, transport: Transport
    ) -> None:
        assert await transport.pause(0.01) is None
        waiting = transport.pause(3600)
        await transport.aclose()
        for pause in (waiting, transport.pause(3600)):
            assert isinstance(await pause, errors.ConnectionLost)
        await asyncio.sleep(0)
        assert not transport._pauses

    async def test_request_whose_permit_comes_as_the_client_closes_is_not_sent(
        self, open_transport: OpenTransport
    ) -> None:
        with ScriptedServer([read_request(), send(http_response(b"x")), hang()]) as server:
            transport = open_transport(max_concurrency=1)
            first = await get(transport, server.url)
            others = [asyncio.create_task(get(transport, server.url)) for _ in range(3)]
            await asyncio.sleep(0)
            first.close()
            await transport.aclose()
            results = await asyncio.gather(*others, return_exceptions=True)
            assert [str(each) for each in results] == ["the client is closed; create a new one"] * 3
            # Each caller has an error of its own.
            assert len({id(each) for each in results}) == 3
            assert own_sessions(transport).pooled is None
            assert len(server.requests) == 1

    async def test_closing_ends_requests_and_reads_in_progress(self, transport: Transport) -> None:
        with ScriptedServer(
            [read_request(), send(http_response(b"x", length=9)), hang()],
            [read_request(), hang()],
        ) as server:
            response = await get(transport, server.url)
            assert await response.read() == b"x"
            waiting = [
                asyncio.create_task(response.read()),
                asyncio.create_task(get(transport, server.url)),
            ]
            await _requests_received(server, 2)
            await transport.aclose()
            for task in waiting:
                with pytest.raises(errors.ConnectionLost, match="the client was closed") as caught:
                    await task
                assert not caught.value.retryable


SECRETS: Final = {
    "Host": "example.test",
    "Authorization": "SECRET-signature",
    "x-amz-security-token": "SECRET-token",
    "x-amz-server-side-encryption-customer-key": "SECRET-key",
}
CHUNKED: Final = http_response(b"", "Transfer-Encoding: chunked", length="")
FAILURES: dict[str, list[Step]] = {
    "reset": [read_request(), reset()],
    "closed": [read_request(), close()],
    "garbage": [read_request(), send(b"SECRET garbage\r\n\r\n"), hang()],
    "no head": [read_request(), hang()],
    "truncated body": [read_request(), send(http_response(b"abc", length=9)), close()],
    "reset body": [read_request(), send(http_response(b"abc", length=9)), wait(0.05), reset()],
    "silent body": [read_request(), send(http_response(b"abc", length=9)), hang()],
    "invalid chunk": [read_request(), send(CHUNKED), wait(0.05), send(b"xyzSECRET\r\n"), hang()],
}


@pytest.fixture(params=[*FAILURES, "closed port", "unknown name", "no TLS", "invalid host"])
def failing_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that fails, with a secret in its query."""
    query = "/key?X-Amz-Signature=SECRET-query"
    if request.param in FAILURES:
        with ScriptedServer(FAILURES[request.param]) as server:
            yield server.url + query
    elif request.param == "no TLS":
        with ScriptedServer([send(http_response(b"")), hang()]) as server:
            yield server.url.replace("http:", "https:") + query
    elif request.param == "closed port":
        yield "http://127.0.0.1:1" + query
    elif request.param == "invalid host":
        yield "http://a..b" + query
    else:
        yield "http://no-such-host.invalid" + query


async def _requests_received(server: ScriptedServer, count: int) -> None:
    while len(server.requests) < count:  # noqa: ASYNC110 - the server runs in threads
        await asyncio.sleep(0.01)


def _frames(error: BaseException) -> Iterator[FrameType]:
    """The frames in the tracebacks of an exception and of all exceptions behind it."""
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        each = chain.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            for frame, _ in traceback.walk_tb(each.__traceback__):
                yield frame
            chain += [each.__cause__, each.__context__]


def _check_for_secrets(error: BaseException, *secrets: str) -> None:
    """Check texts, attributes and the locals of all frames but the tests'."""
    chain: list[BaseException | None] = [error]
    while chain:
        each = chain.pop()
        if each is not None:
            shown = repr(each) + str(each) + repr(vars(each))
            assert not [secret for secret in secrets if secret in shown]
            chain += [each.__cause__, each.__context__]
    for frame in _frames(error):
        if "/tests/" not in frame.f_code.co_filename:
            for name, value in frame.f_locals.items():
                shown = repr(value)
                assert not [secret for secret in secrets if secret in shown], (frame, name)


class TestFailures:
    async def test_texts_and_frames_hold_no_secret(
        self, transport: Transport, failing_url: str
    ) -> None:
        with pytest.raises(errors.S3Error) as caught:
            await read_body(await get(transport, failing_url, SECRETS))
        _check_for_secrets(caught.value, "SECRET")
        modules = {frame.f_globals["__name__"] for frame in _frames(caught.value)}
        assert not [name for name in modules if name.startswith("aiohttp")]

    async def test_frames_of_an_invalid_proxy_hold_no_secret(
        self, open_transport: OpenTransport
    ) -> None:
        transport = open_transport(proxies=Proxies({"http": "socks5://user:SECRET@proxy.example"}))
        with pytest.raises(errors.ConfigurationError, match="HTTP_PROXY") as caught:
            await get(transport, "http://127.0.0.1:1/?SECRET", SECRETS)
        _check_for_secrets(caught.value, "SECRET")

    async def test_frames_of_a_refused_session_hold_no_secret(
        self, open_transport: OpenTransport
    ) -> None:
        async with aiohttp.ClientSession(headers={"Range": "bytes=1-"}) as session:
            with pytest.raises(errors.ConfigurationError, match="Range") as caught:
                await get(open_transport(session=session), "http://127.0.0.1:1/?SECRET", SECRETS)
        _check_for_secrets(caught.value, "SECRET")

    async def test_frames_of_a_cancelled_request_hold_no_secret(self, transport: Transport) -> None:
        with ScriptedServer([read_request(), hang()]) as server:
            task = asyncio.create_task(get(transport, server.url + "/?SECRET", SECRETS))
            await _requests_received(server, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
        _check_for_secrets(caught.value, "SECRET")

    @pytest.mark.lifetime
    async def test_failure_is_freed_by_reference_counting(
        self, transport: Transport, failing_url: str
    ) -> None:
        async def fail() -> "weakref.ref[Any]":
            try:
                await read_body(await get(transport, failing_url, SECRETS))
            except errors.S3Error as error:
                return weakref.ref(error)
            raise AssertionError

        gc.collect()
        gc.disable()
        try:
            for fresh in range(2):
                reference = await fail()
                await asyncio.sleep(0.01)
                assert reference() is None, fresh
        finally:
            gc.enable()


MIB = 1 << 20


@pytest.fixture
def large() -> bytes:
    return os.urandom(MIB)


async def test_readinto_fills_memory_and_releases_connection_and_permit(
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
        assert first + memory + await read_body(response) == large
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


async def test_readinto_ends_at_the_idle_timeout(transport: Transport, large: bytes) -> None:
    stalled = http_response(large[:700_000], length=MIB)
    with ScriptedServer([read_request(), send(stalled), hang()]) as server:
        response, seen = await get(transport, server.url), bytearray()
        with pytest.raises(errors.TransportTimeout, match=r"no byte arrived within 0\.3 s"):
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


async def test_small_rest_after_readinto_is_drained(transport: Transport, large: bytes) -> None:
    with ScriptedServer([read_request(), send(http_response(large))] * 2) as server:
        for _ in range(2):
            response = await get(transport, server.url)
            assert await response.readinto(memoryview(bytearray(MIB - 1_000))) == MIB - 1_000
            await response.release(1_000)
        assert len(server.connections) == 1


async def test_cancelled_readinto_and_close_release_everything(
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

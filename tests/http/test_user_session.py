import asyncio
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import aiohttp
import pytest
from yarl import URL

from aios3get import errors
from aios3get._http.transport import Transport
from aios3get._protocol.timeouts import Timeouts
from tests.http.sending import QUICK, OpenTransport, get, read_body
from tests.servers.scripted import ScriptedServer, close, http_response, read_request, send

SIGNED = {"Host": "example.test", "Authorization": "AWS4-HMAC-SHA256 …", "Range": "bytes=0-9"}


async def refused(
    session: aiohttp.ClientSession,
    match: str,
    kind: type[errors.S3Error] = errors.ConfigurationError,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Check that a request through the session is refused and not sent."""
    with ScriptedServer([read_request(), send(http_response(b""))]) as server:
        transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
        with pytest.raises(kind, match=match) as caught:
            await get(transport, server.url, headers)
        await transport.aclose()
        assert not server.requests
    assert "SECRET" not in repr(caught.value)


async def served(
    session: aiohttp.ClientSession, headers: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """The request that a server got through the session."""
    with ScriptedServer([read_request(), send(http_response(b""))]) as server:
        transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
        await read_body(await get(transport, server.url, headers))
        await transport.aclose()
        assert not session.closed
        return server.requests[0]


def adding(name: str, value: str = "SECRET") -> aiohttp.TraceConfig:
    """A trace config that adds a header to each request, as tracing libraries do."""

    async def add(
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        params.headers[name] = value

    config = aiohttp.TraceConfig()
    config.on_request_start.append(add)
    return config


@pytest.mark.parametrize(
    "name", ["Authorization", "Range", "If-Match", "x-amz-request-payer", "host"]
)
async def test_header_that_must_be_signed_is_refused_from_the_session_or_a_trace_config(
    name: str,
) -> None:
    async with aiohttp.ClientSession(headers={name: "SECRET"}) as session:
        await refused(session, f"the header (?i:{name})")
    async with aiohttp.ClientSession(trace_configs=[adding(name)]) as session:
        await refused(session, f"the header (?i:{name})")
        await refused(session, f"the header (?i:{name})", headers=SIGNED)


async def test_headers_of_the_request_replace_those_of_the_session() -> None:
    async with aiohttp.ClientSession(headers={"Range": "bytes=5-", "Host": "other"}) as session:
        request = await served(session, headers=SIGNED)
    assert b"Range: bytes=0-9\r\n" in request
    assert b"Host: example.test\r\n" in request


async def test_other_headers_are_sent() -> None:
    async with aiohttp.ClientSession(
        headers={"X-Own": "1", "User-Agent": "mine"}, trace_configs=[adding("traceparent", "00-1")]
    ) as session:
        request = await served(session, headers=SIGNED)
    assert b"X-Own: 1\r\n" in request
    assert b"traceparent: 00-1\r\n" in request


async def test_auth_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "SECRET"))
    async with session:
        await refused(session, "auth=")


@pytest.mark.parametrize("how", [{"cookies": {"login": "SECRET"}}, {"headers": {"Cookie": "S"}}])
async def test_cookies_for_every_host_are_refused(how: dict[str, dict[str, str]]) -> None:
    async with aiohttp.ClientSession(
        cookies=how.get("cookies"), headers=how.get("headers")
    ) as session:
        await refused(session, "cookies for every host")


async def test_cookies_of_the_host_are_sent() -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies({"of": "another"}, URL("https://another.example"))
    jar.update_cookies({"of": "this"}, URL("http://127.0.0.1"))
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        assert b"Cookie: of=this\r\n" in await served(session)


async def test_middlewares_are_refused() -> None:
    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=(middleware,)) as session:
        await refused(session, "middlewares")
        assert session.connector is not None
        async with aiohttp.ClientSession(
            connector=session.connector, connector_owner=False
        ) as without:
            await served(without)


def test_session_of_another_loop_is_refused() -> None:
    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        second.run(refused(session, "another event loop", errors.UsageError))
        first.run(session.close())


async def test_closed_session_is_refused() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    await refused(session, "session= is closed", errors.UsageError)


@pytest.mark.parametrize("headers", [{}, SIGNED], ids=["unsigned", "signed"])
async def test_password_from_the_netrc_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login user password SECRET\n")
    monkeypatch.setenv("NETRC", str(file))
    async with aiohttp.ClientSession(trust_env=True) as session:
        await refused(session, "netrc", headers=headers)
        file.write_text("machine elsewhere.example login user password SECRET\n")
        await served(session, headers)


async def test_request_is_not_sent_again_when_its_kept_connection_is_lost(
    open_transport: OpenTransport,
) -> None:
    lost = [read_request(), send(http_response(b"x")), read_request(), close()]
    with ScriptedServer(lost, [read_request(), send(http_response(b"again"))]) as server:
        async with aiohttp.ClientSession() as session:
            transport = open_transport(session=session)
            await read_body(await get(transport, server.url))
            with pytest.raises(errors.ConnectionLost, match="closed the connection"):
                await get(transport, server.url)
        assert len(server.requests) == 2


async def test_connecting_has_its_own_timeout(
    open_transport: OpenTransport, url_without_connection: str
) -> None:
    async with aiohttp.ClientSession() as session:
        transport = open_transport(session=session, timeouts=Timeouts(connect=0.3))
        with pytest.raises(errors.TransportTimeout) as caught:
            await get(transport, url_without_connection)
        assert caught.value.limit == "connect"


async def test_settings_of_the_session_do_not_change_responses(
    open_transport: OpenTransport,
) -> None:
    body = b"\x1f\x8b plain"
    reply = http_response(
        body, "Content-Encoding: gzip", *(f"x-amz-meta-{n}: x" for n in range(200))
    )
    with ScriptedServer([read_request(), send(reply)]) as server:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=0.0001), raise_for_status=True
        ) as session:
            response = await get(open_transport(session=session), server.url)
            assert await read_body(response) == body
            assert len(response.headers) > 200


async def test_exception_of_the_user_sessions_code_is_connection_failed(
    open_transport: OpenTransport,
) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("of the user's own")

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(broken)
    async with aiohttp.ClientSession(trace_configs=[hooks]) as session:
        with pytest.raises(errors.ConnectionFailed, match="KeyError") as caught:
            await get(open_transport(session=session), "http://127.0.0.1:1/")
    assert isinstance(caught.value.__cause__, KeyError)
    assert not caught.value.retryable

import asyncio
import warnings
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from aios3get import errors
from aios3get._http.transport import Transport
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.timeouts import Timeouts
from tests.servers.scripted import ScriptedServer, http_response, read_request, send

QUICK = Timeouts(connect=1.5, idle=0.3)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Cookie", "Range", "If-Match", "x-amz-request-payer", "host"],
)
async def test_one_that_would_sign_or_choose_is_refused(name: str) -> None:
    async with aiohttp.ClientSession(headers={name: "SECRET"}) as session:
        await refused(session, f"the header (?i:{name}) to every")


async def test_one_with_auth_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "SECRET"))
    async with session:
        await refused(session, "auth=")


async def test_one_with_cookies_for_every_host_is_refused() -> None:
    async with aiohttp.ClientSession(cookies={"login": "SECRET"}) as session:
        await refused(session, "cookies for every host")


async def test_one_with_cookies_of_its_hosts_is_taken() -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies({"of": "another"}, URL("https://another.example"))
    jar.update_cookies({"of": "this"}, URL("http://127.0.0.1"))
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        sent = await served(session)
    assert b"Cookie: of=this\r\n" in sent


def test_one_of_another_loop_is_refused() -> None:
    async def made() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(made())
        second.run(refused(session, "another event loop"))
        first.run(session.close())


async def test_one_that_reads_netrc_is_refused_where_that_has_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login user password SECRET\n")
    monkeypatch.setenv("NETRC", str(file))
    async with aiohttp.ClientSession(trust_env=True) as session:
        await refused(session, "netrc")
        file.write_text("machine elsewhere.example login user password SECRET\n")
        await served(session)
        file.unlink()
        await served(session)


async def test_one_with_other_headers_is_taken() -> None:
    async with aiohttp.ClientSession(headers={"X-Own": "1", "User-Agent": "mine"}) as session:
        assert b"X-Own: 1" in await served(session)


async def refused(session: aiohttp.ClientSession, told: str) -> None:
    with ScriptedServer([read_request(), send(http_response(b""))]) as server:
        transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
        with pytest.raises(errors.ConfigurationError, match=told) as caught:
            await transport.send(HttpRequest("GET", server.url, {}), await transport.acquire())
        await transport.aclose()
        assert not server.requests
    assert "SECRET" not in repr(caught.value)


async def served(session: aiohttp.ClientSession) -> bytes:
    with ScriptedServer([read_request(), send(http_response(b""))]) as server:
        transport = Transport(timeouts=QUICK, max_concurrency=1, session=session)
        answered = await transport.send(
            HttpRequest("GET", server.url, {}), await transport.acquire()
        )
        await answered.read_error_body(1, 1.0)
        await transport.aclose()
        return server.requests[0]

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aios3get import errors
from aios3get._config.loaded_config import load_config
from aios3get._engine.get_object_call import GetObjectCall
from aios3get._protocol.identity import ANONYMOUS, Credentials
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import (
    BUCKET,
    KEY,
    acquired,
    nothing_leaks,
    own_sessions,
    quick_client,
    transport_of,
)
from tests.servers.tls import Authority

CONTENT = bytes(range(256)) * 4000
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server.in_thread() as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


@pytest.fixture
async def client(server: S3Server) -> AsyncIterator[S3Client]:
    async with quick_client(server) as made:
        yield made


async def read(client: S3Client, key: str = KEY) -> bytes:
    async with client.get_object(BUCKET, key) as obj:
        return await obj.read()


class TestClosing:
    async def test_closed_client_raises_usage_error(self, client: S3Client) -> None:
        await read(client)
        await client.aclose()
        await client.aclose()
        for call in (
            client.get_object(BUCKET, KEY),
            client.head_object(BUCKET, KEY),
            client.presign_get_object(BUCKET, KEY),
        ):
            with pytest.raises(errors.UsageError, match="the client is closed"):
                await call

    async def test_unused_client_can_be_closed(self, client: S3Client) -> None:
        await client.aclose()
        with pytest.raises(errors.UsageError, match="the client is closed"):
            await read(client)

    async def test_open_body_raises_connection_lost_after_close(
        self, client: S3Client, server: S3Server
    ) -> None:
        server.faults.add(faults.stall_after(10), times=None)
        waiting = asyncio.create_task(read(client))
        paused = await client.get_object(BUCKET, KEY)
        assert await paused.read(5) == CONTENT[:5]
        await asyncio.sleep(0.05)
        transport = transport_of(client)
        await client.aclose()
        for broken in (waiting, paused.read()):
            with pytest.raises(errors.ConnectionLost, match="the client was closed") as caught:
                await broken
            assert not caught.value.retryable
        assert transport.limiter.in_use == 0

    async def test_call_waiting_for_its_head_raises_connection_lost_after_close(
        self, client: S3Client, server: S3Server
    ) -> None:
        server.faults.add(faults.stall_before_head(), times=None)
        waiting = asyncio.create_task(read(client))
        await asyncio.sleep(0.05)
        await client.aclose()
        with pytest.raises(errors.ConnectionLost, match="the client was closed"):
            await waiting

    async def test_call_waiting_for_a_permit_raises_usage_error_after_close(
        self, server: S3Server
    ) -> None:
        async with quick_client(server, max_concurrency=1) as client:
            obj = await client.get_object(BUCKET, KEY)
            waiting = asyncio.create_task(read(client))
            await asyncio.sleep(0.05)
            await client.aclose()
            with pytest.raises(errors.UsageError, match="the client is closed"):
                await waiting
            await obj.aclose()

    async def test_received_bytes_can_be_read_after_close(self, client: S3Client) -> None:
        async with client.get_object(BUCKET, KEY, range="bytes=0-99") as obj:
            assert await obj.read(1) == CONTENT[:1]
            await client.aclose()
            assert await obj.read() == CONTENT[1:100]

    async def test_user_session_stays_open_after_close(self, server: S3Server) -> None:
        async with aiohttp.ClientSession() as session:
            async with quick_client(server, session=session) as client:
                server.faults.add(faults.stall_after(10))
                waiting = asyncio.create_task(read(client))
                await asyncio.sleep(0.05)
                await client.aclose()
                with pytest.raises(errors.ConnectionLost, match="the client was closed"):
                    await waiting
            assert not session.closed
            async with quick_client(server, session=session) as client:
                assert await read(client) == CONTENT

    async def test_closed_user_session_is_named_in_the_error(self, server: S3Server) -> None:
        async with aiohttp.ClientSession() as session:
            pass
        async with quick_client(server, session=session) as client:
            with pytest.raises(errors.UsageError, match="session= is closed"):
                await read(client)


class TestFirstUse:
    async def test_concurrent_first_calls_load_the_settings_once(
        self, client: S3Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loads: list[object] = []
        real = load_config

        async def counted(config: Any) -> Any:
            loads.append(config)
            return await real(config)

        monkeypatch.setattr("aios3get._engine.running.load_config", counted)
        assert set(await asyncio.gather(*(read(client) for _ in range(20)))) == {CONTENT}
        assert len(loads) == 1
        assert not client._loading

    async def test_settings_are_loaded_by_another_call_if_the_first_is_cancelled(
        self, client: S3Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started = asyncio.Event()
        real = load_config

        async def slow(config: Any) -> Any:
            if not started.is_set():
                started.set()
                await asyncio.sleep(3600)
            return await real(config)

        monkeypatch.setattr("aios3get._engine.running.load_config", slow)
        first = asyncio.create_task(read(client))
        await started.wait()
        second = asyncio.create_task(read(client))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == CONTENT
        assert first.cancelled()

    async def test_invalid_ca_bundle_is_named_in_the_error(self, server: S3Server) -> None:
        async with quick_client(server, verify="/no/such/bundle.pem") as client:
            with pytest.raises(errors.ConfigurationError, match=r"/no/such/bundle\.pem"):
                await read(client)

    @pytest.mark.parametrize("verify", ["path", "folder", "context", False])
    async def test_verify_argument_selects_the_trusted_certificates(
        self, authority: Authority, verify: Any
    ) -> None:
        given = {
            "path": authority.ca_file,
            "folder": str(authority.ca_file),
            "context": authority.client_context(),
        }.get(verify, verify)
        with S3Server.in_thread(tls=authority.server_context()) as server:
            server.put_object(BUCKET, KEY, CONTENT)
            async with quick_client(server, verify=given) as client:
                assert await read(client) == CONTENT
            async with quick_client(server) as client:
                with pytest.raises(errors.ConnectionFailed, match="certificate") as caught:
                    await read(client)
        assert caught.value.attempts == 1

    @pytest.mark.parametrize("value", [0, -1, True, 1.5, "64"])
    def test_invalid_max_concurrency_is_refused(self, value: Any) -> None:
        with pytest.raises(errors.ConfigurationError, match="max_concurrency"):
            S3Client(max_concurrency=value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("timeouts", 5),
            ("retry", 5),
            ("proxy", 5),
            ("proxy", "proxy.example:3128"),
            ("proxy", "socks5://user:SECRET@proxy.example"),
            ("verify", 5),
            ("verify", None),
            ("session", object()),
            ("session", aiohttp.ClientSession),
            ("profile", 5),
            ("credentials", "SECRET"),
            ("credentials", Credentials),
            ("request_payer", "owner"),
            ("allow_insecure_sse_customer_key", "x"),
            ("pickle_credentials", 1),
            ("region", 5),
            ("region", "eu central"),
            ("endpoint_url", "s3.example.com"),
            ("endpoint_url", "http://s3.example.com:99999"),
            ("addressing_style", "dns"),
            ("use_fips", "yes"),
            ("response_checksum_validation", "never"),
        ],
    )
    def test_invalid_argument_is_refused_by_the_constructor(self, name: str, value: Any) -> None:
        with pytest.raises(errors.ConfigurationError, match=name) as caught:
            S3Client(**{name: value})
        assert "SECRET" not in str(caught.value)

    def test_constructor_does_not_check_files_profiles_or_contradictions(self) -> None:
        S3Client(profile="no-such-profile")
        S3Client(verify="/no/such/file.pem")
        S3Client(use_accelerate=True, endpoint_url="http://s3.example.com")


def test_botocore_parameter_names_raise_with_a_hint() -> None:
    client: Any = S3Client()
    for names in ({"Bucket": BUCKET, "Key": KEY}, {"Bucket": BUCKET, "key": KEY}):
        with pytest.raises(errors.ParameterError, match="bucket= and key=, as positional"):
            client.get_object(**names)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
        client.get_object(BUCKET)
    with pytest.raises(errors.ParameterError, match=r"'Range'.*'range'"):
        client.get_object(BUCKET, KEY, Range="bytes=0-9")


async def test_missing_key_with_leading_slash_raises_with_a_hint(client: S3Client) -> None:
    with pytest.raises(errors.NoSuchKey, match="the key starts with a slash"):
        await client.get_object(BUCKET, f"/{KEY}")
    with pytest.raises(errors.NoSuchKey) as caught:
        await client.get_object(BUCKET, "missing")
    assert "slash" not in str(caught.value)


class TestPickling:
    def test_client_pickles_as_its_configuration(self, server: S3Server) -> None:
        client = S3Client(endpoint_url=server.endpoint_url, region="us-east-1", max_concurrency=3)
        copy = pickle.loads(pickle.dumps(client))
        assert copy._config == client._config
        assert repr(copy) == repr(client)

    def test_explicit_credentials_pickle_only_with_pickle_credentials(
        self, server: S3Server
    ) -> None:
        with pytest.raises(TypeError, match="pickle_credentials=True"):
            pickle.dumps(quick_client(server))
        client = quick_client(server, pickle_credentials=True)
        copy = pickle.loads(pickle.dumps(client))
        assert asyncio.run(read(copy)) == CONTENT

    def test_proxy_password_pickles_only_with_pickle_credentials(self) -> None:
        proxy = "http://user:secret@proxy.example:3128"
        with pytest.raises(TypeError, match=r"proxy=.*pickle_credentials=True"):
            pickle.dumps(S3Client(proxy=proxy))
        for client in (
            S3Client(proxy=proxy, pickle_credentials=True),
            S3Client(proxy="http://proxy.example:3128"),
            S3Client(proxy=""),
        ):
            assert pickle.loads(pickle.dumps(client))._config == client._config

    def test_anonymous_client_pickles(self) -> None:
        copy = pickle.loads(pickle.dumps(S3Client(credentials=ANONYMOUS)))
        assert copy._config.credentials is ANONYMOUS

    async def test_client_with_user_session_does_not_pickle(self) -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TypeError, match="session="):
                pickle.dumps(S3Client(session=session))


def test_repr_shows_no_secret(server: S3Server) -> None:
    client = quick_client(server)
    assert repr(client) == f"S3Client(region='us-east-1', endpoint_url='{server.endpoint_url}')"
    assert server.credentials.secret_access_key not in repr(client)


async def test_idle_connection_is_closed_after_keep_alive(server: S3Server) -> None:
    async with quick_client(server, timeouts=Timeouts(idle=1, keep_alive=0.05)) as client:
        await read(client)
        await read(client)
        assert server.connections_opened == 1
        await asyncio.sleep(0.2)
        await read(client)
    assert server.connections_opened == 2


async def test_small_rest_of_a_body_is_drained_to_keep_the_connection(server: S3Server) -> None:
    async with quick_client(server) as client:
        async with client.get_object(BUCKET, KEY, range="bytes=0-199999") as obj:
            await obj.read(100)
        assert acquired(transport_of(client)) == 0
        await read(client)
        assert server.connections_opened == 1
        async with client.get_object(BUCKET, KEY) as obj:
            await obj.read(100)
        await read(client)
    assert server.connections_opened == 2


PROGRAM = """
import asyncio, os, sys
from aios3get.client import S3Client
from aios3get._protocol.identity import Credentials

client = S3Client(
    endpoint_url=sys.argv[1],
    region="us-east-1",
    verify=sys.argv[2],
    credentials=Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
)
wanted = bytes(range(256)) * 4000

async def read(client=client):
    async with client.get_object("examplebucket", "photos/2006/February/sample.jpg") as obj:
        assert await obj.read() == wanted
"""
PROGRAMS = {
    "closed": """
async def main():
    async with client:
        await read()
asyncio.run(main())
asyncio.run(client.aclose())
""",
    "never-closed": """
asyncio.run(read())
asyncio.run(read())
async def half():
    obj = await client.get_object("examplebucket", "photos/2006/February/sample.jpg")
    await obj.read(10)
asyncio.run(half())
async def dropped():
    await read(S3Client(**client._config.arguments()))
asyncio.run(dropped())
async def cancelled():
    tasks = [asyncio.create_task(read()) for _ in range(20)]
    await asyncio.sleep(0.02)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
asyncio.run(cancelled())
""",
    "body-kept-beyond-its-loop": """
async def main():
    global kept
    kept = await client.get_object("examplebucket", "photos/2006/February/sample.jpg")
    await kept.read(10)
asyncio.run(main())
""",
    "ended-by-an-exception": """
async def main():
    obj = await client.get_object("examplebucket", "photos/2006/February/sample.jpg")
    await obj.read(10)
    raise KeyError
try:
    asyncio.run(main())
except KeyError:
    pass
""",
    "forked-between-loops": """
asyncio.run(read())
pid = os.fork()
asyncio.run(read())
if pid:
    assert os.waitpid(pid, 0)[1] == 0
""",
    "forked-within-a-body": """
async def main():
    async with client.get_object("examplebucket", "photos/2006/February/sample.jpg") as obj:
        got = await obj.read(300_000)
        pid = os.fork()
        if not pid:
            # What a child has of its parent's loop is not for use.
            asyncio.events._set_running_loop(None)
            asyncio.set_event_loop(None)
            status = 1
            try:
                asyncio.run(read())
                status = 0
            finally:
                os._exit(status)
        while not (done := os.waitpid(pid, os.WNOHANG))[0]:
            await asyncio.sleep(0.01)
        assert done[1] == 0
        assert got + await obj.read() == wanted
        await read()
asyncio.run(main())
""",
}


@pytest.fixture(scope="module")
def tls_server(authority: Authority) -> Iterator[S3Server]:
    with S3Server.in_thread(tls=authority.server_context()) as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_ends_without_a_warning(
    tls_server: S3Server, authority: Authority, name: str, tmp_path: Path
) -> None:
    if name.startswith("forked") and not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + PROGRAMS[name])
    done = subprocess.run(
        [
            sys.executable,
            *("-X", "dev", "-W", "error"),
            str(program),
            tls_server.endpoint_url,
            str(authority.ca_file),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # What asyncio says of a slow machine is no warning about the program.
    warned = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout, warned) == (0, "", [])


async def test_unread_body_is_released_with_a_resource_warning(
    client: S3Client, server: S3Server
) -> None:
    with nothing_leaks(client):
        obj = await client.get_object(BUCKET, KEY)
        message = rf"{KEY}.*test_client\.py:\d+.*never read"
        with pytest.warns(ResourceWarning, match=message):  # noqa: PT031 - dropped, then collected
            del obj
            gc.collect()
        await asyncio.sleep(0)


async def test_partly_read_body_is_released(client: S3Client) -> None:
    with nothing_leaks(client), warnings.catch_warnings():
        warnings.simplefilter("error")
        async for _ in await client.get_object(BUCKET, KEY):
            break
        gc.collect()
        await asyncio.sleep(0)


async def test_fully_read_body_raises_no_warning(client: S3Client) -> None:
    with nothing_leaks(client), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await (await client.get_object(BUCKET, KEY)).read() == CONTENT
        gc.collect()


async def test_collected_client_closes_its_connections(server: S3Server) -> None:
    client = quick_client(server)
    await read(client)
    session = own_sessions(transport_of(client)).pooled
    assert session is not None
    del client
    gc.collect()
    async with asyncio.timeout(10):
        while not session.closed:  # noqa: ASYNC110 - aiohttp tells nobody
            await asyncio.sleep(0.01)


async def test_body_can_be_read_after_its_client_is_collected(server: S3Server) -> None:
    server.faults.add(faults.stall_after(10, 0.1))
    obj = await quick_client(server).get_object(BUCKET, KEY)
    gc.collect()
    session = own_sessions(obj._stream._exchange.transport).pooled
    assert session is not None
    assert await obj.read() == CONTENT
    del obj
    gc.collect()
    async with asyncio.timeout(10):
        while not session.closed:  # noqa: ASYNC110 - aiohttp tells nobody
            await asyncio.sleep(0.01)


async def test_call_completes_after_its_client_is_collected(server: S3Server) -> None:
    async def about_to_call() -> GetObjectCall:
        client = quick_client(server)
        await client.head_object(BUCKET, KEY)
        server.faults.add(faults.stall_before_head(0.1))
        return client.get_object(BUCKET, KEY)

    assert await (await (await about_to_call())).read() == CONTENT

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from http.client import HTTPConnection
from unittest import mock

import aiohttp
import pytest

from aios3get import Credentials, S3Client, testing
from aios3get.testing import S3Server, ServerCredentials, faults
from tests.servers.tls import Authority
from tests.testing_client import BUCKET, KEY, call, raw, send


async def test_server_runs_on_the_loop_that_enters_it() -> None:
    async with S3Server() as server, aiohttp.ClientSession() as session:
        server.create_bucket("public", public=True)
        server.put_object("public", "key", b"hello")
        async with session.get(f"{server.endpoint_url}/public/key") as response:
            assert await response.read() == b"hello"
        assert (server.connections_opened, server.connections_open) == (1, 1)
    assert server.connections_open == 0
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.endpoint_url
    await server.stop()


async def test_server_restarts_with_its_objects() -> None:
    server = S3Server()
    server.create_bucket("public", public=True)
    server.put_object("public", "key", b"hello")
    for _ in range(2):
        await server.start()
        reply = await asyncio.to_thread(send, server, "/public/key")
        assert reply.body == b"hello"
        await server.stop()


def test_stop_closes_a_connection_whose_client_reads_nothing() -> None:
    with S3Server.in_thread() as server:
        server.create_bucket("public", public=True)
        server.put_object("public", "key", bytes(20_000_000), etag='"x"')
        client = socket.create_connection((server.host, server.port))
        client.sendall(b"GET /public/key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(1)
        start = time.monotonic()
    assert time.monotonic() - start < 1
    client.close()


def test_stop_closes_a_stalled_tls_connection(authority: Authority) -> None:
    with S3Server.in_thread(tls=authority.server_context()) as server:
        server.create_bucket("public", public=True)
        server.put_object("public", "key", b"hello")
        server.faults.add(faults.stall_after(3))
        plain = socket.create_connection((server.host, server.port), timeout=5)
        client = authority.client_context().wrap_socket(plain, server_hostname="localhost")
        client.sendall(b"GET /public/key HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        start = time.monotonic()
    assert time.monotonic() - start < 1
    with client, suppress(OSError):
        while client.recv(1000):
            pass
    assert time.monotonic() - start < 1


def test_port_can_be_chosen() -> None:
    with S3Server.in_thread() as server:
        port = server.port
    with S3Server.in_thread(port=port) as server:
        assert server.port == port


def test_servers_are_independent() -> None:
    with S3Server.in_thread() as one, S3Server.in_thread() as other:
        one.put_object(BUCKET, KEY, b"one")
        assert call(one).body == b"one"
        assert call(other).code == "NoSuchBucket"
        assert (len(one.requests), len(other.requests)) == (1, 1)


def test_connections_are_numbered_and_kept_alive(server: S3Server) -> None:
    server.create_bucket("public", public=True)
    server.put_object("public", "key", b"hello")
    connection = HTTPConnection(server.host, server.port)
    for _ in range(2):
        connection.request("GET", "/public/key")
        connection.getresponse().read()
    send(server, "/public/key")
    connection.close()
    assert [request.connection for request in server.requests] == [1, 1, 2]
    assert server.connections_opened == 2


def test_connection_close_is_honoured(server: S3Server) -> None:
    received = raw(server, "/nowhere/key", "Connection: close")
    assert b"\r\nConnection: close\r\n" in received
    assert received.endswith(b"</Error>\r\n0\r\n\r\n")


def test_several_credentials_are_accepted() -> None:
    keys = [ServerCredentials(f"AKIAEXAMPLE{n}", f"secret{n}") for n in range(2)]
    with S3Server.in_thread(credentials=keys) as server:
        server.put_object(BUCKET, KEY)
        assert server.credentials is keys[0]
        assert [call(server, credentials=each).status for each in keys] == [200, 200]
        assert server.requests[1].access_key_id == "AKIAEXAMPLE1"
    with S3Server.in_thread(credentials=Credentials("AKIAEXAMPLE", "secret")) as server:
        server.put_object(BUCKET, KEY)
        assert call(server).status == 200
    with pytest.raises(ValueError, match="credentials is empty"):
        S3Server(credentials=[])


def test_repr_of_credentials_shows_no_secret() -> None:
    keys = ServerCredentials("AKIAEXAMPLE", "the-secret", "the-token")
    assert "the-" not in repr(keys)


def test_clock_of_another_zone_is_converted() -> None:
    zone = timezone(timedelta(hours=5))
    with S3Server.in_thread(clock=lambda: datetime.now(zone)) as server:
        server.put_object(BUCKET, KEY, b"hello")
        server.enable_versioning(BUCKET)
        server.delete_object(BUCKET, "other")
        reply = call(server)
        assert (reply.status, reply.headers["Date"][-4:]) == (200, " GMT")
        assert call(server, f"/{BUCKET}/other").code == "NoSuchKey"
        assert server.now().tzinfo is UTC


def test_clock_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the clock's time datetime.* has no time zone; pass"):
        S3Server(clock=lambda: datetime(2013, 5, 24))


def test_request_target_of_20_kb_is_accepted(server: S3Server) -> None:
    server.bucket(BUCKET)
    path = f"/{BUCKET}/{'%C3%A9' * 512}?x={'y' * 20000}"
    assert call(server, path).error["Key"] == "é" * 512


def test_pytest_plugin_imports_nothing_until_a_test_uses_it() -> None:
    program = (
        "import sys, pytest\n"
        "from importlib.metadata import entry_points\n"
        "(plugin,) = entry_points(group='pytest11', name='aios3get')\n"
        "before = set(sys.modules)\n"
        "plugin.load()\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["_aios3get_pytest"]


def test_public_names() -> None:
    assert [getattr(testing, name).__name__ for name in testing.__all__] == [
        "S3Server",
        "S3ServerOptions",
        "Bucket",
        "ClientOptions",
        "ErrorResponse",
        "ObjectOptions",
        "RecordedRequest",
        "ServerCredentials",
        "StoredObject",
        "aios3get.testing.faults",
    ]


def test_fixture_serves_tests_without_an_event_loop(s3_server: S3Server) -> None:
    s3_server.put_object(BUCKET, KEY, b"hello")
    assert call(s3_server).body == b"hello"


async def test_fixture_serves_tests_with_an_event_loop(s3_server: S3Server) -> None:
    s3_server.create_bucket("public", public=True)
    s3_server.put_object("public", "key", b"hello")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{s3_server.endpoint_url}/public/key") as response,
    ):
        assert await response.read() == b"hello"


async def test_client_options_make_a_client_of_the_server(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.put_object(BUCKET, KEY, b"hello")
    async with S3Client(**server.client_options) as s3, s3.get_object(BUCKET, KEY) as obj:
        assert await obj.read() == b"hello"


def test_environ_makes_any_sdk_use_the_server(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.com")
    server.put_object(BUCKET, KEY, b"hello")
    program = (
        "import botocore.session\n"
        "s3 = botocore.session.Session().create_client('s3')\n"
        f"print(s3.get_object(Bucket={BUCKET!r}, Key={KEY!r})['Body'].read())\n"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.check_output(command, env=server.environ, text=True)
    assert printed == "b'hello'\n"
    assert server.environ["NO_PROXY"] == "example.com,127.0.0.1"


async def test_environ_makes_a_client_without_arguments_use_the_server() -> None:
    credentials = ServerCredentials.temporary()
    with S3Server.in_thread(credentials=credentials, region="eu-central-1") as server:
        server.put_object(BUCKET, KEY, b"hello")
        with mock.patch.dict(os.environ, server.environ, clear=True):
            async with S3Client() as s3, s3.get_object(BUCKET, KEY) as obj:
                assert await obj.read() == b"hello"
    assert server.requests[0].headers["x-amz-security-token"] == credentials.session_token


def test_latency_delays_the_first_byte(server: S3Server) -> None:
    server.bucket(BUCKET)
    server.latency = 0.1
    start = time.monotonic()
    assert call(server).status == 404
    assert time.monotonic() - start >= 0.1


def test_bytes_per_second_limits_each_response(server: S3Server) -> None:
    server.bytes_per_second = 1_000_000
    server.put_object(BUCKET, KEY, bytes(200_000))
    start = time.monotonic()
    assert len(call(server).body) == 200_000
    assert 0.1 <= time.monotonic() - start < 2

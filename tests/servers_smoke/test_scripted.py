import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.servers.bad_responses import (
    BAD_RANGE_RESPONSES,
    BAD_RESPONSES,
    BAD_TLS_RESPONSES,
    CONTENT,
    ETAG,
    BadResponse,
    good_responses,
)
from tests.servers.foreign import fetch
from tests.servers.scripted import (
    Script,
    ScriptedServer,
    close,
    drip,
    flood,
    hang,
    http_response,
    read_request,
    reset,
    send,
    truncate,
    wait,
)
from tests.servers.tls import Authority

# SSLEOFError from Python 3.11.4 on, and its base class before.
TRUNCATION = r"(?i)\beof\b"

REQUEST = b"GET /key HTTP/1.1\r\nHost: localhost\r\n\r\n"


# Answers that are true to the letter, but come slowly or to a question for less.
CORRECT_RESPONSES = {"one-byte-at-a-time", "whole-object"}


def receive_all(server: ScriptedServer, request: bytes = REQUEST, timeout: float = 5.0) -> bytes:
    """All that comes until the connection ends; an abort raises ConnectionResetError."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as client:
        client.sendall(request)
        while data := client.recv(65536):
            received += data
    return received


def test_good_response_is_parsed_by_http_client() -> None:
    with ScriptedServer(good_responses()) as server:
        assert fetch(f"{server.url}/key").body == CONTENT


def test_connection_serves_several_requests() -> None:
    with ScriptedServer(good_responses()) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port)
        for _ in range(3):
            client.request("GET", "/key")
            assert client.getresponse().read() == CONTENT
        client.close()
        assert len(server.connections) == 1
        assert len(server.requests) == 3


def test_request_is_recorded_byte_for_byte() -> None:
    odd = b"GET /a%2Fb?x=%20 HTTP/1.1\r\nHoSt: b\r\nX-Amz-Date:  two  spaces\r\n\r\n"
    with ScriptedServer([read_request(), send(b"ok")]) as server:
        assert receive_all(server, odd) == b"ok"
        assert server.requests == [odd]


def test_each_connection_plays_its_script_and_the_last_repeats() -> None:
    with ScriptedServer([read_request(), send(b"1")], [read_request(), send(b"2")]) as server:
        assert [receive_all(server) for _ in range(3)] == [b"1", b"2", b"2"]
        assert [len(requests) for requests in server.connections] == [1, 1, 1]


def test_reset_sends_rst() -> None:
    script = [read_request(), send(b"x"), reset()]
    with ScriptedServer(script) as server, pytest.raises(ConnectionResetError):
        receive_all(server)


def test_close_sends_fin() -> None:
    with ScriptedServer([read_request(), send(b"x"), close(), send(b"never")]) as server:
        assert receive_all(server) == b"x"


def test_drip_and_wait_pause() -> None:
    with ScriptedServer([read_request(), drip(b"abcd", 0.01, 2), wait(0.02)]) as server:
        before = time.monotonic()
        assert receive_all(server) == b"abcd"
        assert time.monotonic() - before >= 0.04


def test_flood_ends_after_its_times_or_with_the_client() -> None:
    with ScriptedServer([read_request(), flood(b"ab", 3)], [flood(b"x" * 65536)]) as server:
        assert receive_all(server) == b"ababab"
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            assert client.recv(10) == b"x" * 10


def test_hang_ends_when_the_server_stops() -> None:
    with ScriptedServer([read_request(), send(b"x"), hang()]) as server:
        client = socket.create_connection(("127.0.0.1", server.port), timeout=0.05)
        client.sendall(REQUEST)
        assert client.recv(1) == b"x"
        with pytest.raises(TimeoutError):
            client.recv(1)
    with client:
        client.settimeout(5)
        assert client.recv(1) == b""


@contextmanager
def tls_client(script: Script, authority: Authority) -> Iterator[ssl.SSLSocket]:
    """A client that has sent its request and tells a truncation from an end."""
    with ScriptedServer(script, tls=authority.server_context()) as server:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        context = authority.client_context()
        name = "amzn-s3-demo-bucket.localhost"
        with context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False) as client:
            client.sendall(REQUEST)
            yield client


def test_close_over_tls_sends_close_notify(authority: Authority) -> None:
    script = [read_request(), send(b"x"), close()]
    with tls_client(script, authority) as client:
        assert client.recv(10) == b"x"
        assert client.recv(10) == b""


def test_truncate_over_tls_sends_no_close_notify(authority: Authority) -> None:
    script = [read_request(), send(b"x"), truncate()]
    with tls_client(script, authority) as client:
        assert client.recv(10) == b"x"
        with pytest.raises(ssl.SSLError, match=TRUNCATION):
            client.recv(10)


@pytest.mark.parametrize("host", ["photos.s3.us-east-1.amazonaws.com", "a.b.c.s3.test", "h"])
def test_server_has_a_certificate_for_any_host_name(host: str, authority: Authority) -> None:
    with ScriptedServer(good_responses(), tls=authority.server_context()) as server:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with authority.client_context().wrap_socket(plain, server_hostname=host) as client:
            assert client.getpeercert()


def test_http_response_has_status_headers_and_length() -> None:
    assert http_response(b"abc", "ETag: x") == (
        b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert http_response(b"abc", length="", version="1.0") == b"HTTP/1.0 200 OK\r\n\r\nabc"


@pytest.mark.parametrize("name", [*BAD_RESPONSES, *BAD_RANGE_RESPONSES])
def test_bad_response_is_sent(name: str) -> None:
    bad = BAD_RESPONSES[name] if name in BAD_RESPONSES else BAD_RANGE_RESPONSES[name]
    with ScriptedServer(bad.script) as server:
        received = b""
        with (
            suppress(TimeoutError, ConnectionResetError),
            socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as client,
        ):
            client.sendall(REQUEST)
            while (data := client.recv(65536)) and len(received) < 1_000_000:
                received += data
    expected = http_response(CONTENT, f"ETag: {ETAG}")
    assert (received == expected) == (name in CORRECT_RESPONSES)
    assert len(server.connections) == 1


@pytest.mark.parametrize("bad", BAD_TLS_RESPONSES.values(), ids=BAD_TLS_RESPONSES)
def test_bad_tls_response_is_sent(bad: BadResponse, authority: Authority) -> None:
    with (
        tls_client(bad.script, authority) as client,
        pytest.raises(ssl.SSLError, match=TRUNCATION),
    ):
        client.makefile("rb", buffering=0).readall()

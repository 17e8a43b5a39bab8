import socket
import ssl
import time
from collections.abc import Callable

import pytest

from aios3get.testing import S3Server, faults
from tests.servers.tls import Authority
from tests.testing_client import BUCKET, KEY, Reply, call, raw, send

BODY = bytes(range(256)) * 4


@pytest.fixture
def server(server: S3Server) -> S3Server:
    server.create_bucket("public", public=True)
    server.put_object("public", "key", BODY)
    return server


def get(server: S3Server, **headers: str) -> Reply:
    return send(server, "/public/key", headers)


def split(received: bytes) -> tuple[bytes, bytes]:
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("count", [0, 1, 500, 1024])
def test_drop_after_closes_the_connection(server: S3Server, count: int) -> None:
    server.faults.add(faults.drop_after(count))
    head, body = split(raw(server))
    assert b"\r\nContent-Length: 1024" in head
    assert body == BODY[:count]
    assert server.requests[0].bytes_sent == count
    assert server.requests[0].fault == f"drop_after({count})"
    assert server.faults.pending == ()
    assert get(server).body == BODY


@pytest.mark.parametrize("count", [0, 1, 500, 1024])
def test_reset_after_resets_the_connection(server: S3Server, count: int) -> None:
    server.faults.add(faults.reset_after(count))
    _, body = split(raw(server))
    assert body == BODY[:count] + b"<reset>"


@pytest.mark.parametrize(
    ("fault", "received"),
    [
        (faults.close_before_head(), b""),
        (faults.reset_before_head(), b"<reset>"),
        (faults.cut_head(12), b"HTTP/1.1 200"),
        (faults.garbage_head(b"\x00nonsense"), b"\x00nonsense"),
    ],
    ids=repr,
)
def test_fault_before_the_body_sends_no_response(
    server: S3Server, fault: faults.Fault, received: bytes
) -> None:
    server.faults.add(fault)
    assert raw(server) == received


def test_stall_after_pauses_and_continues(server: S3Server) -> None:
    server.faults.add(faults.stall_after(500, 0.2))
    began = time.monotonic()
    assert get(server).body == BODY
    assert 0.2 <= time.monotonic() - began < 5


def test_stall_before_head_pauses_and_continues(server: S3Server) -> None:
    server.faults.add(faults.stall_before_head(0.2))
    began = time.monotonic()
    assert get(server).status == 200
    assert 0.2 <= time.monotonic() - began < 5


def test_stopping_the_server_ends_a_stall() -> None:
    with S3Server.in_thread() as server:
        server.create_bucket("public", public=True)
        server.put_object("public", "key", BODY)
        server.faults.add(faults.stall_after(10))
        connection = socket.create_connection((server.host, server.port), timeout=10)
        connection.sendall(b"GET /public/key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(100)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    connection.close()


def test_stall_ends_when_the_client_leaves(server: S3Server) -> None:
    server.faults.add(faults.stall_before_head())
    with socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(b"GET /public/key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while not server.requests:
            time.sleep(0.001)
    deadline = time.monotonic() + 5
    while server.connections_open and time.monotonic() < deadline:
        time.sleep(0.001)
    assert server.connections_open == 0


def test_slow_limits_the_rate(server: S3Server) -> None:
    server.faults.add(faults.slow(4096))
    began = time.monotonic()
    assert get(server).body == BODY
    assert time.monotonic() - began >= 0.2


def test_slow_has_no_effect_on_head(server: S3Server) -> None:
    server.faults.add(faults.slow(1))
    assert send(server, "/public/key", method="HEAD").headers["Content-Length"] == "1024"


@pytest.mark.parametrize(
    ("number", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"), (599, "Error")],
)
def test_status_sends_an_error_document(server: S3Server, number: int, code: str) -> None:
    server.faults.add(faults.status(number, retry_after=2), times=2)
    for _ in range(2):
        reply = get(server)
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (number, code, "2")
    assert get(server).status == 200
    assert [request.status for request in server.requests] == [number, number, 200]


def test_status_takes_message_fields_and_headers(server: S3Server) -> None:
    server.faults.add(
        faults.status(
            400,
            "Odd",
            "odd <thing>\x01",
            retry_after="Fri, 24 May 2013 00:00:00 GMT",
            fields={"Region": "eu-west-1"},
            headers={"x-odd": "1"},
        )
    )
    reply = get(server)
    assert reply.error["Message"] == "odd <thing>\\x01"
    assert reply.error["Region"] == "eu-west-1"
    assert reply.headers["x-odd"] == "1"
    assert reply.headers["Retry-After"].endswith("GMT")


@pytest.mark.parametrize("body", [b"<html>Bad Gateway \xc3\xa9", "<html>Bad Gateway é"])
@pytest.mark.parametrize("number", [403, 502])
def test_status_sends_a_body_of_bytes_or_text(
    server: S3Server, number: int, body: bytes | str
) -> None:
    server.faults.add(faults.status(number, body=body))
    reply = get(server)
    assert (reply.status, reply.body) == (number, "<html>Bad Gateway é".encode())


def test_fault_of_the_body_sends_no_body_with_head(server: S3Server) -> None:
    server.faults.add(faults.drop_after(10))
    head, body = split(raw(server, method="HEAD"))
    assert b"Content-Length: 1024" in head
    assert body == b""


def test_replace_object_may_clear_the_faults(server: S3Server) -> None:
    def replacing() -> object:
        server.faults.clear()
        return None

    server.faults.add(faults.replace_object(replacing, after=3))
    assert split(raw(server, "/public/key", "Connection: close"))[1] == BODY[:3]


def test_expired_token_applies_once(server: S3Server) -> None:
    server.faults.add(faults.expired_token())
    assert (get(server).code, get(server).status) == ("ExpiredToken", 200)


def test_clock_skew_applies_to_one_request(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    server.faults.add(faults.clock_skew(-3600))
    assert call(server).code == "RequestTimeTooSkewed"
    assert call(server).status == 200


def test_ignore_range_sends_the_whole_object(server: S3Server) -> None:
    server.faults.add(faults.ignore_range())
    reply = get(server, Range="bytes=10-19")
    assert (reply.status, reply.body) == (200, BODY)


@pytest.mark.parametrize(
    ("requested", "sent"),
    [("bytes=10-19", BODY[11:21]), ("bytes=10-", BODY[11:]), ("bytes=-5", BODY[-6:])],
)
def test_wrong_range_sends_other_bytes_with_their_content_range(
    server: S3Server, requested: str, sent: bytes
) -> None:
    server.faults.add(faults.wrong_range())
    reply = get(server, Range=requested)
    assert (reply.status, reply.body) == (206, sent)
    first = int(reply.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])
    assert BODY[first : first + len(sent)] == sent
    assert server.requests[0].headers["Range"] == requested


def test_wrong_content_range_sends_the_right_bytes(server: S3Server) -> None:
    server.faults.add(faults.wrong_content_range(5), times=2)
    reply = get(server, Range="bytes=10-19")
    assert (reply.body, reply.headers["Content-Range"]) == (BODY[10:20], "bytes 15-24/1024")
    assert "Content-Range" not in get(server).headers


@pytest.mark.parametrize("offset", [0, 100, -1])
def test_flip_byte_inverts_one_byte(server: S3Server, offset: int) -> None:
    server.faults.add(faults.flip_byte(offset))
    wrong = bytearray(BODY)
    wrong[offset] ^= 0xFF
    assert get(server).body == wrong


@pytest.mark.parametrize("offset", [1024, -1025])
def test_flip_byte_outside_the_body_changes_nothing(server: S3Server, offset: int) -> None:
    server.faults.add(faults.flip_byte(offset))
    assert get(server).body == BODY


def test_change_etag_sends_another_etag(server: S3Server) -> None:
    server.faults.add(faults.change_etag())
    reply = get(server)
    assert (reply.headers["ETag"], reply.body) == ('"00000000000000000000000000000000"', BODY)


def test_no_etag_sends_none(server: S3Server) -> None:
    server.faults.add(faults.no_etag())
    assert "ETag" not in get(server).headers


def test_set_headers_replaces_and_removes(server: S3Server) -> None:
    server.faults.add(faults.set_headers({"Last-Modified": "odd", "etag": None, "x": "€"}))
    head, _ = split(raw(server, "/public/key", "Connection: close"))
    assert b"\r\nLast-Modified: odd\r\n" in head
    assert b"ETag" not in head
    assert "x: €".encode() in head


def test_wrong_checksum_changes_every_value(server: S3Server) -> None:
    stored = server.put_object("public", "key", BODY, checksum_algorithm=["SHA1", "CRC32"])
    server.faults.add(faults.wrong_checksum())
    reply = get(server, **{"x-amz-checksum-mode": "ENABLED"})
    for name, value in stored.checksums.items():
        value_sent = reply.headers[f"x-amz-checksum-{name.lower()}"]
        assert value_sent != value
        assert value_sent[1:] == value[1:]
    assert reply.headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_wrong_checksum_changes_a_leading_a(server: S3Server) -> None:
    server.put_object("public", "key", b"", checksum_algorithm="CRC32")
    server.faults.add(faults.wrong_checksum())
    reply = get(server, **{"x-amz-checksum-mode": "ENABLED"})
    assert reply.headers["x-amz-checksum-crc32"] == "BAAAAA=="


def test_replace_object_sends_bytes_of_the_old_object(server: S3Server) -> None:
    def replacing() -> object:
        return server.put_object("public", "key", b"new")

    server.faults.add(faults.replace_object(replacing, after=100))
    assert split(raw(server))[1] == BODY[:100]
    assert get(server).body == b"new"


def test_too_long_and_too_short_have_a_matching_length(server: S3Server) -> None:
    server.faults.add(faults.too_long(3))
    server.faults.add(faults.too_short(3))
    for length in (1027, 1021):
        reply = get(server)
        assert (len(reply.body), reply.headers["Content-Length"]) == (length, str(length))
        assert reply.body[:1021] == BODY[:1021]


@pytest.mark.parametrize("difference", [-3, 3])
def test_wrong_content_length_sends_the_whole_body(server: S3Server, difference: int) -> None:
    server.faults.add(faults.wrong_content_length(difference))
    head, body = split(raw(server))
    assert f"Content-Length: {1024 + difference}".encode() in head
    assert body == BODY


def test_no_length_sends_chunks(server: S3Server) -> None:
    server.faults.add(faults.no_length(), times=2)
    reply = get(server)
    assert (reply.body, reply.headers["Transfer-Encoding"]) == (BODY, "chunked")
    assert "Content-Length" not in reply.headers
    received = raw(server, "/public/key", "Connection: close")
    assert received.endswith(b"400\r\n" + BODY + b"\r\n0\r\n\r\n")


def test_no_length_until_close_ends_with_the_connection(server: S3Server) -> None:
    server.faults.add(faults.no_length(until_close=True))
    head, body = split(raw(server))
    assert body == BODY
    assert b"Connection: close" in head
    assert b"Content-Length" not in head


def test_truncated_chunked_sends_no_last_chunk(server: S3Server) -> None:
    server.faults.add(faults.truncated_chunked(100))
    assert split(raw(server))[1] == b"64\r\n" + BODY[:100] + b"\r\n"


def test_large_body_arrives_whole_in_every_framing(server: S3Server) -> None:
    big = BODY * 3000
    server.put_object("public", "key", big)
    server.faults.add(faults.no_length())
    server.faults.add(faults.stall_after(1_500_000, 0.01))
    for _ in range(3):
        assert get(server).body == big


@pytest.fixture
def tls_server(tls_server: S3Server) -> S3Server:
    tls_server.create_bucket("public", public=True)
    tls_server.put_object("public", "key", BODY)
    return tls_server


def raw_tls(server: S3Server, authority: Authority) -> bytes:
    # ssl.SSLSocket reports a reset as an early end; the plain socket distinguishes them.
    context = authority.client_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    request = b"GET /public/key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    received = b""
    with socket.create_connection((server.host, server.port), timeout=10) as plain:
        steps: list[Callable[[], object]] = [tls.do_handshake, lambda: tls.write(request)]
        while True:
            try:
                if steps:
                    steps[0]()
                    steps.pop(0)
                elif data := tls.read(65536):
                    received += data
                else:
                    return received
            except ssl.SSLWantReadError:
                if flight := outgoing.read():
                    plain.sendall(flight)
                try:
                    if not incoming.write(plain.recv(65536)):
                        incoming.write_eof()
                except ConnectionResetError:
                    return received + b"<reset>"
            except ssl.SSLZeroReturnError:
                return received
            except ssl.SSLError as error:
                # SSLEOFError from Python 3.11.4 on, and its base class before.
                return received + (b"<eof>" if "EOF" in str(error) else str(error).encode())


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        (faults.drop_after(100), b""),
        (faults.drop_after(100, close_notify=False), b"<eof>"),
        (faults.reset_after(100), b"<reset>"),
    ],
    ids=["close_notify", "truncated", "reset"],
)
def test_connection_ends_over_tls_as_the_fault_says(
    tls_server: S3Server, authority: Authority, fault: faults.Fault, ending: bytes
) -> None:
    assert tls_server.endpoint_url.startswith("https://")
    tls_server.faults.add(fault)
    assert split(raw_tls(tls_server, authority))[1] == BODY[:100] + ending
    assert tls_server.requests[0].secure

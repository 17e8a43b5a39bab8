import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest
import trustme

from aios3get.testing import S3Server, faults
from tests.testing_client import BUCKET, KEY, Reply, call, raw, send

BODY = bytes(range(256)) * 4


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    s3_server.create_bucket("public", public=True)
    s3_server.put_object("public", "key", BODY)
    return s3_server


def get(server: S3Server, **headers: str) -> Reply:
    return send(server, "/public/key", headers)


def split(received: bytes) -> tuple[bytes, bytes]:
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("count", [0, 1, 500, 1024])
def test_drop_after_closes_in_good_order(server: S3Server, count: int) -> None:
    server.faults.add(faults.drop_after(count))
    head, body = split(raw(server))
    assert b"\r\nContent-Length: 1024" in head
    assert body == BODY[:count]
    assert server.requests[0].bytes_sent == count
    assert server.requests[0].fault == f"drop_after({count})"
    assert server.faults.pending == ()
    assert get(server).body == BODY


@pytest.mark.parametrize("count", [0, 1, 500, 1024])
def test_reset_after_resets(server: S3Server, count: int) -> None:
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
def test_faults_before_the_body(server: S3Server, fault: faults.Fault, received: bytes) -> None:
    server.faults.add(fault)
    assert raw(server) == received


def test_stall_after_goes_on_in_its_time(server: S3Server) -> None:
    server.faults.add(faults.stall_after(500, 0.2))
    began = time.monotonic()
    assert get(server).body == BODY
    assert 0.2 <= time.monotonic() - began < 5


def test_stall_before_head_goes_on_in_its_time(server: S3Server) -> None:
    server.faults.add(faults.stall_before_head(0.2))
    began = time.monotonic()
    assert get(server).status == 200
    assert 0.2 <= time.monotonic() - began < 5


def test_stopping_ends_a_stall() -> None:
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


def test_a_stall_ends_when_the_client_leaves(server: S3Server) -> None:
    server.faults.add(faults.stall_before_head())
    with socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(b"GET /public/key HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while not server.requests:
            time.sleep(0.001)
    deadline = time.monotonic() + 5
    while server.connections_open and time.monotonic() < deadline:
        time.sleep(0.001)
    assert server.connections_open == 0


def test_slow_takes_its_time(server: S3Server) -> None:
    server.faults.add(faults.slow(4096))
    began = time.monotonic()
    assert get(server).body == BODY
    assert time.monotonic() - began >= 0.2


def test_slow_head_is_a_head(server: S3Server) -> None:
    server.faults.add(faults.slow(1))
    assert send(server, "/public/key", method="HEAD").headers["Content-Length"] == "1024"


@pytest.mark.parametrize(
    ("number", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests"), (599, "Error")],
)
def test_status_answers_with_an_error(server: S3Server, number: int, code: str) -> None:
    server.faults.add(faults.status(number, retry_after=2), times=2)
    for _ in range(2):
        reply = get(server)
        assert (reply.status, reply.code, reply.headers["Retry-After"]) == (number, code, "2")
    assert get(server).status == 200
    assert [request.status for request in server.requests] == [number, number, 200]


def test_status_with_everything_chosen(server: S3Server) -> None:
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


def test_status_with_a_body_of_its_own(server: S3Server) -> None:
    server.faults.add(faults.status(502, body=b"<html>Bad Gateway"))
    reply = get(server)
    assert (reply.status, reply.body) == (502, b"<html>Bad Gateway")


def test_a_fault_of_the_body_leaves_head_a_head(server: S3Server) -> None:
    server.faults.add(faults.drop_after(10))
    head, body = split(raw(server, method="HEAD"))
    assert b"Content-Length: 1024" in head
    assert body == b""


def test_two_endings_are_one(server: S3Server) -> None:
    def replacing() -> object:
        server.faults.clear()
        return None

    server.faults.add(faults.replace_object(replacing, after=3))
    assert split(raw(server, "/public/key", "Connection: close"))[1] == BODY[:3]


def test_expired_token_once(server: S3Server) -> None:
    server.faults.add(faults.expired_token())
    assert (get(server).code, get(server).status) == ("ExpiredToken", 200)


def test_clock_skew_is_of_one_request(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, BODY)
    server.faults.add(faults.clock_skew(-3600))
    assert call(server).code == "RequestTimeTooSkewed"
    assert call(server).status == 200


def test_ignore_range_answers_whole(server: S3Server) -> None:
    server.faults.add(faults.ignore_range())
    reply = get(server, Range="bytes=10-19")
    assert (reply.status, reply.body) == (200, BODY)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("bytes=10-19", BODY[11:21]), ("bytes=10-", BODY[11:]), ("bytes=-5", BODY[-6:])],
)
def test_wrong_range_sends_other_bytes_and_says_so(
    server: S3Server, asked: str, sent: bytes
) -> None:
    server.faults.add(faults.wrong_range())
    reply = get(server, Range=asked)
    assert (reply.status, reply.body) == (206, sent)
    first = int(reply.headers["Content-Range"].removeprefix("bytes ").partition("-")[0])
    assert BODY[first : first + len(sent)] == sent
    assert server.requests[0].headers["Range"] == asked


def test_wrong_content_range_lies(server: S3Server) -> None:
    server.faults.add(faults.wrong_content_range(5), times=2)
    reply = get(server, Range="bytes=10-19")
    assert (reply.body, reply.headers["Content-Range"]) == (BODY[10:20], "bytes 15-24/1024")
    assert "Content-Range" not in get(server).headers


@pytest.mark.parametrize("offset", [0, 100, -1])
def test_flip_byte_flips_one(server: S3Server, offset: int) -> None:
    server.faults.add(faults.flip_byte(offset))
    wrong = bytearray(BODY)
    wrong[offset] ^= 0xFF
    assert get(server).body == wrong


def test_change_etag(server: S3Server) -> None:
    server.faults.add(faults.change_etag())
    reply = get(server)
    assert (reply.headers["ETag"], reply.body) == ('"00000000000000000000000000000000"', BODY)


def test_no_etag(server: S3Server) -> None:
    server.faults.add(faults.no_etag())
    assert "ETag" not in get(server).headers


def test_set_headers(server: S3Server) -> None:
    server.faults.add(faults.set_headers({"Last-Modified": "odd", "etag": None, "x": "€"}))
    head, _ = split(raw(server, "/public/key", "Connection: close"))
    assert b"\r\nLast-Modified: odd\r\n" in head
    assert b"ETag" not in head
    assert "x: €".encode() in head


def test_wrong_checksum(server: S3Server) -> None:
    stored = server.put_object("public", "key", BODY, checksum_algorithm=["SHA1", "CRC32"])
    server.faults.add(faults.wrong_checksum())
    reply = get(server, **{"x-amz-checksum-mode": "ENABLED"})
    for name, value in stored.checksums.items():
        told = reply.headers[f"x-amz-checksum-{name.lower()}"]
        assert told != value
        assert told[1:] == value[1:]
    assert reply.headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_wrong_checksum_about_a_leading_a(server: S3Server) -> None:
    server.put_object("public", "key", b"", checksum_algorithm="CRC32")
    server.faults.add(faults.wrong_checksum())
    reply = get(server, **{"x-amz-checksum-mode": "ENABLED"})
    assert reply.headers["x-amz-checksum-crc32"] == "BAAAAA=="


def test_replace_object_in_the_middle(server: S3Server) -> None:
    def replacing() -> object:
        return server.put_object("public", "key", b"new")

    server.faults.add(faults.replace_object(replacing, after=100))
    assert split(raw(server))[1] == BODY[:100]
    assert get(server).body == b"new"


def test_too_long_and_too_short_agree_with_their_length(server: S3Server) -> None:
    server.faults.add(faults.too_long(3))
    server.faults.add(faults.too_short(3))
    for length in (1027, 1021):
        reply = get(server)
        assert (len(reply.body), reply.headers["Content-Length"]) == (length, str(length))
        assert reply.body[:1021] == BODY[:1021]


@pytest.mark.parametrize("difference", [-3, 3])
def test_wrong_content_length_disagrees_with_the_body(server: S3Server, difference: int) -> None:
    server.faults.add(faults.wrong_content_length(difference))
    head, body = split(raw(server))
    assert f"Content-Length: {1024 + difference}".encode() in head
    assert body == BODY


def test_no_length_in_chunks(server: S3Server) -> None:
    server.faults.add(faults.no_length(), times=2)
    reply = get(server)
    assert (reply.body, reply.headers["Transfer-Encoding"]) == (BODY, "chunked")
    assert "Content-Length" not in reply.headers
    received = raw(server, "/public/key", "Connection: close")
    assert received.endswith(b"400\r\n" + BODY + b"\r\n0\r\n\r\n")


def test_no_length_until_close(server: S3Server) -> None:
    server.faults.add(faults.no_length(until_close=True))
    head, body = split(raw(server))
    assert body == BODY
    assert b"Connection: close" in head
    assert b"Content-Length" not in head


def test_truncated_chunked(server: S3Server) -> None:
    server.faults.add(faults.truncated_chunked(100))
    assert split(raw(server))[1] == b"64\r\n" + BODY[:100] + b"\r\n"


def test_big_bodies_arrive_whole_in_every_framing(server: S3Server) -> None:
    big = BODY * 3000
    server.put_object("public", "key", big)
    server.faults.add(faults.no_length())
    server.faults.add(faults.stall_after(1_500_000, 0.01))
    for _ in range(3):
        assert get(server).body == big


def test_faults_meet_the_requests_they_are_meant_for(server: S3Server) -> None:
    server.put_object("public", "other", b"")
    server.faults.add(faults.status(500), key="other")
    server.faults.add(faults.status(501), method="HEAD")
    server.faults.add(faults.status(502), bucket="elsewhere")
    server.faults.add(faults.status(503), after=1)
    server.faults.add(faults.status(504), where=lambda request: "x-odd" in request.headers)
    statuses = [
        get(server).status,
        get(server).status,
        send(server, "/public/other").status,
        send(server, "/public/key", method="HEAD").status,
        send(server, "/public/key", {"x-odd": "1"}, method="HEAD").status,
        get(server).status,
    ]
    assert statuses == [200, 503, 500, 501, 504, 200]
    assert [fault.name for fault in server.faults.pending] == ["status(502, 'Error')"]
    server.faults.clear()
    assert server.faults.pending == ()


def test_faults_without_number_stay(server: S3Server) -> None:
    server.faults.add(faults.status(503), times=None)
    assert [get(server).status for _ in range(3)] == [503] * 3


@pytest.mark.parametrize("times", [0, -1])
def test_a_fault_that_never_comes_is_a_mistake(server: S3Server, times: int) -> None:
    with pytest.raises(ValueError, match="times"):
        server.faults.add(faults.status(503), times=times)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[S3Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with S3Server.in_thread(tls=context) as server:
        server.create_bucket("public", public=True)
        server.put_object("public", "key", BODY)
        yield server


def raw_tls(server: S3Server, authority: trustme.CA) -> bytes:
    # ssl.SSLSocket reports a reset as an early end; the plain socket underneath tells them apart.
    context = ssl.create_default_context()
    authority.configure_trust(context)
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
            except ssl.SSLEOFError:
                return received + b"<eof>"


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        (faults.drop_after(100), b""),
        (faults.drop_after(100, close_notify=False), b"<eof>"),
        (faults.reset_after(100), b"<reset>"),
    ],
    ids=["close_notify", "truncated", "reset"],
)
def test_endings_over_tls(
    tls_server: S3Server, authority: trustme.CA, fault: faults.Fault, ending: bytes
) -> None:
    assert tls_server.endpoint_url.startswith("https://")
    tls_server.faults.add(fault)
    assert split(raw_tls(tls_server, authority))[1] == BODY[:100] + ending
    assert tls_server.requests[0].secure

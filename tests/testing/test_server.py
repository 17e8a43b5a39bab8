import asyncio
import hashlib
import hmac
import ssl
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from http.client import HTTPConnection
from pathlib import Path

import aiohttp
import pytest
import trustme
from botocore.auth import S3SigV4Auth

from aios3get import Credentials, testing
from aios3get.testing import S3Server, ServerCredentials
from tests.testing_client import BUCKET, KEY, PATH, boto, call, raw, send, sign

MAY_2013 = datetime(2013, 5, 24, tzinfo=UTC)
SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
EMPTY = hashlib.sha256(b"").hexdigest()


async def test_it_serves_on_the_loop_it_is_entered_on() -> None:
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


async def test_it_can_be_started_again_with_what_it_has() -> None:
    server = S3Server()
    server.create_bucket("public", public=True)
    server.put_object("public", "key", b"hello")
    for _ in range(2):
        await server.start()
        reply = await asyncio.to_thread(send, server, "/public/key")
        assert reply.body == b"hello"
        await server.stop()


def test_a_port_can_be_chosen() -> None:
    with S3Server.in_thread() as server:
        port = server.port
    with S3Server.in_thread(port=port) as server:
        assert server.port == port


def test_several_servers_at_once_know_nothing_of_each_other() -> None:
    with S3Server.in_thread() as one, S3Server.in_thread() as other:
        one.put_object(BUCKET, KEY, b"one")
        assert call(one).body == b"one"
        assert call(other).code == "NoSuchBucket"
        assert (len(one.requests), len(other.requests)) == (1, 1)


def test_connections_are_numbered_and_kept(s3_server: S3Server) -> None:
    s3_server.create_bucket("public", public=True)
    s3_server.put_object("public", "key", b"hello")
    connection = HTTPConnection(s3_server.host, s3_server.port)
    for _ in range(2):
        connection.request("GET", "/public/key")
        connection.getresponse().read()
    send(s3_server, "/public/key")
    connection.close()
    assert [request.connection for request in s3_server.requests] == [1, 1, 2]
    assert s3_server.connections_opened == 2


def test_an_old_client_gets_its_connection_closed(s3_server: S3Server) -> None:
    received = raw(s3_server, "/nowhere/key", "Connection: close")
    assert b"\r\nConnection: close\r\n" in received
    assert received.endswith(b"</Error>\r\n0\r\n\r\n")


def test_the_first_of_several_credentials_is_the_servers() -> None:
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


def test_secrets_stay_out_of_reprs() -> None:
    keys = ServerCredentials("AKIAEXAMPLE", "the-secret", "the-token")
    assert "the-" not in repr(keys)


def test_a_clock_of_another_zone_tells_the_same_time() -> None:
    zone = timezone(timedelta(hours=5))
    with S3Server.in_thread(clock=lambda: datetime.now(zone)) as server:
        server.put_object(BUCKET, KEY, b"hello")
        server.enable_versioning(BUCKET)
        server.delete_object(BUCKET, "other")
        reply = call(server)
        assert (reply.status, reply.headers["Date"][-4:]) == (200, " GMT")
        assert call(server, f"/{BUCKET}/other").code == "NoSuchKey"
        assert server.now().tzinfo is UTC


def test_a_clock_without_a_zone_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"clock gave datetime.* has no time zone; say which"):
        S3Server(clock=lambda: datetime(2013, 5, 24))


@pytest.fixture
def in_may_2013() -> Iterator[S3Server]:
    with S3Server.in_thread(clock=lambda: MAY_2013) as server:
        server.bucket("examplebucket")
        yield server


def test_the_published_header_example(in_may_2013: S3Server) -> None:
    in_may_2013.put_object("examplebucket", "test.txt", b"Welcome to Amazon S3.")
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    headers = {
        "Host": "examplebucket.s3.amazonaws.com",
        "Range": "bytes=0-9",
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": "20130524T000000Z",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE},"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    }
    reply = send(in_may_2013, "/test.txt", headers)
    assert (reply.status, reply.body) == (206, b"Welcome to")
    assert reply.headers["Date"] == "Fri, 24 May 2013 00:00:00 GMT"


def test_the_published_presigned_example(in_may_2013: S3Server) -> None:
    in_may_2013.put_object("examplebucket", "test.txt", b"Welcome to Amazon S3.")
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    path = (
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={SCOPE.replace('/', '%2F')}&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    host = {"Host": "examplebucket.s3.amazonaws.com"}
    assert send(in_may_2013, path, host).status == 200
    in_may_2013.clock_skew = 86401
    assert send(in_may_2013, path, host).error["Expires"] == "2013-05-25T00:00:00Z"


CHUNKS = (
    (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
)


@pytest.mark.parametrize("tampered", [False, True])
def test_the_published_example_of_signed_chunks(in_may_2013: S3Server, tampered: bool) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    headers = {
        "Host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE},"
        "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class,"
        "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
    }
    body = b"".join(
        f"{size:x};chunk-signature={signature}\r\n".encode() + b"a" * size + b"\r\n"
        for size, signature in CHUNKS
    )
    assert len(body) == 66824
    body = body.replace(b"aaa\r\n", b"aab\r\n", 1) if tampered else body
    path = "/examplebucket/chunkObject.txt"
    reply = send(in_may_2013, path, headers, method="PUT", body=body)
    assert reply.status == (403 if tampered else 200)
    if tampered:
        assert reply.code == "SignatureDoesNotMatch"
    else:
        stored = in_may_2013.bucket("examplebucket").newest("chunkObject.txt")
        assert stored is not None
        assert (stored.body, stored.storage_class) == (b"a" * 66560, "REDUCED_REDUNDANCY")
        assert "Content-Encoding" not in stored.headers


class SignedTrailer(S3SigV4Auth):  # type: ignore[misc] # botocore is untyped
    def payload(self, request: object) -> str:
        return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"


class UnsignedTrailer(S3SigV4Auth):  # type: ignore[misc] # botocore is untyped
    def payload(self, request: object) -> str:
        return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def signed_trailer_body(headers: dict[str, str], data: bytes, crc: str) -> bytes:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    _, _, signature = headers["Authorization"].rpartition("Signature=")
    scope = headers["Authorization"].partition("Credential=")[2].partition(",")[0]
    _, day, region, service, ending = scope.split("/")
    key = b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    for part in (day, region, service, ending):
        key = hmac.new(key, part.encode(), "sha256").digest()

    def signed(kind: str, *hashes: str) -> str:
        scope_text = f"{day}/{region}/{service}/{ending}"
        lines = [kind, headers["X-Amz-Date"], scope_text, signature, *hashes]
        return hmac.new(key, "\n".join(lines).encode(), "sha256").hexdigest()

    body = b""
    for piece in (data, b""):
        digest = hashlib.sha256(piece).hexdigest()
        signature = signed("AWS4-HMAC-SHA256-PAYLOAD", EMPTY, digest)
        body += f"{len(piece):x};chunk-signature={signature}\r\n".encode() + piece
        body += b"\r\n" if piece else b""
    trailer = f"x-amz-checksum-crc32:{crc}\n"
    digest = hashlib.sha256(trailer.encode()).hexdigest()
    ending = signed("AWS4-HMAC-SHA256-TRAILER", digest)
    return body + f"{trailer.strip()}\r\nx-amz-trailer-signature:{ending}\r\n\r\n".encode()


@pytest.mark.parametrize("tampered", [False, True])
def test_signed_trailers(s3_server: S3Server, tampered: bool) -> None:
    s3_server.bucket(BUCKET)
    data = b"some bytes"
    crc = b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    told = {"x-amz-decoded-content-length": "10", "x-amz-trailer": "x-amz-checksum-crc32"}
    headers = sign(s3_server, method="PUT", headers=told, auth=SignedTrailer)
    body = signed_trailer_body(headers, data, crc)
    body = body.replace(b"trailer-signature:", b"trailer-signature:0") if tampered else body
    reply = send(s3_server, PATH, headers, method="PUT", body=body)
    assert reply.status == (403 if tampered else 200), reply.body


def test_a_chunk_signature_of_any_bytes_is_refused_in_s3s_words(s3_server: S3Server) -> None:
    s3_server.bucket(BUCKET)
    headers = sign(
        s3_server, method="PUT", headers={"x-amz-decoded-content-length": "0"}, auth=SignedTrailer
    )
    body = b"0;chunk-signature=\xff\r\n\r\n"
    reply = send(s3_server, PATH, headers, method="PUT", body=body)
    assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"zz\r\n", b"5\r\nab", b"2\r\nabXX0\r\n\r\n", b"0\r\n\r\n"),
        *(b"-1\r\nab\r\n0\r\n\r\n", b"0_2\r\nab\r\n0\r\n\r\n"),
    ],
)
def test_broken_chunks(s3_server: S3Server, body: bytes) -> None:
    s3_server.bucket(BUCKET)
    headers = {"x-amz-decoded-content-length": "2"}
    signed = sign(s3_server, method="PUT", headers=headers, auth=UnsignedTrailer)
    assert send(s3_server, PATH, signed, method="PUT", body=body).code == "IncompleteBody"


def test_botocore_uploads_over_tls_with_a_trailer(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with S3Server.in_thread(tls=context) as server:
        server.bucket(BUCKET)
        client = boto(server, verify=str(bundle))
        put = client.put_object(Bucket=BUCKET, Key=KEY, Body=b"some bytes")
        sent = server.requests[0].headers
        assert sent["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        assert (
            put["ChecksumCRC32"] == b64encode(zlib.crc32(b"some bytes").to_bytes(4, "big")).decode()
        )
        assert client.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"some bytes"
        client.close()


def test_a_client_that_waits_is_told_to_continue(s3_server: S3Server) -> None:
    received = raw(s3_server, "/b/k", "Expect: 100-continue", "Connection: close")
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n")


def test_a_gzip_body_is_stored_as_it_came(s3_server: S3Server) -> None:
    s3_server.bucket(BUCKET)
    reply = call(
        s3_server, method="PUT", body=b"no gzip at all", headers={"Content-Encoding": "gzip"}
    )
    assert reply.status == 200
    got = call(s3_server)
    assert (got.body, got.headers["Content-Encoding"]) == (b"no gzip at all", "gzip")


def test_long_heads_arrive(s3_server: S3Server) -> None:
    s3_server.bucket(BUCKET)
    path = f"/{BUCKET}/{'%C3%A9' * 512}?x={'y' * 20000}"
    assert call(s3_server, path).error["Key"] == "é" * 512


def test_the_plugin_imports_nothing_until_a_test_asks() -> None:
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


def test_the_public_names_are_there() -> None:
    assert [getattr(testing, name).__name__ for name in testing.__all__] == [
        "S3Server",
        "ServerCredentials",
        "StoredObject",
        "RecordedRequest",
        "ErrorResponse",
        "aios3get.testing.faults",
    ]


def test_the_fixture_serves_tests_without_an_event_loop(s3_server: S3Server) -> None:
    s3_server.put_object(BUCKET, KEY, b"hello")
    assert call(s3_server).body == b"hello"


async def test_the_fixture_serves_tests_with_an_event_loop(s3_server: S3Server) -> None:
    s3_server.create_bucket("public", public=True)
    s3_server.put_object("public", "key", b"hello")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{s3_server.endpoint_url}/public/key") as response,
    ):
        assert await response.read() == b"hello"

import asyncio
import gc
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable

import pytest

from aios3get import errors
from aios3get._engine.s3_object import S3Object
from aios3get._protocol.identity import Credentials
from aios3get._protocol.retry import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from tests.reading_client import BUCKET, KEY, READERS, nothing_leaks, own_sessions, transport_of
from tests.servers.bad_responses import (
    BAD_RANGE_RESPONSES,
    BAD_RESPONSES,
    BAD_TLS_RESPONSES,
    CONTENT,
    ETAG,
    BadResponse,
    good_responses,
)
from tests.servers.scripted import (
    Script,
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

IDLE = 0.3
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def client_of(server: ScriptedServer, authority: Authority | None = None) -> S3Client:
    return S3Client(
        endpoint_url=server.url,
        region="us-east-1",
        credentials=EXAMPLE,
        retry=RetryPolicy(attempts=2, wait_initial=0.001, wait_max=0.002),
        timeouts=Timeouts(idle=IDLE),
        verify=authority.client_context() if authority else True,
    )


async def heard(client: S3Client, reader: str = "read()", **options: str) -> bytes | errors.S3Error:
    asyncio.get_running_loop().set_debug(False)
    try:
        # Idle time is counted in beats of the loop, which a flood makes slow.
        async with asyncio.timeout(60), client.get_object(BUCKET, KEY, **options) as obj:  # type: ignore[arg-type]  # the key is known
            return await READERS[reader](obj)
    except errors.S3Error as error:
        return error


def check(lie: BadResponse, truth: bytes, found: bytes | errors.S3Error) -> None:
    if isinstance(found, errors.S3Error):
        assert lie.outcome != "whole", found
        assert not isinstance(found, errors.ConfigurationError)
        assert found.attempts in (1, 2, 3)
    else:
        assert found == truth
        assert lie.outcome != "error"


# Parsing what never ends slows the loop, and with it the beats that idle time is counted in.
SLOW = "endless-interim-responses"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.deep) if name == SLOW else name
        for name in BAD_RESPONSES
    ],
)
async def test_a_lie_ends_in_the_bytes_or_an_error(name: str) -> None:
    for reader in ("read()", "async for"):
        with ScriptedServer(BAD_RESPONSES[name].script) as server:
            async with client_of(server) as client:
                with nothing_leaks(client):
                    found = await heard(client, reader)
        check(BAD_RESPONSES[name], CONTENT, found)


async def test_an_answer_nobody_asked_for_is_not_the_next_ones() -> None:
    ghost = [
        read_request(),
        send(http_response(CONTENT)),
        wait(0.05),
        send(http_response(b"ghost")),
        hang(),
    ]
    with ScriptedServer(ghost, good_responses()) as server:
        async with client_of(server) as client:
            assert await heard(client) == CONTENT
            pooled = own_sessions(transport_of(client)).pooled
            assert pooled is not None
            assert pooled.connector is not None
            ((kept, _),) = next(iter(pooled.connector._conns.values()))
            async with asyncio.timeout(10):
                while not kept._buffer:  # noqa: ASYNC110 - aiohttp's own, it tells nobody
                    await asyncio.sleep(0.01)
            assert await heard(client) == CONTENT
        assert [len(requests) for requests in server.connections] == [1, 1]


@pytest.mark.parametrize("name", BAD_RANGE_RESPONSES)
async def test_a_lie_about_a_range_ends_in_the_bytes_or_an_error(name: str) -> None:
    with ScriptedServer(BAD_RANGE_RESPONSES[name].script) as server:
        async with client_of(server) as client:
            with nothing_leaks(client):
                found = await heard(client, range="bytes=0-9")
    check(BAD_RANGE_RESPONSES[name], CONTENT[:10], found)


@pytest.mark.parametrize("name", BAD_TLS_RESPONSES)
async def test_a_lie_over_tls_ends_in_an_error(name: str, authority: Authority) -> None:
    with ScriptedServer(BAD_TLS_RESPONSES[name].script, tls=authority.server_context()) as server:
        async with client_of(server, authority) as client:
            with nothing_leaks(client):
                found = await heard(client)
    check(BAD_TLS_RESPONSES[name], CONTENT, found)


def _rest(offset: int, *headers: str, body: bytes | None = None) -> bytes:
    rest = CONTENT[offset:] if body is None else body
    said = f"Content-Range: bytes {offset}-{len(CONTENT) - 1}/{len(CONTENT)}"
    return http_response(rest, said, *headers, status="206 Partial Content")


HALF = len(CONTENT) // 2
FIRST: Script = [
    read_request(),
    send(http_response(CONTENT[:HALF], f"ETag: {ETAG}", length=len(CONTENT))),
    close(),
]
SECOND: dict[str, tuple[bytes, type[errors.S3Error] | None]] = {
    "the-rest": (_rest(HALF, f"ETag: {ETAG}"), None),
    "everything": (http_response(CONTENT, f"ETag: {ETAG}"), None),
    "everything-in-chunks": (
        http_response(
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(CONTENT), CONTENT),
            f"ETag: {ETAG}",
            "Transfer-Encoding: chunked",
            length="",
        ),
        None,
    ),
    "too-little-in-chunks": (
        http_response(
            b"%x\r\n%b\r\n0\r\n\r\n" % (HALF - 1, CONTENT[: HALF - 1]),
            f"ETag: {ETAG}",
            "Transfer-Encoding: chunked",
            length="",
        ),
        errors.TruncatedBody,
    ),
    "another-object": (_rest(HALF, 'ETag: "other"'), errors.ObjectChanged),
    "another-whole-object": (http_response(CONTENT, 'ETag: "other"'), errors.ObjectChanged),
    "weak-etag": (_rest(HALF, f"ETag: W/{ETAG}"), errors.ObjectChanged),
    "no-etag": (_rest(HALF), errors.ObjectChanged),
    "other-start": (_rest(HALF - 1, f"ETag: {ETAG}"), errors.RangeMismatch),
    "other-size": (
        http_response(
            CONTENT[HALF:],
            f"ETag: {ETAG}",
            f"Content-Range: bytes {HALF}-{len(CONTENT) - 1}/{len(CONTENT) + 1}",
            status="206 Partial Content",
        ),
        errors.ObjectChanged,
    ),
    "everything-of-another-size": (
        http_response(CONTENT + b"x", f"ETag: {ETAG}"),
        errors.ObjectChanged,
    ),
    "no-content-range": (
        http_response(CONTENT[HALF:], f"ETag: {ETAG}", status="206 Partial Content"),
        errors.RangeMismatch,
    ),
    "nothing-to-send": (
        http_response(b"", f"ETag: {ETAG}", status="204 No Content", length=""),
        errors.ServiceError,
    ),
    "not-modified": (http_response(b"", status="304 Not Modified", length=""), errors.NotModified),
}


@pytest.mark.parametrize("name", SECOND)
async def test_what_goes_on_is_what_was_begun(name: str) -> None:
    reply, wrong = SECOND[name]
    with ScriptedServer(FIRST, [read_request(), send(reply), close()]) as server:
        async with client_of(server) as client:
            with nothing_leaks(client):
                found = await heard(client)
        asked = server.requests[1].decode().lower()
    if wrong is None:
        assert found == CONTENT
    else:
        assert isinstance(found, wrong)
        assert found.bytes_received == HALF
        assert found.bytes_expected == len(CONTENT)
    assert f"range: bytes={HALF}-{len(CONTENT) - 1}" in asked
    assert f"if-match: {ETAG}" in asked


async def test_an_object_of_unknown_size_does_not_end_early_where_its_body_goes_on() -> None:
    etag, partial = f"ETag: {ETAG}", "206 Partial Content"
    begun = http_response(
        CONTENT[:5], etag, "Content-Range: bytes 0-9/*", length=10, status=partial
    )
    ended = http_response(CONTENT[5:8], etag, "Content-Range: bytes 5-7/8", status=partial)
    first, second = ([read_request(), send(reply), close()] for reply in (begun, ended))
    with ScriptedServer(first, second) as server:
        async with client_of(server) as client:
            found = await heard(client, range="bytes=0-9")
    assert isinstance(found, errors.RangeMismatch)
    assert "bytes 5 to 10, got 5 to 8" in str(found)


async def test_a_weak_etag_is_not_sent_but_compared() -> None:
    weak = f"ETag: W/{ETAG}"
    first = [read_request(), send(http_response(CONTENT[:9], weak, length=len(CONTENT))), close()]
    with ScriptedServer(first, [read_request(), send(_rest(9, weak)), close()]) as server:
        async with client_of(server) as client:
            assert await heard(client) == CONTENT
        assert b"if-match" not in server.requests[1].lower()


async def test_a_body_without_an_etag_is_begun_again_as_long_as_nobody_has_its_bytes() -> None:
    nothing = [read_request(), send(http_response(b"", length=len(CONTENT))), close()]
    something = [read_request(), send(http_response(CONTENT[:9], length=len(CONTENT))), close()]
    whole = [read_request(), send(http_response(CONTENT)), close()]
    with ScriptedServer(nothing, whole, something, whole, something) as server:
        async with client_of(server) as client:
            assert await heard(client, "async for") == CONTENT
            assert await heard(client) == CONTENT
            found = await heard(client, "async for")
            lost = await heard(client, "readinto")
    for error in (found, lost):
        assert isinstance(error, errors.ConnectionLost)
        assert error.bytes_received == 9


async def test_a_checksum_is_of_the_body_as_it_was_begun_again() -> None:
    checksum = f"x-amz-checksum-crc32: {crc32(CONTENT)}"
    cut = [read_request(), send(http_response(CONTENT[:9], checksum, length=len(CONTENT))), close()]
    other = [read_request(), send(http_response(CONTENT[::-1], checksum)), close()]
    whole = [read_request(), send(http_response(CONTENT, checksum)), close()]
    with ScriptedServer(cut, whole, cut, other) as server:
        async with client_of(server) as client:
            obj = await client.get_object(BUCKET, KEY)
            assert await obj.read() == CONTENT
            assert obj.verified
            assert isinstance(await heard(client), errors.ChecksumMismatch)


def crc32(body: bytes) -> str:
    return b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


async def _next(obj: S3Object) -> bytes:
    return await anext(obj, b"")


async def _filled(obj: S3Object) -> bytes:
    buffer = bytearray(10)
    return bytes(buffer[: await obj.readinto(buffer)])


TEN: dict[str, Callable[[S3Object], Awaitable[bytes]]] = {
    "anext": _next,
    "read(10)": lambda obj: obj.read(10),
    "readinto": _filled,
    "iter_chunks": lambda obj: anext(obj.iter_chunks(10), b""),
    "iter_lines": lambda obj: anext(obj.iter_lines(), b""),
}


@pytest.mark.parametrize("ten", TEN.values(), ids=TEN)
async def test_what_waits_for_the_end_of_its_chunks_is_not_lost(
    ten: Callable[[S3Object], Awaitable[bytes]],
) -> None:
    head = http_response(b"", f"ETag: {ETAG}", "Transfer-Encoding: chunked", length="").replace(
        b"200 OK", b"206 Partial Content\r\nContent-Range: bytes 0-9/100"
    )
    first, last = chunked(b"01234"), chunked(b"56789")
    late = [
        read_request(),
        send(head + first),
        wait(0.05),
        send(last),
        wait(0.2),
        send(b"0\r\n\r\n"),
    ]
    with ScriptedServer([*late, hang()]) as server:
        async with client_of(server) as client:
            obj = await client.get_object(BUCKET, KEY, range="bytes=0-9")
            got = b""
            while len(got) < 10:
                try:
                    async with asyncio.timeout(0.02):
                        got += await ten(obj)
                except TimeoutError:
                    assert "read>" not in repr(obj)
            assert got == b"0123456789"
            assert await ten(obj) == b""


@pytest.mark.parametrize("ten", TEN.values(), ids=TEN)
async def test_nobody_gets_the_last_bytes_of_an_unknown_length_before_they_are_verified(
    ten: Callable[[S3Object], Awaitable[bytes]],
) -> None:
    headers = (f"x-amz-checksum-crc32: {crc32(b'0123456789')}", "Transfer-Encoding: chunked")
    wrong = [
        read_request(),
        send(http_response(b"", *headers, length="") + chunked(b"01234", b"5678X")),
        wait(0.05),
        send(b"0\r\n\r\n"),
        hang(),
    ]
    with ScriptedServer(wrong) as server:
        async with client_of(server) as client:
            obj = await client.get_object(BUCKET, KEY)
            got = b""
            with pytest.raises(errors.ChecksumMismatch):  # noqa: PT012 - what came before counts
                while True:
                    got += await ten(obj)
                    assert len(got) < 10


@pytest.mark.parametrize("etag", ['"\xff\xfe"', '"é"'])
async def test_an_etag_that_cannot_be_sent_is_compared(etag: str) -> None:
    header = f"ETag: {etag}"
    first = [read_request(), send(http_response(CONTENT[:9], header, length=len(CONTENT))), close()]
    with ScriptedServer(first, [read_request(), send(_rest(9, header)), close()]) as server:
        async with client_of(server) as client:
            assert await heard(client) == CONTENT
        assert b"if-match" not in server.requests[1].lower()


async def test_a_body_begun_again_must_be_as_long() -> None:
    nothing = [read_request(), send(http_response(b"", length=len(CONTENT))), close()]
    shorter = [read_request(), send(http_response(CONTENT[:9])), close()]
    with ScriptedServer(nothing, shorter) as server:
        async with client_of(server) as client:
            assert isinstance(await heard(client), errors.ObjectChanged)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (['ETag: "other"'], 'now it is "other"'),
        ([], "now it is without an ETag"),
        ([f"ETag: {ETAG}"], f"now it is {len(CONTENT) + 1} bytes instead of {len(CONTENT)}"),
    ],
)
async def test_a_changed_object_says_by_what_it_shows(headers: list[str], told: str) -> None:
    begun = http_response(CONTENT[:9], f"ETag: {ETAG}", length=len(CONTENT))
    whole = http_response(CONTENT + b"x", *headers)
    with ScriptedServer([read_request(), send(begun), close()], [read_request(), send(whole)]) as s:
        async with client_of(s) as client:
            found = await heard(client)
    assert isinstance(found, errors.ObjectChanged)
    assert f"it began as {ETAG}, {told}" in str(found)


async def test_a_range_beyond_an_object_sent_whole_is_refused() -> None:
    with ScriptedServer([read_request(), send(http_response(b"short")), close()]) as server:
        async with client_of(server) as client:
            found = await heard(client, range="bytes=5-9")
            assert isinstance(found, errors.RangeMismatch)
            assert await heard(client, range="bytes=3-9") == b"rt"


def ignores_range(body: bytes, end: bytes = b"0\r\n\r\n") -> Script:
    head = http_response(b"", f"ETag: {ETAG}", "Transfer-Encoding: chunked", length="")
    return [read_request(), send(head + chunked(body) + end), close()]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "scripts",
    [
        [ignores_range(b"short")],
        [ignores_range(b"shor", b""), ignores_range(b"short")],
        [
            ignores_range(b"shor", b""),
            [
                read_request(),
                send(
                    http_response(
                        b"t", f"ETag: {ETAG}", "Content-Range: bytes 4-4/5", status="206 Partial"
                    )
                ),
                close(),
            ],
        ],
    ],
    ids=["at-once", "resumed", "resumed-by-range"],
)
async def test_a_range_may_reach_beyond_an_object_sent_whole_in_chunks(
    scripts: list[Script], reader: str
) -> None:
    with ScriptedServer(*scripts) as server:
        async with client_of(server) as client:
            assert await heard(client, reader, range="bytes=2-9") == b"ort"
        assert len(server.connections) == len(scripts)


@pytest.mark.parametrize("wanted", ["bytes=5-9", "bytes=6-9", "bytes=5-"])
async def test_a_range_beyond_an_object_sent_whole_in_chunks_is_refused(wanted: str) -> None:
    with ScriptedServer(ignores_range(b"short")) as server:
        async with client_of(server) as client:
            found = await heard(client, range=wanted)
        assert isinstance(found, errors.TruncatedBody)
        assert found.attempts == len(server.connections) == 1


async def test_a_known_end_stays_known_where_a_resumed_answer_tells_none() -> None:
    told = "Content-Range: bytes 2-9/10"
    begun = http_response(b"23", f"ETag: {ETAG}", told, length=8, status="206 Partial Content")
    begins = [read_request(), send(begun), close()]
    with ScriptedServer(begins, ignores_range(b"01234567")) as server:
        async with client_of(server) as client:
            found = await heard(client, range="bytes=2-9")
    assert isinstance(found, errors.TruncatedBody)
    assert found.bytes_received == 6


async def test_a_part_is_not_taken_from_an_answer_without_parts() -> None:
    with ScriptedServer(
        [read_request(), send(http_response(CONTENT, f"ETag: {ETAG}")), close()]
    ) as server:
        async with client_of(server) as client:
            with pytest.raises(errors.RangeMismatch):
                await client.get_object(BUCKET, KEY, part_number=2)
            async with client.get_object(BUCKET, KEY, part_number=1) as obj:
                assert await obj.read() == CONTENT


GIGABYTE = 1 << 30
HUGE: dict[str, Script] = {
    "error-body": [
        read_request(),
        send(http_response(b"<Error><Code>SlowDown", status="503 Slow Down", length=GIGABYTE)),
        flood(b" " * 65_536, GIGABYTE // 65_536),
    ],
    "error-body-in-chunks": [
        read_request(),
        send(http_response(b"", "Transfer-Encoding: chunked", status="403 Forbidden", length="")),
        flood(b"10000\r\n" + b"x" * 65_536 + b"\r\n", GIGABYTE // 65_536),
    ],
    "one-header": [
        read_request(),
        send(b"HTTP/1.1 200 OK\r\nx-amz-meta-a: "),
        flood(b"x" * 65_536, GIGABYTE // 65_536),
    ],
    "many-headers": [
        read_request(),
        send(b"HTTP/1.1 200 OK\r\n"),
        flood(b"".join(b"x-amz-meta-%d: x\r\n" % n for n in range(3000)), 20_000),
    ],
    "announced-length": [
        read_request(),
        send(http_response(b"few", f"ETag: {ETAG}", length=4 * 1024 * GIGABYTE)),
        close(),
    ],
    "body-never-read": [
        read_request(),
        send(http_response(b"", f"ETag: {ETAG}", length=GIGABYTE)),
        flood(b"x" * 65_536, GIGABYTE // 65_536),
    ],
    "ghosts-behind-the-body": [
        read_request(),
        send(http_response(b"x", f"ETag: {ETAG}")),
        flood(http_response(b"y" * 65_536), GIGABYTE // 65_536),
    ],
}


@pytest.mark.parametrize("name", HUGE)
async def test_what_is_huge_takes_little_memory(name: str) -> None:
    gc.collect()
    with ScriptedServer(HUGE[name]) as server:
        async with client_of(server) as client:
            tracemalloc.start()
            try:
                if name == "body-never-read":
                    async with client.get_object(BUCKET, KEY):
                        await asyncio.sleep(0.1)
                else:
                    await heard(client)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            with nothing_leaks(client):
                pass
    assert peak < 16 * 1024 * 1024


async def test_a_slow_head_counts_as_silence() -> None:
    crawl = [read_request(), drip(http_response(CONTENT), 0.02)]
    with ScriptedServer(crawl) as server:
        async with client_of(server) as client:
            found = await heard(client)
    assert isinstance(found, errors.TransportTimeout)
    assert found.limit == "idle"

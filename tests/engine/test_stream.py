"""Bodies whose connection, framing or reader fails."""

import asyncio
import time
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aios3get import errors
from aios3get._engine.s3_object import S3Object
from aios3get._http.transport import Response
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import (
    BUCKET,
    KEY,
    READERS,
    body_or_error,
    nothing_leaks,
    quick_client,
    scripted_client,
    transport_of,
    until,
)
from tests.servers.scripted import (
    Script,
    ScriptedServer,
    close,
    hang,
    http_response,
    read_request,
    reset,
    send,
    wait,
)

ETAG = '"fba9dede5f27731c9771645a39863328"'
SIZE = 102_400
CONTENT = bytes(range(256)) * (SIZE // 256)
HALF = SIZE // 2


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


LAST_CHUNK = b"0\r\n\r\n"


def range_in_chunks(start: int, *headers: str, size: int = SIZE) -> bytes:
    """The head of a 206 response whose body, to the object's end, is framed by chunks."""
    return http_response(
        b"",
        f"ETag: {ETAG}",
        f"Content-Range: bytes {start}-{size - 1}/{size}",
        "Transfer-Encoding: chunked",
        *headers,
        status="206 Partial Content",
        length="",
    )


def in_two_chunks(pause: float) -> Script:
    """All of ``CONTENT`` as a range in chunks, with a pause before the second half and the end."""
    return [
        read_request(),
        send(range_in_chunks(0) + chunked(CONTENT[:HALF])),
        wait(pause),
        send(chunked(CONTENT[HALF:])),
        wait(pause),
        send(LAST_CHUNK),
        hang(),
    ]


async def test_read_cancelled_before_the_last_chunk_of_a_known_end_loses_nothing() -> None:
    with ScriptedServer(in_two_chunks(0.15)) as server:
        async with scripted_client(server) as client:
            async with client.get_object(BUCKET, KEY, range="bytes=0-") as obj:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):  # the second half has come, its end has not
                        await obj.read(SIZE)
                assert await obj.read() == CONTENT
            with nothing_leaks(client):
                pass


async def test_chunks_of_a_known_end_have_the_requested_size() -> None:
    with ScriptedServer(in_two_chunks(0.02)) as server:
        async with scripted_client(server) as client:
            obj = await client.get_object(BUCKET, KEY, range="bytes=0-")
            sizes = [len(each) async for each in obj.iter_chunks(100_000)]
    assert sizes == [100_000, SIZE - 100_000]


@pytest.mark.parametrize("reader", READERS)
async def test_body_closed_while_it_waits_for_the_end_of_its_chunks_raises(reader: str) -> None:
    announced = f"x-amz-checksum-crc32: {crc32(CONTENT)}"
    script = [
        read_request(),
        send(range_in_chunks(0, announced, "x-amz-checksum-type: FULL_OBJECT") + chunked(CONTENT)),
        hang(),
    ]
    with ScriptedServer(script) as server:
        async with scripted_client(server) as client:
            obj = await client.get_object(BUCKET, KEY, range="bytes=0-")
            reading = asyncio.ensure_future(READERS[reader](obj))
            await asyncio.sleep(0.05)
            await obj.aclose()
            with pytest.raises(errors.UsageError, match="the body is closed"):
                await reading
            assert not obj.verified
            with nothing_leaks(client):
                pass


def crc32(body: bytes) -> str:
    return b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


CUT = [
    read_request(),
    send(http_response(CONTENT[:HALF], f"ETag: {ETAG}", length=SIZE)),
    reset(),
]
BUSY = [
    read_request(),
    send(http_response(b"", "Retry-After: 1", status="503 Slow Down")),
    close(),
]
REST = [read_request(), send(range_in_chunks(HALF) + chunked(CONTENT[HALF:]) + LAST_CHUNK), close()]


async def test_reads_cancelled_during_a_backoff_spend_no_attempts_and_keep_its_time() -> None:
    retry = RetryPolicy(attempts=3, wait_initial=0.001, wait_max=0.6)
    with ScriptedServer(CUT, BUSY, REST) as server:
        async with scripted_client(server, retry=retry) as client:
            obj = await client.get_object(BUCKET, KEY)
            reading = asyncio.create_task(obj.read(SIZE))
            await until(lambda: obj._call.not_before is not None and len(server.requests) == 2)
            began = time.monotonic()
            reading.cancel()
            await asyncio.wait({reading})
            for _ in range(8):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(obj.read(SIZE), 0.02)
            assert len(server.requests) == 2
            assert await obj.read(SIZE) == CONTENT
            assert time.monotonic() - began > 0.4
            assert obj.attempts == len(server.requests) == 3


async def test_polling_a_large_read_takes_linear_time(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.get_running_loop().set_debug(False)
    size = 48 << 20
    server.put_object(BUCKET, "large", bytes(size))
    copied = 0
    real = S3Object._put_back

    def counted(obj: S3Object) -> None:
        nonlocal copied
        copied += 0 if obj._partial is None else obj._partial.filled
        real(obj)

    monkeypatch.setattr(S3Object, "_put_back", counted)
    async with quick_client(server) as client, client.get_object(BUCKET, "large") as obj:
        polls = 0
        while True:
            try:
                body = await asyncio.wait_for(obj.read(size), 0.002)
                break
            except TimeoutError:
                polls += 1
    assert len(body) == size
    assert polls > 3
    assert copied <= size  # once, if a cancellation coincides with the last byte


async def test_cancelled_read_is_continued_by_a_read_of_any_kind(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ways: dict[str, Callable[[S3Object], Awaitable[bytes]]] = {
        "the same": lambda obj: obj.read(SIZE),
        "fewer": lambda obj: obj.read(100),
        "more": lambda obj: obj.read(2 * SIZE),
        "all": lambda obj: obj.read(),
        "chunk": anext,
        "line": lambda obj: anext(obj.iter_lines(keepends=True)),
        "into": _into,
    }
    for way in ways.values():
        server.faults.add(faults.stall_after(HALF, 0.1))
        async with quick_client(server) as client, client.get_object(BUCKET, KEY) as obj:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await obj.read(SIZE)
            assert " at 0 of" in repr(obj)
            first = await way(obj)
            assert first
            assert first + await obj.read() == CONTENT


async def _into(obj: S3Object) -> bytes:
    buffer = bytearray(1000)
    return bytes(buffer[: await obj.readinto(buffer)])


async def test_start_stop_and_size_say_which_bytes_the_body_is(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT, parts=[HALF, HALF])
    expected: dict[tuple[str, Any], tuple[int, int]] = {
        ("range", None): (0, SIZE),
        ("range", "bytes=100-199"): (100, 200),
        ("range", "bytes=-10"): (SIZE - 10, SIZE),
        ("part_number", 2): (HALF, SIZE),
    }
    async with quick_client(server) as client:
        for (name, value), (start, stop) in expected.items():
            async with client.get_object(BUCKET, KEY, **{name: value}) as obj:
                assert (obj.start, obj.stop, obj.size) == (start, stop, SIZE)
        server.faults.add(faults.ignore_range())
        async with client.get_object(BUCKET, KEY, range="bytes=100-199") as obj:
            assert (obj.start, obj.stop, obj.size) == (100, 200, SIZE)


async def test_stop_of_a_body_without_a_length_is_known_at_its_end() -> None:
    head = http_response(b"", f"ETag: {ETAG}", "Transfer-Encoding: chunked", length="")
    with ScriptedServer([read_request(), send(head + chunked(CONTENT) + LAST_CHUNK)]) as server:
        async with scripted_client(server) as client, client.get_object(BUCKET, KEY) as obj:
            assert (obj.start, obj.stop, obj.size) == (0, None, None)
            await obj.read()
            assert (obj.start, obj.stop, obj.size) == (0, SIZE, None)


async def test_error_of_a_body_names_the_object_and_the_bytes() -> None:
    with ScriptedServer(CUT, [read_request(), close()]) as server:
        async with scripted_client(server) as client:
            obj = await client.get_object(BUCKET, KEY)
            with pytest.raises(errors.ConnectionLost) as caught:
                await obj.read()
    error = caught.value
    assert (error.method, error.bucket, error.key) == ("GET", BUCKET, KEY)
    assert str(error).startswith(f"GET {BUCKET}/{KEY}: ")
    assert (error.bytes_received, error.bytes_expected) == (HALF, SIZE)
    assert error.attempts == obj.attempts == len(server.requests)


async def test_broken_body_that_is_dropped_unread_holds_no_permit(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.drop_after(1000))
    server.faults.add(faults.status(503, retry_after=60))
    async with quick_client(server, retry=RetryPolicy(wait_max=60)) as client:
        obj = await client.get_object(BUCKET, KEY)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await obj.read(SIZE)
        assert transport_of(client).limiter.in_use == 0
        del obj


async def test_object_replaced_during_the_read_is_object_changed(server: S3Server) -> None:
    server.faults.add(
        faults.replace_object(lambda: server.put_object(BUCKET, KEY, b"new"), after=1000)
    )
    server.put_object(BUCKET, KEY, CONTENT)
    async with quick_client(server) as client:
        with nothing_leaks(client), pytest.raises(errors.ObjectChanged) as caught:
            await (await client.get_object(BUCKET, KEY)).read()
    assert caught.value.bytes_received == 1000
    assert caught.value.bytes_expected == len(CONTENT)
    assert isinstance(caught.value.__cause__, errors.PreconditionFailed)


async def test_object_deleted_during_the_read_is_object_changed(server: S3Server) -> None:
    server.faults.add(faults.replace_object(lambda: server.delete_object(BUCKET, KEY), after=1000))
    server.put_object(BUCKET, KEY, CONTENT)
    async with quick_client(server) as client:
        with pytest.raises(errors.ObjectChanged):
            await (await client.get_object(BUCKET, KEY)).read()


@pytest.mark.parametrize("what", ["replaced", "deleted"])
async def test_body_resumes_by_version_id_after_a_newer_version(
    server: S3Server, what: str
) -> None:
    bucket = "amzn-s3-demo-versions"
    server.create_bucket(bucket, versioning=True)
    begun = server.put_object(bucket, KEY, CONTENT)
    changes: dict[str, Callable[[], object]] = {
        "replaced": lambda: server.put_object(bucket, KEY, b"new"),
        "deleted": lambda: server.delete_object(bucket, KEY),
    }
    server.faults.add(faults.replace_object(changes[what], after=1000))
    async with quick_client(server) as client:
        assert await (await client.get_object(bucket, KEY)).read() == CONTENT
    assert server.requests[-1].parameter("versionId") == begun.version_id


def _rest(offset: int, *headers: str, body: bytes | None = None) -> bytes:
    rest = CONTENT[offset:] if body is None else body
    content_range = f"Content-Range: bytes {offset}-{len(CONTENT) - 1}/{len(CONTENT)}"
    return http_response(rest, content_range, *headers, status="206 Partial Content")


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
async def test_resumed_response_must_be_of_the_same_object_and_range(name: str) -> None:
    response, error = SECOND[name]
    with ScriptedServer(FIRST, [read_request(), send(response), close()]) as server:
        async with scripted_client(server) as client:
            with nothing_leaks(client):
                found = await body_or_error(client)
        request = server.requests[1].decode().lower()
    if error is None:
        assert found == CONTENT
    else:
        assert isinstance(found, error)
        assert found.bytes_received == HALF
        assert found.bytes_expected == len(CONTENT)
    assert f"range: bytes={HALF}-{len(CONTENT) - 1}" in request
    assert f"if-match: {ETAG}" in request


async def test_resumed_range_of_unknown_size_must_not_end_early() -> None:
    etag, partial = f"ETag: {ETAG}", "206 Partial Content"
    begun = http_response(
        CONTENT[:5], etag, "Content-Range: bytes 0-9/*", length=10, status=partial
    )
    ended = http_response(CONTENT[5:8], etag, "Content-Range: bytes 5-7/8", status=partial)
    first, second = ([read_request(), send(reply), close()] for reply in (begun, ended))
    with ScriptedServer(first, second) as server:
        async with scripted_client(server) as client:
            found = await body_or_error(client, range="bytes=0-9")
    assert isinstance(found, errors.RangeMismatch)
    assert "bytes 5 to 10, got 5 to 8" in str(found)


async def test_weak_etag_is_compared_but_not_sent() -> None:
    weak = f"ETag: W/{ETAG}"
    first = [read_request(), send(http_response(CONTENT[:9], weak, length=len(CONTENT))), close()]
    with ScriptedServer(first, [read_request(), send(_rest(9, weak)), close()]) as server:
        async with scripted_client(server) as client:
            assert await body_or_error(client) == CONTENT
        assert b"if-match" not in server.requests[1].lower()


async def test_body_without_an_etag_restarts_while_no_byte_was_handed_out() -> None:
    nothing = [read_request(), send(http_response(b"", length=len(CONTENT))), close()]
    something = [read_request(), send(http_response(CONTENT[:9], length=len(CONTENT))), close()]
    whole = [read_request(), send(http_response(CONTENT)), close()]
    with ScriptedServer(nothing, whole, something, whole, something) as server:
        async with scripted_client(server) as client:
            assert await body_or_error(client, "async for") == CONTENT
            assert await body_or_error(client) == CONTENT
            found = await body_or_error(client, "async for")
            lost = await body_or_error(client, "readinto")
    for error in (found, lost):
        assert isinstance(error, errors.ConnectionLost)
        assert error.bytes_received == 9


async def test_checksum_of_a_restarted_body_is_of_the_second_response() -> None:
    checksum = f"x-amz-checksum-crc32: {crc32(CONTENT)}"
    cut = [read_request(), send(http_response(CONTENT[:9], checksum, length=len(CONTENT))), close()]
    other = [read_request(), send(http_response(CONTENT[::-1], checksum)), close()]
    whole = [read_request(), send(http_response(CONTENT, checksum)), close()]
    with ScriptedServer(cut, whole, cut, other) as server:
        async with scripted_client(server) as client:
            obj = await client.get_object(BUCKET, KEY)
            assert await obj.read() == CONTENT
            assert obj.verified
            assert isinstance(await body_or_error(client), errors.ChecksumMismatch)


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
async def test_cancelled_read_loses_no_byte_that_waits_for_the_last_chunk(
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
        async with scripted_client(server) as client:
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
async def test_last_bytes_of_an_unknown_length_are_handed_out_after_verification(
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
        async with scripted_client(server) as client:
            obj = await client.get_object(BUCKET, KEY)
            got = b""
            with pytest.raises(errors.ChecksumMismatch):  # noqa: PT012 - what came before counts
                while True:
                    got += await ten(obj)
                    assert len(got) < 10


@pytest.mark.parametrize("etag", ['"\xff\xfe"', '"é"'])
async def test_etag_with_other_characters_is_compared_but_not_sent(etag: str) -> None:
    header = f"ETag: {etag}"
    first = [read_request(), send(http_response(CONTENT[:9], header, length=len(CONTENT))), close()]
    with ScriptedServer(first, [read_request(), send(_rest(9, header)), close()]) as server:
        async with scripted_client(server) as client:
            assert await body_or_error(client) == CONTENT
        assert b"if-match" not in server.requests[1].lower()


async def test_restarted_body_of_another_length_is_object_changed() -> None:
    nothing = [read_request(), send(http_response(b"", length=len(CONTENT))), close()]
    shorter = [read_request(), send(http_response(CONTENT[:9])), close()]
    with ScriptedServer(nothing, shorter) as server:
        async with scripted_client(server) as client:
            assert isinstance(await body_or_error(client), errors.ObjectChanged)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (['ETag: "other"'], 'now it is "other"'),
        ([], "now it is without an ETag"),
        ([f"ETag: {ETAG}"], f"now it is {len(CONTENT) + 1} bytes instead of {len(CONTENT)}"),
    ],
)
async def test_object_changed_names_the_difference(headers: list[str], text: str) -> None:
    begun = http_response(CONTENT[:9], f"ETag: {ETAG}", length=len(CONTENT))
    whole = http_response(CONTENT + b"x", *headers)
    with ScriptedServer([read_request(), send(begun), close()], [read_request(), send(whole)]) as s:
        async with scripted_client(s) as client:
            found = await body_or_error(client)
    assert isinstance(found, errors.ObjectChanged)
    assert f"it had the ETag {ETAG}, {text}" in str(found)


async def test_range_beyond_an_object_sent_whole_is_a_range_mismatch() -> None:
    with ScriptedServer([read_request(), send(http_response(b"short")), close()]) as server:
        async with scripted_client(server) as client:
            found = await body_or_error(client, range="bytes=5-9")
            assert isinstance(found, errors.RangeMismatch)
            assert await body_or_error(client, range="bytes=3-9") == b"rt"


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
async def test_range_may_end_beyond_an_object_sent_whole_in_chunks(
    scripts: list[Script], reader: str
) -> None:
    with ScriptedServer(*scripts) as server:
        async with scripted_client(server) as client:
            assert await body_or_error(client, reader, range="bytes=2-9") == b"ort"
        assert len(server.connections) == len(scripts)


@pytest.mark.parametrize("wanted", ["bytes=5-9", "bytes=6-9", "bytes=5-"])
async def test_range_beyond_an_object_sent_whole_in_chunks_is_a_truncated_body(wanted: str) -> None:
    with ScriptedServer(ignores_range(b"short")) as server:
        async with scripted_client(server) as client:
            found = await body_or_error(client, range=wanted)
        assert isinstance(found, errors.TruncatedBody)
        assert found.attempts == len(server.connections) == 1


async def test_known_end_is_kept_if_a_resumed_response_announces_none() -> None:
    content_range = "Content-Range: bytes 2-9/10"
    begun = http_response(
        b"23", f"ETag: {ETAG}", content_range, length=8, status="206 Partial Content"
    )
    begins = [read_request(), send(begun), close()]
    with ScriptedServer(begins, ignores_range(b"01234567")) as server:
        async with scripted_client(server) as client:
            found = await body_or_error(client, range="bytes=2-9")
    assert isinstance(found, errors.TruncatedBody)
    assert found.bytes_received == 6


async def test_part_of_a_response_without_parts_is_a_range_mismatch() -> None:
    with ScriptedServer(
        [read_request(), send(http_response(CONTENT, f"ETag: {ETAG}")), close()]
    ) as server:
        async with scripted_client(server) as client:
            with pytest.raises(errors.RangeMismatch):
                await client.get_object(BUCKET, KEY, part_number=2)
            async with client.get_object(BUCKET, KEY, part_number=1) as obj:
                assert await obj.read() == CONTENT


async def test_cancelled_sized_read_loses_no_bytes(client: S3Client, server: S3Server) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.stall_after(5000, 0.15))
    async with client.get_object(BUCKET, KEY) as obj:
        assert await obj.read(100) == CONTENT[:100]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await obj.read(10_000)
        assert await obj.read(10_000) == CONTENT[100:10_100]
        assert await obj.read() == CONTENT[10_100:]


@pytest.mark.parametrize("way", ["readinto", "line", "chunks"])
async def test_cancelled_read_of_any_kind_loses_no_bytes(
    client: S3Client, server: S3Server, way: str
) -> None:
    lines = b"x" * 20_000 + b"\n" + b"y" * 20_000
    server.put_object(BUCKET, "lines", lines)
    server.faults.add(faults.stall_after(5000, 0.15))
    buffer = bytearray(20_001)

    async with client.get_object(BUCKET, "lines") as obj:

        async def step() -> bytes:
            if way == "readinto":
                return bytes(buffer[: await obj.readinto(buffer)])
            if way == "line":
                return await anext(obj.iter_lines(keepends=True))
            return await anext(obj.iter_chunks(20_001))

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await step()
        assert await step() == lines[:20_001]
        assert await step() == lines[20_001:]


@pytest.mark.parametrize("way", ["read", "readinto"])
async def test_bytes_of_a_read_cancelled_with_the_last_byte_are_verified_first(
    client: S3Client, server: S3Server, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    size = 1 << 20
    server.put_object(BUCKET, "large", bytes(size), checksum_algorithm="CRC32")
    real = Response.readinto

    async def cancelled(response: Response, target: memoryview, on_data: Any = None) -> int:
        await real(response, target, on_data)
        raise asyncio.CancelledError

    for damaged in (False, True):
        if damaged:
            server.faults.add(faults.flip_byte(-1))
        obj = await client.get_object(BUCKET, "large")
        with monkeypatch.context() as patch:
            patch.setattr(Response, "readinto", cancelled)
            with pytest.raises(asyncio.CancelledError):
                await (obj.read(size) if way == "read" else obj.readinto(bytearray(size)))
        if damaged:
            with pytest.raises(errors.ChecksumMismatch):
                await obj.read(size)
        else:
            assert await obj.read(size) == bytes(size)
            assert obj.verified

import asyncio
import gc
import random
import sys
import tracemalloc
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from aios3get import errors
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from aios3get.testing.faults import Fault
from tests.reading_client import (
    BUCKET,
    KEY,
    READERS,
    Reader,
    acquired,
    body_or_error,
    credentials_of,
    nothing_leaks,
    own_sessions,
    quick_client,
    scripted_client,
    transport_of,
)
from tests.servers import bad_responses
from tests.servers.bad_responses import (
    BAD_RANGE_RESPONSES,
    BAD_RESPONSES,
    BAD_TLS_RESPONSES,
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

pytestmark = pytest.mark.usefixtures("request_path")

SIZE = 1000
BIG = bytes(range(256)) * 4000
# Every byte, with many line feeds.
CONTENT = bytes(random.Random(3).choices(range(256), weights=[1] * 10 + [12] + [1] * 245, k=SIZE))
SSE_KEY = b"0123456789abcdef0123456789abcdef"
PART = 400


Expected = type[errors.S3Error] | None


@dataclass(frozen=True)
class Way:
    """A kind of request, and the bytes of ``CONTENT`` that it requests."""

    start: int
    stop: int
    options: dict[str, Any]
    stored: dict[str, Any]

    @property
    def wanted(self) -> bytes:
        return CONTENT[self.start : self.stop]


_crc = {"checksum_algorithm": "CRC32C"}
_asked = {"checksum_mode": True}
WAYS = {
    "plain": Way(0, SIZE, _asked, _crc),
    "ranged": Way(100, 700, {"range": "bytes=100-699", **_asked}, _crc),
    "suffix": Way(400, SIZE, {"range": "bytes=-600", **_asked}, _crc),
    "part": Way(
        PART,
        2 * PART,
        {"part_number": 2, **_asked},
        {"parts": [PART, PART, SIZE - 2 * PART], "checksum_type": "COMPOSITE", **_crc},
    ),
    "versioned": Way(0, SIZE, {"version_id": "", **_asked}, _crc),
    "sse-c": Way(
        0, SIZE, {"sse_customer_key": SSE_KEY, **_asked}, {"sse_customer_key": SSE_KEY, **_crc}
    ),
}


@pytest.fixture(scope="module", params=["tcp", "tls"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[S3Server]:
    tls = authority.server_context() if request.param == "tls" else None
    with S3Server.in_thread(tls=tls) as running:
        running.create_bucket(BUCKET, versioning=True)
        running.put_object(BUCKET, KEY, BIG)
        yield running


def make_client(server: S3Server, authority: Authority, **options: Any) -> S3Client:
    # Debug mode notes a stack for every callback, which takes most of these tests' time.
    asyncio.get_running_loop().set_debug(False)
    return quick_client(
        server,
        # Fixed credentials are not refreshed once they have expired.
        credentials=lambda: credentials_of(server.credentials),
        verify=authority.client_context(),
        allow_insecure_sse_customer_key=True,
        max_concurrency=64,
        **options,
    )


@pytest.fixture
async def client(server: S3Server, authority: Authority) -> S3Client:
    return make_client(server, authority)


@pytest.fixture
async def patient_client(server: S3Server, authority: Authority) -> S3Client:
    """A client that takes no busy machine for a silent server, for faults without a silence."""
    return make_client(server, authority, timeouts=Timeouts())


some_ways = pytest.mark.parametrize(
    "way", [WAYS[name] for name in ("plain", "part", "sse-c")], ids=["plain", "part", "sse-c"]
)
# TLS changes only how a connection ends.
only_tcp = pytest.mark.parametrize("server", ["tcp"], indirect=True)


def put(server: S3Server, way: Way, key: str) -> dict[str, Any]:
    """Store ``CONTENT`` and return the options of the call."""
    stored = server.put_object(BUCKET, key, CONTENT, **way.stored)
    if "version_id" not in way.options:
        return way.options
    server.put_object(BUCKET, key, b"a newer version")
    return {**way.options, "version_id": stored.version_id}


async def outcome(
    client: S3Client, key: str, options: dict[str, Any], reader: Reader, wanted: bytes
) -> str:
    try:
        async with asyncio.timeout(20), client.get_object(BUCKET, key, **options) as obj:
            return "right" if await reader(obj) == wanted else "WRONG"
    except errors.S3Error as error:
        return type(error).__name__


async def outcomes(
    server: S3Server, client: S3Client, way: Way, plans: Iterable[tuple[Fault, ...]]
) -> list[tuple[str, str, str]]:
    """Plan, reader and outcome of every plan of faults with every reader, all at the same time."""
    server.faults.clear()
    server.requests.clear()
    cases = [(plan, name) for plan in plans for name in READERS]
    calls = []
    for number, (plan, name) in enumerate(cases):
        options = put(server, way, f"{number}")
        for fault in plan:
            server.faults.add(fault, key=f"{number}")
        calls.append(outcome(client, f"{number}", options, READERS[name], way.wanted))
    async with client:
        with nothing_leaks(client):
            found = await asyncio.gather(*calls)
    return [(describe(plan), name, each) for (plan, name), each in zip(cases, found, strict=True)]


def describe(plan: tuple[Fault, ...]) -> str:
    return " then ".join(fault.name for fault in plan)


def unexpected(
    found: list[tuple[str, str, str]],
    cases: Iterable[tuple[tuple[Fault, ...], type[errors.S3Error] | None]],
) -> list[tuple[str, str, str]]:
    """The outcomes that are not the error of their case, or for None the right bytes."""
    wanted = [
        (describe(plan), name, error.__name__ if error else "right")
        for plan, error in cases
        for name in READERS
    ]
    return [one for one, other in zip(found, wanted, strict=True) if one != other]


def cut_offsets(way: Way) -> list[int]:
    size = way.stop - way.start
    return [0, 1, size // 2, size - 1, size]


CUTS: dict[str, Callable[[int], Fault]] = {
    "drop": faults.drop_after,
    "drop-without-close-notify": lambda count: faults.drop_after(count, close_notify=False),
    "reset": faults.reset_after,
    "stall": faults.stall_after,
    "truncated-chunked": faults.truncated_chunked,
}


@pytest.mark.parametrize(
    ("server", "way"),
    [("tcp", way) for way in WAYS.values()]
    + [("tls", WAYS[name]) for name in ("plain", "ranged", "sse-c")],
    indirect=["server"],
)
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_body_that_is_cut_is_resumed(
    server: S3Server, client: S3Client, cut: Callable[[int], Fault], way: Way
) -> None:
    cases: list[tuple[tuple[Fault, ...], Expected]] = [
        ((cut(offset),), None) for offset in cut_offsets(way)
    ]
    if cut is faults.truncated_chunked and way.options.keys().isdisjoint({"range", "part_number"}):
        # Nothing tells that these are all bytes, and there is no further one to request.
        cases[-1] = (cases[-1][0], errors.ConnectionLost)
    found = await outcomes(server, client, way, [plan for plan, _ in cases])
    assert unexpected(found, cases) == []
    assert not server.faults.pending


@only_tcp
@some_ways
async def test_body_that_is_cut_repeatedly_is_resumed(
    server: S3Server, client: S3Client, way: Way
) -> None:
    # More breaks than attempts: each brought bytes.
    plan = tuple(faults.drop_after(1 + n % 7) for n in range(12))
    plans = [plan]
    found = await outcomes(server, client, way, plans)
    assert unexpected(found, [(plan, None) for plan in plans]) == []


# Faults before a good response; all of them are retried.
HEADS = [
    faults.close_before_head(),
    faults.reset_before_head(),
    faults.stall_before_head(),
    faults.cut_head(0),
    faults.cut_head(9),
    faults.cut_head(100),
    faults.garbage_head(),
    faults.status(500),
    faults.status(502, body=b"<html>Bad Gateway</html>"),
    faults.status(503),
    faults.status(503, body=b""),
    faults.status(504, body=b"\x00\xff" * 1000),
    faults.status(429),
    faults.status(408, body=b"{}"),
    faults.status(400),
    faults.expired_token(),
    faults.slow(20_000),
]


@only_tcp
@some_ways
async def test_failed_attempt_is_retried(server: S3Server, client: S3Client, way: Way) -> None:
    plans = [(fault,) for fault in HEADS]
    found = await outcomes(server, client, way, plans)
    assert unexpected(found, [(plan, None) for plan in plans]) == []
    assert not server.faults.pending


@only_tcp
@some_ways
async def test_failed_attempt_to_resume_is_retried(
    server: S3Server, client: S3Client, way: Way
) -> None:
    plans = [(faults.drop_after(200), fault) for fault in HEADS]
    found = await outcomes(server, client, way, plans)
    assert unexpected(found, [(plan, None) for plan in plans]) == []
    assert not server.faults.pending


whole_ways = ("plain", "versioned", "sse-c")
range_ways = ("ranged", "suffix")
# The outcome of a wrong first response; None is the right bytes.
FIRST_RESPONSES: list[tuple[Fault, dict[tuple[str, ...], Expected]]] = [
    (faults.ignore_range(), {(*whole_ways, *range_ways, "part"): None}),
    (
        faults.wrong_range(),
        {(*whole_ways, "ranged"): errors.RangeMismatch},
    ),
    (
        faults.wrong_content_range(),
        {(*whole_ways, "part"): None, range_ways: errors.RangeMismatch},
    ),
    (
        faults.flip_byte(0),
        # S3 stores no checksum of a range of bytes.
        {(*whole_ways, "part"): errors.ChecksumMismatch},
    ),
    (faults.flip_byte(-1), {(*whole_ways, "part"): errors.ChecksumMismatch}),
    (faults.wrong_checksum(), {(*whole_ways, "part"): errors.ChecksumMismatch, range_ways: None}),
    (faults.change_etag(), {(*whole_ways, *range_ways, "part"): None}),
    (faults.no_etag(), {(*whole_ways, *range_ways, "part"): None}),
    (
        faults.too_long(),
        {whole_ways: errors.ChecksumMismatch, (*range_ways, "part"): errors.RangeMismatch},
    ),
    (
        faults.too_short(),
        {whole_ways: errors.ChecksumMismatch, (*range_ways, "part"): errors.RangeMismatch},
    ),
    (
        faults.wrong_content_length(3),
        {whole_ways: errors.ConnectionLost, (*range_ways, "part"): errors.RangeMismatch},
    ),
    (faults.no_length(), {(*whole_ways, *range_ways, "part"): None}),
    (
        faults.no_length(until_close=True),
        {whole_ways: errors.TruncatedBody, (*range_ways, "part"): None},
    ),
    (
        faults.set_headers({"Content-Range": None}),
        {whole_ways: None, (*range_ways, "part"): errors.RangeMismatch},
    ),
    (
        faults.set_headers({"Content-Range": f"bytes 0-9/{SIZE}"}),
        {(*whole_ways, *range_ways, "part"): errors.RangeMismatch},
    ),
    (faults.status(403), {(*whole_ways, *range_ways, "part"): errors.AccessDenied}),
    (faults.status(404), {(*whole_ways, *range_ways, "part"): errors.NoSuchKey}),
    (faults.status(501), {(*whole_ways, *range_ways, "part"): errors.NotImplemented}),
    (faults.status(412, "PreconditionFailed"), {whole_ways: errors.PreconditionFailed}),
    (faults.status(416, "InvalidRange"), {range_ways: errors.InvalidRange}),
]


@only_tcp
@pytest.mark.parametrize("name", WAYS)
async def test_wrong_first_response_gives_the_body_or_its_error(
    server: S3Server, patient_client: S3Client, name: str
) -> None:
    cases: list[tuple[tuple[Fault, ...], Expected]] = [
        ((fault,), error)
        for fault, table in FIRST_RESPONSES
        for names, error in table.items()
        if name in names
    ]
    found = await outcomes(server, patient_client, WAYS[name], [plan for plan, _ in cases])
    assert unexpected(found, cases) == []


# The outcome of a wrong resumed response after 200 bytes; None is the right bytes.
RESUMED_RESPONSES: list[tuple[Fault, Expected]] = [
    (faults.ignore_range(), None),
    (faults.wrong_range(), errors.RangeMismatch),
    (faults.wrong_range(-1), errors.RangeMismatch),
    (faults.wrong_content_range(), errors.RangeMismatch),
    (faults.change_etag(), errors.ObjectChanged),
    (faults.no_etag(), errors.ObjectChanged),
    (faults.too_long(), errors.RangeMismatch),
    (faults.too_short(), errors.RangeMismatch),
    (faults.wrong_content_length(3), errors.RangeMismatch),
    (faults.no_length(), None),
    (faults.no_length(until_close=True), None),
    (faults.wrong_checksum(), None),
    (faults.set_headers({"Content-Range": None}), errors.RangeMismatch),
    (faults.set_headers({"Content-Range": "bytes 300-399/1001"}), errors.RangeMismatch),
    (faults.status(403), errors.AccessDenied),
    (faults.status(404), errors.ObjectChanged),
    (faults.status(412, "PreconditionFailed"), errors.ObjectChanged),
    (faults.status(416, "InvalidRange"), errors.ObjectChanged),
]


@only_tcp
@pytest.mark.parametrize("name", ["plain", "ranged", "part", "sse-c"])
async def test_wrong_resumed_response_gives_the_body_or_its_error(
    server: S3Server, patient_client: S3Client, name: str
) -> None:
    cases: list[tuple[tuple[Fault, ...], Expected]] = [
        # A changed object is requested again by its version.
        (
            (faults.drop_after(200), fault, *([fault] if error is errors.ObjectChanged else [])),
            error,
        )
        for fault, error in RESUMED_RESPONSES
    ]
    found = await outcomes(server, patient_client, WAYS[name], [plan for plan, _ in cases])
    assert unexpected(found, cases) == []


@only_tcp
@pytest.mark.parametrize("way", [WAYS["plain"], WAYS["sse-c"]], ids=["plain", "sse-c"])
async def test_wrong_byte_after_a_resume_is_a_checksum_mismatch(
    server: S3Server, patient_client: S3Client, way: Way
) -> None:
    plans = [(faults.drop_after(200), faults.flip_byte(offset)) for offset in (0, -1)]
    found = await outcomes(server, patient_client, way, plans)
    assert unexpected(found, [(plan, errors.ChecksumMismatch) for plan in plans]) == []


@pytest.mark.parametrize("name", ["plain", "ranged", "part"])
async def test_content_length_that_is_too_small_is_never_wrong_bytes(
    server: S3Server, patient_client: S3Client, name: str
) -> None:
    # aiohttp breaks the connection if it has seen what follows by then; if not, it is here that the
    # response contradicts itself.
    wrong = {"plain": "ChecksumMismatch"}.get(name, "RangeMismatch")
    found = await outcomes(server, patient_client, WAYS[name], [(faults.wrong_content_length(-3),)])
    assert {each for _, _, each in found} <= {"right", wrong}


async def test_large_body_that_is_cut_at_the_borders_of_chunks_is_resumed(
    server: S3Server, client: S3Client
) -> None:
    # The server writes 256 KiB at a time, which is also aiohttp's read buffer.
    border = 1 << 18
    content = random.Random(4).randbytes(2 * border + 100)
    offsets = [border - 1, border, border + 1, 2 * border, len(content) - 1, len(content)]
    cuts = [cut(offset) for cut in CUTS.values() for offset in offsets]
    cuts.pop()  # chunks that hold everything, but do not say so
    server.faults.clear()
    for number, cut in enumerate(cuts):
        server.put_object(BUCKET, f"{number}", content)
        server.faults.add(cut, key=f"{number}")
    async with client:
        with nothing_leaks(client):
            found = await asyncio.gather(
                *(outcome(client, f"{n}", {}, READERS["read()"], content) for n in range(len(cuts)))
            )
    assert found == ["right"] * len(cuts)


def check(bad: BadResponse, expected: bytes, found: bytes | errors.S3Error) -> None:
    if isinstance(found, errors.S3Error):
        assert bad.outcome != "whole", found
        assert not isinstance(found, errors.ConfigurationError)
        assert found.attempts in (1, 2, 3)
    else:
        assert found == expected
        assert bad.outcome != "error"


# Parsing what never ends slows the loop, and with it the beats that idle time is counted in.
SLOW = "endless-interim-responses"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.deep) if name == SLOW else name
        for name in BAD_RESPONSES
    ],
)
async def test_malformed_response_gives_the_body_or_an_error(name: str) -> None:
    for reader in ("read()", "async for"):
        with ScriptedServer(BAD_RESPONSES[name].script) as server:
            async with scripted_client(server) as client:
                with nothing_leaks(client):
                    found = await body_or_error(client, reader)
        check(BAD_RESPONSES[name], bad_responses.CONTENT, found)


async def test_unsolicited_response_is_not_taken_for_the_next_one() -> None:
    ghost = [
        read_request(),
        send(http_response(bad_responses.CONTENT)),
        wait(0.05),
        send(http_response(b"ghost")),
        hang(),
    ]
    with ScriptedServer(ghost, good_responses()) as server:
        async with scripted_client(server) as client:
            assert await body_or_error(client) == bad_responses.CONTENT
            pooled = own_sessions(transport_of(client)).pooled
            assert pooled is not None
            assert pooled.connector is not None
            ((kept, _),) = next(iter(pooled.connector._conns.values()))
            async with asyncio.timeout(10):
                while kept.is_connected() and not kept._buffer:  # noqa: ASYNC110 - no event says so
                    await asyncio.sleep(0.01)
            assert await body_or_error(client) == bad_responses.CONTENT
        assert [len(requests) for requests in server.connections] == [1, 1]


@pytest.mark.parametrize("name", BAD_RANGE_RESPONSES)
async def test_malformed_range_response_gives_the_body_or_an_error(name: str) -> None:
    with ScriptedServer(BAD_RANGE_RESPONSES[name].script) as server:
        async with scripted_client(server) as client:
            with nothing_leaks(client):
                found = await body_or_error(client, range="bytes=0-9")
    check(BAD_RANGE_RESPONSES[name], bad_responses.CONTENT[:10], found)


@pytest.mark.parametrize("name", BAD_TLS_RESPONSES)
async def test_malformed_response_over_tls_gives_an_error(name: str, authority: Authority) -> None:
    with ScriptedServer(BAD_TLS_RESPONSES[name].script, tls=authority.server_context()) as server:
        async with scripted_client(server, verify=authority.client_context()) as client:
            with nothing_leaks(client):
                found = await body_or_error(client)
    check(BAD_TLS_RESPONSES[name], bad_responses.CONTENT, found)


GIB = 1 << 30


HUGE: dict[str, Script] = {
    "error-body": [
        read_request(),
        send(http_response(b"<Error><Code>SlowDown", status="503 Slow Down", length=GIB)),
        flood(b" " * 65_536, GIB // 65_536),
    ],
    "error-body-in-chunks": [
        read_request(),
        send(http_response(b"", "Transfer-Encoding: chunked", status="403 Forbidden", length="")),
        flood(b"10000\r\n" + b"x" * 65_536 + b"\r\n", GIB // 65_536),
    ],
    "one-header": [
        read_request(),
        send(b"HTTP/1.1 200 OK\r\nx-amz-meta-a: "),
        flood(b"x" * 65_536, GIB // 65_536),
    ],
    "many-headers": [
        read_request(),
        send(b"HTTP/1.1 200 OK\r\n"),
        flood(b"".join(b"x-amz-meta-%d: x\r\n" % n for n in range(3000)), 20_000),
    ],
    "announced-length": [
        read_request(),
        send(http_response(b"few", f"ETag: {bad_responses.ETAG}", length=4 * 1024 * GIB)),
        close(),
    ],
    "body-never-read": [
        read_request(),
        send(http_response(b"", f"ETag: {bad_responses.ETAG}", length=GIB)),
        flood(b"x" * 65_536, GIB // 65_536),
    ],
    "ghosts-behind-the-body": [
        read_request(),
        send(http_response(b"x", f"ETag: {bad_responses.ETAG}")),
        flood(http_response(b"y" * 65_536), GIB // 65_536),
    ],
}


@pytest.mark.parametrize("name", HUGE)
async def test_huge_response_takes_little_memory(name: str) -> None:
    gc.collect()
    with ScriptedServer(HUGE[name]) as server:
        async with scripted_client(server) as client:
            tracemalloc.start()
            try:
                if name == "body-never-read":
                    async with client.get_object(BUCKET, KEY):
                        await asyncio.sleep(0.1)
                else:
                    await body_or_error(client)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            with nothing_leaks(client):
                pass
    assert peak < 16 * 1024 * 1024


async def test_slow_head_is_an_idle_timeout() -> None:
    crawl = [read_request(), drip(http_response(bad_responses.CONTENT), 0.02)]
    with ScriptedServer(crawl) as server:
        async with scripted_client(server) as client:
            found = await body_or_error(client)
    assert isinstance(found, errors.TransportTimeout)
    assert found.limit == "idle"


class CancelAt:
    """Awaits something, and cancels its task at the given suspension, counted from 1."""

    def __init__(self, inner: Awaitable[Any], at: int) -> None:
        self._inner = inner
        self._at = at
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._inner.__await__()
        task = asyncio.current_task()
        assert task is not None
        count = 0
        sent: BaseException | None = None
        while True:
            try:
                waited = inner.throw(sent) if sent is not None else next(inner)
            except StopIteration as done:
                return done.value
            count += 1
            if count == self._at:
                self.reached = True
                # From outside, while the task is suspended here.
                asyncio.get_running_loop().call_soon(task.cancel)
            sent = None
            try:
                yield waited
            except BaseException as error:
                sent = error


@contextmanager
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


async def cancelled_everywhere(
    client: Callable[[], S3Client], what: Callable[[S3Client], Awaitable[Any]]
) -> int:
    """Run it repeatedly, cancelled one suspension later each time; return their number."""
    at = 0
    while True:
        at += 1
        fresh = client()
        before = asyncio.all_tasks()
        with no_warnings():
            inner = CancelAt(what(fresh), at)
            task = asyncio.ensure_future(_awaited(inner))
            done, _ = await asyncio.wait({task}, timeout=20)
            assert done, f"cancelled at suspension {at}, it hangs"
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
            await _settled(before)
            if asyncio.get_running_loop() in fresh._loops:
                transport = transport_of(fresh)
                assert transport.limiter.in_use == 0, at
                assert acquired(transport) == 0, at
            await fresh.aclose()
        if not inner.reached:
            return at - 1


async def _awaited(inner: CancelAt) -> Any:
    return await inner


async def _settled(before: set["asyncio.Task[Any]"]) -> None:
    """Wait for tasks that continue on purpose, such as a load that others wait for."""
    async with asyncio.timeout(10):
        while asyncio.all_tasks() - before:  # noqa: ASYNC110 - they are nobody's to wait for
            await asyncio.sleep(0.001)


async def _get(client: S3Client) -> None:
    await (await client.get_object(BUCKET, KEY)).aclose()


async def _get_and_read(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        assert await obj.read() == BIG


async def _iterate(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        assert b"".join([chunk async for chunk in obj]) == BIG


async def _head(client: S3Client) -> None:
    await client.head_object(BUCKET, KEY)


async def _presign(client: S3Client) -> None:
    await client.presign_get_object(BUCKET, KEY)


async def _close(client: S3Client) -> None:
    async with client:
        obj = await client.get_object(BUCKET, KEY)
        await obj.read(10)
        await obj.aclose()


async def _missing(client: S3Client) -> None:
    try:
        await client.get_object(BUCKET, "missing")
    except LookupError:
        raise AssertionError from None
    except Exception:
        return


CALLS = [_get, _get_and_read, _iterate, _head, _presign, _close, _missing]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("server", "warm"),
    [("tls", False), ("tcp", True)],
    indirect=["server"],
    ids=["first-call-over-tls", "later-call-over-tcp"],
)
async def test_call_can_be_cancelled_at_every_suspension(
    server: S3Server,
    authority: Authority,
    call: Callable[[S3Client], Awaitable[None]],
    warm: bool,
) -> None:
    asyncio.get_running_loop().set_debug(False)
    trust = authority.client_context()

    def fresh() -> S3Client:
        return quick_client(server, verify=trust)

    async def warmed(client: S3Client) -> None:
        await client.head_object(BUCKET, KEY)
        await call(client)

    count = await cancelled_everywhere(fresh, warmed if warm else call)
    # From Python 3.14 on, a thread that is done at once suspends nobody.
    presigning = 0 if sys.version_info >= (3, 14) else 1
    assert count >= (presigning if call is _presign else 3)


@pytest.mark.parametrize(
    "fault",
    [faults.drop_after(5000), faults.status(503), faults.reset_before_head()],
    ids=lambda fault: fault.name,
)
@pytest.mark.parametrize("server", ["tls"], indirect=True)
async def test_retry_can_be_cancelled_at_every_suspension(
    server: S3Server, authority: Authority, fault: faults.Fault
) -> None:
    asyncio.get_running_loop().set_debug(False)
    trust = authority.client_context()

    def fresh() -> S3Client:
        server.faults.clear()
        server.faults.add(fault)
        return quick_client(server, verify=trust)

    assert await cancelled_everywhere(fresh, _get_and_read) >= 5

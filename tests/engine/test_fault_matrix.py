import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from aios3get import errors
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from aios3get.testing.faults import Fault
from tests.reading_client import (
    BUCKET,
    READERS,
    Reader,
    credentials_of,
    nothing_leaks,
    quick_client,
)
from tests.servers.tls import Authority

SIZE = 1000
# Line feeds and every other byte, different at every offset.
CONTENT = bytes(random.Random(3).choices(range(256), weights=[1] * 10 + [12] + [1] * 245, k=SIZE))
SSE_KEY = b"0123456789abcdef0123456789abcdef"
PART = 400


Expected = type[errors.S3Error] | None


@dataclass(frozen=True)
class Way:
    """One way to ask for bytes, and which of ``CONTENT`` they are."""

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
        yield running


@pytest.fixture
async def client(server: S3Server, authority: Authority) -> S3Client:
    # Debug mode notes a stack for every callback, which takes most of these tests' time.
    asyncio.get_running_loop().set_debug(False)
    return quick_client(
        server,
        # Those that are passed in themselves are not asked for again once they expired.
        credentials=lambda: credentials_of(server.credentials),
        verify=authority.client_context(),
        allow_insecure_sse_customer_key=True,
        max_concurrency=64,
    )


some_ways = pytest.mark.parametrize(
    "way", [WAYS[name] for name in ("plain", "part", "sse-c")], ids=["plain", "part", "sse-c"]
)
# What TLS changes is how a connection ends.
only_tcp = pytest.mark.parametrize("server", ["tcp"], indirect=True)


def put(server: S3Server, way: Way, key: str) -> dict[str, Any]:
    """Store ``CONTENT`` for the way to find; its options for the call."""
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
    """Plan, reader and outcome for each plan of faults read in each way, all at the same time."""
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
    return [(told(plan), name, each) for (plan, name), each in zip(cases, found, strict=True)]


def told(plan: tuple[Fault, ...]) -> str:
    return " then ".join(fault.name for fault in plan)


def unexpected(
    found: list[tuple[str, str, str]],
    cases: Iterable[tuple[tuple[Fault, ...], type[errors.S3Error] | None]],
) -> list[tuple[str, str, str]]:
    """What was found where the case's error, or for None the right bytes, had to be."""
    wanted = [
        (told(plan), name, error.__name__ if error else "right")
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
async def test_a_cut_body_is_read_whole(
    server: S3Server, client: S3Client, cut: Callable[[int], Fault], way: Way
) -> None:
    cases: list[tuple[tuple[Fault, ...], Expected]] = [
        ((cut(offset),), None) for offset in cut_offsets(way)
    ]
    if cut is faults.truncated_chunked and way.options.keys().isdisjoint({"range", "part_number"}):
        # Nothing tells that the bytes that came are all, nor is there another one to ask for.
        cases[-1] = (cases[-1][0], errors.ConnectionLost)
    found = await outcomes(server, client, way, [plan for plan, _ in cases])
    assert unexpected(found, cases) == []
    assert not server.faults.pending


@only_tcp
@some_ways
async def test_a_body_cut_again_and_again_is_read_whole(
    server: S3Server, client: S3Client, way: Way
) -> None:
    # More breaks than attempts: each brought bytes.
    plan = tuple(faults.drop_after(1 + n % 7) for n in range(12))
    plans = [plan]
    found = await outcomes(server, client, way, plans)
    assert unexpected(found, [(plan, None) for plan in plans]) == []


# Before there is an answer; all of them are tried again.
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
async def test_a_failed_attempt_is_tried_again(
    server: S3Server, client: S3Client, way: Way
) -> None:
    plans = [(fault,) for fault in HEADS]
    found = await outcomes(server, client, way, plans)
    assert unexpected(found, [(plan, None) for plan in plans]) == []
    assert not server.faults.pending


@only_tcp
@some_ways
async def test_an_attempt_to_resume_is_tried_again(
    server: S3Server, client: S3Client, way: Way
) -> None:
    plans = [(faults.drop_after(200), fault) for fault in HEADS]
    found = await outcomes(server, client, way, plans)
    assert unexpected(found, [(plan, None) for plan in plans]) == []
    assert not server.faults.pending


whole_ways = ("plain", "versioned", "sse-c")
range_ways = ("ranged", "suffix")
# What must come of a first answer that is wrong; None is the right bytes.
FIRST_ANSWERS: list[tuple[Fault, dict[tuple[str, ...], Expected]]] = [
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
        # Nothing tells that a range of bytes is wrong: S3 keeps no checksum of it.
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
async def test_a_wrong_first_answer_gives_the_bytes_or_its_error(
    server: S3Server, client: S3Client, name: str
) -> None:
    cases: list[tuple[tuple[Fault, ...], Expected]] = [
        ((fault,), error)
        for fault, table in FIRST_ANSWERS
        for names, error in table.items()
        if name in names
    ]
    found = await outcomes(server, client, WAYS[name], [plan for plan, _ in cases])
    assert unexpected(found, cases) == []


# What must come of an answer to a resume, the first 200 bytes being read.
RESUMED_ANSWERS: list[tuple[Fault, Expected]] = [
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
async def test_a_wrong_answer_to_a_resume_gives_the_bytes_or_its_error(
    server: S3Server, client: S3Client, name: str
) -> None:
    cases: list[tuple[tuple[Fault, ...], Expected]] = [
        # What is gone is asked for once more, as a version.
        (
            (faults.drop_after(200), fault, *([fault] if error is errors.ObjectChanged else [])),
            error,
        )
        for fault, error in RESUMED_ANSWERS
    ]
    found = await outcomes(server, client, WAYS[name], [plan for plan, _ in cases])
    assert unexpected(found, cases) == []


@only_tcp
@pytest.mark.parametrize("way", [WAYS["plain"], WAYS["sse-c"]], ids=["plain", "sse-c"])
async def test_a_byte_that_is_wrong_after_a_resume_is_found(
    server: S3Server, client: S3Client, way: Way
) -> None:
    plans = [(faults.drop_after(200), faults.flip_byte(offset)) for offset in (0, -1)]
    found = await outcomes(server, client, way, plans)
    assert unexpected(found, [(plan, errors.ChecksumMismatch) for plan in plans]) == []


@pytest.mark.parametrize("name", ["plain", "ranged", "part"])
async def test_a_length_that_is_too_small_hides_nothing(
    server: S3Server, client: S3Client, name: str
) -> None:
    # aiohttp breaks the connection if it has seen what follows by then; if not, it is here that the
    # answer contradicts itself.
    wrong = {"plain": "ChecksumMismatch"}.get(name, "RangeMismatch")
    found = await outcomes(server, client, WAYS[name], [(faults.wrong_content_length(-3),)])
    assert {each for _, _, each in found} <= {"right", wrong}


async def test_a_body_of_several_pieces_is_cut_at_their_borders(
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

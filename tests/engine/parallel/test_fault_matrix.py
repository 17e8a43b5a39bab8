"""Every fault against every way to read with many requests: the right bytes, or the right error."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from aios3get import AttemptRecord, ByteRange, S3Client, errors
from aios3get.testing import RecordedRequest, S3Server, faults
from aios3get.testing.faults import Fault
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.reading_client import BUCKET, credentials_of, nothing_leaks, quick_client
from tests.servers.tls import Authority

SIZE = len(CONTENT)
Front = Callable[[S3Client, str, Path], Awaitable[bytes]]
Expected = type[errors.S3Error] | None


async def read_into(client: S3Client, key: str, folder: Path) -> bytes:
    buffer = bytearray(SIZE)
    count = await client.read_into(BUCKET, key, buffer)
    return bytes(buffer[:count])


async def download(client: S3Client, key: str, folder: Path) -> bytes:
    target = folder / key
    await client.download_object(BUCKET, key, target, part_size=PART)
    return target.read_bytes()


async def stream(client: S3Client, key: str, folder: Path) -> bytes:
    async with client.stream_object(BUCKET, key) as opened:
        return b"".join([chunk async for chunk in opened])


async def ranges(client: S3Client, key: str, folder: Path) -> bytes:
    # The last one is requested first.
    halves = [ByteRange(0, PART), ByteRange(PART, 2 * PART), ByteRange(2 * PART)]
    return b"".join(await client.get_ranges(BUCKET, key, halves, gap=0))


async def reader(client: S3Client, key: str, folder: Path) -> bytes:
    async with client.open_object(BUCKET, key) as f:
        pieces = []
        while piece := await f.read(300):
            pieces.append(piece)
        return b"".join(pieces)


FRONTS: dict[str, Front] = {
    each.__name__: each for each in (read_into, download, stream, ranges, reader)
}
VERIFYING = {"read_into", "download", "stream"}
ALL = set(FRONTS)


@pytest.fixture(scope="module", params=["tcp", "tls"])
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[S3Server]:
    tls = authority.server_context() if request.param == "tls" else None
    with S3Server.in_thread(tls=tls) as running:
        yield running


class Setup(NamedTuple):
    server: S3Server
    client: S3Client
    folder: Path
    records: list[AttemptRecord]


@pytest.fixture
async def setup(server: S3Server, authority: Authority, tmp_path: Path) -> Setup:
    asyncio.get_running_loop().set_debug(False)
    records: list[AttemptRecord] = []
    client = quick_client(
        server,
        # Credentials that are passed as such are not fetched again when they have expired.
        credentials=lambda: credentials_of(server.credentials),
        verify=authority.client_context(),
        on_attempt=records.append,
    )
    return Setup(server, client, tmp_path, records)


only_tcp = pytest.mark.parametrize("server", ["tcp"], indirect=True)


def of(key: str, offset: int) -> Callable[[RecordedRequest], bool]:
    """For faults of the GET requests for that byte of that key."""
    covers = covering(offset)
    return lambda request: (
        request.method == "GET" and request.path.endswith("/" + key) and covers(request)
    )


async def outcomes(
    setup: Setup, cases: Iterable[tuple[Fault, int, int | None, set[str], Expected]]
) -> list[str]:
    """Cases with an unexpected outcome: fault, its byte, how often, front ends, expected error."""
    server, client, folder, _ = setup
    server.faults.clear()
    server.requests.clear()

    async def run(name: str, key: str) -> str:
        try:
            async with asyncio.timeout(30):
                return "right" if await FRONTS[name](client, key, folder) == CONTENT else "WRONG"
        except errors.S3Error as error:
            return type(error).__name__ if error.key == key else f"an error of {error.key}"

    async def check(key: str, name: str, fault: Fault, expected: Expected) -> str | None:
        outcome = await run(name, key)
        wanted = "right" if expected is None else expected.__name__
        return None if outcome == wanted else f"{name}, {fault.name}: {outcome}, not {wanted}"

    checks: list[Awaitable[str | None]] = []
    for fault, offset, times, names, expected in cases:
        for name in sorted(names):
            key = f"key-{len(checks)}"
            server.put_object(BUCKET, key, CONTENT, checksum_algorithm="CRC64NVME")
            server.faults.add(fault, where=of(key, offset), times=times)
            checks.append(check(key, name, fault, expected))
    async with client:
        with nothing_leaks(client):
            found = await asyncio.gather(*checks)
    assert len(found) > 4
    return [each for each in found if each is not None] + unrecorded(setup)


def unrecorded(setup: Setup) -> list[str]:
    """The keys whose attempts have other records than the server received requests.

    It may not have received those that were given up or cancelled before a response.
    """
    received = Counter((request.key or "", request.method) for request in setup.server.requests)
    recorded = Counter((record.key, record.method) for record in setup.records)
    responded = Counter((each.key, each.method) for each in setup.records if each.status)
    return [
        f"{key}: {received[key, method]} {method}s, but {recorded[key, method]} records"
        for key, method in received | recorded
        if not responded[key, method] <= received[key, method] <= recorded[key, method]
    ]


CUTS: dict[str, Callable[[int], Fault]] = {
    "drop": faults.drop_after,
    "drop-without-close-notify": lambda count: faults.drop_after(count, close_notify=False),
    "reset": faults.reset_after,
    "stall": faults.stall_after,
    "truncated-chunked": faults.truncated_chunked,
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_interrupted_part_is_resumed(setup: Setup, cut: Callable[[int], Fault]) -> None:
    cases: list[tuple[Fault, int, int | None, set[str], Expected]] = [
        (cut(count), offset, 1, ALL, None)
        for count in (0, 1, 500, 999)
        for offset in (0, 1500, SIZE - 1)
    ]
    assert await outcomes(setup, cases) == []


HEADS = [
    faults.close_before_head(),
    faults.reset_before_head(),
    faults.stall_before_head(),
    faults.cut_head(100),
    faults.garbage_head(),
    faults.status(500),
    faults.status(503),
    faults.status(429),
    faults.expired_token(),
    faults.slow(20_000),
]


@only_tcp
@pytest.mark.parametrize("offset", [0, 1500, SIZE - 1])
async def test_failed_attempt_is_repeated(setup: Setup, offset: int) -> None:
    cases: list[tuple[Fault, int, int | None, set[str], Expected]] = [
        (fault, offset, 1, ALL, None) for fault in HEADS
    ]
    assert await outcomes(setup, cases) == []


LATER_RESPONSES: list[tuple[Fault, set[str], Expected]] = [
    (faults.ignore_range(), ALL, None),
    (faults.no_length(), ALL, None),
    (faults.no_length(until_close=True), ALL, None),
    (faults.wrong_checksum(), ALL, None),
    (faults.wrong_range(), ALL, errors.RangeMismatch),
    (faults.wrong_range(-1), ALL, errors.RangeMismatch),
    (faults.wrong_content_range(), ALL, errors.RangeMismatch),
    (faults.too_long(), ALL, errors.RangeMismatch),
    (faults.too_short(), ALL, errors.RangeMismatch),
    (faults.wrong_content_length(3), ALL, errors.RangeMismatch),
    (faults.set_headers({"Content-Range": None}), ALL, errors.RangeMismatch),
    (faults.set_headers({"Content-Range": "bytes 0-9/99"}), ALL, errors.RangeMismatch),
    (faults.change_etag(), ALL, errors.ObjectChanged),
    (faults.no_etag(), ALL, errors.ObjectChanged),
    (faults.status(404), ALL, errors.ObjectChanged),
    (faults.status(412, "PreconditionFailed"), ALL, errors.ObjectChanged),
    (faults.status(416, "InvalidRange"), ALL, errors.ObjectChanged),
    (faults.status(403), ALL, errors.AccessDenied),
    (faults.status(500), ALL, errors.InternalError),
    (faults.reset_before_head(), ALL, errors.ConnectionLost),
    (faults.stall_before_head(), ALL, errors.TransportTimeout),
    # S3 keeps no checksum of a range.
    (faults.flip_byte(0), VERIFYING, errors.ChecksumMismatch),
    (faults.flip_byte(-1), VERIFYING, errors.ChecksumMismatch),
]


@only_tcp
async def test_wrong_response_for_a_later_part_gives_the_bytes_or_its_error(
    setup: Setup,
) -> None:
    cases: list[tuple[Fault, int, int | None, set[str], Expected]] = [
        (fault, 1500, None, names, expected) for fault, names, expected in LATER_RESPONSES
    ]
    assert await outcomes(setup, cases) == []


# The first request of ``ranges`` is for the last range.
FIRST_AT_0 = ALL - {"ranges"}
DIVIDED = {"reader"}
FIRST_RESPONSES: list[tuple[Fault, set[str], Expected]] = [
    (faults.ignore_range(), VERIFYING, None),
    (faults.no_etag(), VERIFYING, None),
    (faults.ignore_range(), DIVIDED, errors.IntegrityError),
    (faults.no_etag(), DIVIDED, errors.IntegrityError),
    (faults.no_length(), FIRST_AT_0, None),
    (faults.wrong_checksum(), FIRST_AT_0, None),
    (faults.change_etag(), FIRST_AT_0, errors.ObjectChanged),
    (faults.wrong_range(), FIRST_AT_0, errors.RangeMismatch),
    (faults.wrong_content_range(), FIRST_AT_0, errors.RangeMismatch),
    (faults.too_long(), FIRST_AT_0, errors.RangeMismatch),
    (faults.too_short(), FIRST_AT_0, errors.RangeMismatch),
    (faults.wrong_content_length(3), FIRST_AT_0, errors.RangeMismatch),
    (faults.set_headers({"Content-Range": None}), FIRST_AT_0, errors.RangeMismatch),
    (faults.status(403), FIRST_AT_0, errors.AccessDenied),
    (faults.status(404), FIRST_AT_0, errors.NoSuchKey),
    (faults.flip_byte(0), VERIFYING, errors.ChecksumMismatch),
]


@only_tcp
async def test_wrong_first_response_gives_the_bytes_or_its_error(
    setup: Setup,
) -> None:
    cases: list[tuple[Fault, int, int | None, set[str], Expected]] = [
        (fault, 0, 1, names, expected) for fault, names, expected in FIRST_RESPONSES
    ]
    assert await outcomes(setup, cases) == []


# Each object is read with one request, which has no range, so ranges cannot be wrong.
OBJECTS: list[tuple[Fault, int | None, Expected]] = [
    *((cut(count), 1, None) for cut in CUTS.values() for count in (0, 1, 500, SIZE - 1)),
    *((fault, 1, None) for fault in HEADS),
    (faults.no_length(), None, None),
    (faults.ignore_range(), None, None),
    (faults.no_etag(), None, None),
    (faults.status(403), None, errors.AccessDenied),
    (faults.status(404), None, errors.NoSuchKey),
    (faults.status(500), None, errors.InternalError),
    (faults.reset_before_head(), None, errors.ConnectionLost),
    (faults.stall_before_head(), None, errors.TransportTimeout),
    (faults.wrong_checksum(), 1, errors.ChecksumMismatch),
    (faults.flip_byte(0), 1, errors.ChecksumMismatch),
    (faults.flip_byte(-1), 1, errors.ChecksumMismatch),
    (faults.too_short(), 1, errors.ChecksumMismatch),
    (faults.too_long(), 1, errors.ChecksumMismatch),
    # The bytes behind the body are seen, and the object is read again.
    (faults.wrong_content_length(-3), 1, None),
    (faults.wrong_content_length(3), 1, errors.ConnectionLost),
    (faults.set_headers({"Content-Range": "bytes 0-9/99"}), 1, errors.RangeMismatch),
]


async def test_get_objects_gives_each_object_its_bytes_or_its_error(setup: Setup) -> None:
    server, client, _, _ = setup
    server.faults.clear()
    server.requests.clear()
    cases: list[tuple[Fault | None, int | None, Expected]] = []
    for case in OBJECTS:
        cases += [case, (None, None, None)]
    for number, (fault, times, _) in enumerate(cases):
        server.put_object(BUCKET, f"key-{number}", CONTENT, checksum_algorithm="CRC64NVME")
        if fault is not None:
            server.faults.add(fault, key=f"key-{number}", times=times)
    requests = [(BUCKET, f"key-{number}") for number in range(len(cases))]
    wrong: list[str] = []
    seen: set[int] = set()
    async with client:
        with nothing_leaks(client):
            async for result in client.get_objects(requests, concurrency=16):
                seen.add(result.index)
                fault, _, expected = cases[result.index]
                if expected is None and result.body == CONTENT:
                    continue
                error = result.error
                if type(error) is not expected or error is None or error.key != result.key:
                    wrong.append(f"{fault and fault.name}: {error!r}")
    assert wrong == []
    assert seen == set(range(len(cases)))
    assert unrecorded(setup) == []


@only_tcp
async def test_repeatedly_interrupted_parts_are_resumed(
    setup: Setup,
) -> None:
    cases: list[tuple[Fault, int, int | None, set[str], Expected]] = [
        (faults.drop_after(90), offset, None, ALL, None) for offset in (999, 1999)
    ]
    assert await outcomes(setup, cases) == []

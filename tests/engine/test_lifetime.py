"""Permits, connections, bodies and buffers are released without a garbage collection.

From Python 3.12 on, a frame that an exception's traceback refers to keeps its variables, and with
them every reference cycle through the exception.
"""

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from aios3get import errors
from aios3get._engine.call import Call
from aios3get._engine.s3_object import S3Object
from aios3get._engine.stream import ByteStream
from aios3get._http.limiter import Permit
from aios3get._http.transport import Response
from aios3get._protocol.identity import Credentials
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import BUCKET, KEY, quick_client, transport_of

CONTENT = bytes(range(256)) * 4000
pytestmark = [pytest.mark.lifetime, pytest.mark.usefixtures("no_collection")]

LIVING = (Call, S3Object, ByteStream, Response, Permit)


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    s3_server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    return s3_server


@pytest.fixture
async def client(server: S3Server) -> AsyncIterator[S3Client]:
    # Debug mode keeps the frames of the code that made a task or a handle.
    asyncio.get_running_loop().set_debug(False)
    retry = RetryPolicy(attempts=2, wait_initial=0.001, wait_max=0.002)
    async with quick_client(server, retry=retry) as made:
        await made.head_object(BUCKET, KEY)
        yield made


def living() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, LIVING)]


async def _get(client: S3Client) -> None:
    await (await client.get_object(BUCKET, KEY)).read()


async def _get_in_pieces(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        async for _ in obj:
            pass


async def _get_into(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        await obj.readinto(bytearray(len(CONTENT)))


async def _head(client: S3Client) -> None:
    await client.head_object(BUCKET, KEY)


async def _missing(client: S3Client) -> None:
    await client.get_object(BUCKET, "missing")


async def _deadline(client: S3Client) -> None:
    await (await client.get_object(BUCKET, KEY, deadline=0.1)).read()


async def _cancelled(client: S3Client) -> None:
    async with asyncio.timeout(0.1):
        await (await client.get_object(BUCKET, KEY)).read()


async def _dropped(client: S3Client) -> None:
    obj = await client.get_object(BUCKET, KEY)
    await obj.read(10)


Run = Callable[[S3Client], Awaitable[None]]
EVER = None
CASES: dict[str, tuple[Run, list[tuple[faults.Fault, int | None]]]] = {
    "success": (_get, []),
    "head": (_head, []),
    "missing": (_missing, []),
    "dropped": (_dropped, []),
    "resumed": (_get, [(faults.drop_after(300_000), 1)]),
    "resumed-in-pieces": (_get_in_pieces, [(faults.drop_after(300_000), 1)]),
    "resumed-into": (_get_into, [(faults.drop_after(300_000), 1)]),
    "resumed-and-dropped": (_dropped, [(faults.drop_after(5), 1)]),
    "refused": (_get, [(faults.close_before_head(), EVER)]),
    "reset": (_get, [(faults.reset_before_head(), EVER)]),
    "garbage-head": (_get, [(faults.garbage_head(), EVER)]),
    "status-000": (_get, [(faults.status(0), EVER)]),
    "idle-before-head": (_get, [(faults.stall_before_head(), EVER)]),
    "idle-in-body": (
        _get_in_pieces,
        [(faults.stall_after(5000), 1), (faults.stall_before_head(), EVER)],
    ),
    "bad-chunk": (
        _get,
        [(faults.truncated_chunked(5000), 1), (faults.close_before_head(), EVER)],
    ),
    "head-403": (_head, [(faults.status(403), EVER)]),
    "unavailable": (_get, [(faults.status(503), EVER)]),
    "changed": (_get, [(faults.drop_after(300_000), 1), (faults.status(412), EVER)]),
    "mismatch": (_get, [(faults.flip_byte(5), 1)]),
    "other-range": (_get, [(faults.set_headers({"Content-Range": "bytes 0-9/100"}), EVER)]),
    "deadline": (_deadline, [(faults.stall_before_head(), EVER)]),
    "deadline-in-body": (_deadline, [(faults.stall_after(5000), EVER)]),
    "cancelled": (_cancelled, [(faults.stall_before_head(), EVER)]),
    "cancelled-in-body": (_cancelled, [(faults.stall_after(300_000), EVER)]),
}


@pytest.mark.parametrize("name", CASES)
async def test_call_is_freed_by_reference_counting(
    server: S3Server, client: S3Client, name: str
) -> None:
    run, unlucky = CASES[name]
    for fault, times in unlucky:
        server.faults.add(fault, times=times)
    failing = name == "missing" or (bool(unlucky) and not name.startswith("resumed"))
    before = living()
    failed = False
    try:
        await run(client)
    except (errors.S3Error, TimeoutError):
        failed = True
    assert failed is failing
    # The event loop closes a connection that is dropped in the middle of a response.
    await asyncio.sleep(0)
    left = [each for each in living() if not any(each is other for other in before)]
    assert not left
    assert transport_of(client).limiter.in_use == 0


async def test_resumed_downloads_do_not_accumulate(server: S3Server, client: S3Client) -> None:
    size = 4 << 20
    server.put_object(BUCKET, "large", bytes(size))

    async def download() -> None:
        server.faults.add(faults.drop_after(size // 2))
        async with client.get_object(BUCKET, "large") as obj:
            assert len(await obj.read()) == size

    await download()
    tracemalloc.start()
    try:
        for _ in range(8):
            await download()
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One body at a time, and the copies that the server makes of it.
    assert left < 2 * size
    assert peak < 5 * size


class Held:
    """A local variable of a caller."""


async def left_of_caller(
    fails: Callable[[], Awaitable[object]], *expected: type[Exception]
) -> Held | None:
    """The local variable of a caller that failed, if it is still alive without a collection."""

    async def caller() -> weakref.ref[Held]:
        held = Held()
        try:
            await fails()
        except expected:
            return weakref.ref(held)
        raise AssertionError("it did not fail")

    gc.collect()
    gc.disable()
    try:
        return (await caller())()
    finally:
        gc.enable()


@pytest.mark.parametrize("verb", ["get_object", "head_object"])
@pytest.mark.parametrize("fault", [None, faults.reset_before_head()])
async def test_error_keeps_no_variable_of_its_caller(
    client: S3Client, server: S3Server, verb: str, fault: faults.Fault | None
) -> None:
    if fault is not None:
        server.faults.add(fault, times=None)
    expected = errors.NoSuchKey if fault is None else errors.TransportError
    call = partial(getattr(client, verb), BUCKET, "missing")
    assert await left_of_caller(call, expected) is None


@pytest.mark.parametrize(
    "unlucky",
    [
        [faults.drop_after(100), *[faults.drop_after(0)] * 5],
        [faults.drop_after(100), faults.status(412), faults.status(403)],
        [faults.stall_after(100)],
        [faults.flip_byte(100)],
    ],
)
async def test_error_of_a_body_keeps_no_variable_of_its_reader(
    server: S3Server, unlucky: list[faults.Fault]
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    for fault in unlucky:
        server.faults.add(fault)
    async with quick_client(server, retry=RetryPolicy(attempts=2, wait_initial=0)) as client:

        async def call() -> None:
            await (await client.get_object(BUCKET, KEY, deadline=0.3, checksum_mode=True)).read()

        expected = errors.TransportError, errors.IntegrityError
        assert await left_of_caller(call, *expected) is None


@pytest.mark.parametrize("verb", ["get_object", "presign_get_object"])
async def test_credentials_error_keeps_no_variable_of_its_caller(
    server: S3Server, verb: str
) -> None:
    def unreachable() -> Credentials:
        raise OSError

    policy = RetryPolicy(attempts=1)
    async with quick_client(server, credentials=unreachable, retry=policy) as client:
        call = partial(getattr(client, verb), BUCKET, KEY)
        assert await left_of_caller(call, errors.CredentialsError) is None

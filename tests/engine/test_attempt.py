import asyncio
import logging
from typing import Any

import pytest

from aios3get import AttemptRecord, errors
from aios3get._engine.attempt import Attempt, Observation
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.engine.conftest import CONTENT
from tests.reading_client import BUCKET, KEY, Connect


@pytest.fixture
def records() -> list[AttemptRecord]:
    return []


@pytest.fixture
def client(connect: Connect, records: list[AttemptRecord]) -> S3Client:
    return connect(on_attempt=records.append)


async def test_hook_gets_one_record_of_a_call_that_succeeds(
    client: S3Client, server: S3Server, records: list[AttemptRecord]
) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        assert not records
        assert await obj.read() == CONTENT
    (record,) = records
    assert (record.method, record.bucket, record.key) == ("GET", BUCKET, KEY)
    assert (record.attempt, record.status, record.error) == (1, 200, None)
    assert (record.host, record.region) == (f"127.0.0.1:{server.port}", server.region)
    assert record.bytes_received == len(CONTENT)
    assert record.request_id == obj.info.request_id
    assert record.response_time is not None
    assert 0 <= record.queued < 5
    assert 0 < record.response_time <= record.elapsed < 5


async def test_hook_gets_a_record_of_every_attempt_of_a_call(
    client: S3Client, server: S3Server, records: list[AttemptRecord]
) -> None:
    server.faults.add(faults.status(503))
    server.faults.add(faults.drop_after(1000))
    server.faults.add(faults.close_before_head())
    async with client.get_object(BUCKET, KEY) as obj:
        assert await obj.read() == CONTENT
        assert obj.attempts == 4
    assert [(r.attempt, r.status, r.error, r.bytes_received) for r in records] == [
        (1, 503, "SlowDown", 0),
        (2, 200, "ConnectionLost", 1000),
        (3, None, "ConnectionLost", 0),
        (4, 206, None, len(CONTENT) - 1000),
    ]
    assert records[2].response_time is None
    assert records[2].request_id is None


@pytest.mark.parametrize("way", ["closed", "cancelled", "mismatch"])
async def test_hook_gets_the_record_of_a_body_that_was_not_read_to_its_end(
    client: S3Client, server: S3Server, records: list[AttemptRecord], way: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC32")
    if way == "mismatch":
        server.faults.add(faults.flip_byte(5))
        with pytest.raises(errors.ChecksumMismatch):
            await (await client.get_object(BUCKET, KEY)).read()
    else:
        server.faults.add(faults.stall_after(1000))
        obj = await client.get_object(BUCKET, KEY)
        assert await obj.read(10) == CONTENT[:10]
        if way == "closed":
            await obj.aclose()
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await obj.read()
    (record,) = records
    assert record.error == ("ChecksumMismatch" if way == "mismatch" else None)
    assert record.bytes_received >= 1000


async def test_hook_gets_the_record_of_an_attempt_that_was_cancelled_before_its_response(
    client: S3Client, server: S3Server, records: list[AttemptRecord]
) -> None:
    server.faults.add(faults.stall_before_head())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.get_object(BUCKET, KEY)
    assert [(r.attempt, r.status, r.error) for r in records] == [(1, None, "CancelledError")]


@pytest.mark.parametrize("resumed", [False, True])
async def test_hook_gets_the_record_of_a_response_with_other_bytes(
    client: S3Client, server: S3Server, records: list[AttemptRecord], resumed: bool
) -> None:
    if resumed:
        server.faults.add(faults.drop_after(1000))
    server.faults.add(faults.wrong_range(), times=None)
    with pytest.raises(errors.RangeMismatch):
        await (await client.get_object(BUCKET, KEY, range="bytes=5-5000")).read()
    errors_seen = ["ConnectionLost"] * resumed + ["RangeMismatch"]
    assert [record.error for record in records] == errors_seen


async def test_hook_gets_the_records_of_heads_and_links(
    client: S3Client, records: list[AttemptRecord]
) -> None:
    await client.head_object(BUCKET, KEY)
    with pytest.raises(errors.NoSuchKey):
        await client.head_object(BUCKET, "missing")
    link = await client.presign_get_object(BUCKET, KEY)
    await (await client.get_url(link)).read()
    assert [(r.method, r.key, r.status, r.error, r.region) for r in records] == [
        ("HEAD", KEY, 200, None, "us-east-1"),
        ("HEAD", "missing", 404, "NoSuchKey", "us-east-1"),
        ("GET", f"{BUCKET}/{KEY}", 200, None, None),
    ]


async def test_queued_is_the_wait_for_a_permit(
    connect: Connect, records: list[AttemptRecord]
) -> None:
    client = connect(on_attempt=records.append, max_concurrency=1)
    async with client.get_object(BUCKET, KEY):
        waiting = asyncio.ensure_future(client.head_object(BUCKET, KEY))
        await asyncio.sleep(0.2)
    await waiting
    assert [record.method for record in records] == ["GET", "HEAD"]
    assert records[0].queued < 0.1 < records[1].queued


async def test_exception_of_the_hook_is_logged_and_changes_nothing(
    connect: Connect, records: list[AttemptRecord], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(record: AttemptRecord) -> None:
        raise KeyError(record.status)

    client = connect(on_attempt=broken)
    assert await (await client.get_object(BUCKET, KEY)).read() == CONTENT
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in logged] == [
        "on_attempt raised an exception; the call ignores it"
    ]
    assert logged[0].exc_info is not None


@pytest.mark.parametrize("hook", [5, "print"])
def test_hook_that_is_not_callable_is_refused(hook: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="on_attempt is of type"):
        S3Client(on_attempt=hook)


async def test_observation_ends_once_and_only_if_the_request_was_sent() -> None:
    found: list[AttemptRecord] = []
    observation = Observation(found.append, "GET")
    observation.end(errors.CredentialsError("none"))
    assert not found
    observation.sent(Attempt(GetObject.create(BUCKET, KEY, {})), 3)
    observation.end(errors.ConnectionFailed("refused"))
    observation.end()
    (record,) = found
    assert (record.attempt, record.error, record.status) == (3, "ConnectionFailed", None)


async def test_attempt_without_credentials_has_no_record(
    connect: Connect, records: list[AttemptRecord]
) -> None:
    client = connect(
        on_attempt=records.append, credentials=lambda: None, retry=RetryPolicy(attempts=1)
    )
    with pytest.raises(errors.CredentialsError):
        await client.get_object(BUCKET, KEY)
    assert not records

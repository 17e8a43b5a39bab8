import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from aios3get import errors
from aios3get._engine import express_sessions as sessions_module
from aios3get._engine.express_sessions import ExpressSessions
from aios3get._protocol.identity import Credentials
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, ServerCredentials, faults
from aios3get.testing.faults import Fault
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import Response
from tests.reading_client import (
    IDLE,
    KEY,
    QUICK,
    READERS,
    credentials_of,
    nothing_leaks,
    quick_client,
)

BUCKET = "examplebucket--use1-az4--x-s3"
OTHER = "otherbucket--use1-az4--x-s3"
CONTENT = bytes(range(256)) * 40
LIFETIME = 300


class Clock:
    """One time for client and server."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[S3Server]:
    # Debug mode notes a stack for every callback, which takes most of these tests' time.
    asyncio.get_running_loop().set_debug(False)
    async with S3Server(clock=clock.moment) as running:
        for bucket in (BUCKET, OTHER):
            running.put_object(bucket, KEY, CONTENT, checksum_algorithm="CRC32")
        yield running


@pytest.fixture
async def client(server: S3Server, clock: Clock) -> AsyncIterator[S3Client]:
    async with quick_client(server, timeouts=Timeouts()) as client:
        exchange = await client._start_exchange()
        exchange.state.clock = clock
        with nothing_leaks(client):
            yield client


async def sessions_of(client: S3Client) -> ExpressSessions:
    return (await client._start_exchange()).signer._sessions


@pytest.fixture
async def sessions(client: S3Client) -> ExpressSessions:
    return await sessions_of(client)


@pytest.fixture
def keys(server: S3Server) -> Credentials:
    return credentials_of(server.credentials)


def is_creation(request: RecordedRequest) -> bool:
    return request.parameter("session") is not None


def creations(server: S3Server) -> list[RecordedRequest]:
    return [request for request in server.requests if is_creation(request)]


async def until(condition: Callable[[], object]) -> None:
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it did not come to pass")


async def read(client: S3Client, bucket: str = BUCKET, **options: Any) -> bytes:
    async with client.get_object(bucket, KEY, **options) as obj:
        return await obj.read()


async def test_session_is_read_only_and_created_with_the_credentials(
    server: S3Server, sessions: ExpressSessions, keys: Credentials, clock: Clock
) -> None:
    session = await sessions.get(BUCKET, keys)
    assert session.expires_at is not None
    assert session.expires_at.timestamp() == clock.now + LIFETIME
    assert session.session_token is not None
    (request,) = server.requests
    assert (request.status, request.auth, request.bucket) == (200, "header", BUCKET)
    assert request.access_key_id == keys.access_key_id
    assert (request.signing_service, request.signing_region) == ("s3express", "us-east-1")
    assert request.headers["x-amz-create-session-mode"] == "ReadOnly"


async def test_concurrent_calls_create_one_session(server: S3Server, client: S3Client) -> None:
    bodies = await asyncio.gather(*(read(client) for _ in range(50)))
    assert bodies == [CONTENT] * 50
    assert len(creations(server)) == 1
    session = {request.access_key_id for request in server.requests if request.key}
    assert len(server.requests) == 51
    assert len(session) == 1
    assert await read(client) == CONTENT
    assert len(creations(server)) == 1


async def test_each_bucket_and_access_key_has_a_session(
    server: S3Server, sessions: ExpressSessions, keys: Credentials
) -> None:
    second = ServerCredentials.temporary()
    server.add_credentials(second)
    requested = [(BUCKET, keys), (OTHER, keys), (BUCKET, credentials_of(second))]
    made = [await sessions.get(bucket, who) for bucket, who in requested]
    assert len({session.access_key_id for session in made}) == 3
    assert [await sessions.get(bucket, who) for bucket, who in requested] == made
    assert len(creations(server)) == 3
    last = creations(server)[-1]
    assert last.headers["x-amz-security-token"] == second.session_token


async def test_session_is_replaced_before_it_expires_while_calls_use_it(
    server: S3Server, sessions: ExpressSessions, keys: Credentials, clock: Clock
) -> None:
    old = await sessions.get(BUCKET, keys)
    clock.now += LIFETIME - 76
    assert await sessions.get(BUCKET, keys) is old
    assert len(creations(server)) == 1
    clock.now += 16
    assert [await sessions.get(BUCKET, keys) for _ in range(5)] == [old] * 5
    await until(sessions._sessions[BUCKET, keys.access_key_id].current)
    assert len(creations(server)) == 2
    new = await sessions.get(BUCKET, keys)
    assert new != old
    assert new.expires_at is not None
    assert new.expires_at.timestamp() == clock.now + LIFETIME


@pytest.mark.parametrize("left", [30, 0, -1000])
async def test_calls_wait_for_a_new_session_near_the_expiry(
    server: S3Server, client: S3Client, clock: Clock, left: int
) -> None:
    await read(client)
    clock.now += LIFETIME - left
    assert await asyncio.gather(*(read(client) for _ in range(10))) == [CONTENT] * 10
    assert len(creations(server)) == 2
    assert {request.status for request in server.requests} == {200}


async def test_session_is_used_until_it_expires_if_a_new_one_is_refused(
    server: S3Server,
    sessions: ExpressSessions,
    keys: Credentials,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = await sessions.get(BUCKET, keys)
    server.faults.add(faults.status(503), times=None, where=is_creation)
    clock.now += LIFETIME - 20
    assert [await sessions.get(BUCKET, keys) for _ in range(5)] == [old] * 5
    # Two requests for a new one, then a pause.
    await until(lambda: len(creations(server)) == 3)
    assert "the old ones expire in 20 s" in caplog.text
    clock.now += 20
    with pytest.raises(errors.SlowDown):
        await sessions.get(BUCKET, keys)


async def test_cancelled_call_does_not_cancel_the_creation_for_others(
    server: S3Server, client: S3Client
) -> None:
    server.faults.add(faults.stall_before_head(0.1), where=is_creation)
    first = asyncio.create_task(read(client))
    await until(lambda: creations(server))
    others = [asyncio.create_task(read(client)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await asyncio.gather(*others) == [CONTENT] * 5
    assert len(creations(server)) == 1
    assert server.faults.pending == ()


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(503),
        faults.status(500),
        faults.close_before_head(),
        faults.reset_before_head(),
        faults.drop_after(100),
        faults.reset_after(100),
        faults.truncated_chunked(100),
    ],
    ids=lambda fault: fault.name,
)
async def test_creation_is_retried_within_the_policy_of_the_call(
    server: S3Server, client: S3Client, fault: Fault
) -> None:
    server.faults.add(fault, times=4, where=is_creation)
    assert await read(client) == CONTENT
    assert server.faults.pending == ()
    assert len(creations(server)) >= 5


async def test_creation_is_retried_on_a_new_connection(server: S3Server, client: S3Client) -> None:
    server.faults.add(faults.status(503), where=is_creation)
    assert await read(client) == CONTENT
    first, second = creations(server)
    assert first.connection != second.connection


async def test_creation_is_not_retried_beyond_the_attempts(
    server: S3Server, client: S3Client
) -> None:
    server.faults.add(faults.status(503), times=None, where=is_creation)
    for number, verb in enumerate(("get_object", "presign_get_object"), 1):
        with pytest.raises(errors.SlowDown) as caught:
            await getattr(client, verb)(BUCKET, KEY)
        assert caught.value.attempts == QUICK.attempts
        assert len(server.requests) == len(creations(server)) == number * QUICK.attempts


@pytest.mark.parametrize(
    "fault", [faults.status(503), faults.reset_before_head()], ids=lambda fault: fault.name
)
async def test_creation_for_a_link_is_retried(
    server: S3Server, client: S3Client, fault: Fault
) -> None:
    server.faults.add(fault, times=4, where=is_creation)
    link = await client.presign_get_object(BUCKET, KEY)
    assert await (await client.get_url(link)).read() == CONTENT
    assert server.faults.pending == ()


async def test_silent_server_is_an_idle_timeout(server: S3Server, keys: Credentials) -> None:
    server.faults.add(faults.stall_after(100), times=None, where=is_creation)
    async with quick_client(server) as client:
        with pytest.raises(errors.TransportTimeout) as caught:
            await (await sessions_of(client)).get(BUCKET, keys)
    assert (caught.value.limit, caught.value.seconds) == ("idle", IDLE)


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        ("missing--use1-az4--x-s3", errors.NoSuchBucket),
        (BUCKET, errors.AccessDenied),
    ],
)
async def test_refused_creation_is_raised_at_once(
    server: S3Server, client: S3Client, bucket: str, expected: type[errors.ServiceError]
) -> None:
    if bucket == BUCKET:
        server.faults.add(faults.status(403, "AccessDenied"), times=None, where=is_creation)
    for _ in range(2):
        with pytest.raises(expected) as caught:
            await read(client, bucket)
        assert (caught.value.bucket, caught.value.status) == (
            bucket,
            caught.value.details.status,
        )
        assert caught.value.request_id
    assert len(server.requests) == len(creations(server)) == 2


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b"<CreateSessionResult/>", bytes(1 << 20)], ids=len
)
async def test_response_without_a_session_is_a_credentials_error(
    server: S3Server, client: S3Client, document: bytes
) -> None:
    def alter(response: Response) -> Response:
        return replace(response, body=document)

    server.faults.add(Fault(name="document", alter_response=alter), where=is_creation)
    with pytest.raises(errors.CredentialsError, match="has no valid session"):
        await read(client)
    assert await read(client) == CONTENT


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_refused_session_is_created_again_once(
    server: S3Server, client: S3Client, method: str
) -> None:
    await read(client)
    server.expire_sessions()
    if method == "HEAD":
        # The response to a HEAD has only the status 400.
        assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)
    else:
        assert await read(client) == CONTENT
    assert [request.status for request in server.requests[2:]] == [400, 200, 200]
    assert len(creations(server)) == 2


async def test_concurrent_refused_calls_create_one_new_session(
    server: S3Server, client: S3Client
) -> None:
    await read(client)
    server.expire_sessions()
    assert await asyncio.gather(*(read(client) for _ in range(20))) == [CONTENT] * 20
    assert len(creations(server)) == 2


@pytest.mark.parametrize("reader", READERS)
async def test_body_outlives_its_session(server: S3Server, client: S3Client, reader: str) -> None:
    server.faults.add(faults.replace_object(server.expire_sessions, after=1000))
    async with client.get_object(BUCKET, KEY) as obj:
        assert await READERS[reader](obj) == CONTENT
    received = [(r.status, r.headers.get("Range")) for r in server.requests if r.key]
    rest = f"bytes=1000-{len(CONTENT) - 1}"
    assert received == [(200, None), (400, rest), (206, rest)]
    assert len(creations(server)) == 2


async def test_creation_needs_no_second_permit(server: S3Server, clock: Clock) -> None:
    async with quick_client(server, max_concurrency=1) as client:
        server.faults.add(faults.replace_object(server.expire_sessions, after=1000))
        async with asyncio.timeout(5):
            assert await read(client) == CONTENT
        assert len(creations(server)) == 2


async def test_expired_credentials_are_refreshed_for_a_new_session(
    server: S3Server, clock: Clock
) -> None:
    made = [ServerCredentials.temporary() for _ in range(2)]
    for each in made:
        server.add_credentials(each)
    given = [credentials_of(each) for each in made]
    async with quick_client(server, credentials=lambda: given.pop(0)) as client:
        server.add_credentials(replace(made[0], expires_at=clock.moment()))
        assert await read(client) == CONTENT
    received = [(request.access_key_id, request.status) for request in creations(server)]
    assert received == [(made[0].access_key_id, 400), (made[1].access_key_id, 200)]


async def test_credentials_that_expire_within_a_body_are_refreshed(
    server: S3Server, clock: Clock
) -> None:
    made = [ServerCredentials.temporary() for _ in range(2)]
    for each in made:
        server.add_credentials(each)
    given = [credentials_of(each) for each in made]
    async with quick_client(server, credentials=lambda: given.pop(0)) as client:
        exchange = await client._start_exchange()
        exchange.state.clock = clock
        server.faults.add(faults.drop_after(1000))
        async with client.get_object(BUCKET, KEY) as obj:
            first = await obj.read(500)
            clock.now += LIFETIME + 1
            server.add_credentials(replace(made[0], expires_at=clock.moment()))
            assert first + await obj.read() == CONTENT
    received = [(request.access_key_id, request.status) for request in creations(server)]
    keys = [each.access_key_id for each in made]
    assert received == [(keys[0], 200), (keys[0], 400), (keys[1], 200)]


async def test_clock_is_corrected_by_the_creation(server: S3Server) -> None:
    server.clock_skew = 7200
    async with quick_client(server) as client:
        link = await client.presign_get_object(BUCKET, KEY)
        assert await (await client.get_url(link)).read() == CONTENT
        assert await read(client) == CONTENT
    # RequestTimeTooSkewed, once
    assert [request.status for request in server.requests] == [403, 200, 200, 200]


async def test_credentials_sign_each_request_if_sessions_are_disabled(server: S3Server) -> None:
    keys = ServerCredentials.temporary()
    server.add_credentials(keys)
    options = {"credentials": credentials_of(keys), "disable_s3_express_session_auth": True}
    async with quick_client(server, **options) as client:
        assert await read(client) == CONTENT
        link = await client.presign_get_object(BUCKET, KEY)
        assert await (await client.get_url(link)).read() == CONTENT
    header, query = server.requests
    for request in (header, query):
        assert request.access_key_id == keys.access_key_id
        assert request.signing_service == "s3express"
        assert request.option("x-amz-s3session-token") is None
    assert header.headers["x-amz-security-token"] == keys.session_token
    assert query.parameter("X-Amz-Security-Token") == keys.session_token


async def test_link_expires_with_its_session(
    server: S3Server, client: S3Client, clock: Clock
) -> None:
    link = await client.presign_get_object(BUCKET, KEY, expires_in=3600)
    assert link.expires_at is not None
    assert link.expires_at.timestamp() == clock.now + LIFETIME
    assert f"X-Amz-Expires={LIFETIME}" in link.url
    assert "X-Amz-S3session-Token=" in link.url
    assert "X-Amz-Security-Token=" not in link.url
    short = await client.presign_get_object(BUCKET, KEY, expires_in=10)
    assert short.expires_at is not None
    assert short.expires_at.timestamp() == clock.now + 10
    assert await (await client.get_url(link)).read() == CONTENT
    assert len(creations(server)) == 1
    clock.now += LIFETIME + 1
    with pytest.raises((errors.PresignedUrlExpired, errors.ExpiredToken)):
        await client.get_url(link)


async def test_oldest_session_is_dropped_beyond_the_limit(
    server: S3Server, sessions: ExpressSessions, keys: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "_LIMIT", 2)
    buckets = [f"bucket{number}--use1-az4--x-s3" for number in range(3)]
    for bucket in buckets:
        server.create_bucket(bucket)
        await sessions.get(bucket, keys)
    assert [bucket for bucket, _ in sessions._sessions] == buckets[1:]


async def test_only_the_refused_session_is_created_again(
    server: S3Server, sessions: ExpressSessions, keys: Credentials
) -> None:
    mine = await sessions.get(BUCKET, keys)
    others = await sessions.get(OTHER, keys)
    sessions.invalidate(mine)
    new = await sessions.get(BUCKET, keys)
    assert new != mine
    sessions.invalidate(mine)
    assert await sessions.get(BUCKET, keys) is new
    assert await sessions.get(OTHER, keys) is others
    assert len(creations(server)) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"sse_customer_key": bytes(32)},
        {"version_id": "a-version"},
        {"request_payer": "requester"},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_unsupported_option_is_refused_before_a_session_is_created(
    server: S3Server, options: dict[str, Any]
) -> None:
    async with quick_client(server, allow_insecure_sse_customer_key=True) as client:
        for verb in (client.head_object, client.presign_get_object, client.get_object):
            with pytest.raises(errors.ParameterError, match=next(iter(options))):
                await verb(BUCKET, KEY, **options)
        assert server.requests == []


async def test_supported_options_are_sent(server: S3Server, client: S3Client) -> None:
    info = await client.head_object(BUCKET, KEY, version_id="null")
    assert info.etag is not None
    whole: dict[str, Any] = {"if_match": info.etag, "part_number": 1, "checksum_mode": True}
    assert await read(client, **whole) == CONTENT
    assert await read(client, range="bytes=10-19", version_id="null") == CONTENT[10:20]
    with pytest.raises(errors.NotModified):
        await read(client, if_none_match=info.etag)
    assert {request.status for request in server.requests} == {200, 206, 304}


async def test_request_payer_of_the_client_is_not_sent_to_directory_buckets(
    server: S3Server,
) -> None:
    async with quick_client(server, request_payer="requester") as client:
        assert await read(client) == CONTENT
    assert all("x-amz-request-payer" not in request.headers for request in server.requests)

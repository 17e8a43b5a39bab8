import asyncio
import itertools
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from aios3get import errors
from aios3get._protocol.identity import ANONYMOUS, Credentials
from aios3get._protocol.retry import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, ServerCredentials, faults
from tests.reading_client import (
    BUCKET,
    IDLE,
    KEY,
    QUICK,
    credentials_of,
    nothing_leaks,
    own_sessions,
    quick_client,
    transport_of,
)
from tests.servers.resolver import LoopbackResolver
from tests.servers.tls import Authority

CONTENT = bytes(range(256)) * 40


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    # Debug mode notes a stack for every callback, and here the server's run on the same loop.
    asyncio.get_running_loop().set_debug(False)
    async with S3Server() as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


async def read(client: S3Client, **options: Any) -> bytes:
    async with client.get_object(BUCKET, KEY, **options) as obj:
        return await obj.read()


async def test_a_service_that_is_back_in_time_is_no_error(server: S3Server) -> None:
    server.faults.add(faults.status(503), times=4)
    async with quick_client(server) as client:
        with nothing_leaks(client):
            assert await read(client) == CONTENT
    assert [request.status for request in server.requests] == [503] * 4 + [200]


async def test_an_error_tells_what_was_spent_on_it(server: S3Server) -> None:
    server.faults.add(faults.status(500), times=None)
    async with quick_client(server) as client:
        before = time.monotonic()
        with pytest.raises(errors.InternalError) as caught:
            await read(client)
        spent = time.monotonic() - before
    error = caught.value
    assert error.attempts == len(server.requests) == 5
    assert 0 < error.elapsed <= spent
    assert len(set(error.request_ids)) == 5
    assert error.request_id == error.request_ids[-1]
    assert "5 attempts in" in str(error)


@pytest.mark.parametrize("verb", ["get_object", "head_object"])
async def test_transport_error_names_the_object(server: S3Server, verb: str) -> None:
    server.faults.add(faults.close_before_head())
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.ConnectionLost) as caught:
            await getattr(client, verb)(BUCKET, KEY)
    error, method = caught.value, "GET" if verb == "get_object" else "HEAD"
    assert (error.method, error.bucket, error.key) == (method, BUCKET, KEY)
    assert str(error).startswith(f"{method} {BUCKET}/{KEY}: ")


async def test_request_is_signed_once_it_has_a_permit(server: S3Server) -> None:
    async with quick_client(server, max_concurrency=1) as client:
        async with client.get_object(BUCKET, KEY):
            waiting = asyncio.create_task(read(client))
            await asyncio.sleep(0.05)
            assert client._shared is not None
            client._shared.clock = lambda: time.time() + 100
        assert await waiting == CONTENT
    first, second = (request.headers["x-amz-date"] for request in server.requests)
    later = datetime.strptime(second, "%Y%m%dT%H%M%SZ") - datetime.strptime(first, "%Y%m%dT%H%M%SZ")
    assert timedelta(seconds=99) <= later <= timedelta(seconds=130)


async def test_deadline_that_passes_in_the_queue_counts_no_attempt(server: S3Server) -> None:
    async with (
        quick_client(server, max_concurrency=1) as client,
        client.get_object(BUCKET, KEY),
    ):
        with pytest.raises(errors.TransportTimeout) as caught:
            await client.get_object(BUCKET, KEY, deadline=0.05)
        assert (caught.value.limit, caught.value.attempts) == ("deadline", 0)


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"version_id": "null"}, {"x-amz-version-id": "another"}),
        (
            {"sse_customer_key": bytes(32)},
            {"x-amz-server-side-encryption-customer-key-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
        ),
    ],
    ids=["version", "sse-c-key"],
)
@pytest.mark.parametrize("verb", ["get_object", "head_object"])
async def test_response_of_another_version_or_sse_c_key_is_an_integrity_error(
    server: S3Server, verb: str, options: dict[str, Any], headers: dict[str, str | None]
) -> None:
    server.put_object(BUCKET, "other", CONTENT, sse_customer_key=options.get("sse_customer_key"))
    server.faults.add(faults.set_headers(headers))
    async with quick_client(server, allow_insecure_sse_customer_key=True) as client:
        with nothing_leaks(client), pytest.raises(errors.IntegrityError, match=r"^(GET|HEAD) "):
            await getattr(client, verb)(BUCKET, "other", **options)


async def test_one_attempt_is_one_request(server: S3Server) -> None:
    server.faults.add(faults.status(503))
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.SlowDown):
            await read(client)
    assert len(server.requests) == 1


async def test_what_cannot_be_signed_was_not_attempted(server: S3Server) -> None:
    def nobody() -> None:
        return None

    async with quick_client(server, credentials=nobody) as client:
        with pytest.raises(errors.CredentialsError) as caught:
            await read(client)
        assert caught.value.attempts == 0
    assert not server.requests


@pytest.mark.parametrize(
    ("bucket", "options"),
    [
        (BUCKET, {"sse_customer_key": bytes(32)}),
        ("demo--use1-az4--x-s3", {"sse_customer_key": bytes(32)}),
        ("demo--use1-az4--x-s3", {"version_id": "a-version"}),
    ],
)
async def test_what_may_not_go_there_is_refused_before_a_provider_is_asked(
    server: S3Server, bucket: str, options: dict[str, Any]
) -> None:
    def provider() -> Credentials:
        raise AssertionError

    async with quick_client(server, credentials=provider) as client:
        for verb in (client.get_object, client.head_object, client.presign_get_object):
            with pytest.raises(errors.ParameterError, match=next(iter(options))):
                await verb(bucket, KEY, **options)
    assert not server.requests


async def test_retry_after_is_waited_for(server: S3Server) -> None:
    server.faults.add(faults.status(503, retry_after=1))
    policy = RetryPolicy(wait_initial=0.001, wait_max=0.15)
    async with quick_client(server, retry=policy) as client:
        before = time.monotonic()
        assert await read(client) == CONTENT
    assert time.monotonic() - before >= 0.15


async def test_calls_that_all_fail_stop_retrying(server: S3Server) -> None:
    server.faults.add(faults.status(500), times=None)
    async with quick_client(server, max_concurrency=8) as client:
        found = await asyncio.gather(*(read(client) for _ in range(60)), return_exceptions=True)
    assert {type(each) for each in found} == {errors.InternalError}
    # 500 tokens pay for 100 retries, where the policy alone would allow 240.
    assert len(server.requests) == 60 + 100


async def test_every_attempt_is_signed_anew(server: S3Server) -> None:
    server.faults.add(faults.status(500), times=3)
    ticks = itertools.count(step=10)
    async with quick_client(server) as client:
        await read(client)
        server.requests.clear()
        assert client._shared is not None
        client._shared.clock = lambda: time.time() - 100 + next(ticks)
        server.faults.add(faults.status(500), times=3)
        assert await read(client) == CONTENT
    dates = [request.headers["x-amz-date"] for request in server.requests]
    signatures = [request.headers["Authorization"] for request in server.requests]
    assert len(set(dates)) == len(set(signatures)) == len(server.requests) == 4


async def test_a_stale_connection_costs_nothing(server: S3Server) -> None:
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        assert await read(client) == CONTENT
        for fault in (faults.close_before_head(), faults.reset_before_head()):
            server.faults.add(fault)
            with nothing_leaks(client):
                assert await read(client) == CONTENT
            assert server.requests[-1].connection != server.requests[-2].connection
            # The one kept for the next time is used again after a new one.
            assert await read(client) == CONTENT
        assert client._shared is not None
        assert client._shared.quota.left == max(500, 30 * 64)


async def test_a_new_connection_that_breaks_is_an_attempt(server: S3Server) -> None:
    server.faults.add(faults.close_before_head())
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.ConnectionLost) as caught:
            await read(client)
    assert not caught.value.reused
    assert caught.value.attempts == 1


async def test_a_connection_closed_while_idle_is_not_used(server: S3Server) -> None:
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        await read(client)
        port = server.port
        await server.stop()
        server._port = port
        await server.start()
        assert await read(client) == CONTENT


async def test_a_retry_takes_a_new_connection(server: S3Server) -> None:
    async with quick_client(server) as client:
        await read(client)
        server.faults.add(faults.status(500))
        await read(client)
    first, failed, again = (request.connection for request in server.requests)
    assert first == failed != again


@pytest.mark.parametrize("elsewhere", ["301", "307", "400"])
async def test_another_region_is_followed_once_and_remembered(
    authority: Authority, elsewhere: Any
) -> None:
    async with S3Server(tls=authority.server_context(), wrong_region_response=elsewhere) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        async with loopback_client(server, authority) as client:
            assert await read(client) == CONTENT
            assert await read(client) == CONTENT
            assert client._shared is not None
            assert client._shared.regions == {BUCKET: "eu-central-1"}
    assert [r.signing_region for r in server.requests] == [
        "us-east-1",
        "eu-central-1",
        "eu-central-1",
    ]
    assert server.requests[1].host == f"{BUCKET}.s3.eu-central-1.amazonaws.com"


async def test_a_head_follows_the_region_too(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        async with loopback_client(server, authority) as client:
            assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)


async def test_a_head_that_is_told_no_region_asks_for_the_buckets(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context(), wrong_region_response="400") as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        server.create_bucket("second-bucket", region="eu-central-1")
        async with loopback_client(server, authority) as client:
            for _ in range(2):
                assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)
            with pytest.raises(errors.NoSuchKey) as caught:
                await client.head_object("second-bucket", "missing")
    # HeadBucket counts as an attempt.
    assert caught.value.attempts == 3
    assert len(caught.value.request_ids) == 3
    sent = [(each.status, each.key, each.signing_region) for each in server.requests][:4]
    assert sent == [
        (400, KEY, "us-east-1"),
        (400, None, "us-east-1"),
        (200, KEY, "eu-central-1"),
        (200, KEY, "eu-central-1"),
    ]


async def test_a_head_that_is_told_the_region_asks_nobody_else(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        told = {"x-amz-bucket-region": "eu-central-1"}
        server.faults.add(faults.status(400, "AuthorizationHeaderMalformed", headers=told))
        async with loopback_client(server, authority) as client:
            assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)
    assert [(each.status, each.key) for each in server.requests] == [(400, KEY), (200, KEY)]


async def test_a_head_that_is_refused_at_home_is_not_called_elsewhere(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT)
        server.faults.add(faults.status(400, "InvalidRequest"))
        async with loopback_client(server, authority) as client:
            with pytest.raises(errors.BadRequest) as caught:
                await client.head_object(BUCKET, KEY)
    assert caught.value.region == "us-east-1"
    assert [each.key for each in server.requests] == [KEY, None]


async def test_regions_that_point_at_each_other_end(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT)
        for region in ("eu-central-1", "us-east-1", "eu-central-1"):
            gone = faults.status(301, "PermanentRedirect", headers={"x-amz-bucket-region": region})
            server.faults.add(gone)
        async with loopback_client(server, authority) as client:
            with pytest.raises(errors.WrongRegion):
                await read(client)
    assert len(server.requests) == 2


async def test_no_region_leads_past_a_custom_endpoint(server: S3Server) -> None:
    server.faults.add(
        faults.status(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-central-1"})
    )
    async with quick_client(server) as client:
        with pytest.raises(errors.WrongRegion) as caught:
            await read(client)
    assert caught.value.region == "eu-central-1"
    assert len(server.requests) == 1


def loopback_client(server: S3Server, authority: Authority, **options: Any) -> S3Client:
    """A client of AWS's own host names, which end at the server."""
    client = quick_client(
        server, endpoint_url=None, verify=authority.client_context(), region="us-east-1", **options
    )
    return _Loopback(client, server.port)  # type: ignore[return-value]


class _Loopback:
    def __init__(self, client: S3Client, port: int) -> None:
        self._client = client
        self._port = port

    async def __aenter__(self) -> S3Client:
        transport = (await self._client._start()).transport
        own_sessions(transport).resolver.source = LoopbackResolver({443: self._port})
        return self._client

    async def __aexit__(self, *told: object) -> None:
        await self._client.aclose()


async def test_clock_of_an_odd_date_is_not_learned_from_a_refused_head(server: S3Server) -> None:
    odd = faults.status(403, headers={"Date": "Thu, 01 Jan 2015 00:00:00 GMT"})
    server.faults.add(odd, times=2)
    async with quick_client(server) as client:
        with pytest.raises(errors.AccessDenied):
            await client.head_object(BUCKET, KEY)
        assert len(server.requests) == 2  # the correction was tried
        assert client._shared is not None
        assert client._shared.clock_offset == 0.0
        server.faults.add(odd)
        # It is tried again, and taken back again, by the next call.
        with pytest.raises(errors.AccessDenied):
            await client.head_object(BUCKET, KEY)
        assert client._shared.clock_offset == 0.0
        assert await read(client) == CONTENT
    assert [request.status for request in server.requests][-1] == 200


async def test_clock_that_is_right_again_is_learned_from_a_good_response(server: S3Server) -> None:
    server.clock_skew = 1000.0
    async with quick_client(server) as client:
        await read(client)
        assert client._shared is not None
        assert 990 < client._shared.clock_offset < 1010
        await read(client)
        assert 990 < client._shared.clock_offset < 1010
        server.clock_skew = 200.0  # as after a step of NTP; S3 allows 900 s
        await read(client)
        assert client._shared.clock_offset == 0.0
        await read(client)
    assert [request.status for request in server.requests] == [403, 200, 200, 200, 200]


async def test_the_servers_clock_is_learnt_and_presigns_too(server: S3Server) -> None:
    server.clock_skew = 3600.0
    async with quick_client(server) as client:
        assert await read(client) == CONTENT
        assert client._shared is not None
        assert 3590 < client._shared.clock_offset < 3610
        assert await read(client) == CONTENT
        link = await client.presign_get_object(BUCKET, KEY)
    assert [request.status for request in server.requests] == [403, 200, 200]
    assert link.expires_at is not None
    ahead = link.expires_at - datetime.now(UTC) - timedelta(seconds=3600)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


async def test_credentials_that_expire_within_a_body_are_renewed(server: S3Server) -> None:
    given = [ServerCredentials.temporary() for _ in range(2)]
    handed: list[str] = []

    async def provider() -> Credentials:
        known = given[len(handed)]
        server.add_credentials(known)
        handed.append(known.access_key_id)
        return credentials_of(known)

    async with quick_client(server, credentials=provider) as client:
        server.faults.add(faults.drop_after(1000))
        async with client.get_object(BUCKET, KEY) as obj:
            assert await obj.read(10) == CONTENT[:10]
            gone = given[0]
            server.add_credentials(
                ServerCredentials(
                    gone.access_key_id,
                    gone.secret_access_key,
                    gone.session_token,
                    datetime.now(UTC) - timedelta(minutes=1),
                )
            )
            assert await obj.read() == CONTENT[10:]
    assert handed == [each.access_key_id for each in given]
    assert [r.error_code for r in server.requests] == [None, "ExpiredToken", None]


async def test_checksums_are_asked_of_aws_until_a_host_refuses(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
        async with loopback_client(server, authority) as client:
            async with client.get_object(BUCKET, KEY) as obj:
                await obj.read()
            assert obj.verified
            refusal = faults.status(
                501,
                "NotImplemented",
                "Header 'x-amz-checksum-mode' with value 'ENABLED' not implemented",
            )
            server.faults.add(refusal)
            assert await read(client) == CONTENT
            assert await read(client) == CONTENT
    asked = ["x-amz-checksum-mode" in request.headers for request in server.requests]
    assert asked == [True, True, False, False]


async def test_checksums_are_asked_of_every_endpoint_unless_switched_off(
    server: S3Server,
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    async with quick_client(server) as client:
        async with client.get_object(BUCKET, KEY) as obj:
            await obj.read()
            assert obj.verified.algorithm == "CRC64NVME"
        await client.head_object(BUCKET, KEY)
        await (await client.get_object(BUCKET, KEY, checksum_mode=False)).read()
    when_required = {"response_checksum_validation": "when_required"}
    async with quick_client(server, **when_required) as client:
        await read(client)
        await read(client, checksum_mode=True)
    asked = ["x-amz-checksum-mode" in request.headers for request in server.requests]
    assert asked == [True, False, False, False, True]


async def test_an_object_replaced_while_it_is_read_is_an_error(server: S3Server) -> None:
    server.faults.add(
        faults.replace_object(lambda: server.put_object(BUCKET, KEY, b"new"), after=1000)
    )
    async with quick_client(server) as client:
        with nothing_leaks(client), pytest.raises(errors.ObjectChanged) as caught:
            await read(client)
    assert caught.value.bytes_received == 1000
    assert caught.value.bytes_expected == len(CONTENT)
    assert isinstance(caught.value.__cause__, errors.PreconditionFailed)


async def test_an_object_deleted_while_it_is_read_is_an_error(server: S3Server) -> None:
    server.faults.add(faults.replace_object(lambda: server.delete_object(BUCKET, KEY), after=1000))
    async with quick_client(server) as client:
        with pytest.raises(errors.ObjectChanged):
            await read(client)


@pytest.mark.parametrize("what", ["replaced", "deleted"])
async def test_a_version_is_read_on_though_there_is_a_newer_one(
    server: S3Server, what: str
) -> None:
    server.enable_versioning(BUCKET)
    begun = server.put_object(BUCKET, KEY, CONTENT)
    changes: dict[str, Callable[[], object]] = {
        "replaced": lambda: server.put_object(BUCKET, KEY, b"new"),
        "deleted": lambda: server.delete_object(BUCKET, KEY),
    }
    server.faults.add(faults.replace_object(changes[what], after=1000))
    async with quick_client(server) as client:
        assert await read(client) == CONTENT
    assert server.requests[-1].parameter("versionId") == begun.version_id


async def test_the_deadline_is_for_the_call_and_its_body(server: S3Server) -> None:
    async with quick_client(server) as client:
        server.faults.add(faults.stall_before_head())
        with nothing_leaks(client), pytest.raises(errors.TransportTimeout) as caught:
            await read(client, deadline=0.1)
        assert (caught.value.limit, caught.value.seconds) == ("deadline", 0.1)
        assert not caught.value.retryable
        server.faults.add(faults.stall_after(1000))
        with nothing_leaks(client), pytest.raises(errors.TransportTimeout) as caught:
            await read(client, deadline=0.1)
        assert caught.value.limit == "deadline"
        assert caught.value.bytes_received == 1000
        assert await read(client, deadline=10) == CONTENT


@pytest.mark.parametrize("verb", ["get_object", "head_object"])
async def test_the_deadline_covers_reading_the_configuration(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    async def stuck(_: Any) -> None:
        await asyncio.sleep(60)

    async with quick_client(server) as client:
        with monkeypatch.context() as patched:
            patched.setattr("aios3get.client.load_config", stuck)
            with pytest.raises(errors.TransportTimeout) as caught:
                async with asyncio.timeout(5):
                    await getattr(client, verb)(BUCKET, KEY, deadline=0.05)
        assert caught.value.limit == "deadline"
        assert await read(client) == CONTENT


async def test_the_deadline_covers_waiting_for_a_retry(server: S3Server) -> None:
    server.faults.add(faults.status(503, retry_after=30))
    async with quick_client(server, retry=RetryPolicy()) as client:
        with pytest.raises(errors.TransportTimeout):
            await read(client, deadline=0.1)
        server.faults.add(faults.drop_after(100))
        server.faults.add(faults.status(503, retry_after=30))
        with nothing_leaks(client), pytest.raises(errors.TransportTimeout):
            await read(client, deadline=0.2)


async def test_silence_ends_after_the_idle_time(server: S3Server) -> None:
    server.faults.add(faults.stall_after(1000), times=None)
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        before = time.monotonic()
        with nothing_leaks(client), pytest.raises(errors.TransportTimeout) as caught:
            await read(client)
    assert IDLE * 0.9 <= time.monotonic() - before < IDLE + 2
    error = caught.value
    assert (error.limit, error.seconds, error.bytes_received) == ("idle", IDLE, 1000)
    assert f"no byte came for {IDLE} s" in str(error)


async def test_a_blocked_loop_is_told_and_not_blamed_on_the_network(server: S3Server) -> None:
    server.faults.add(faults.stall_after(1000))
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        asyncio.get_running_loop().call_later(0.05, time.sleep, 2 * IDLE)
        with pytest.raises(errors.TransportTimeout) as caught:
            await read(client)
    assert IDLE < caught.value.loop_blocked < 10 * IDLE


async def test_a_loop_that_is_blocked_while_bytes_come_is_no_timeout(server: S3Server) -> None:
    server.faults.add(faults.slow(100_000))
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        asyncio.get_running_loop().call_later(0.02, time.sleep, 2 * IDLE)
        assert await read(client) == CONTENT


async def test_a_wait_in_line_is_no_wait_for_the_network(server: S3Server) -> None:
    timeouts = Timeouts(connect=IDLE / 2, idle=IDLE)
    options = {"max_concurrency": 1, "retry": RetryPolicy(attempts=1), "timeouts": timeouts}
    async with quick_client(server, **options) as client:
        async with client.get_object(BUCKET, KEY):
            waiting = asyncio.create_task(read(client))
            await asyncio.sleep(2 * IDLE)
            assert not waiting.done()
        assert await waiting == CONTENT


async def test_a_paused_reader_gets_its_bytes(server: S3Server) -> None:
    big = bytes(4_000_000)
    server.put_object(BUCKET, "big", big)
    async with (
        quick_client(server, retry=RetryPolicy(attempts=1)) as client,
        client.get_object(BUCKET, "big") as obj,
    ):
        await obj.read(10)
        await asyncio.sleep(2 * IDLE)
        assert len(await obj.read()) == len(big) - 10
    assert len(server.requests) == 1


async def test_a_paused_reader_that_was_hung_up_on_gets_its_bytes(server: S3Server) -> None:
    big = bytes(4_000_000)
    server.put_object(BUCKET, "big", big)
    server.faults.add(faults.drop_after(1_000_000))
    async with quick_client(server) as client, client.get_object(BUCKET, "big") as obj:
        await obj.read(10)
        await asyncio.sleep(2 * IDLE)
        assert len(await obj.read()) == len(big) - 10
    assert len(server.requests) == 2


class Rotating(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=f"127.0.0.{last}",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for last in range(1, 5)
        ]

    async def close(self) -> None:
        pass


async def test_new_connections_go_round_the_addresses_of_a_name() -> None:
    met: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer.get_extra_info("sockname")[0])
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        writer.write(head + b"ok")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "0.0.0.0", 0)
    port = listening.sockets[0].getsockname()[1]
    async with S3Client(
        endpoint_url=f"http://s3.test:{port}", region="us-east-1", credentials=ANONYMOUS
    ) as client:
        await client._start()
        own_sessions(transport_of(client)).resolver.source = Rotating()
        for _ in range(8):
            assert await read(client) == b"ok"
    listening.close()
    await listening.wait_closed()
    assert set(met) == {f"127.0.0.{last}" for last in range(1, 5)}


async def test_each_attempt_is_a_debug_line_and_each_retry_and_resume_an_info_line(
    server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults.add(faults.status(503))
    server.faults.add(faults.drop_after(1000))
    async with quick_client(server) as client:
        with caplog.at_level(logging.DEBUG, logger="aios3get"):
            await read(client)
    records = [record for record in caplog.records if record.name == "aios3get"]
    lines = [f"{record.levelname} {record.getMessage()}" for record in records]
    call = re.escape(f"GET '{BUCKET}/{KEY}' at 127.0.0.1:{server.port}")
    for line, pattern in zip(
        lines,
        [
            rf"DEBUG {call}: SlowDown \[503\] after \d+ ms \(attempt 1\)",
            rf"INFO {call}: retry in \d+ ms, because of SlowDown \[503\] after \d+ ms"
            r" \(attempt 1\)",
            rf"DEBUG {call}: 200 after \d+ ms \(attempt 2\)",
            rf"INFO {call}: resume at byte 1000 in \d+ ms, because of ConnectionLost after \d+ ms"
            r" \(attempt 2\)",
            rf"DEBUG {call}: 206 after \d+ ms \(attempt 3\)",
        ],
        strict=True,
    ):
        assert re.fullmatch(pattern, line), line


async def test_log_line_escapes_line_breaks_of_a_key(
    server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with quick_client(server) as client:
        with caplog.at_level(logging.DEBUG, logger="aios3get"), pytest.raises(errors.NoSuchKey):
            await client.get_object(BUCKET, "a\nERROR forged")
    assert "\\nERROR" in caplog.text
    assert "\nERROR" not in caplog.text


class TestLinks:
    async def test_a_link_is_sent_byte_for_byte_and_without_credentials(
        self, server: S3Server
    ) -> None:
        key = "a b+c/ü~'()*!%41.jpg"
        server.put_object(BUCKET, key, CONTENT)
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, key, response_content_type="text/x y")
            async with client.get_url(link.url) as obj:
                assert await obj.read() == CONTENT
        request = server.requests[-1]
        assert link.url == f"{server.endpoint_url}{request.raw_path}"
        assert not {"authorization", "x-amz-date", "x-amz-content-sha256"} & {
            name.lower() for name in request.headers
        }

    async def test_a_link_resumes(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY)
            server.faults.add(faults.drop_after(1000))
            async with client.get_url(link, range="bytes=100-9999") as obj:
                assert await obj.read() == CONTENT[100:10_000]
        assert [r.headers["Range"] for r in server.requests] == [
            "bytes=100-9999",
            "bytes=1100-9999",
        ]
        assert server.requests[0].raw_path == server.requests[1].raw_path

    async def test_a_link_to_an_object_that_changes_is_an_error(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY)
            server.faults.add(
                faults.replace_object(lambda: server.put_object(BUCKET, KEY, b"new"), after=10)
            )
            with pytest.raises(errors.ObjectChanged):
                await (await client.get_url(link)).read()

    async def test_a_link_that_signs_its_range_is_not_resumed(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, range="bytes=0-99")
            async with client.get_url(link) as obj:
                assert await obj.read() == CONTENT[:100]
            server.faults.add(faults.drop_after(10))
            with nothing_leaks(client), pytest.raises(errors.ConnectionLost):
                await (await client.get_url(link)).read()

    async def test_a_link_that_signs_a_condition_resumes(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            info = await client.head_object(BUCKET, KEY)
            for options in ({"if_match": info.etag}, {"if_none_match": '"another"'}):
                link = await client.presign_get_object(BUCKET, KEY, **options)
                server.faults.add(faults.drop_after(1000))
                server.requests.clear()
                with nothing_leaks(client):
                    assert await (await client.get_url(link)).read() == CONTENT
                assert [request.status for request in server.requests] == [200, 206]

    async def test_a_link_to_a_part_is_read_and_verified(self, server: S3Server) -> None:
        server.put_object(
            BUCKET,
            KEY,
            CONTENT,
            parts=[4000, 4000, 2240],
            checksum_algorithm="CRC32C",
            checksum_type="COMPOSITE",
        )
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, part_number=2, checksum_mode=True)
            async with client.get_url(link) as obj:
                assert await obj.read() == CONTENT[4000:8000]
                assert obj.verified
            server.faults.add(faults.drop_after(10))
            with nothing_leaks(client), pytest.raises(errors.ConnectionLost):
                await (await client.get_url(link)).read()
            with pytest.raises(errors.ParameterError, match="part 2"):
                client.get_url(link, range="bytes=0-9")

    async def test_expired_is_not_forbidden(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, expires_in=60)
            server.clock_skew = 120.0
            with pytest.raises(errors.PresignedUrlExpired):
                await client.get_url(link)
            server.clock_skew = 0.0
            server.faults.add(faults.status(403))
            with pytest.raises(errors.AccessDenied) as caught:
                await client.get_url(link)
            assert not isinstance(caught.value, errors.PresignedUrlExpired)

    async def test_a_link_does_not_teach_the_clock(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY, expires_in=60)
            server.clock_skew = 7200.0
            with pytest.raises(errors.S3Error):
                await client.get_url(link)
            assert client._shared is not None
            assert client._shared.clock_offset == 0.0

    async def test_a_link_needs_no_credentials_of_the_client(self, server: S3Server) -> None:
        async with quick_client(server) as client:
            link = await client.presign_get_object(BUCKET, KEY)

        def never() -> Credentials:
            raise AssertionError("asked for credentials")

        async with quick_client(server, credentials=never, retry=QUICK) as client:
            assert await (await client.get_url(link)).read() == CONTENT


async def test_a_users_session_that_raises_for_status_changes_nothing(server: S3Server) -> None:
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        quick_client(server, session=session) as client,
    ):
        with pytest.raises(errors.NoSuchKey):
            await client.get_object(BUCKET, "missing")
        assert await read(client) == CONTENT


async def test_a_region_is_remembered_only_once_it_has_answered(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT)
        nowhere = {"x-amz-bucket-region": "eu-nowhere-1"}
        server.faults.add(faults.status(301, "PermanentRedirect", headers=nowhere))
        once = RetryPolicy(attempts=1)
        async with loopback_client(server, authority, retry=once) as client:
            _unknown("eu-nowhere-1", client)
            with pytest.raises(errors.ConnectionFailed):
                await read(client)
            assert client._shared is not None
            assert not client._shared.regions
            assert await read(client) == CONTENT


def _unknown(part: str, client: S3Client) -> None:
    """Let no host have an address whose name has that part."""
    resolver: Any = own_sessions(transport_of(client)).resolver.source
    real = resolver.resolve

    async def resolve(host: str, *more: Any, **options: Any) -> Any:
        if part in host:
            raise OSError("unknown")
        return await real(host, *more, **options)

    resolver.resolve = resolve


async def test_a_region_that_refuses_is_the_right_one_too(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        async with loopback_client(server, authority) as client:
            with pytest.raises(errors.NoSuchKey):
                await read(client)
            assert client._shared is not None
            assert client._shared.regions == {BUCKET: "eu-central-1"}


async def test_a_head_that_is_refused_is_not_sent_again_for_nothing(server: S3Server) -> None:
    server.faults.add(faults.status(400), times=None)
    async with quick_client(server) as client:
        with pytest.raises(errors.BadRequest):
            await client.head_object(BUCKET, KEY)
    assert len(server.requests) == 1
    async with quick_client(
        server, credentials=lambda: credentials_of(server.credentials)
    ) as client:
        with pytest.raises(errors.BadRequest):
            await client.head_object(BUCKET, KEY)
    assert len(server.requests) == 3


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_a_backoff_ends_with_the_client(server: S3Server) -> None:
    server.faults.add(faults.status(503, retry_after=60), times=None)
    client = quick_client(server, retry=RetryPolicy(wait_max=60))
    waiting = asyncio.create_task(read(client))
    await _until(lambda: bool(server.requests))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await client.aclose()
    with pytest.raises(errors.ConnectionLost, match="the client was closed") as caught:
        await waiting
    assert time.monotonic() - began < 5
    assert (caught.value.attempts, caught.value.retryable) == (1, False)
    assert isinstance(caught.value.__cause__, errors.SlowDown | errors.ServiceUnavailable)


@pytest.mark.parametrize("fault", [faults.stall_before_head(), faults.stall_after(10)])
async def test_a_deadline_tells_how_long_the_loop_stood_still(server: S3Server, fault: Any) -> None:
    server.faults.add(fault, times=None)
    async with quick_client(server, timeouts=Timeouts(idle=30)) as client:
        asyncio.get_running_loop().call_later(0.1, time.sleep, 1.0)
        with pytest.raises(errors.TransportTimeout, match="deadline") as caught:
            await read(client, deadline=0.5)
    assert 0.4 < caught.value.loop_blocked < 10


async def test_a_server_that_fails_is_blamed(server: S3Server) -> None:
    server.faults.add(faults.status(500))
    async with quick_client(server) as client:
        await read(client)
        resolver = own_sessions(transport_of(client)).resolver
        assert list(resolver._failed) == ["127.0.0.1"]

import asyncio
import logging
import re
import socket
import time
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from aios3get import errors
from aios3get._protocol.identity import ANONYMOUS
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.engine.conftest import CONTENT, read
from tests.reading_client import (
    BUCKET,
    IDLE,
    KEY,
    credentials_of,
    loopback_client,
    nothing_leaks,
    own_sessions,
    quick_client,
    transport_of,
    until,
)
from tests.servers.tls import Authority


async def test_service_that_recovers_within_the_attempts_is_no_error(server: S3Server) -> None:
    server.faults.add(faults.status(503), times=4)
    async with quick_client(server) as client:
        with nothing_leaks(client):
            assert await read(client) == CONTENT
    assert [request.status for request in server.requests] == [503] * 4 + [200]


async def test_error_has_attempts_seconds_and_request_ids(server: S3Server) -> None:
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


async def test_one_attempt_sends_one_request(server: S3Server) -> None:
    server.faults.add(faults.status(503))
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.SlowDown):
            await read(client)
    assert len(server.requests) == 1


async def test_retry_waits_for_retry_after(server: S3Server) -> None:
    server.faults.add(faults.status(503, retry_after=1))
    policy = RetryPolicy(wait_initial=0.001, wait_max=0.15)
    async with quick_client(server, retry=policy) as client:
        before = time.monotonic()
        assert await read(client) == CONTENT
    assert time.monotonic() - before >= 0.15


async def test_calls_that_all_fail_use_up_the_retry_quota(server: S3Server) -> None:
    server.faults.add(faults.status(500), times=None)
    async with quick_client(server, max_concurrency=8) as client:
        found = await asyncio.gather(*(read(client) for _ in range(60)), return_exceptions=True)
    assert {type(each) for each in found} == {errors.InternalError}
    # 500 tokens pay for 100 retries, where the policy alone would allow 240.
    assert len(server.requests) == 60 + 100


async def test_stale_connection_costs_no_attempt_and_no_quota(server: S3Server) -> None:
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        assert await read(client) == CONTENT
        for fault in (faults.close_before_head(), faults.reset_before_head()):
            server.faults.add(fault)
            with nothing_leaks(client):
                assert await read(client) == CONTENT
            assert server.requests[-1].connection != server.requests[-2].connection
            # The one kept for the next time is used again after a new one.
            assert await read(client) == CONTENT
        assert client._state is not None
        assert client._state.quota.left == max(500, 30 * 64)


async def test_lost_new_connection_costs_an_attempt(server: S3Server) -> None:
    server.faults.add(faults.close_before_head())
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(errors.ConnectionLost) as caught:
            await read(client)
    assert not caught.value.reused
    assert caught.value.attempts == 1


async def test_connection_closed_while_idle_is_not_used(server: S3Server) -> None:
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        await read(client)
        port = server.port
        await server.stop()
        server._port = port
        await server.start()
        assert await read(client) == CONTENT


async def test_retry_takes_a_new_connection(server: S3Server) -> None:
    async with quick_client(server) as client:
        await read(client)
        server.faults.add(faults.status(500))
        await read(client)
    first, failed, again = (request.connection for request in server.requests)
    assert first == failed != again


@pytest.mark.parametrize("elsewhere", ["301", "307", "400"])
async def test_redirect_to_another_region_is_followed_once_and_remembered(
    authority: Authority, elsewhere: Any
) -> None:
    async with S3Server(tls=authority.server_context(), wrong_region_response=elsewhere) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        server.put_object(BUCKET, KEY, CONTENT)
        async with loopback_client(server, authority) as client:
            assert await read(client) == CONTENT
            assert await read(client) == CONTENT
            assert client._state is not None
            assert client._state.regions == {BUCKET: "eu-central-1"}
    assert [r.signing_region for r in server.requests] == [
        "us-east-1",
        "eu-central-1",
        "eu-central-1",
    ]
    assert server.requests[1].host == f"{BUCKET}.s3.eu-central-1.amazonaws.com"


async def test_regions_that_refer_to_each_other_are_followed_once(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT)
        for region in ("eu-central-1", "us-east-1", "eu-central-1"):
            gone = faults.status(301, "PermanentRedirect", headers={"x-amz-bucket-region": region})
            server.faults.add(gone)
        async with loopback_client(server, authority) as client:
            with pytest.raises(errors.WrongRegion):
                await read(client)
    assert len(server.requests) == 2


async def test_region_is_not_followed_from_a_custom_endpoint(server: S3Server) -> None:
    server.faults.add(
        faults.status(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-central-1"})
    )
    async with quick_client(server) as client:
        with pytest.raises(errors.WrongRegion) as caught:
            await read(client)
    assert caught.value.region == "eu-central-1"
    assert len(server.requests) == 1


async def test_clock_is_not_corrected_by_an_implausible_date_of_a_refused_head(
    server: S3Server,
) -> None:
    odd = faults.status(403, headers={"Date": "Thu, 01 Jan 2015 00:00:00 GMT"})
    server.faults.add(odd, times=2)
    async with quick_client(server) as client:
        with pytest.raises(errors.AccessDenied):
            await client.head_object(BUCKET, KEY)
        assert len(server.requests) == 2  # the correction was tried
        assert client._state is not None
        assert client._state.clock_offset == 0.0
        server.faults.add(odd)
        # It is tried again, and taken back again, by the next call.
        with pytest.raises(errors.AccessDenied):
            await client.head_object(BUCKET, KEY)
        assert client._state.clock_offset == 0.0
        assert await read(client) == CONTENT
    assert [request.status for request in server.requests][-1] == 200


async def test_clock_offset_is_reset_by_a_good_response(server: S3Server) -> None:
    server.clock_skew = 1000.0
    async with quick_client(server) as client:
        await read(client)
        assert client._state is not None
        assert 990 < client._state.clock_offset < 1010
        await read(client)
        assert 990 < client._state.clock_offset < 1010
        server.clock_skew = 200.0  # as after a step of NTP; S3 allows 900 s
        await read(client)
        assert client._state.clock_offset == 0.0
        await read(client)
    assert [request.status for request in server.requests] == [403, 200, 200, 200, 200]


async def test_deadline_covers_the_call_and_its_body(server: S3Server) -> None:
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
async def test_deadline_covers_loading_the_configuration(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    async def stuck(_: Any) -> None:
        await asyncio.sleep(60)

    async with quick_client(server) as client:
        with monkeypatch.context() as patched:
            patched.setattr("aios3get._engine.running.load_config", stuck)
            with pytest.raises(errors.TransportTimeout) as caught:
                async with asyncio.timeout(5):
                    await getattr(client, verb)(BUCKET, KEY, deadline=0.05)
        assert caught.value.limit == "deadline"
        assert not client._loading
        assert await read(client) == CONTENT


async def test_deadline_covers_the_wait_before_a_retry(server: S3Server) -> None:
    server.faults.add(faults.status(503, retry_after=30))
    async with quick_client(server, retry=RetryPolicy()) as client:
        with pytest.raises(errors.TransportTimeout):
            await read(client, deadline=0.1)
        server.faults.add(faults.drop_after(100))
        server.faults.add(faults.status(503, retry_after=30))
        with nothing_leaks(client), pytest.raises(errors.TransportTimeout):
            await read(client, deadline=0.2)


async def test_silent_server_is_an_idle_timeout(server: S3Server) -> None:
    server.faults.add(faults.stall_after(1000), times=None)
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        before = time.monotonic()
        with nothing_leaks(client), pytest.raises(errors.TransportTimeout) as caught:
            await read(client)
    assert IDLE * 0.9 <= time.monotonic() - before < IDLE + 2
    error = caught.value
    assert (error.limit, error.seconds, error.bytes_received) == ("idle", IDLE, 1000)
    assert f"no byte arrived within {IDLE} s" in str(error)


async def test_idle_timeout_reports_a_blocked_event_loop(server: S3Server) -> None:
    server.faults.add(faults.stall_after(1000))
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        asyncio.get_running_loop().call_later(0.05, time.sleep, 2 * IDLE)
        with pytest.raises(errors.TransportTimeout) as caught:
            await read(client)
    assert IDLE < caught.value.loop_blocked < 10 * IDLE


async def test_blocked_event_loop_is_no_idle_timeout(server: S3Server) -> None:
    server.faults.add(faults.slow(100_000))
    async with quick_client(server, retry=RetryPolicy(attempts=1)) as client:
        asyncio.get_running_loop().call_later(0.02, time.sleep, 2 * IDLE)
        assert await read(client) == CONTENT


async def test_wait_for_a_permit_is_no_connect_or_idle_timeout(server: S3Server) -> None:
    timeouts = Timeouts(connect=IDLE / 2, idle=IDLE)
    options = {"max_concurrency": 1, "retry": RetryPolicy(attempts=1), "timeouts": timeouts}
    async with quick_client(server, **options) as client:
        async with client.get_object(BUCKET, KEY):
            waiting = asyncio.create_task(read(client))
            await asyncio.sleep(2 * IDLE)
            assert not waiting.done()
        assert await waiting == CONTENT


async def test_paused_reader_is_no_idle_timeout(server: S3Server) -> None:
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


async def test_body_of_a_paused_reader_is_resumed(server: S3Server) -> None:
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


async def test_new_connections_use_all_addresses_of_a_name() -> None:
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
        await client._start_exchange()
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
    lines = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
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


async def test_region_is_remembered_only_after_a_response_from_it(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.put_object(BUCKET, KEY, CONTENT)
        nowhere = {"x-amz-bucket-region": "eu-nowhere-1"}
        server.faults.add(faults.status(301, "PermanentRedirect", headers=nowhere))
        once = RetryPolicy(attempts=1)
        async with loopback_client(server, authority, retry=once) as client:
            _unknown("eu-nowhere-1", client)
            with pytest.raises(errors.ConnectionFailed):
                await read(client)
            assert client._state is not None
            assert not client._state.regions
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


async def test_region_is_remembered_after_an_error_response_from_it(authority: Authority) -> None:
    async with S3Server(tls=authority.server_context()) as server:
        server.create_bucket(BUCKET, region="eu-central-1")
        async with loopback_client(server, authority) as client:
            with pytest.raises(errors.NoSuchKey):
                await read(client)
            assert client._state is not None
            assert client._state.regions == {BUCKET: "eu-central-1"}


async def test_refused_head_is_sent_again_only_with_refreshable_credentials(
    server: S3Server,
) -> None:
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


async def test_backoff_ends_when_the_client_is_closed(server: S3Server) -> None:
    server.faults.add(faults.status(503, retry_after=60), times=None)
    client = quick_client(server, retry=RetryPolicy(wait_max=60))
    waiting = asyncio.create_task(read(client))
    await until(lambda: bool(server.requests))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await client.aclose()
    with pytest.raises(errors.ConnectionLost, match="the client was closed") as caught:
        await waiting
    assert time.monotonic() - began < 5
    assert (caught.value.attempts, caught.value.retryable) == (1, False)
    assert isinstance(caught.value.__cause__, errors.SlowDown | errors.ServiceUnavailable)


@pytest.mark.parametrize("fault", [faults.stall_before_head(), faults.stall_after(10)])
async def test_deadline_reports_a_blocked_event_loop(server: S3Server, fault: Any) -> None:
    server.faults.add(fault, times=None)
    async with quick_client(server, timeouts=Timeouts(idle=30)) as client:
        asyncio.get_running_loop().call_later(0.1, time.sleep, 1.0)
        with pytest.raises(errors.TransportTimeout, match="deadline") as caught:
            await read(client, deadline=0.5)
    assert 0.4 < caught.value.loop_blocked < 10


async def test_address_of_a_failed_server_is_avoided(server: S3Server) -> None:
    server.faults.add(faults.status(500))
    async with quick_client(server) as client:
        await read(client)
        resolver = own_sessions(transport_of(client)).resolver
        assert list(resolver._failed) == ["127.0.0.1"]


async def get_and_close(client: S3Client) -> None:
    await (await client.get_object(BUCKET, KEY)).aclose()


async def test_wait_for_a_permit_can_be_cancelled(client: S3Client, server: S3Server) -> None:
    one = quick_client(server, max_concurrency=1, verify=client._config.verify)
    async with one:
        first = await one.get_object(BUCKET, KEY)
        waiting = [asyncio.create_task(get_and_close(one)) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        await asyncio.sleep(0)
        await first.aclose()
        waiting[1].cancel()
        await asyncio.wait(waiting, timeout=10)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        assert transport_of(one).limiter.in_use == 0


@pytest.mark.parametrize("server", ["tcp"], indirect=True)
async def test_timeout_of_the_caller_is_a_plain_timeout_error(
    client: S3Client, server: S3Server
) -> None:
    server.faults.add(faults.stall_before_head(), times=None)
    task = asyncio.current_task()
    assert task is not None
    for seconds in (0.05, 0.1):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(seconds):
                await client.get_object(BUCKET, KEY)
        assert type(caught.value) is TimeoutError
        assert task.cancelling() == 0

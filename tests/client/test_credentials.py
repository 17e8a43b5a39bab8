"""Clients and their credentials over days of use."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aios3get import Credentials, RetryPolicy, S3Client
from aios3get.credentials import AssumeRole, InstanceMetadata, refreshing
from aios3get.errors import CredentialsError
from aios3get.testing import S3Server, faults
from aios3get.testing.credentials import ServerCredentials
from tests.reading_client import quick_client
from tests.servers.imds import Imds
from tests.servers.sts import Sts, issued

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    with Sts() as server:
        server.add(KEYS)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        yield server


def temporary(end: datetime) -> ServerCredentials:
    return ServerCredentials.temporary(end.replace(microsecond=0))


async def test_assumed_role_signs_requests(server: S3Server, sts: Sts) -> None:
    server.put_object(BUCKET, KEY, b"sample")
    server.add_credentials(issued(ROLE, KEYS.access_key_id))
    async with quick_client(server, credentials=AssumeRole(ROLE, KEYS)) as client:
        assert await (await client.get_object(BUCKET, KEY)).read() == b"sample"
    assert sts.regions == [server.region]


@pytest.mark.parametrize("skew", [-10_800.0, 10_800.0])
async def test_clock_corrected_by_sts_signs_s3_requests(
    server: S3Server, sts: Sts, skew: float
) -> None:
    server.put_object(BUCKET, KEY, b"sample")
    server.clock_skew = skew
    sts.clock = lambda: time.time() + skew
    server.add_credentials(issued(ROLE, KEYS.access_key_id))
    async with quick_client(server, credentials=AssumeRole(ROLE, KEYS)) as client:
        assert await (await client.get_object(BUCKET, KEY)).read() == b"sample"
    assert [request.status for request in server.requests] == [200]
    assert len(sts.forms) == 2


@pytest.mark.parametrize(
    ("region", "endpoint_url", "host"),
    [
        (None, None, "amzn-s3-demo-bucket.s3.eu-central-1.amazonaws.com"),
        ("us-west-2", None, "amzn-s3-demo-bucket.s3.us-west-2.amazonaws.com"),
        (None, "https://s3.example.com", "s3.example.com"),
    ],
)
async def test_instance_region_is_used_if_none_is_configured(
    region: str | None, endpoint_url: str | None, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with Imds() as imds:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        client = S3Client(credentials=InstanceMetadata(), region=region, endpoint_url=endpoint_url)
        async with client:
            for _ in range(2):
                link = await client.presign_get_object(BUCKET, KEY)
                assert link.url.startswith(f"https://{host}/")
        requested = [path for _, path in imds.calls if path.endswith("/region")]
        assert len(requested) == (region is None)


async def test_instance_region_is_not_requested_with_other_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with Imds() as imds:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url)
        async with S3Client(credentials=lambda: KEYS) as client:
            link = await client.presign_get_object(BUCKET, KEY)
        assert "us-east-1" in link.url
        assert imds.calls == []


async def test_expired_token_during_a_body_is_refreshed_once_and_the_body_resumes(
    server: S3Server,
) -> None:
    content = random.Random(1).randbytes(500_000)
    server.put_object(BUCKET, KEY, content)
    lives = [temporary(datetime.now(UTC) + timedelta(hours=1)) for _ in range(2)]
    for credentials in lives:
        server.add_credentials(credentials)
    left = [Credentials(c.access_key_id, c.secret_access_key, c.session_token) for c in lives]

    async def vault() -> Credentials:
        return left.pop(0)

    server.faults.add(faults.drop_after(200_000))
    async with quick_client(server, credentials=vault) as client:
        obj = await client.get_object(BUCKET, KEY)
        received = await obj.read(1_000)
        server.add_credentials(replace(lives[0], expires_at=datetime.now(UTC)))
        received += await obj.read()
    assert received == content
    assert left == []
    assert [request.error_code for request in server.requests] == [None, "ExpiredToken", None]


async def test_concurrent_first_reads_load_credentials_once(server: S3Server) -> None:
    server.put_object(BUCKET, KEY, b"sample")
    loads = 0

    async def vault() -> Credentials:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        return server.credentials

    async with quick_client(server, credentials=vault) as client:
        await asyncio.gather(*(client.head_object(BUCKET, KEY) for _ in range(100)))
    assert loads == 1


async def test_closing_a_client_cancels_its_credentials_refresh(server: S3Server) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def vault() -> Credentials:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
        raise AssertionError

    client = quick_client(server, credentials=vault)
    reading = asyncio.create_task(client.head_object(BUCKET, KEY))
    await begun.wait()
    await client.aclose()
    assert ended.is_set()
    with pytest.raises(Exception, match="client is closed"):
        await reading


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()


class Vault:
    """Returns credentials that expire after an hour, except in outages; the server accepts them."""

    def __init__(self, server: S3Server, clock: Clock, seed: int) -> None:
        self.server = server
        self.clock = clock
        self.latest_end = clock.now
        chance = random.Random(seed)
        # From, to, and whether the service is silent or refuses.
        self.outages: list[tuple[datetime, datetime, bool]] = []
        start = clock.now
        while start < clock.now + timedelta(days=1):
            start += timedelta(minutes=chance.uniform(30, 200))
            end = start + timedelta(minutes=chance.choice([2, 10, 25, 70]))
            self.outages.append((start, end, chance.random() < 0.5))
            start = end

    @property
    def outage(self) -> tuple[datetime, datetime, bool] | None:
        return next((o for o in self.outages if o[0] <= self.clock.now < o[1]), None)

    async def __call__(self) -> Credentials:
        if self.outage is not None:
            _, _, is_silent = self.outage
            if is_silent:
                await asyncio.sleep(0.004)
                raise TimeoutError
            raise ConnectionError
        self.latest_end = self.clock.now + timedelta(hours=1)
        credentials = temporary(self.latest_end)
        self.server.add_credentials(credentials)
        return Credentials(
            credentials.access_key_id,
            credentials.secret_access_key,
            credentials.session_token,
            credentials.expires_at,
        )


@pytest.mark.parametrize("seed", [1, 3])
async def test_credentials_rotate_hourly_for_a_day_despite_outages(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "_MANDATORY_SECONDS", 0.002)
    clock = Clock(datetime(2026, 7, 14, tzinfo=UTC))
    with S3Server.in_thread(clock=lambda: clock.now) as server:
        vault = Vault(server, clock, seed)
        server.put_object(BUCKET, KEY, b"sample")
        client = quick_client(server, credentials=vault, retry=RetryPolicy(attempts=1))
        failures = reads = 0
        async with client:
            await client._start_exchange()
            assert client._state is not None
            client._state.clock = clock
            for _ in range(24 * 15):
                clock.now += timedelta(minutes=4)
                try:
                    await client.head_object(BUCKET, KEY)
                    reads += 1
                except CredentialsError:
                    failures += 1
                    # No credentials were valid, and no others could be had.
                    assert vault.latest_end <= clock.now
                    assert vault.outage is not None
        assert {request.error_code for request in server.requests} == {None}
        assert len(server.requests) == reads
        assert reads > 24 * 12
        assert failures > 0


SCRIPT = """
import asyncio, sys
from aios3get import S3Client

async def main():
    async with S3Client(region="us-east-1") as client:
        await client.presign_get_object("amzn-s3-demo-bucket", "sample.jpg")

asyncio.run(main())
print(*sorted(name for name in sys.modules if "aios3get.credentials." in name))
print(*sorted(name for name in sys.modules if "_protocol.credentials" in name or "fetch" in name))
"""


def test_providers_are_imported_when_they_are_first_needed() -> None:
    keys = {"AWS_ACCESS_KEY_ID": KEYS.access_key_id, "AWS_SECRET_ACCESS_KEY": "secret"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=keys, capture_output=True, text=True, check=True
    )
    modules, requests = run.stdout.split("\n")[:2]
    assert [name.rpartition(".")[2] for name in modules.split()] == [
        *("chain", "context", "environment", "provider", "refreshing", "source"),
    ]
    assert requests == ""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from aios3get import S3Client, errors
from aios3get._engine.call import Call
from aios3get._protocol.identity import BearerToken
from aios3get._protocol.timeouts import Timeouts
from aios3get.credentials import IBMCloudAPIKey
from aios3get.testing import S3Server, faults
from aios3get.testing.recorded_request import RecordedRequest
from tests.engine.test_express_sessions import Clock, until
from tests.reading_client import (
    BUCKET,
    KEY,
    QUICK,
    credentials_of,
    nothing_leaks,
    quick_client,
)
from tests.servers.resolver import LoopbackResolver, loopback_session
from tests.servers.tls import Authority

API_KEY = "an-api-key-of-a-service-id"
INSTANCE = "crn:v1:bluemix:public:cloud-object-storage:global:a/123:456::"
CONTENT = bytes(range(256)) * 4
# Headers of IBM Cloud Object Storage that S3 does not have.
HEADERS = {
    "Retention-Expiration-Date": "Fri, 24 May 2030 00:00:00 GMT",
    "Retention-Legal-Hold-Count": "2",
    "Retention-Period": "86400",
    "x-ibm-transition": 'transition="GLACIER", date="Fri, 24 May 2030 00:00:00 GMT"',
    "x-ibm-restored-copy-storage-class": "cold",
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[S3Server]:
    async with S3Server(region="us-south", clock=clock.moment) as running:
        running.add_api_key(API_KEY)
        running.put_object(BUCKET, KEY, CONTENT, headers=HEADERS)
        yield running


def api_key(server: S3Server, clock: Clock, **changes: Any) -> IBMCloudAPIKey:
    given = {"api_key": API_KEY, "service_instance_id": INSTANCE, "clock": clock, **changes}
    return IBMCloudAPIKey(**given, iam_url=f"{server.endpoint_url}/identity/token")


@pytest.fixture
async def client(server: S3Server, clock: Clock) -> AsyncIterator[S3Client]:
    key = api_key(server, clock)
    async with quick_client(server, credentials=key, timeouts=Timeouts()) as client:
        exchange = await client._start_exchange()
        exchange.state.credentials._clock = clock
        with nothing_leaks(client):
            yield client


async def read(client: S3Client, **options: Any) -> bytes:
    async with client.get_object(BUCKET, KEY, **options) as obj:
        return await obj.read()


def token_requests(server: S3Server) -> list[RecordedRequest]:
    return [request for request in server.requests if request.path == "/identity/token"]


def object_requests(server: S3Server) -> list[RecordedRequest]:
    return [request for request in server.requests if request.key == KEY]


async def test_hmac_keys_sign_requests_and_urls(server: S3Server) -> None:
    async with quick_client(server) as client:
        assert await read(client) == CONTENT
        link = await client.presign_get_object(BUCKET, KEY)
        assert await (await client.get_url(link)).read() == CONTENT
    assert [request.auth for request in server.requests] == ["header", "query"]
    assert {request.signing_region for request in server.requests} == {"us-south"}


async def test_api_key_is_exchanged_once_for_a_token_of_all_calls(
    server: S3Server, client: S3Client
) -> None:
    assert await asyncio.gather(*(read(client) for _ in range(20))) == [CONTENT] * 20
    assert (await client.head_object(BUCKET, KEY)).content_length == len(CONTENT)
    assert len(token_requests(server)) == 1
    requests = object_requests(server)
    assert len(requests) == 21
    assert {request.auth for request in requests} == {"bearer"}
    assert len({request.headers["Authorization"] for request in requests}) == 1
    assert {request.headers["ibm-service-instance-id"] for request in requests} == {INSTANCE}
    unsigned = {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token"}
    assert all(unsigned.isdisjoint(map(str.lower, request.headers)) for request in requests)


async def test_service_instance_header_is_sent_only_if_set(server: S3Server, clock: Clock) -> None:
    key = api_key(server, clock, service_instance_id=None)
    async with quick_client(server, credentials=key) as client:
        assert await read(client) == CONTENT
    assert "ibm-service-instance-id" not in object_requests(server)[0].headers


async def test_token_is_refreshed_ahead_of_expiry_and_no_call_waits(
    server: S3Server, client: S3Client, clock: Clock
) -> None:
    await read(client)
    first = object_requests(server)[0].headers["Authorization"]
    # A token lives an hour; in its last quarter it is renewed, at the latest in its last sixth.
    clock.now += 3600 - 700
    assert await read(client) == CONTENT
    assert object_requests(server)[-1].headers["Authorization"] == first
    await until(lambda: len(token_requests(server)) == 2)
    assert client._state is not None
    await until(client._state.credentials.current)
    assert await read(client) == CONTENT
    assert object_requests(server)[-1].headers["Authorization"] != first
    clock.now += 3601
    assert await read(client) == CONTENT
    assert len(token_requests(server)) == 3
    assert {request.status for request in server.requests} == {200}


async def test_unknown_api_key_raises_credentials_error_without_the_key(
    server: S3Server, clock: Clock
) -> None:
    key = api_key(server, clock, api_key="another-key")
    async with quick_client(server, credentials=key) as client:
        with pytest.raises(errors.CredentialsError) as caught:
            await read(client)
    assert "BXNIM0415E" in str(caught.value)
    assert "another-key" not in str(caught.value)
    assert (len(token_requests(server)), object_requests(server)) == (1, [])


async def test_failed_token_request_is_retried(server: S3Server, client: S3Client) -> None:
    server.faults.add(faults.status(503), where=lambda request: request.method == "POST")
    assert await read(client) == CONTENT
    assert [request.status for request in token_requests(server)] == [503, 200]


async def test_expired_token_response_refreshes_the_token(
    server: S3Server, client: S3Client
) -> None:
    server.faults.add(faults.expired_token())
    assert await read(client) == CONTENT
    assert len(token_requests(server)) == 2


async def test_resumed_body_uses_the_token(server: S3Server, client: S3Client) -> None:
    server.faults.add(faults.drop_after(100))
    assert await read(client) == CONTENT
    assert [request.headers.get("Range") for request in object_requests(server)] == [
        None,
        "bytes=100-1023",
    ]
    assert len(token_requests(server)) == 1


async def test_ibm_headers_are_parsed(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY) as obj:
        object_requests = obj.info
    for info in (object_requests, await client.head_object(BUCKET, KEY)):
        assert info.retention_expiration_date == datetime(2030, 5, 24, tzinfo=UTC)
        assert (info.retention_legal_hold_count, info.retention_period) == (2, 86400)
        assert info.ibm_transition == HEADERS["x-ibm-transition"]
        assert info.ibm_restored_copy_storage_class == "cold"


async def test_mirror_destination_is_sent(server: S3Server, client: S3Client) -> None:
    await read(client, mirror_destination="a-mirror")
    assert object_requests(server)[-1].headers["mirror-destination"] == "a-mirror"


async def test_presigning_with_an_api_key_is_refused(server: S3Server, client: S3Client) -> None:
    with pytest.raises(errors.ConfigurationError, match="HMAC keys"):
        await client.presign_get_object(BUCKET, KEY)
    assert object_requests(server) == []


@pytest.mark.parametrize(
    "endpoint_url",
    [
        "http://s3.us-south.cloud-object-storage.appdomain.cloud",
        "http://10.0.0.7:9000",
        "http://[2001:db8::1]",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
    ],
)
@pytest.mark.parametrize("verb", ["get_object", "head_object"])
async def test_token_is_not_sent_over_plain_http(endpoint_url: str, verb: str) -> None:
    async with loopback_session({}) as session:
        async with S3Client(
            endpoint_url=endpoint_url, credentials=BearerToken("a-token"), session=session
        ) as client:
            with pytest.raises(errors.ConfigurationError, match="https") as caught:
                await getattr(client, verb)(BUCKET, KEY)
        connector: Any = session.connector
        assert isinstance(connector._resolver, LoopbackResolver)
        assert connector._resolver.questions == []
    assert "bearer token" in str(caught.value)
    assert "a-token" not in str(caught.value)


async def test_token_is_sent_over_tls(clock: Clock, authority: Authority) -> None:
    host = "s3.us-south.cloud-object-storage.appdomain.cloud"
    async with S3Server(tls=authority.server_context(), region="us-south") as server:
        server.add_api_key(API_KEY)
        server.put_object(BUCKET, KEY, CONTENT)
        trust = authority.client_context()

        async def post(url: str, form: Any) -> tuple[int, bytes]:
            async with session.post(url, data=form) as response:
                return response.status, await response.read()

        async with loopback_session({443: server.port}, trust) as session:
            key = IBMCloudAPIKey(API_KEY, post=post)
            async with S3Client(
                endpoint_url=f"https://{host}",
                region="us-south",
                credentials=key,
                session=session,
                retry=QUICK,
            ) as client:
                assert await read(client) == CONTENT
        iam, cos = server.requests
        assert (iam.host, cos.host) == ("iam.cloud.ibm.com", host)
        assert (cos.path, cos.auth) == (f"/{BUCKET}/{KEY}", "bearer")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
async def test_token_is_sent_over_plain_http_to_loopback(
    server: S3Server, clock: Clock, host: str
) -> None:
    url = f"http://{host}:{server.port}"
    async with loopback_session({}) as session:
        options = {"credentials": api_key(server, clock), "session": session}
        async with quick_client(server, endpoint_url=url, **options) as client:
            exchange = await client._start_exchange()
            call = Call("GET", client._request(BUCKET, KEY, {}))
            request = client._request(BUCKET, KEY, {})
            _, _, identity = await exchange.signer.prepare(call, request)
            assert isinstance(identity, BearerToken)
            if host == "localhost":
                assert await read(client) == CONTENT


async def test_signed_request_is_sent_over_plain_http(server: S3Server) -> None:
    options = {"credentials": credentials_of(server.credentials), "region": "us-south"}
    async with loopback_session({80: server.port}) as session:
        url = "http://storage.example.com"
        async with quick_client(server, endpoint_url=url, session=session, **options) as client:
            assert await read(client) == CONTENT

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aios3get import Credentials, S3Client, errors
from aios3get._protocol.signing import signed_request, sigv4a
from aios3get.testing import S3Server, ServerCredentials, faults
from tests.reading_client import KEY, QUICK, READERS, credentials_of, nothing_leaks
from tests.servers.resolver import LoopbackResolver, loopback_session
from tests.servers.tls import Authority

REGION_OF = {
    "amzn-s3-demo-bucket": "us-east-1",
    "my.dotted.bucket": "us-east-1",
    "amzn-s3-demo-bucket2": "us-west-2",
    "amzn-s3-demo-gov": "us-gov-west-1",
    "amzn-s3-demo-cn": "cn-north-1",
    "amzn-s3-demo-eusc": "eusc-de-east-1",
    "amzn-s3-demo-iso": "us-iso-east-1",
    "demo--usw2-az1--x-s3": "us-west-2",
    "demo--usw2-lax1-az1--x-s3": "us-west-2",
    "demo--usgw1-az1--x-s3": "us-gov-west-1",
}
BUCKET, WEST, GOV, CHINA = (
    "amzn-s3-demo-bucket",
    "amzn-s3-demo-bucket2",
    "amzn-s3-demo-gov",
    "amzn-s3-demo-cn",
)
DIRECTORY, LOCAL = "demo--usw2-az1--x-s3", "demo--usw2-lax1-az1--x-s3"
ACCOUNT = "123456789012"
OUTPOST = "op-01ac5d28a6a232904"
ALIAS = "my-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
LAMBDA_ALIAS = "my-olap-aabbccddeeff00112233445566778899--ol-s3"
RACK_ALIAS = "my-access-po-o01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3"
SERVER_ALIAS = "my-access-po-e01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3"
POINT_ARN = f"arn:aws:s3:us-west-2:{ACCOUNT}:accesspoint/my-ap"
LAMBDA_ARN = f"arn:aws:s3-object-lambda:us-west-2:{ACCOUNT}:accesspoint/my-olap"
OUTPOST_ARN = f"arn:aws:s3-outposts:us-west-2:{ACCOUNT}:outpost/{OUTPOST}/accesspoint/my-rack"
MULTI_REGION_ARN = f"arn:aws:s3::{ACCOUNT}:accesspoint/mfzwi23gnjvgw.mrap"

POINTS: dict[str, tuple[str, str]] = {
    f"my-ap-{ACCOUNT}": (WEST, "s3"),
    f"gov-ap-{ACCOUNT}": (GOV, "s3"),
    f"cn-ap-{ACCOUNT}": (CHINA, "s3"),
    ALIAS: (BUCKET, "s3"),
    f"my-rack-{ACCOUNT}": (WEST, "s3-outposts"),
    RACK_ALIAS: (BUCKET, "s3-outposts"),
    SERVER_ALIAS: (BUCKET, "s3-outposts"),
    "my-ap--usw2-az1--xa-s3": (DIRECTORY, "s3express"),
    "mfzwi23gnjvgw.mrap": (WEST, "s3"),
}
LAMBDAS = (f"my-olap-{ACCOUNT}", LAMBDA_ALIAS)


@dataclass(frozen=True)
class Case:
    """The arguments of a client, and the request that the server must receive."""

    bucket: str
    host: str
    owner: str
    region: str = "us-east-1"
    service: str = "s3"
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    path: str = ""


def _plain(host: str, owner: str = BUCKET, region: str = "us-east-1", **settings: Any) -> Case:
    return Case(owner, f"{owner}.{host}", owner, region, settings=settings)


def _express(host: str, name: str, owner: str, region: str = "us-west-2", **settings: Any) -> Case:
    return Case(name, f"{name}.{host}", owner, region, "s3express", settings)


AWS = "amazonaws.com"
EAST = f"us-east-1.{AWS}"
US_WEST = f"us-west-2.{AWS}"
CN = "cn-north-1.amazonaws.com.cn"
CASES = {
    "plain": _plain(f"s3.{EAST}"),
    "path style": Case(
        BUCKET,
        f"s3.{EAST}",
        BUCKET,
        settings={"addressing_style": "path"},
        path=f"/{BUCKET}",
    ),
    "dotted": Case("my.dotted.bucket", f"s3.{EAST}", "my.dotted.bucket", path="/my.dotted.bucket"),
    "another region": _plain(f"s3.{US_WEST}", WEST, "us-west-2"),
    "dual-stack": _plain(f"s3.dualstack.{EAST}", use_dualstack=True),
    "fips": _plain(f"s3-fips.{EAST}", use_fips=True),
    "fips dual-stack": _plain(f"s3-fips.dualstack.{EAST}", use_fips=True, use_dualstack=True),
    "accelerate": _plain(f"s3-accelerate.{AWS}", use_accelerate=True),
    "accelerate from the west": _plain(
        f"s3-accelerate.{AWS}", WEST, "us-west-2", use_accelerate=True
    ),
    "accelerate dual-stack": _plain(
        f"s3-accelerate.dualstack.{AWS}", use_accelerate=True, use_dualstack=True
    ),
    "global": _plain(f"s3.{AWS}", use_global_endpoint=True),
    "aws-global": Case(BUCKET, f"{BUCKET}.s3.{AWS}", BUCKET, settings={"region": "aws-global"}),
    "gov": _plain(f"s3.us-gov-west-1.{AWS}", GOV, "us-gov-west-1"),
    "gov fips": _plain(f"s3-fips.us-gov-west-1.{AWS}", GOV, "us-gov-west-1", use_fips=True),
    "china": _plain(f"s3.{CN}", CHINA, "cn-north-1"),
    "china dual-stack": _plain(f"s3.dualstack.{CN}", CHINA, "cn-north-1", use_dualstack=True),
    "european sovereign": _plain(
        "s3.eusc-de-east-1.amazonaws.eu", "amzn-s3-demo-eusc", "eusc-de-east-1"
    ),
    "iso": _plain("s3.us-iso-east-1.c2s.ic.gov", "amzn-s3-demo-iso", "us-iso-east-1"),
    "access point": Case(POINT_ARN, f"my-ap-{ACCOUNT}.s3-accesspoint.{US_WEST}", WEST, "us-west-2"),
    "access point fips dual-stack": Case(
        POINT_ARN,
        f"my-ap-{ACCOUNT}.s3-accesspoint-fips.dualstack.{US_WEST}",
        WEST,
        "us-west-2",
        settings={"use_fips": True, "use_dualstack": True, "region": "us-west-2"},
    ),
    "access point alias": Case(ALIAS, f"{ALIAS}.s3.{EAST}", BUCKET),
    "access point gov": Case(
        f"arn:aws-us-gov:s3:us-gov-west-1:{ACCOUNT}:accesspoint/gov-ap",
        f"gov-ap-{ACCOUNT}.s3-accesspoint.us-gov-west-1.{AWS}",
        GOV,
        "us-gov-west-1",
        settings={"region": "us-gov-west-1"},
    ),
    "access point china": Case(
        f"arn:aws-cn:s3:cn-north-1:{ACCOUNT}:accesspoint/cn-ap",
        f"cn-ap-{ACCOUNT}.s3-accesspoint.{CN}",
        CHINA,
        "cn-north-1",
        settings={"region": "cn-north-1"},
    ),
    "outposts": Case(
        OUTPOST_ARN,
        f"my-rack-{ACCOUNT}.{OUTPOST}.s3-outposts.{US_WEST}",
        WEST,
        "us-west-2",
        "s3-outposts",
    ),
    "outposts rack alias": Case(
        RACK_ALIAS,
        f"{RACK_ALIAS}.{OUTPOST}.s3-outposts.{EAST}",
        BUCKET,
        service="s3-outposts",
    ),
    "outposts server alias": Case(
        SERVER_ALIAS, f"{SERVER_ALIAS}.ec2.s3-outposts.{EAST}", BUCKET, service="s3-outposts"
    ),
    "multi-region": Case(
        MULTI_REGION_ARN, f"mfzwi23gnjvgw.mrap.accesspoint.s3-global.{AWS}", WEST, "*"
    ),
}
DIRECTORY_CASES = {
    "zone": _express(f"s3express-usw2-az1.{US_WEST}", DIRECTORY, DIRECTORY),
    "local zone": _express(f"s3express-usw2-lax1-az1.{US_WEST}", LOCAL, LOCAL),
    "fips": _express(f"s3express-fips-usw2-az1.{US_WEST}", DIRECTORY, DIRECTORY, use_fips=True),
    "dual-stack": _express(
        f"s3express-usw2-az1.dualstack.{US_WEST}", DIRECTORY, DIRECTORY, use_dualstack=True
    ),
    "gov": _express(
        f"s3express-usgw1-az1.us-gov-west-1.{AWS}",
        "demo--usgw1-az1--x-s3",
        "demo--usgw1-az1--x-s3",
        "us-gov-west-1",
    ),
    "access point": _express(f"s3express-usw2-az1.{US_WEST}", "my-ap--usw2-az1--xa-s3", DIRECTORY),
}


def content(owner: str) -> bytes:
    """A kilobyte that differs for each bucket."""
    return (owner.encode() + b"\n").ljust(1000, b".")


def transformed(body: bytes) -> bytes:
    return body.upper() + b"!"


TEMPORARY = ServerCredentials.temporary()


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[S3Server]:
    with S3Server.in_thread(tls=authority.server_context()) as server:
        server.add_credentials(TEMPORARY)
        for bucket, region in REGION_OF.items():
            server.create_bucket(bucket, region=region)
            server.put_object(bucket, KEY, content(bucket), checksum_algorithm="CRC64NVME")
        for name, (bucket, service) in POINTS.items():
            server.add_access_point(name, bucket, service=service)
        server.add_access_point(LAMBDAS[0], WEST, service="s3-object-lambda", transform=transformed)
        server.add_access_point(LAMBDAS[1], BUCKET, transform=transformed)
        yield server


@pytest.fixture
def server(running: S3Server) -> S3Server:
    running.requests.clear()
    running.faults.clear()
    return running


@pytest.fixture
async def session(server: S3Server, authority: Authority) -> AsyncIterator[aiohttp.ClientSession]:
    # Debug mode notes a stack for every callback, which takes most of these tests' time.
    asyncio.get_running_loop().set_debug(False)
    async with loopback_session({443: server.port}, authority.client_context()) as session:
        yield session


Connect = Callable[..., S3Client]


@pytest.fixture
def connect(server: S3Server, session: aiohttp.ClientSession) -> Connect:
    """Makes clients for AWS whose host names resolve to the server."""

    def make(**settings: Any) -> S3Client:
        defaults = {"region": "us-east-1", "credentials": credentials_of(server.credentials)}
        return S3Client(**{**defaults, "session": session, "retry": QUICK, **settings})

    return make


async def read(client: S3Client, bucket: str, **options: Any) -> bytes:
    async with client.get_object(bucket, KEY, **options) as obj:
        return await obj.read()


async def check_requests(client: S3Client, server: S3Server, case: Case) -> None:
    """Send a GET, a HEAD and a presigned GET, and compare what the server receives."""
    expected = content(case.owner)
    async with client.get_object(case.bucket, KEY) as obj:
        assert await obj.read() == expected
        assert obj.verified.state == "verified"
        assert (obj.info.bucket, obj.info.key) == (case.bucket, KEY)
    info = await client.head_object(case.bucket, KEY)
    assert (info.content_length, info.etag) == (len(expected), obj.info.etag)
    link = await client.presign_get_object(case.bucket, KEY, expires_in=60)
    assert link.url.startswith(f"https://{case.host}{case.path}/{KEY}?")
    assert await (await client.get_url(link)).read() == expected
    received = [request for request in server.requests if request.key]
    kinds = [(request.method, request.auth, request.status) for request in received]
    assert kinds == [("GET", "header", 200), ("HEAD", "header", 200), ("GET", "query", 200)]
    for request in received:
        assert request.secure
        assert (request.host, request.path) == (case.host, f"{case.path}/{KEY}")
        assert request.bucket == case.owner
        assert (request.signing_service, request.signing_region) == (case.service, case.region)


def in_region(case: Case) -> dict[str, Any]:
    """The case's settings, with the region of its bucket unless an ARN names it."""
    region = {} if case.bucket.startswith("arn:") else {"region": case.region}
    return {**region, **case.settings}


@pytest.mark.parametrize("name", CASES)
async def test_requests_of_every_kind_of_bucket(
    server: S3Server, connect: Connect, name: str
) -> None:
    case = CASES[name]
    async with connect(**in_region(case)) as client:
        with nothing_leaks(client):
            await check_requests(client, server, case)
    keys = {request.access_key_id for request in server.requests}
    assert keys == {server.credentials.access_key_id}
    assert len(server.requests) == 3


@pytest.mark.parametrize("name", ["plain", "access point", "outposts", "multi-region"])
async def test_requests_with_temporary_credentials(
    server: S3Server, connect: Connect, name: str
) -> None:
    case = CASES[name]
    async with connect(**in_region(case), credentials=credentials_of(TEMPORARY)) as client:
        await check_requests(client, server, case)
    tokens = {request.option("x-amz-security-token") for request in server.requests}
    assert tokens == {TEMPORARY.session_token}


@pytest.mark.parametrize("name", DIRECTORY_CASES)
@pytest.mark.parametrize("keys", ["long-lived", "temporary"])
async def test_requests_to_directory_buckets_share_a_session(
    server: S3Server, connect: Connect, name: str, keys: str
) -> None:
    case = DIRECTORY_CASES[name]
    known = TEMPORARY if keys == "temporary" else server.credentials
    async with connect(**in_region(case), credentials=credentials_of(known)) as client:
        await check_requests(client, server, case)
    creation, *rest = server.requests
    assert (creation.host, creation.raw_path) == (case.host, "/?session=")
    assert (creation.signing_service, creation.signing_region) == ("s3express", case.region)
    assert creation.access_key_id == known.access_key_id
    assert creation.headers.get("x-amz-security-token") == known.session_token
    assert len(rest) == 3
    assert known.access_key_id not in {request.access_key_id for request in rest}
    assert len({request.option("x-amz-s3session-token") for request in rest}) == 1


async def test_directory_bucket_without_session_auth(server: S3Server, connect: Connect) -> None:
    case = DIRECTORY_CASES["zone"]
    settings = in_region(case) | {"disable_s3_express_session_auth": True}
    async with connect(**settings, credentials=credentials_of(TEMPORARY)) as client:
        await check_requests(client, server, case)
    assert len(server.requests) == 3
    assert {request.access_key_id for request in server.requests} == {TEMPORARY.access_key_id}


@pytest.mark.parametrize(
    ("bucket", "host", "service", "region", "owner"),
    [
        (
            LAMBDA_ARN,
            f"{LAMBDAS[0]}.s3-object-lambda.{US_WEST}",
            "s3-object-lambda",
            "us-west-2",
            WEST,
        ),
        (LAMBDA_ALIAS, f"{LAMBDA_ALIAS}.s3.{EAST}", "s3", "us-east-1", BUCKET),
    ],
    ids=["ARN", "alias"],
)
@pytest.mark.parametrize("reader", READERS)
async def test_object_lambda_response_without_length_and_etag(
    server: S3Server,
    connect: Connect,
    bucket: str,
    host: str,
    service: str,
    region: str,
    owner: str,
    reader: str,
) -> None:
    expected = transformed(content(owner))
    async with connect() as client:
        async with client.get_object(bucket, KEY) as obj:
            assert await READERS[reader](obj) == expected
        assert (obj.info.etag, obj.info.content_length) == (None, None)
        assert obj.verified.state == "unverified"
        async with client.get_object(bucket, KEY, range="bytes=5-24") as obj:
            assert await READERS[reader](obj) == expected[5:25]
        assert obj.info.content_range is None
        info = await client.head_object(bucket, KEY)
        assert (info.etag, info.content_length) == (None, None)
        link = await client.presign_get_object(bucket, KEY)
        assert await READERS[reader](await client.get_url(link)) == expected
    assert {request.host for request in server.requests} == {host}
    assert {request.status for request in server.requests} == {200}
    signed = {(request.signing_service, request.signing_region) for request in server.requests}
    assert signed == {(service, region)}


async def test_object_lambda_body_restarts_only_before_its_first_byte(
    server: S3Server, connect: Connect
) -> None:
    expected = transformed(content(WEST))
    async with connect() as client:
        server.faults.add(faults.reset_before_head())
        server.faults.add(faults.truncated_chunked(0))
        assert await read(client, LAMBDA_ARN) == expected
        assert len(server.requests) == 3
        server.faults.add(faults.truncated_chunked(10))
        obj = await client.get_object(LAMBDA_ARN, KEY)
        assert await obj.read(10) == expected[:10]
        with pytest.raises((errors.ConnectionLost, errors.TruncatedBody)):
            await obj.read()
    assert len(server.requests) == 4


async def test_suffix_range_of_an_object_lambda_response_is_a_range_mismatch(
    server: S3Server, connect: Connect
) -> None:
    async with connect() as client:
        with pytest.raises(errors.RangeMismatch):
            await client.get_object(LAMBDA_ARN, KEY, range="bytes=-5")
        with nothing_leaks(client):
            assert await read(client, LAMBDA_ARN) == transformed(content(WEST))


async def test_sigv4a_key_is_derived_once_and_off_the_loop(
    server: S3Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    derive, calls = sigv4a.signing_key, list[tuple[int, bool]]()

    def watched(*keys: str) -> sigv4a.SigningKey:
        before = derive.cache_info().misses
        key = derive(*keys)
        calls.append((threading.get_ident(), derive.cache_info().misses > before))
        return key

    derive.cache_clear()
    signed_request.signer_of.cache_clear()
    signed_request._header_signing.cache_clear()
    monkeypatch.setattr(sigv4a, "signing_key", watched)
    async with connect() as client:
        for _ in range(3):
            assert await read(client, MULTI_REGION_ARN) == content(WEST)
    here = threading.get_ident()
    assert [derived for thread, derived in calls if thread != here] == [True]
    assert {derived for thread, derived in calls if thread == here} == {False}


async def test_body_of_a_multi_region_access_point_resumes(
    server: S3Server, connect: Connect
) -> None:
    async with connect() as client:
        server.faults.add(faults.drop_after(300))
        assert await read(client, MULTI_REGION_ARN) == content(WEST)
    assert [request.headers.get("Range") for request in server.requests] == [None, "bytes=300-999"]
    assert {request.signing_region for request in server.requests} == {"*"}


async def test_region_is_corrected_for_a_bucket_but_not_for_an_arn(
    server: S3Server, connect: Connect
) -> None:
    async with connect(region="eu-central-1") as client:
        assert await read(client, BUCKET) == content(BUCKET)
        assert await read(client, BUCKET) == content(BUCKET)
    hosts = [request.host for request in server.requests]
    assert hosts == [f"{BUCKET}.s3.eu-central-1.{AWS}", *[f"{BUCKET}.s3.{EAST}"] * 2]
    server.requests.clear()
    async with connect() as client:
        with pytest.raises((errors.WrongRegion, errors.AuthorizationHeaderMalformed)):
            await read(client, POINT_ARN.replace("us-west-2", "eu-central-1"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("bucket", "error"),
    [
        (POINT_ARN.replace("my-ap", "nowhere"), errors.NoSuchAccessPoint),
        (MULTI_REGION_ARN.replace("mfzwi", "other"), errors.NoSuchMultiRegionAccessPoint),
        (f"missing--{DIRECTORY}", errors.NoSuchBucket),
        ("amzn-s3-demo-missing", errors.NoSuchBucket),
    ],
)
async def test_missing_bucket_or_access_point(
    server: S3Server, connect: Connect, bucket: str, error: type[errors.ServiceError]
) -> None:
    async with connect(region="us-west-2") as client:
        for _ in range(2):
            with pytest.raises(error) as caught:
                await client.get_object(bucket, KEY)
            assert caught.value.bucket == bucket


@pytest.mark.parametrize(
    ("bucket", "settings", "error"),
    [
        (POINT_ARN, {"use_accelerate": True}, errors.ParameterError),
        (f"s3://{BUCKET}/{KEY}", {}, errors.ParameterError),
        (DIRECTORY, {"region": "us-east-1"}, errors.ParameterError),
        (BUCKET, {"use_accelerate": True, "use_fips": True}, errors.ConfigurationError),
        (BUCKET, {"endpoint_url": "s3.example.com"}, errors.ConfigurationError),
    ],
)
async def test_invalid_bucket_or_setting_is_rejected_before_any_io(
    server: S3Server,
    connect: Connect,
    session: aiohttp.ClientSession,
    bucket: str,
    settings: dict[str, Any],
    error: type[errors.S3Error],
) -> None:
    calls = 0

    def credentials() -> Credentials:
        nonlocal calls
        calls += 1
        return credentials_of(server.credentials)

    with pytest.raises(error):
        async with connect(**{"credentials": credentials, **settings}) as client:
            await client.get_object(bucket, KEY)
    connector = session.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    assert isinstance(connector._resolver, LoopbackResolver)
    assert (server.requests, connector._resolver.questions, calls) == ([], [], 0)


@pytest.mark.parametrize(
    ("environment", "profile", "host", "path"),
    [
        (
            {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "use_fips_endpoint = true",
            f"{BUCKET}.s3-fips.dualstack.{EAST}",
            "",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "false"}, "use_fips_endpoint = true", f"{BUCKET}.s3.{EAST}", ""),
        ({}, "s3 =\n  addressing_style = path", f"s3.{EAST}", f"/{BUCKET}"),
        (
            {"AWS_ENDPOINT_URL": "https://storage.example.com", "AWS_USE_FIPS_ENDPOINT": "true"},
            "",
            "storage.example.com",
            f"/{BUCKET}",
        ),
    ],
)
async def test_environment_and_profile_decide_the_request(
    server: S3Server,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    profile: str,
    host: str,
    path: str,
) -> None:
    file = tmp_path / "config"
    file.write_text(f"[default]\n{profile}\n")
    for name, text in {"AWS_CONFIG_FILE": str(file), **environment}.items():
        monkeypatch.setenv(name, text)
    async with connect(region=None) as client:
        assert await read(client, BUCKET) == content(BUCKET)
    (request,) = server.requests
    assert (request.host, request.path) == (host, f"{path}/{KEY}")

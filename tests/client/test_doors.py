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
from tests.servers.foreign import botocore_client
from tests.servers.process import RealServer
from tests.servers.resolver import LoopbackResolver, loopback_session
from tests.servers.tls import Authority

HOMES = {
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
class Door:
    """What a caller gives, and what the server must be asked for."""

    bucket: str
    host: str
    home: str
    region: str = "us-east-1"
    service: str = "s3"
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    path: str = ""


def _plain(host: str, home: str = BUCKET, region: str = "us-east-1", **settings: Any) -> Door:
    return Door(home, f"{home}.{host}", home, region, settings=settings)


def _express(host: str, name: str, home: str, region: str = "us-west-2", **settings: Any) -> Door:
    return Door(name, f"{name}.{host}", home, region, "s3express", settings)


AWS = "amazonaws.com"
EAST = f"us-east-1.{AWS}"
US_WEST = f"us-west-2.{AWS}"
CN = "cn-north-1.amazonaws.com.cn"
DOORS = {
    "plain": _plain(f"s3.{EAST}"),
    "path style": Door(
        BUCKET,
        f"s3.{EAST}",
        BUCKET,
        settings={"addressing_style": "path"},
        path=f"/{BUCKET}",
    ),
    "dotted": Door("my.dotted.bucket", f"s3.{EAST}", "my.dotted.bucket", path="/my.dotted.bucket"),
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
    "aws-global": Door(BUCKET, f"{BUCKET}.s3.{AWS}", BUCKET, settings={"region": "aws-global"}),
    "gov": _plain(f"s3.us-gov-west-1.{AWS}", GOV, "us-gov-west-1"),
    "gov fips": _plain(f"s3-fips.us-gov-west-1.{AWS}", GOV, "us-gov-west-1", use_fips=True),
    "china": _plain(f"s3.{CN}", CHINA, "cn-north-1"),
    "china dual-stack": _plain(f"s3.dualstack.{CN}", CHINA, "cn-north-1", use_dualstack=True),
    "european sovereign": _plain(
        "s3.eusc-de-east-1.amazonaws.eu", "amzn-s3-demo-eusc", "eusc-de-east-1"
    ),
    "iso": _plain("s3.us-iso-east-1.c2s.ic.gov", "amzn-s3-demo-iso", "us-iso-east-1"),
    "access point": Door(POINT_ARN, f"my-ap-{ACCOUNT}.s3-accesspoint.{US_WEST}", WEST, "us-west-2"),
    "access point fips dual-stack": Door(
        POINT_ARN,
        f"my-ap-{ACCOUNT}.s3-accesspoint-fips.dualstack.{US_WEST}",
        WEST,
        "us-west-2",
        settings={"use_fips": True, "use_dualstack": True, "region": "us-west-2"},
    ),
    "access point alias": Door(ALIAS, f"{ALIAS}.s3.{EAST}", BUCKET),
    "access point gov": Door(
        f"arn:aws-us-gov:s3:us-gov-west-1:{ACCOUNT}:accesspoint/gov-ap",
        f"gov-ap-{ACCOUNT}.s3-accesspoint.us-gov-west-1.{AWS}",
        GOV,
        "us-gov-west-1",
        settings={"region": "us-gov-west-1"},
    ),
    "access point china": Door(
        f"arn:aws-cn:s3:cn-north-1:{ACCOUNT}:accesspoint/cn-ap",
        f"cn-ap-{ACCOUNT}.s3-accesspoint.{CN}",
        CHINA,
        "cn-north-1",
        settings={"region": "cn-north-1"},
    ),
    "outposts": Door(
        OUTPOST_ARN,
        f"my-rack-{ACCOUNT}.{OUTPOST}.s3-outposts.{US_WEST}",
        WEST,
        "us-west-2",
        "s3-outposts",
    ),
    "outposts rack alias": Door(
        RACK_ALIAS,
        f"{RACK_ALIAS}.{OUTPOST}.s3-outposts.{EAST}",
        BUCKET,
        service="s3-outposts",
    ),
    "outposts server alias": Door(
        SERVER_ALIAS, f"{SERVER_ALIAS}.ec2.s3-outposts.{EAST}", BUCKET, service="s3-outposts"
    ),
    "multi-region": Door(
        MULTI_REGION_ARN, f"mfzwi23gnjvgw.mrap.accesspoint.s3-global.{AWS}", WEST, "*"
    ),
}
EXPRESS = {
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


def content(home: str) -> bytes:
    """A kilobyte that tells the buckets apart."""
    return (home.encode() + b"\n").ljust(1000, b".")


def shouted(body: bytes) -> bytes:
    return body.upper() + b"!"


TEMPORARY = ServerCredentials.temporary()


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[S3Server]:
    with S3Server.in_thread(tls=authority.server_context()) as server:
        server.add_credentials(TEMPORARY)
        for home, region in HOMES.items():
            server.create_bucket(home, region=region)
            server.put_object(home, KEY, content(home), checksum_algorithm="CRC64NVME")
        for name, (home, service) in POINTS.items():
            server.add_access_point(name, home, service=service)
        server.add_access_point(LAMBDAS[0], WEST, service="s3-object-lambda", transform=shouted)
        server.add_access_point(LAMBDAS[1], BUCKET, transform=shouted)
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
    """Makes clients as for AWS itself; only the names end at the server."""

    def make(**settings: Any) -> S3Client:
        given = {"region": "us-east-1", "credentials": credentials_of(server.credentials)}
        return S3Client(**{**given, "session": session, "retry": QUICK, **settings})

    return make


async def read(client: S3Client, bucket: str, **options: Any) -> bytes:
    async with client.get_object(bucket, KEY, **options) as obj:
        return await obj.read()


async def go_through(client: S3Client, server: S3Server, door: Door) -> None:
    """GET, HEAD and a link, each seen by the server as it must be."""
    expected = content(door.home)
    async with client.get_object(door.bucket, KEY) as obj:
        assert await obj.read() == expected
        assert obj.verified.state == "verified"
        assert (obj.info.bucket, obj.info.key) == (door.bucket, KEY)
    info = await client.head_object(door.bucket, KEY)
    assert (info.content_length, info.etag) == (len(expected), obj.info.etag)
    link = await client.presign_get_object(door.bucket, KEY, expires_in=60)
    assert link.url.startswith(f"https://{door.host}{door.path}/{KEY}?")
    assert await (await client.get_url(link)).read() == expected
    asked = [request for request in server.requests if request.key]
    told = [(request.method, request.auth, request.status) for request in asked]
    assert told == [("GET", "header", 200), ("HEAD", "header", 200), ("GET", "query", 200)]
    for request in asked:
        assert request.secure
        assert (request.host, request.path) == (door.host, f"{door.path}/{KEY}")
        assert request.bucket == door.home
        assert (request.signing_service, request.signing_region) == (door.service, door.region)


def in_region(door: Door) -> dict[str, Any]:
    """The door's settings, in the region of its bucket unless an ARN says it."""
    region = {} if door.bucket.startswith("arn:") else {"region": door.region}
    return {**region, **door.settings}


@pytest.mark.parametrize("name", DOORS)
async def test_each_door_opens(server: S3Server, connect: Connect, name: str) -> None:
    door = DOORS[name]
    async with connect(**in_region(door)) as client:
        with nothing_leaks(client):
            await go_through(client, server, door)
    keys = {request.access_key_id for request in server.requests}
    assert keys == {server.credentials.access_key_id}
    assert len(server.requests) == 3


@pytest.mark.parametrize("name", ["plain", "access point", "outposts", "multi-region"])
async def test_temporary_credentials_open_doors(
    server: S3Server, connect: Connect, name: str
) -> None:
    door = DOORS[name]
    async with connect(**in_region(door), credentials=credentials_of(TEMPORARY)) as client:
        await go_through(client, server, door)
    tokens = {request.option("x-amz-security-token") for request in server.requests}
    assert tokens == {TEMPORARY.session_token}


@pytest.mark.parametrize("name", EXPRESS)
@pytest.mark.parametrize("keys", ["long-lived", "temporary"])
async def test_each_door_of_a_zone_opens_with_one_session(
    server: S3Server, connect: Connect, name: str, keys: str
) -> None:
    door = EXPRESS[name]
    known = TEMPORARY if keys == "temporary" else server.credentials
    async with connect(**in_region(door), credentials=credentials_of(known)) as client:
        await go_through(client, server, door)
    creation, *rest = server.requests
    assert (creation.host, creation.raw_path) == (door.host, "/?session=")
    assert (creation.signing_service, creation.signing_region) == ("s3express", door.region)
    assert creation.access_key_id == known.access_key_id
    assert creation.headers.get("x-amz-security-token") == known.session_token
    assert len(rest) == 3
    assert known.access_key_id not in {request.access_key_id for request in rest}
    assert len({request.option("x-amz-s3session-token") for request in rest}) == 1


async def test_a_zone_opens_without_a_session(server: S3Server, connect: Connect) -> None:
    door = EXPRESS["zone"]
    settings = in_region(door) | {"disable_s3_express_session_auth": True}
    async with connect(**settings, credentials=credentials_of(TEMPORARY)) as client:
        await go_through(client, server, door)
    assert len(server.requests) == 3
    assert {request.access_key_id for request in server.requests} == {TEMPORARY.access_key_id}


@pytest.mark.parametrize(
    ("bucket", "host", "service", "region", "home"),
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
async def test_an_object_lambda_answer_is_read_though_it_tells_nothing_of_itself(
    server: S3Server,
    connect: Connect,
    bucket: str,
    host: str,
    service: str,
    region: str,
    home: str,
    reader: str,
) -> None:
    expected = shouted(content(home))
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


async def test_an_object_lambda_answer_begins_again_only_before_its_first_byte(
    server: S3Server, connect: Connect
) -> None:
    expected = shouted(content(WEST))
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


async def test_no_suffix_of_an_object_lambda_answer_can_be_told(
    server: S3Server, connect: Connect
) -> None:
    async with connect() as client:
        with pytest.raises(errors.RangeMismatch):
            await client.get_object(LAMBDA_ARN, KEY, range="bytes=-5")
        with nothing_leaks(client):
            assert await read(client, LAMBDA_ARN) == shouted(content(WEST))


async def test_the_key_of_a_multi_region_door_is_derived_off_the_loop_and_once(
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


async def test_a_body_behind_a_multi_region_door_goes_on_where_it_broke(
    server: S3Server, connect: Connect
) -> None:
    async with connect() as client:
        server.faults.add(faults.drop_after(300))
        assert await read(client, MULTI_REGION_ARN) == content(WEST)
    assert [request.headers.get("Range") for request in server.requests] == [None, "bytes=300-999"]
    assert {request.signing_region for request in server.requests} == {"*"}


async def test_a_bucket_elsewhere_is_found_but_not_past_what_an_arn_says(
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
async def test_what_is_behind_no_door_is_told(
    server: S3Server, connect: Connect, bucket: str, error: type[errors.ServiceError]
) -> None:
    async with connect(region="us-west-2") as client:
        for _ in range(2):
            with pytest.raises(error) as caught:
                await client.get_object(bucket, KEY)
            assert caught.value.bucket == bucket


ALL_DOORS = {
    "plain": BUCKET,
    "ARN": POINT_ARN,
    "Outposts": OUTPOST_ARN,
    "Object Lambda": LAMBDA_ARN,
    "multi-region": MULTI_REGION_ARN,
}
# Bucket, settings, and what the refusal names: the parameter, the rule, the way out.
WRONG: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "accelerate, dotted": (
        "my.dotted.bucket",
        {"use_accelerate": True},
        ("bucket='my.dotted.bucket'", "use_accelerate=True", "without dots"),
    ),
    "accelerate, path style": (
        BUCKET,
        {"use_accelerate": True, "addressing_style": "path"},
        ("use_accelerate=True", "addressing_style='path'", "leave"),
    ),
    "accelerate, fips": (
        BUCKET,
        {"use_accelerate": True, "use_fips": True},
        ("use_fips=True", "use_accelerate=True", "leave one out"),
    ),
    "accelerate, access point": (
        POINT_ARN,
        {"use_accelerate": True},
        (POINT_ARN, "accelerate", "leave it out"),
    ),
    "accelerate, directory bucket": (
        DIRECTORY,
        {"use_accelerate": True},
        (DIRECTORY, "does not accelerate", "use_accelerate=True"),
    ),
    "fips, multi-region": (
        MULTI_REGION_ARN,
        {"use_fips": True},
        (MULTI_REGION_ARN, "one host of its own", "leave", "use_fips"),
    ),
    "dual-stack, Object Lambda": (
        LAMBDA_ARN,
        {"use_dualstack": True},
        (LAMBDA_ARN, "dual-stack", "leave", "use_dualstack"),
    ),
    "fips, Outposts": (OUTPOST_ARN, {"use_fips": True}, (OUTPOST_ARN, "leave", "use_fips")),
    "fips, China": (
        CHINA,
        {"use_fips": True, "region": "cn-north-1"},
        ("use_fips=True", "region='cn-north-1'", "leave it out in China"),
    ),
    **{
        f"path style, {name}": (
            arn,
            {"addressing_style": "path"},
            (arn, "host name", "leave addressing_style='path' out"),
        )
        for name, arn in ALL_DOORS.items()
        if arn != BUCKET
    },
    "region of the ARN": (
        POINT_ARN,
        {"use_arn_region": False},
        (POINT_ARN, "'us-west-2'", "region='us-east-1'", "use_arn_region=True"),
    ),
    "partition of the ARN": (
        POINT_ARN,
        {"region": "cn-north-1"},
        (POINT_ARN, "'aws'", "region='cn-north-1'", "set a region of its own"),
    ),
    "access points disabled": (
        POINT_ARN,
        {"disable_access_points": True},
        (POINT_ARN, "disable_access_points=True"),
    ),
    "multi-region disabled": (
        MULTI_REGION_ARN,
        {"disable_multi_region_access_points": True},
        (MULTI_REGION_ARN, "disable_multi_region_access_points=True"),
    ),
    "endpoint_url with the bucket in its host": (
        BUCKET,
        {"endpoint_url": f"https://{BUCKET}.s3.{EAST}"},
        ("endpoint_url=", f"bucket={BUCKET!r}", "leave it out of endpoint_url"),
    ),
    "endpoint_url with the bucket in its path": (
        BUCKET,
        {"endpoint_url": f"https://s3.example.com/{BUCKET}"},
        ("endpoint_url=", f"bucket={BUCKET!r}", "leave it out of endpoint_url"),
    ),
    "endpoint_url, fips": (
        BUCKET,
        {"endpoint_url": "https://s3.example.com", "use_fips": True},
        ("use_fips=True", "endpoint_url", "leave one out"),
    ),
    "endpoint_url, multi-region": (
        MULTI_REGION_ARN,
        {"endpoint_url": "https://s3.example.com"},
        (MULTI_REGION_ARN, "leave endpoint_url"),
    ),
    "endpoint_url an address, ARN": (
        POINT_ARN,
        {"endpoint_url": "https://127.0.0.1"},
        (POINT_ARN, "endpoint_url has an IP address"),
    ),
    "endpoint_url without a scheme": (
        BUCKET,
        {"endpoint_url": "s3.example.com"},
        ("endpoint_url", "'s3.example.com'", "https://"),
    ),
    "a URL for a bucket": (
        f"s3://{BUCKET}/{KEY}",
        {},
        (f"'s3://{BUCKET}/{KEY}'", "give bucket and key apart", "get_object("),
    ),
    "a bucket with a prefix": (
        f"{BUCKET}/photos",
        {},
        (f"bucket='{BUCKET}/photos'", f"the bucket is {BUCKET!r}", "'photos' begins the key"),
    ),
    "an ARN of a bucket": (
        f"arn:aws:s3:::{BUCKET}",
        {},
        (f"arn:aws:s3:::{BUCKET}", "no access point", "plain name"),
    ),
    "an ARN of a queue": (
        f"arn:aws:sqs:us-west-2:{ACCOUNT}:queue",
        {},
        ("arn:aws:sqs", "s3-object-lambda"),
    ),
    "half an ARN": ("arn:aws:s3", {}, ("'arn:aws:s3'", "six fields")),
    "no zone": ("demo--x-s3", {}, ("'demo--x-s3'", "names no zone", "usw2-az1--x-s3")),
    "a region that is none": (BUCKET, {"region": "us east"}, ("region", "'us east'")),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_does_not_go_together_is_refused_before_anything_is_sent(
    server: S3Server, connect: Connect, session: aiohttp.ClientSession, name: str
) -> None:
    bucket, settings, told = WRONG[name]
    asked = 0

    def credentials() -> Credentials:
        nonlocal asked
        asked += 1
        return credentials_of(server.credentials)

    with pytest.raises(errors.ConfigurationError) as caught:
        async with connect(**{"credentials": credentials, **settings}) as client:
            await client.get_object(bucket, KEY)
    message = str(caught.value)
    assert [each for each in told if each not in message] == [], message
    connector = session.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    assert isinstance(connector._resolver, LoopbackResolver)
    assert (server.requests, connector._resolver.asked, asked) == ([], [], 0)


@dataclass(frozen=True)
class Switched:
    """What environment and profile say, and the host and path that the server must see."""

    host: str
    environment: dict[str, str] = field(default_factory=dict[str, str])
    profile: str = ""
    bucket: str = BUCKET
    path: str = ""
    home: str = BUCKET


OWN = "storage.example.com"
SWITCHES = {
    "fips": Switched(f"{BUCKET}.s3-fips.{EAST}", {"AWS_USE_FIPS_ENDPOINT": "true"}),
    "fips of the profile": Switched(f"{BUCKET}.s3-fips.{EAST}", profile="use_fips_endpoint = true"),
    "dual-stack": Switched(f"{BUCKET}.s3.dualstack.{EAST}", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    "dual-stack of the profile": Switched(
        f"{BUCKET}.s3.dualstack.{EAST}", profile="s3 =\n  use_dualstack_endpoint = true"
    ),
    "both": Switched(
        f"{BUCKET}.s3-fips.dualstack.{EAST}",
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "use_fips_endpoint = true",
    ),
    "environment before profile": Switched(
        f"{BUCKET}.s3.{EAST}", {"AWS_USE_FIPS_ENDPOINT": "false"}, "use_fips_endpoint = true"
    ),
    "accelerate": Switched(
        f"{BUCKET}.s3-accelerate.{AWS}", profile="s3 =\n  use_accelerate_endpoint = true"
    ),
    "path style": Switched(
        f"s3.{EAST}", profile="s3 =\n  addressing_style = path", path=f"/{BUCKET}"
    ),
    "global": Switched(f"{BUCKET}.s3.{AWS}", {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy"}),
    "region": Switched(f"{WEST}.s3.{US_WEST}", {"AWS_REGION": "us-west-2"}, bucket=WEST, home=WEST),
    "region of the profile": Switched(
        f"{WEST}.s3.{US_WEST}", profile="region = us-west-2", bucket=WEST, home=WEST
    ),
    "region of the ARN": Switched(
        f"my-ap-{ACCOUNT}.s3-accesspoint.{US_WEST}",
        {"AWS_S3_USE_ARN_REGION": "true"},
        "s3_use_arn_region = false",
        bucket=POINT_ARN,
        home=WEST,
    ),
    "endpoint": Switched(OWN, {"AWS_ENDPOINT_URL": f"https://{OWN}"}, path=f"/{BUCKET}"),
    "endpoint of S3": Switched(
        OWN,
        {"AWS_ENDPOINT_URL": "https://other.example.com", "AWS_ENDPOINT_URL_S3": f"https://{OWN}"},
        path=f"/{BUCKET}",
    ),
    "endpoint of the profile": Switched(
        OWN,
        profile=f"services = mine\n\n[services mine]\ns3 =\n  endpoint_url = https://{OWN}:443",
        path=f"/{BUCKET}",
    ),
    "endpoints ignored": Switched(
        f"{BUCKET}.s3.{EAST}",
        {
            "AWS_ENDPOINT_URL": f"https://{OWN}",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        },
    ),
    "zone": Switched(
        f"{DIRECTORY}.s3express-usw2-az1.{US_WEST}",
        {"AWS_REGION": "us-west-2", "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": "true"},
        bucket=DIRECTORY,
        home=DIRECTORY,
    ),
}


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str], str], None]:
    """Puts settings into the environment and the default profile."""

    def say(environment: dict[str, str], profile: str) -> None:
        file = tmp_path / "config"
        file.write_text(f"[default]\n{profile}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        for name, text in environment.items():
            monkeypatch.setenv(name, text)

    return say


Say = Callable[[dict[str, str], str], None]


@pytest.mark.parametrize("name", SWITCHES)
async def test_environment_and_profile_reach_the_wire(
    server: S3Server, connect: Connect, said: Say, name: str
) -> None:
    case = SWITCHES[name]
    said(case.environment, case.profile)
    async with connect(region=None) as client:
        assert await read(client, case.bucket) == content(case.home)
    (request,) = server.requests
    assert (request.host, request.path) == (case.host, f"{case.path}/{KEY}")


@pytest.mark.parametrize(
    ("environment", "profile", "bucket", "told"),
    [
        ({"AWS_S3_USE_ARN_REGION": "false"}, "", POINT_ARN, "AWS_S3_USE_ARN_REGION"),
        ({}, "s3 =\n  use_arn_region = false", POINT_ARN, "use_arn_region=True"),
        (
            {"AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": "true"},
            "",
            MULTI_REGION_ARN,
            "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "maybe"}, "", BUCKET, "AWS_USE_FIPS_ENDPOINT"),
        ({"AWS_ENDPOINT_URL_S3": "s3.example.com"}, "", BUCKET, "AWS_ENDPOINT_URL_S3"),
    ],
)
async def test_environment_and_profile_can_close_doors(
    server: S3Server,
    connect: Connect,
    said: Say,
    environment: dict[str, str],
    profile: str,
    bucket: str,
    told: str,
) -> None:
    said(environment, profile)
    async with connect(region=None) as client:
        with pytest.raises(errors.ConfigurationError, match=told):
            await read(client, bucket)
    assert server.requests == []


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, "ENABLED"),
        ({"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported"}, "ENABLED"),
        ({"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}, None),
    ],
)
async def test_whether_checksums_are_asked_for_reaches_the_wire(
    server: S3Server, connect: Connect, said: Say, environment: dict[str, str], asked: str | None
) -> None:
    said(environment, "")
    async with connect() as client:
        assert await read(client, BUCKET) == content(BUCKET)
    assert server.requests[-1].headers.get("x-amz-checksum-mode") == asked


SWIFT_KEY = "doors/sample.jpg"
ON_SWIFT = [
    DOORS[name]
    for name in (
        *("plain", "path style", "dual-stack", "fips", "fips dual-stack"),
        *("accelerate", "accelerate dual-stack", "global"),
    )
]


@pytest.fixture(scope="module")
def on_swift(swift: RealServer) -> RealServer:
    boto = botocore_client(swift)
    if BUCKET not in [bucket["Name"] for bucket in boto.list_buckets()["Buckets"]]:
        boto.create_bucket(Bucket=BUCKET)
    boto.put_object(Bucket=BUCKET, Key=SWIFT_KEY, Body=content(BUCKET))
    boto.close()
    return swift


@pytest.mark.parametrize("door", ON_SWIFT, ids=lambda door: "-".join(door.settings) or "plain")
async def test_doors_of_a_real_server_open(
    on_swift: RealServer, authority: Authority, door: Door
) -> None:
    keys = Credentials(on_swift.access_key_id, on_swift.secret_access_key)
    async with (
        loopback_session({443: on_swift.tls_port}, authority.client_context()) as session,
        S3Client(
            region=on_swift.region, credentials=keys, session=session, **door.settings
        ) as client,
    ):
        info = await client.head_object(BUCKET, SWIFT_KEY)
        assert info.content_length == len(content(BUCKET))
        async with client.get_object(BUCKET, SWIFT_KEY, if_match=info.etag) as obj:
            assert await obj.read() == content(BUCKET)
        link = await client.presign_get_object(BUCKET, SWIFT_KEY)
        assert link.url.startswith(f"https://{door.host}{door.path}/{SWIFT_KEY}?")
        assert await (await client.get_url(link)).read() == content(BUCKET)

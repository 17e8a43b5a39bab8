import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import parse_qsl

import botocore.auth
import botocore.crt.auth
import botocore.session
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from aios3get import Credentials, S3Client
from aios3get._protocol.signing import sigv4, sigv4a
from aios3get._protocol.signing.uri import encode_query

NOW = datetime(2013, 5, 24, 12, 34, 56, tzinfo=UTC)
SESSION_ENDS = datetime(2013, 5, 24, 12, 39, 56, tzinfo=UTC)
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials(KEYS.access_key_id, KEYS.secret_access_key, "AQoDYXdzEPT//token+=")
SESSION = Credentials("ASIAIOSFODNN7EXAMPLE", "a+secret/of=a session", "a+token/=", SESSION_ENDS)
KEY = "photos/2006/February/sample ä+(1)~.jpg"

ACCOUNT = "123456789012"
BUCKET, DIRECTORY = "amzn-s3-demo-bucket", "demo--usw2-az1--x-s3"
POINT_ARN = f"arn:aws:s3:us-west-2:{ACCOUNT}:accesspoint/my-ap"
LAMBDA_ARN = f"arn:aws:s3-object-lambda:us-west-2:{ACCOUNT}:accesspoint/my-olap"
OUTPOST_ARN = (
    f"arn:aws:s3-outposts:us-west-2:{ACCOUNT}:outpost/op-01ac5d28a6a232904/accesspoint/my-ap"
)
OUTPOST_ALIAS = "my-access-po-o01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3"
MULTI_REGION_ARN = f"arn:aws:s3::{ACCOUNT}:accesspoint/mfzwi23gnjvgw.mrap"
LOCAL = "http://localhost:9000"
PROXY = "https://proxy.example.com/base"

# Bucket and settings.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (BUCKET, {}),
    "plain, west": (BUCKET, {"region": "us-west-2"}),
    "path": (BUCKET, {"addressing_style": "path"}),
    "virtual": (BUCKET, {"addressing_style": "virtual"}),
    "dotted": ("my.dotted.bucket", {}),
    "dotted, path": ("my.dotted.bucket", {"addressing_style": "path"}),
    "dual-stack": (BUCKET, {"use_dualstack": True}),
    "dual-stack, path": (BUCKET, {"use_dualstack": True, "addressing_style": "path"}),
    "fips": (BUCKET, {"use_fips": True}),
    "fips, dual-stack": (BUCKET, {"use_fips": True, "use_dualstack": True}),
    "accelerate": (BUCKET, {"use_accelerate": True}),
    "accelerate, dual-stack": (BUCKET, {"use_accelerate": True, "use_dualstack": True}),
    "global": (BUCKET, {"use_global_endpoint": True}),
    "aws-global": (BUCKET, {"region": "aws-global"}),
    "gov": (BUCKET, {"region": "us-gov-west-1", "use_fips": True}),
    "china": (BUCKET, {"region": "cn-north-1"}),
    "access point": (POINT_ARN, {}),
    "access point, fips": (POINT_ARN, {"use_fips": True, "region": "us-west-2"}),
    "alias": ("my-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias", {}),
    # AWS's rules list SigV4A first, which botocore uses by default.
    "Outposts": (OUTPOST_ARN, {}),
    "Outposts alias": (OUTPOST_ALIAS, {}),
    "Object Lambda": (LAMBDA_ARN, {}),
    "Object Lambda alias": ("my-olap-aabbccddeeff00112233445566778899--ol-s3", {}),
    "zone": (DIRECTORY, {"region": "us-west-2"}),
    "zone, fips, dual-stack": (
        DIRECTORY,
        {"region": "us-west-2", "use_fips": True, "use_dualstack": True},
    ),
    "local zone": ("demo--usw2-lax1-az1--x-s3", {"region": "us-west-2"}),
    "zone's access point": ("my-ap--usw2-az1--xa-s3", {"region": "us-west-2"}),
    # In older regions botocore signs links of this kind with Signature Version 2.
    "zone without sessions": (
        "demo--use2-az1--x-s3",
        {"region": "us-east-2", "disable_s3_express_session_auth": True},
    ),
    "own host": (BUCKET, {"endpoint_url": LOCAL}),
    "own host, virtual": (BUCKET, {"endpoint_url": LOCAL, "addressing_style": "virtual"}),
    "own host, dotted": ("my.dotted.bucket", {"endpoint_url": LOCAL}),
    "own address": (BUCKET, {"endpoint_url": "http://127.0.0.1:9000"}),
    "own base path": (BUCKET, {"endpoint_url": PROXY}),
    "own base path, virtual": (BUCKET, {"endpoint_url": PROXY, "addressing_style": "virtual"}),
    "own host, access point": (POINT_ARN, {"endpoint_url": PROXY}),
    "own host, zone": (DIRECTORY, {"endpoint_url": "https://s3.example.com"}),
    "VPC endpoint": (
        BUCKET,
        {"endpoint_url": "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"},
    ),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "bare": {},
    "full": {
        "VersionId": "null",
        "PartNumber": 2,
        "ResponseContentDisposition": "attachment; filename*=UTF-8''a%20b.jpg",
        "ResponseContentType": "text/plain; charset=utf-8",
        "ResponseCacheControl": "no-store",
        "ChecksumMode": "ENABLED",
        "ExpectedBucketOwner": ACCOUNT,
        "RequestPayer": "requester",
        "IfMatch": '"0123"',
    },
}
OURS = {
    "VersionId": "version_id",
    "PartNumber": "part_number",
    "ResponseContentDisposition": "response_content_disposition",
    "ResponseContentType": "response_content_type",
    "ResponseCacheControl": "response_cache_control",
    "ChecksumMode": "checksum_mode",
    "ExpectedBucketOwner": "expected_bucket_owner",
    "RequestPayer": "request_payer",
    "IfMatch": "if_match",
}


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    """botocore's clock, that of the CRT's signers too."""

    def now(remove_tzinfo: bool = True) -> datetime:
        return NOW.replace(tzinfo=None) if remove_tzinfo else NOW

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", now)
        patch.setattr(botocore.crt.auth, "get_current_datetime", now)
        yield


_botocore = botocore.session.Session()


def _signature_version(bucket: str) -> str | None:
    # By default botocore signs links with Signature Version 2; with any signature_version it does
    # not use sessions of directory buckets.
    if bucket.endswith(("--x-s3", "--xa-s3")):
        return None
    return "s3v4a" if bucket == MULTI_REGION_ARN else "s3v4"


@cache
def _client(bucket: str, keys: Credentials, given: tuple[tuple[str, Any], ...]) -> Any:
    settings = dict(given)
    custom = settings.get("endpoint_url")
    in_s3 = {
        # With "auto" botocore uses the global host for links of every region.
        "addressing_style": settings.get("addressing_style", "auto" if custom else "virtual"),
        "use_accelerate_endpoint": settings.get("use_accelerate", False),
        "disable_s3_express_session_auth": settings.get("disable_s3_express_session_auth", False),
        "us_east_1_regional_endpoint": (
            "legacy" if settings.get("use_global_endpoint") else "regional"
        ),
    }
    config = Config(
        s3=in_s3,
        signature_version=_signature_version(bucket),
        use_fips_endpoint=settings.get("use_fips"),
        use_dualstack_endpoint=settings.get("use_dualstack"),
    )
    client = _botocore.create_client(
        "s3",
        region_name=settings.get("region", "us-east-1"),
        endpoint_url=custom,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
        config=config,
    )
    client.meta.events.register("before-call.s3.CreateSession", _create_session)
    client.meta.events.register("before-sign.s3.GetObject", _move_to_query)
    return client


def _move_to_query(request: AWSRequest, **_: object) -> None:
    """Have botocore sign in the query what S3 takes there; it would sign headers."""
    for name in ("x-amz-expected-bucket-owner", "x-amz-request-payer"):
        if name in request.headers:
            mark = "&" if "?" in request.url else "?"
            request.url += f"{mark}{name}={request.headers[name]}"
            del request.headers[name]


def _create_session(**_: object) -> tuple[AWSResponse, dict[str, Any]]:
    credentials = {
        "AccessKeyId": SESSION.access_key_id,
        "SecretAccessKey": SESSION.secret_access_key,
        "SessionToken": SESSION.session_token,
        # botocore's cache of sessions reads the machine's own clock.
        "Expiration": datetime(2100, 1, 1, tzinfo=UTC),
    }
    return AWSResponse("", 200, {}, None), {"Credentials": credentials}


def theirs(
    bucket: str, settings: dict[str, Any], options: dict[str, Any], keys: Credentials, expires: int
) -> str:
    """botocore's link; the response to its ``CreateSession`` is faked."""
    url: str = _client(bucket, keys, tuple(settings.items())).generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": KEY, **options}, ExpiresIn=expires
    )
    return url


async def ours(
    bucket: str, settings: dict[str, Any], options: dict[str, Any], keys: Credentials, expires: int
) -> str:
    """Our client's link; its session is faked likewise."""

    async def session(*_: object) -> Credentials:
        return SESSION

    arguments: dict[str, Any] = {OURS[name]: value for name, value in options.items()}
    # Debug mode records a stack for every callback, which takes most of these tests' time.
    asyncio.get_running_loop().set_debug(False)
    async with S3Client(**{"region": "us-east-1", "credentials": keys, **settings}) as client:
        exchange = await client._start_exchange()
        exchange.state.clock = NOW.timestamp
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exchange.signer._sessions, "get", session)
            link = await client.presign_get_object(bucket, KEY, expires_in=expires, **arguments)
    return link.url


def split(url: str) -> tuple[str, dict[str, str]]:
    place, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    assert len({name for name, _ in pairs}) == len(pairs)
    return place, dict(pairs)


def options_for(bucket: str, name: str) -> dict[str, Any]:
    """The named options, without those that directory buckets do not support."""
    left_out = {"RequestPayer"} if bucket.endswith(("--x-s3", "--xa-s3")) else set[str]()
    return {option: value for option, value in OPTIONS[name].items() if option not in left_out}


@pytest.mark.parametrize("name", CASES)
async def test_links_are_those_of_botocore(name: str) -> None:
    bucket, settings = CASES[name]
    for options, keys in product(OPTIONS, (KEYS, TEMPORARY)):
        arguments = (bucket, settings, options_for(bucket, options), keys, 300)
        link, expected = split(await ours(*arguments)), split(theirs(*arguments))
        assert link == expected
        assert len(link[1]["X-Amz-Signature"]) == 64


@pytest.mark.parametrize("expires", [1, 3600, 604_800])
async def test_expiry_is_that_of_botocore(expires: int) -> None:
    arguments = (BUCKET, dict[str, Any](), dict[str, Any](), KEYS, expires)
    assert split(await ours(*arguments)) == split(theirs(*arguments))


@pytest.mark.parametrize("options", OPTIONS)
async def test_sigv4a_links_are_those_of_botocore_but_for_the_random_signature(
    options: str,
) -> None:
    headers = {
        "host": "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com",
        "x-amz-checksum-mode": "ENABLED",
        "if-match": '"0123"',
    }
    key = sigv4a.signing_key(KEYS.access_key_id, KEYS.secret_access_key)
    for keys in (KEYS, TEMPORARY):
        arguments = (MULTI_REGION_ARN, dict[str, Any](), OPTIONS[options], keys, 300)
        links = [split(await ours(*arguments)), split(theirs(*arguments))]
        signatures = [query.pop("X-Amz-Signature") for _, query in links]
        assert links[0] == links[1]
        place, query = links[0]
        sent = {name: headers[name] for name in query["X-Amz-SignedHeaders"].split(";")}
        names, lines = sigv4.canonical_headers(sent, {})
        canonical = sigv4.canonical_request(
            "GET",
            "/" + place.split("/", 3)[3],
            encode_query(query.items()),
            sigv4.canonical_ending(lines, names, "UNSIGNED-PAYLOAD"),
        )
        text = sigv4.string_to_sign(sigv4a.signer_for(keys, "*", "s3", NOW.timestamp()), canonical)
        for signature in signatures:
            key.private.public_key().verify(
                bytes.fromhex(signature), text.encode(), ec.ECDSA(SHA256())
            )

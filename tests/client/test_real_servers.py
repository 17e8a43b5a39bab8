import dataclasses
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aios3get import ByteRange, Credentials, S3Client, errors
from tests.servers.foreign import botocore_client, ensure_bucket, fetch
from tests.servers.process import OTHER_ACCESS_KEY_ID, OTHER_SECRET_ACCESS_KEY, RealServer
from tests.servers.resolver import loopback_session
from tests.servers.tls import Authority

# One worker starts the servers for all of its tests.
pytestmark = pytest.mark.xdist_group("real-servers")

BUCKET = "amzn-s3-demo-bucket"
KEY = "photos/2006/February/sample.jpg"
CONTENT = bytes(range(256)) * 64
SECOND = b"the second version"
PART = 5 * 1024 * 1024
VERSIONED = "amzn-s3-demo-versioned"


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """A server and what botocore put into it."""

    server: RealServer
    etag: str
    last_modified: datetime
    versions: tuple[str, ...]
    multipart: bool


def fill(server: RealServer) -> Stored:
    client = botocore_client(server)
    ensure_bucket(server, BUCKET)
    client.put_object(
        Bucket=BUCKET,
        Key=KEY,
        Body=CONTENT,
        ContentType="image/jpeg",
        CacheControl="max-age=60",
        Metadata={"camera": "Example 1"},
    )
    client.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    head = client.head_object(Bucket=BUCKET, Key=KEY)
    real = server.name != "rclone"
    versions = put_versions(client) if real else ()
    if real:
        put_parts(client)
    client.close()
    return Stored(server, head["ETag"], head["LastModified"], versions, server.name == "swift")


def put_versions(client: Any) -> tuple[str, ...]:
    client.create_bucket(Bucket=VERSIONED)
    client.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"})
    responses = [client.put_object(Bucket=VERSIONED, Key=KEY, Body=b) for b in (CONTENT, SECOND)]
    client.delete_object(Bucket=VERSIONED, Key=KEY)
    return tuple(response["VersionId"] for response in responses)


def put_parts(client: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "two-parts"}
    upload = where | {"UploadId": client.create_multipart_upload(**where)["UploadId"]}
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate((b"a" * PART, b"tail"), start=1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@pytest.fixture(scope="module")
def on_swift(swift: RealServer) -> Stored:
    return fill(swift)


@pytest.fixture(scope="module")
def on_rclone(rclone: RealServer) -> Stored:
    return fill(rclone)


@pytest.fixture(scope="module")
def on_radosgw(radosgw: RealServer) -> Stored:
    return fill(radosgw)


EVERYWHERE = ["on_swift", "on_rclone", pytest.param("on_radosgw", marks=pytest.mark.deep)]
CEPH_TOO = ["on_swift", pytest.param("on_radosgw", marks=pytest.mark.deep)]


@pytest.fixture(params=EVERYWHERE)
def stored(request: pytest.FixtureRequest) -> Stored:
    found: Stored = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def client(stored: Stored) -> AsyncIterator[S3Client]:
    async with client_of(stored.server) as client:
        yield client


def client_of(server: RealServer, **changes: Any) -> S3Client:
    return S3Client(**(server.client_options | changes))


async def test_get_returns_body_and_metadata(stored: Stored, client: S3Client) -> None:
    obj = await client.get_object(BUCKET, KEY)
    assert await obj.read() == CONTENT
    assert obj.info.etag == stored.etag
    assert obj.info.content_length == len(CONTENT)
    assert obj.info.content_type == "image/jpeg"
    assert obj.info.last_modified == stored.last_modified
    assert obj.info.metadata["camera"] == "Example 1"


async def test_head_has_the_metadata_of_get(stored: Stored, client: S3Client) -> None:
    info = await client.head_object(BUCKET, KEY)
    obj = await client.get_object(BUCKET, KEY)
    await obj.aclose()
    assert info.etag == obj.info.etag == stored.etag
    assert info.content_length == obj.info.content_length
    assert info.metadata == obj.info.metadata


async def test_empty_object_is_read(client: S3Client) -> None:
    assert await (await client.get_object(BUCKET, "empty")).read() == b""


@pytest.mark.parametrize("stored", CEPH_TOO, indirect=True)
@pytest.mark.parametrize(
    ("requested_range", "expected"),
    [
        (ByteRange(0, 1), slice(0, 1)),
        (ByteRange(10, 20), slice(10, 20)),
        (ByteRange.from_offset(16000), slice(16000, None)),
        (ByteRange.last(5), slice(-5, None)),
        (ByteRange(16000, 10**9), slice(16000, None)),
        ("bytes=0-", slice(None)),
        (ByteRange.last(10**9), slice(None)),
    ],
)
async def test_range_is_read(
    client: S3Client, requested_range: ByteRange | str, expected: slice
) -> None:
    obj = await client.get_object(BUCKET, KEY, range=requested_range)
    assert await obj.read() == CONTENT[expected]
    assert obj.info.content_range is not None
    assert obj.info.content_range.size == len(CONTENT)


@pytest.mark.parametrize("stored", EVERYWHERE, indirect=True)
async def test_range_past_the_end_raises_invalid_range(client: S3Client) -> None:
    with pytest.raises(errors.InvalidRange) as caught:
        await client.get_object(BUCKET, KEY, range=ByteRange(10**6, 10**6 + 1))
    assert caught.value.status == 416


@pytest.mark.parametrize("stored", CEPH_TOO, indirect=True)
async def test_condition_that_holds_returns_the_object(stored: Stored, client: S3Client) -> None:
    before, after = (stored.last_modified + timedelta(hours=hours) for hours in (-1, 1))
    holding: list[dict[str, Any]] = [
        {"if_match": stored.etag},
        {"if_none_match": '"other"'},
        {"if_modified_since": before},
        {"if_unmodified_since": after},
    ]
    for condition in holding:
        obj = await client.get_object(BUCKET, KEY, **condition)
        assert await obj.read() == CONTENT


@pytest.mark.parametrize("stored", CEPH_TOO, indirect=True)
@pytest.mark.parametrize("verb", ["get_object", "head_object"])
async def test_condition_that_fails_raises_for_get_and_head(
    stored: Stored, client: S3Client, verb: str
) -> None:
    call = getattr(client, verb)
    with pytest.raises(errors.PreconditionFailed):
        await call(BUCKET, KEY, if_match='"other"')
    with pytest.raises(errors.PreconditionFailed):
        await call(BUCKET, KEY, if_unmodified_since=stored.last_modified - timedelta(hours=1))
    with pytest.raises(errors.NotModified):
        await call(BUCKET, KEY, if_none_match=stored.etag)
    with pytest.raises(errors.NotModified):
        await call(BUCKET, KEY, if_modified_since=stored.last_modified)


@pytest.mark.parametrize("stored", EVERYWHERE, indirect=True)
@pytest.mark.parametrize("condition", ['"a  b"', '"a \tb"', '"a", \t "b"'])
async def test_runs_of_white_space_in_a_condition_are_signed_as_servers_verify_them(
    client: S3Client, condition: str
) -> None:
    # SigV4 signs a run of white space as one space; with another signature this is AccessDenied.
    info = await client.head_object(BUCKET, KEY, if_none_match=condition)
    assert info.content_length == len(CONTENT)


# Ceph 16 signs the first character of a run: it refuses a tab from botocore too.
@pytest.mark.parametrize("stored", ["on_swift", "on_rclone"], indirect=True)
async def test_tab_in_a_condition_is_signed_as_a_space(client: S3Client) -> None:
    info = await client.head_object(BUCKET, KEY, if_none_match='"a\tb"')
    assert info.content_length == len(CONTENT)


@pytest.mark.parametrize("stored", CEPH_TOO, indirect=True)
async def test_version_is_read_and_delete_marker_raises_no_such_key(
    stored: Stored, client: S3Client
) -> None:
    for version, body in zip(stored.versions, (CONTENT, SECOND), strict=True):
        obj = await client.get_object(VERSIONED, KEY, version_id=version)
        assert await obj.read() == body
        assert obj.info.version_id == version
    with pytest.raises(errors.NoSuchKey):
        await client.get_object(VERSIONED, KEY)


@pytest.mark.parametrize("stored", ["on_swift"], indirect=True)
async def test_part_number_reads_the_part(client: S3Client) -> None:
    first = await client.get_object(BUCKET, "two-parts", part_number=1)
    assert await first.read() == b"a" * PART
    second = await client.get_object(BUCKET, "two-parts", part_number=2)
    assert await second.read() == b"tail"
    assert second.info.parts_count == 2
    with pytest.raises(errors.InvalidPartNumber):
        await client.get_object(BUCKET, "two-parts", part_number=3)


@pytest.mark.deep
@pytest.mark.parametrize("stored", ["on_radosgw"], indirect=True)
async def test_customer_key_reads_its_object(stored: Stored) -> None:
    secret = bytes(range(32))
    boto = botocore_client(stored.server)
    boto.put_object(
        Bucket=BUCKET,
        Key="sealed",
        Body=CONTENT,
        SSECustomerAlgorithm="AES256",
        SSECustomerKey=secret,
    )
    boto.close()
    async with client_of(stored.server, allow_insecure_sse_customer_key=True) as client:
        obj = await client.get_object(BUCKET, "sealed", sse_customer_key=secret)
        assert await obj.read() == CONTENT
        for wrong in (None, secret[::-1]):
            with pytest.raises(errors.BadRequest):
                await client.get_object(BUCKET, "sealed", sse_customer_key=wrong)


OVERRIDES: dict[str, Any] = {
    "response_cache_control": "no-store",
    "response_content_disposition": 'attachment; filename="a b+c%20d.jpg"',
    "response_content_encoding": "x-none",
    "response_content_language": "tlh, mi",
    "response_content_type": "text/plain; charset=utf-8",
}


async def test_response_overrides_are_sent_back(client: S3Client) -> None:
    obj = await client.get_object(BUCKET, KEY, **OVERRIDES)
    assert await obj.read() == CONTENT
    for option, value in OVERRIDES.items():
        assert getattr(obj.info, option.removeprefix("response_")) == value


async def test_presigned_url_keeps_response_overrides(client: S3Client) -> None:
    link = await client.presign_get_object(BUCKET, KEY, **OVERRIDES)
    response = fetch(link.url)
    assert (response.status, response.body) == (200, CONTENT)
    assert response.headers["content-disposition"] == OVERRIDES["response_content_disposition"]
    assert response.headers["content-language"] == OVERRIDES["response_content_language"]


async def test_get_url_reads_a_presigned_url_of_another_client(client: S3Client) -> None:
    link = await client.presign_get_object(BUCKET, KEY)
    async with S3Client() as stranger:
        assert await (await stranger.get_url(link.url)).read() == CONTENT


async def test_missing_key_and_bucket_raise_their_errors(client: S3Client) -> None:
    with pytest.raises(errors.NoSuchKey) as caught:
        await client.get_object(BUCKET, "no such key")
    assert (caught.value.bucket, caught.value.key) == (BUCKET, "no such key")
    with pytest.raises(errors.NoSuchBucket):
        await client.get_object("amzn-s3-demo-missing", KEY)


async def test_wrong_secret_raises_signature_does_not_match(stored: Stored) -> None:
    keys = Credentials(stored.server.access_key_id, "another+secret/of+the+same+length+0000000")
    async with client_of(stored.server, credentials=keys) as client:
        with pytest.raises(errors.SignatureDoesNotMatch):
            await client.get_object(BUCKET, KEY)
        with pytest.raises(errors.AccessDenied):
            await client.head_object(BUCKET, KEY)


@pytest.mark.parametrize("stored", CEPH_TOO, indirect=True)
async def test_user_without_rights_raises_access_denied(stored: Stored) -> None:
    keys = Credentials(OTHER_ACCESS_KEY_ID, OTHER_SECRET_ACCESS_KEY)
    async with client_of(stored.server, credentials=keys) as client:
        with pytest.raises(errors.AccessDenied) as caught:
            await client.get_object(BUCKET, KEY)
    assert type(caught.value) is errors.AccessDenied


async def test_wrong_region_raises_an_error_with_the_right_one(on_swift: Stored) -> None:
    async with client_of(on_swift.server, region="eu-central-1") as client:
        with pytest.raises((errors.WrongRegion, errors.AuthorizationHeaderMalformed)) as caught:
            await client.get_object(BUCKET, KEY)
    assert caught.value.region == "us-east-1"


async def test_tampered_presigned_url_raises_signature_does_not_match(client: S3Client) -> None:
    link = await client.presign_get_object(BUCKET, KEY)
    for tampered in (link.url.replace("sample", "simple"), f"{link.url}&versionId=null"):
        with pytest.raises(errors.SignatureDoesNotMatch):
            await client.get_url(tampered)


async def test_expired_presigned_url_raises_access_denied(stored: Stored) -> None:
    link = expired_link(stored.server)
    async with S3Client() as stranger:
        with pytest.raises(errors.AccessDenied) as caught:
            await stranger.get_url(link)
    # Only Swift's error is S3's.
    if stored.server.name == "swift":
        assert type(caught.value) is errors.PresignedUrlExpired


def expired_link(server: RealServer) -> str:
    """Signed by botocore ten minutes ago for one minute."""
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as BotocoreCredentials

    class Earlier(S3SigV4QueryAuth):  # type: ignore[misc] # botocore is not typed
        def _modify_request_before_signing(self, request: AWSRequest) -> None:
            then = datetime.now(UTC) - timedelta(minutes=10)
            request.context["timestamp"] = then.strftime("%Y%m%dT%H%M%SZ")
            super()._modify_request_before_signing(request)

    request = AWSRequest("GET", f"{server.endpoint_url}/{BUCKET}/{KEY}")
    keys = BotocoreCredentials(server.access_key_id, server.secret_access_key)
    Earlier(keys, "s3", server.region, expires=60).add_auth(request)
    url: str = request.url
    return url


@pytest.fixture
async def by_name(on_swift: Stored, authority: Authority) -> AsyncIterator[dict[str, Any]]:
    """Arguments of a client whose AWS host names lead to Swift."""
    ports = {443: on_swift.server.tls_port, 80: on_swift.server.port}
    async with loopback_session(ports, authority.client_context()) as session:
        yield {"endpoint_url": None, "session": session}


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({}, f"{BUCKET}.s3.us-east-1"),
        ({"addressing_style": "path"}, "s3.us-east-1"),
        ({"use_dualstack": True}, f"{BUCKET}.s3.dualstack.us-east-1"),
        ({"use_fips": True}, f"{BUCKET}.s3-fips.us-east-1"),
        ({"use_fips": True, "use_dualstack": True}, f"{BUCKET}.s3-fips.dualstack.us-east-1"),
        ({"use_accelerate": True}, f"{BUCKET}.s3-accelerate"),
        ({"use_accelerate": True, "use_dualstack": True}, f"{BUCKET}.s3-accelerate.dualstack"),
        ({"use_global_endpoint": True}, f"{BUCKET}.s3"),
    ],
)
async def test_aws_host_name_is_reached(
    on_swift: Stored, by_name: dict[str, Any], settings: dict[str, Any], endpoint: str
) -> None:
    async with client_of(on_swift.server, **by_name, **settings) as client:
        info = await client.head_object(BUCKET, KEY)
        async with client.get_object(BUCKET, KEY, if_match=info.etag) as obj:
            assert await obj.read() == CONTENT
        link = await client.presign_get_object(BUCKET, KEY)
        assert link.url.startswith(f"https://{endpoint}.amazonaws.com/")
        assert await (await client.get_url(link)).read() == CONTENT


async def test_access_point_host_name_is_reached(on_swift: Stored, by_name: dict[str, Any]) -> None:
    # Swift takes the label before the domain for a bucket.
    boto = botocore_client(on_swift.server)
    boto.create_bucket(Bucket="my-point-123456789012")
    boto.put_object(Bucket="my-point-123456789012", Key=KEY, Body=CONTENT)
    boto.close()
    arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/my-point"
    async with client_of(on_swift.server, **by_name) as client:
        assert await (await client.get_object(arn, KEY)).read() == CONTENT


async def test_bucket_of_another_region_is_found(on_swift: Stored, by_name: dict[str, Any]) -> None:
    async with client_of(on_swift.server, **by_name, region="eu-central-1") as client:
        assert await (await client.get_object(BUCKET, KEY)).read() == CONTENT


async def test_tls_certificate_is_verified(on_swift: Stored) -> None:
    server = on_swift.server
    arguments = {"endpoint_url": server.tls_endpoint_url}
    async with client_of(server, **arguments, verify=server.ca_file) as client:
        assert await (await client.get_object(BUCKET, KEY)).read() == CONTENT
    async with client_of(server, **arguments, verify=ssl.create_default_context()) as client:
        with pytest.raises(errors.ConnectionFailed):
            await client.get_object(BUCKET, KEY)

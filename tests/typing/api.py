"""The types of the public API, for mypy and pyright to agree on. It is never run."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, assert_type

import aiohttp

import aios3get
from aios3get import (
    ANONYMOUS,
    ByteRange,
    BytesRead,
    ContentRange,
    Credentials,
    Download,
    Expiration,
    FailedResult,
    GetObjectOptions,
    ObjectInfo,
    ObjectReader,
    ObjectResult,
    ObjectStream,
    PresignedUrl,
    ReadResult,
    Restore,
    RetryPolicy,
    S3Client,
    S3Object,
    SyncObjectReader,
    Timeouts,
    Verified,
    content_disposition,
    errors,
)
from aios3get.credentials import (
    SSO,
    BearerToken,
    ContainerCredentials,
    CredentialsProvider,
    EnvironmentCredentials,
    IBMCloudAPIKey,
    InstanceMetadata,
    Process,
    ProfileCredentials,
    cached,
    chain,
    default_chain,
)
from aios3get.testing import RecordedRequest, S3Server, ServerCredentials, StoredObject, faults

assert_type(aios3get.__version__, str)

keys = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def sync_provider() -> Credentials:
    return keys


def provider_that_may_have_none() -> Credentials | None:
    return None


async def async_provider() -> Credentials:
    return keys


async def token_provider() -> BearerToken | None:
    return None


async def clients(session: aiohttp.ClientSession, context: ssl.SSLContext) -> None:
    S3Client()
    S3Client(credentials=keys)
    S3Client(credentials=ANONYMOUS)
    S3Client(credentials=sync_provider)
    S3Client(credentials=provider_that_may_have_none)
    S3Client(credentials=async_provider)
    S3Client(credentials=token_provider)
    S3Client(credentials=lambda: keys)
    S3Client(credentials=chain(EnvironmentCredentials(), ProfileCredentials("reader")))
    S3Client(credentials=cached(default_chain()))
    S3Client(credentials=IBMCloudAPIKey("EXAMPLE-ibm-api-key"))
    S3Client(credentials=chain(ContainerCredentials(), InstanceMetadata()))
    S3Client(credentials=SSO("reader"))
    S3Client(credentials=Process("helper --role reader", timeout=5))
    S3Client(credentials=Process(["helper", "--role", "reader"]))
    S3Client(
        region="eu-central-1",
        profile="reader",
        endpoint_url="https://s3.example.com",
        addressing_style="path",
        use_fips=False,
        use_dualstack=False,
        use_accelerate=False,
        use_arn_region=True,
        use_global_endpoint=False,
        disable_access_points=False,
        disable_multi_region_access_points=False,
        disable_s3_express_session_auth=False,
        retry=RetryPolicy(attempts=3, wait_initial=0.1, wait_max=5),
        timeouts=Timeouts(connect=5, idle=20, keep_alive=4),
        max_concurrency=8,
        response_checksum_validation="when_required",
        request_payer="requester",
        verify=context,
        proxy="http://proxy.example:3128",
        session=session,
        allow_insecure_sse_customer_key=False,
        pickle_credentials=False,
    )
    S3Client(verify=False)
    S3Client(verify=os.curdir)
    S3Client(addressing_style="dns")  # type: ignore[arg-type]  # no such style
    S3Client("eu-central-1")  # type: ignore[call-arg]  # everything is named
    async with S3Client() as s3:
        assert_type(s3, S3Client)


async def calls(s3: S3Client) -> None:
    opened = await s3.get_object("amzn-s3-demo-bucket", "hello.txt")
    assert_type(opened, S3Object)
    async with s3.get_object("amzn-s3-demo-bucket", "hello.txt", deadline=60) as entered:
        assert_type(entered, S3Object)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(s3.get_object("amzn-s3-demo-bucket", "hello.txt"))
    assert_type(task.result(), S3Object)
    async with opened as itself:
        assert_type(itself, S3Object)
    assert_type(await s3.head_object("amzn-s3-demo-bucket", "hello.txt"), ObjectInfo)
    link = await s3.presign_get_object(
        "amzn-s3-demo-bucket", "hello.txt", expires_in=timedelta(hours=1)
    )
    assert_type(link, PresignedUrl)
    assert_type(link.url, str)
    assert_type(link.expires_at, datetime)
    assert_type(link.to_dict(), dict[str, Any])
    assert_type(link.headers, Mapping[str, str])
    assert_type(await s3.get_url(link, range=ByteRange.last(10)), S3Object)
    async with s3.get_url("https://example.com/", headers={"If-Match": '"1"'}) as linked:
        assert_type(linked, S3Object)
    await s3.aclose()


async def options(s3: S3Client) -> None:
    every: GetObjectOptions = {
        "if_match": '"1"',
        "if_none_match": None,
        "if_modified_since": datetime.now(UTC),
        "if_unmodified_since": datetime.now(UTC),
        "range": "bytes=0-9",
        "part_number": None,
        "version_id": "null",
        "response_cache_control": "no-store",
        "response_content_disposition": content_disposition("a.txt", inline=True),
        "response_content_encoding": "identity",
        "response_content_language": "en",
        "response_content_type": "text/plain",
        "response_expires": datetime.now(UTC),
        "sse_customer_algorithm": "AES256",
        "sse_customer_key": bytes(32),
        "sse_customer_key_md5": None,
        "request_payer": "requester",
        "expected_bucket_owner": "123456789012",
        "checksum_mode": True,
        "mirror_destination": None,
    }
    await s3.get_object("amzn-s3-demo-bucket", "hello.txt", **every)
    await s3.head_object("amzn-s3-demo-bucket", "hello.txt", **every)
    await s3.presign_get_object("amzn-s3-demo-bucket", "hello.txt", **every)
    await s3.get_object("amzn-s3-demo-bucket", "hello.txt", range=ByteRange(0, 10))
    await s3.get_object("amzn-s3-demo-bucket", "hello.txt", IfMatch="1")  # type: ignore[call-arg]  # S3's own spelling
    await s3.get_object("amzn-s3-demo-bucket", "hello.txt", checksum_mode="ENABLED")
    await s3.get_object("amzn-s3-demo-bucket", "hello.txt", checksum_mode="DISABLED")  # type: ignore[arg-type]  # no value of S3


async def bodies(obj: S3Object) -> None:
    assert_type(obj.info, ObjectInfo)
    async for chunk in obj:
        assert_type(chunk, bytes)
    assert_type(await anext(obj), bytes)
    assert_type(await obj.read(), bytes)
    assert_type(await obj.read(10), bytes)
    assert_type(await obj.readinto(bytearray(10)), int)
    assert_type(await obj.readinto(memoryview(bytearray(10))), int)
    async for piece in obj.iter_chunks(1024):
        assert_type(piece, bytes)
    async for line in obj.iter_lines(keepends=True):
        assert_type(line, bytes)
    assert_type(obj.verified, Verified)
    assert_type(bool(obj.verified), bool)
    assert_type(obj.verified.state, Literal["verified", "pending", "unverified", "mismatch"])
    assert_type(obj.verified.algorithm, str | None)
    assert_type(obj.verified.reason, str)
    await obj.aclose()


def metadata(info: ObjectInfo) -> None:
    assert_type(info.etag, str | None)
    assert_type(info.content_length, int | None)
    assert_type(info.object_size, int | None)
    assert_type(info.last_modified, datetime | None)
    assert_type(info.expires, datetime | None)
    assert_type(info.bucket_key_enabled, bool | None)
    assert_type(info.delete_marker, bool)
    assert_type(info.metadata["camera"], str)
    assert_type(info.raw_metadata["camera"], str)
    assert_type(info.checksums["CRC64NVME"], str)
    assert_type(info.headers["ETag"], str)
    assert_type(info.status, int)
    assert_type(info.to_dict(), dict[str, Any])
    assert_type(info.content_range, ContentRange | None)
    assert_type(info.expiration, Expiration | None)
    assert_type(info.restore, Restore | None)
    if (content_range := info.content_range) is not None:
        assert_type(content_range.start, int | None)
        assert_type(content_range.size, int | None)
    if (expiration := info.expiration) is not None:
        assert_type(expiration.expiry_date, datetime)
        assert_type(expiration.rule_id, str)
    if (restore := info.restore) is not None:
        assert_type(restore.ongoing, bool)
        assert_type(restore.expiry_date, datetime | None)


async def failures(call: Callable[[], Awaitable[S3Object]]) -> None:
    try:
        await call()
    except errors.NotModified as error:
        assert_type(error.details, errors.ServiceErrorDetails)
        assert_type(error.details.to_dict(), dict[str, Any])
        assert_type(error.last_modified, datetime | None)
    except (errors.NoSuchKey, errors.NoSuchVersion) as missing:
        assert_type(missing.delete_marker, bool)
    except errors.InvalidObjectState as archived:
        assert_type(archived.storage_class, str | None)
        assert_type(archived.access_tier, str | None)
    except errors.InvalidRange as beyond:
        assert_type(beyond.actual_object_size, int | None)
    except errors.ServiceError as refused:
        assert_type(refused.status, int)
        assert_type(refused.code, str)
        assert_type(refused.request_id, str | None)
        assert_type(refused.headers, Mapping[str, str])
        assert_type(refused.retry_after, float | None)
    except errors.TransportTimeout as late:
        assert_type(late.limit, str)
        assert_type(late.loop_blocked, float)
    except errors.ChecksumMismatch as differing:
        assert_type(differing.algorithm, str)
    except errors.ObjectChanged as changed:
        assert_type(changed.actual, str | None)
    except errors.S3Error as any_other:
        assert_type(any_other.retryable, bool)
        assert_type(any_other.attempts, int)
        assert_type(any_other.elapsed, float)
        assert_type(any_other.bytes_received, int)
        assert_type(any_other.bytes_expected, int | None)
        assert_type(any_other.request_ids, tuple[str, ...])
    value_error: type[ValueError] = errors.ConfigurationError
    parameter_error: type[ValueError] = errors.ParameterError
    timeout_error: type[TimeoutError] = errors.TransportTimeout
    assert issubclass(value_error, errors.S3Error)
    assert issubclass(parameter_error, errors.S3Error)
    assert issubclass(timeout_error, errors.S3Error)


def values() -> None:
    assert_type(ByteRange(0, 10), ByteRange)
    assert_type(ByteRange.from_offset(10), ByteRange)
    assert_type(ByteRange.last(10), ByteRange)
    assert_type(ByteRange.parse("bytes=0-9").stop, int | None)
    assert_type(keys.expires_at, datetime | None)
    assert_type(RetryPolicy().attempts, int)
    assert_type(Timeouts().idle, float)
    provider: CredentialsProvider = async_provider
    assert callable(provider)


async def servers() -> None:
    async with S3Server(region="eu-central-1") as server:
        assert_type(server, S3Server)
        assert_type(server.endpoint_url, str)
        assert_type(server.credentials, ServerCredentials)
        assert_type(server.put_object("amzn-s3-demo-bucket", "hello.txt", b""), StoredObject)
        assert_type(server.requests, list[RecordedRequest])
        server.faults.add(faults.drop_after(1), times=None)
    with S3Server.in_thread() as threaded:
        assert_type(threaded, S3Server)


async def many_requests(s3: S3Client, path: os.PathLike[str]) -> None:
    def report(done: int, total: int | None) -> None: ...

    count = await s3.read_into("bucket", "key", bytearray(10), connections=4, range="bytes=0-9")
    assert_type(count, BytesRead)
    assert_type(count.verified, Verified)
    assert_type(count + 1, int)
    done = await s3.download_object(
        "bucket", "key", path, part_size=1 << 20, resume=False, fsync=True, on_progress=report
    )
    assert_type(done, Download)
    assert_type(done.info, ObjectInfo)
    assert_type((done.path, done.size, done.resumed, done.attempts), tuple[str, int, int, int])
    async with s3.stream_object("bucket", "key", connections=4, version_id="1") as stream:
        assert_type(stream, ObjectStream)
        async for chunk in stream:
            assert_type(chunk, bytes)
        assert_type(stream.verified, Verified)
    views = await s3.get_ranges("bucket", "key", [ByteRange(0, 5), "bytes=-5"], gap=1 << 16)
    assert_type(views, list[memoryview])
    async with s3.open_object("bucket", "key") as f:
        assert_type(f, ObjectReader)
        assert_type(await f.seek(5), int)
        assert_type(await f.read(5), bytes)
        assert_type(await f.readinto(bytearray(5)), int)
        assert_type(f.size, int)
        assert_type(f.as_sync(), SyncObjectReader)
    async for result in s3.get_objects(
        [("bucket", "key"), ("bucket", "key", {"range": "bytes=0-9"})]
    ):
        assert_type(result, ReadResult | FailedResult)
        either: ObjectResult = result
        assert_type(either.body, bytes | None)
        if result.error is None:
            assert_type(result.body, bytes)
            assert_type(result.info, ObjectInfo)
        else:
            raise result.error
        assert_type(result.body, bytes)

"""GetObject and HeadObject.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from multidict import CIMultiDict, CIMultiDictProxy

from aios3get.testing.conditions import check_conditions
from aios3get.testing.encryption import (
    check_customer_key,
    customer_key_headers,
    read_customer_key,
)
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse, Response, http_date
from aios3get.testing.selection import checksum_headers, select
from aios3get.testing.store import Bucket
from aios3get.testing.stored_object import StoredObject

__all__ = ["get_object", "get_transformed_object"]

_overrides = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}
_archive_tiers = ("ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS")


def get_object(request: RecordedRequest, bucket: Bucket, key: str, now: datetime) -> Response:
    """Return the response with the requested bytes of the object.

    Raises:
        ErrorResponse: S3 would reject the request.
    """
    overrides = _read_overrides(request)
    version = _find(request, bucket, key)
    check_customer_key(version.sse_customer_key, read_customer_key(request.headers))
    if request.method == "GET" and _is_archived(version, now):
        raise _archived(version)
    check_conditions(request.headers, version)
    selection = select(version, request.headers.get("Range"), request.parameter("partNumber"))
    headers = CIMultiDict[str]()
    for name, text in _object_headers(version, bucket):
        headers[name] = text
    headers.update(overrides)
    if request.method == "HEAD" and version.access_tier in _archive_tiers:
        headers["x-amz-archive-status"] = version.access_tier
    if selection.partial:
        span = f"{selection.start}-{selection.stop - 1}"
        headers["Content-Range"] = f"bytes {span}/{len(version.body)}"
    if selection.part is not None and version.parts:
        headers["x-amz-mp-parts-count"] = str(len(version.parts))
    if (request.option("x-amz-checksum-mode") or "").upper() == "ENABLED":
        headers.update(checksum_headers(version, selection))
    body = memoryview(version.body)[selection.start : selection.stop]
    return Response(206 if selection.partial else 200, tuple(headers.items()), body)


def get_transformed_object(
    request: RecordedRequest,
    bucket: Bucket,
    key: str,
    now: datetime,
    transform: Callable[[bytes], bytes],
) -> Response:
    """Return the response of an Object Lambda function that writes only a body.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_WriteGetObjectResponse.html

    Raises:
        ErrorResponse: S3 would not pass the object to the function.
    """
    kept = {
        name: text
        for name, text in request.headers.items()
        if name.lower() not in _function_headers
    }
    plain = replace(request, headers=CIMultiDictProxy(CIMultiDict(kept)))
    response = get_object(plain, bucket, key, now).without_headers("ETag", "Accept-Ranges")
    return replace(response, body=transform(bytes(response.body)), framing="chunked")


# A function receives these headers and may apply them; this one ignores them.
_function_headers = {
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "x-amz-checksum-mode",
}


def _read_overrides(request: RecordedRequest) -> dict[str, str]:
    values = {name: request.parameter(name) for name in _overrides}
    overrides = {name: value for name, value in values.items() if value is not None}
    if overrides and request.auth == "anonymous":
        raise ErrorResponse(
            400,
            "InvalidRequest",
            "Request specific response headers cannot be used for anonymous GET requests.",
        )
    for name, value in overrides.items():
        if any(char < " " or char > "\xff" for char in value):
            raise ErrorResponse(
                400,
                "InvalidArgument",
                "Header value cannot be represented using ISO-8859-1.",
                {"ArgumentName": name, "ArgumentValue": value},
            )
    return {_overrides[name]: value for name, value in overrides.items()}


def _find(request: RecordedRequest, bucket: Bucket, key: str) -> StoredObject:
    version_id = request.parameter("versionId")
    if version_id is not None:
        return _find_version(request, bucket, key, version_id)
    version = bucket.latest(key)
    if version is not None and not version.delete_marker:
        return version
    marker = _marker_headers(version) if version else {}
    if not bucket.reveals_missing_keys:
        # API_GetObject: without s3:ListBucket, "Amazon S3 returns an HTTP status code 403".
        raise ErrorResponse(403, "AccessDenied", "Access Denied", headers=marker)
    raise ErrorResponse(404, "NoSuchKey", "The specified key does not exist.", {"Key": key}, marker)


def _marker_headers(version: StoredObject) -> dict[str, str]:
    return {"x-amz-delete-marker": "true", "x-amz-version-id": version.version_id}


def _find_version(
    request: RecordedRequest, bucket: Bucket, key: str, version_id: str
) -> StoredObject:
    if not version_id:
        raise _invalid_version("Version id cannot be the empty string", version_id)
    if bucket.is_directory and version_id != "null":
        raise _invalid_version("Invalid version id specified", version_id)
    version = bucket.version(key, version_id)
    if version is None:
        raise ErrorResponse(
            404,
            "NoSuchVersion",
            "The specified version does not exist.",
            {"Key": key, "VersionId": version_id},
        )
    if version.delete_marker:
        raise ErrorResponse(
            405,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
            {"Method": request.method, "ResourceType": "DeleteMarker"},
            {
                **_marker_headers(version),
                "Allow": "DELETE",
                "Last-Modified": http_date(version.last_modified),
            },
        )
    return version


def _invalid_version(message: str, version_id: str) -> ErrorResponse:
    fields = {"ArgumentName": "versionId", "ArgumentValue": version_id}
    return ErrorResponse(400, "InvalidArgument", message, fields)


def _is_archived(version: StoredObject, now: datetime) -> bool:
    archived = (
        version.storage_class in ("GLACIER", "DEEP_ARCHIVE")
        or version.access_tier in _archive_tiers
    )
    restore = version.options.get("restore")
    return archived and not (isinstance(restore, datetime) and restore > now)


def _archived(version: StoredObject) -> ErrorResponse:
    fields = {"StorageClass": version.storage_class}
    if version.access_tier:
        fields["AccessTier"] = version.access_tier
    message = "The operation is not valid for the object's storage class"
    return ErrorResponse(403, "InvalidObjectState", message, fields)


def _object_headers(version: StoredObject, bucket: Bucket) -> Iterator[tuple[str, str]]:
    options = version.options
    yield "Last-Modified", http_date(version.last_modified)
    yield "ETag", version.etag
    yield "Accept-Ranges", "bytes"
    yield "Content-Type", "binary/octet-stream"
    if bucket.versioning or version.version_id != "null":
        yield "x-amz-version-id", version.version_id
    if version.storage_class != "STANDARD":
        yield "x-amz-storage-class", version.storage_class
    if restore := options.get("restore"):
        yield "x-amz-restore", _restore(restore)
    if tags := options.get("tags"):
        yield "x-amz-tagging-count", str(len(tags))
    if missing_meta := options.get("missing_meta"):
        yield "x-amz-missing-meta", str(missing_meta)
    if version.sse_customer_key is None:
        yield "x-amz-server-side-encryption", "AES256"
    else:
        yield from customer_key_headers(version.sse_customer_key).items()
    for name, text in (options.get("metadata") or {}).items():
        yield f"x-amz-meta-{name.lower()}", _metadata(text)
    yield from version.headers.items()


def _restore(restore: datetime | str) -> str:
    if isinstance(restore, datetime):
        expiry = http_date(restore.astimezone(UTC))
        return f'ongoing-request="false", expiry-date="{expiry}"'
    return 'ongoing-request="true"'


def _metadata(text: str) -> str:
    # userguide/UsingMetadata.html: S3 returns non-ASCII values as RFC 2047 words.
    if text.isascii():
        return text
    return f"=?UTF-8?B?{b64encode(text.encode()).decode()}?="

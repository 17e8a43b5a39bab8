"""PUT of an object in one piece, so that any S3 client can fill the server.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from aios3get.testing.checksums import ALGORITHMS, checksum
from aios3get.testing.encryption import customer_headers, read_customer_key
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse, Response
from aios3get.testing.store import Bucket, StoredObject, make_object
from aios3get.testing.streaming import decode_chunks
from aios3get.testing.verify import Signature

__all__ = ["write_object"]

_kept = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Language",
    "Content-Type",
    "Expires",
    "x-amz-website-redirect-location",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
)


def write_object(
    request: RecordedRequest,
    bucket: Bucket,
    key: str,
    now: datetime,
    signature: Signature | None,
    signing_key: bytes | None,
) -> Response:
    """The answer to a PUT; the object is in the bucket then.

    Raises:
        ErrorResponse: the request contradicts its own body, or asks for more than this server does.
    """
    for name in ("x-amz-copy-source", "If-Match", "If-None-Match"):
        if name in request.headers:
            message = f"This server does not implement {name} of PutObject."
            raise ErrorResponse(501, "NotImplemented", message)
    body, trailers = _body(request, signature, signing_key)
    _check_md5(request.headers.get("Content-MD5"), body)
    version = make_object(
        key,
        body,
        version_id=bucket.next_version_id(),
        last_modified=now,
        checksum_algorithm=_check_checksums({**request.headers, **trailers}, body),
        headers=_stored_headers(request.headers),
        metadata=_metadata(request.headers),
        storage_class=request.headers.get("x-amz-storage-class", "STANDARD"),
        tags=dict(parse_qsl(request.headers.get("x-amz-tagging", ""))),
        sse_customer_key=read_customer_key(request.headers),
    )
    bucket.add(version)
    return Response(200, tuple(_answer_headers(version, bucket).items()))


def _body(
    request: RecordedRequest, signature: Signature | None, signing_key: bytes | None
) -> tuple[bytes, Mapping[str, str]]:
    payload = request.headers.get("x-amz-content-sha256", "")
    if not payload.startswith("STREAMING-"):
        return request.body, {}
    signed = payload.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    body, trailers = decode_chunks(request.body, signature, signing_key if signed else None)
    if request.headers.get("x-amz-decoded-content-length") != str(len(body)):
        raise ErrorResponse(
            400,
            "IncompleteBody",
            "You did not provide the number of bytes specified by the "
            "x-amz-decoded-content-length header",
        )
    return body, trailers


def _check_md5(told: str | None, body: bytes) -> None:
    digest = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    if told is not None and told != digest:
        raise ErrorResponse(
            400,
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            {"ExpectedDigest": told, "CalculatedDigest": digest},
        )


def _check_checksums(headers: Mapping[str, str], body: bytes) -> list[str]:
    lower = {name.lower(): value for name, value in headers.items()}
    told = {name: lower.get(f"x-amz-checksum-{name.lower()}") for name in ALGORITHMS}
    for name, value in told.items():
        if value is not None and value != checksum(name, body):
            message = f"The {name} you specified did not match the calculated checksum."
            raise ErrorResponse(400, "BadDigest", message)
    # userguide/checking-object-integrity.html: S3 adds CRC64NVME where a request brings none.
    return [name for name, value in told.items() if value is not None] or ["CRC64NVME"]


def _stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    stored = {name: headers[name] for name in _kept if name in headers}
    codings = [each.strip() for each in headers.get("Content-Encoding", "").split(",")]
    codings = [each for each in codings if each not in ("", "aws-chunked")]
    return stored | ({"Content-Encoding": ",".join(codings)} if codings else {})


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    prefix = "x-amz-meta-"
    return {
        name.lower().removeprefix(prefix): value
        for name, value in headers.items()
        if name.lower().startswith(prefix)
    }


def _answer_headers(version: StoredObject, bucket: Bucket) -> dict[str, str]:
    headers = {"ETag": version.etag}
    for name, value in version.checksums.items():
        headers[f"x-amz-checksum-{name.lower()}"] = value
    headers["x-amz-checksum-type"] = version.checksum_type
    if bucket.versioning:
        headers["x-amz-version-id"] = version.version_id
    if version.sse_customer_key is not None:
        headers |= customer_headers(version.sse_customer_key)
    return headers

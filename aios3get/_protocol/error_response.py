"""Parses error responses into typed exceptions.

The body may be S3's XML, another server's XML or JSON, a proxy's HTML, malformed or empty.
``parse`` returns a ``ServiceError`` in every case and never raises.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from multidict import CIMultiDictProxy

from aios3get import errors
from aios3get._protocol.body_fields import parse_fields
from aios3get._protocol.header_values import boolean, field_value, integer, printable, timestamp
from aios3get._protocol.http import HttpHead
from aios3get._protocol.ranges import ContentRange
from aios3get.errors import ServiceError, ServiceErrorDetails

__all__ = ["MAX_ERROR_BODY", "parse"]

MAX_ERROR_BODY = 64 * 1024
"""The number of bytes of an error's body that are parsed."""


def parse(
    head: HttpHead,
    body: bytes,
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    version_id: str | None = None,
    signed_region: str | None = None,
    bucket_region: str = "",
) -> ServiceError:
    """Return the exception for a response whose status is neither 200 nor 206.

    Args:
        head: the response's status and headers.
        body: the response's body; bytes after the first ``MAX_ERROR_BODY`` are ignored.
        method: the request's HTTP method.
        bucket: the bucket as the caller wrote it.
        key: the key as the caller wrote it.
        version_id: the requested version.
        signed_region: the region that the request was signed for; a response that names the same
            region is not a ``WrongRegion``.
        bucket_region: the bucket's region from another response, for responses without a region.
    """
    fields = parse_fields(body[:MAX_ERROR_BODY])
    details = _details(head, fields, method=method, bucket=bucket, key=key, version_id=version_id)
    if details.region is None and _is_region_name(bucket_region):
        details = replace(details, region=bucket_region)
    return _error_class(details, version_id=version_id, signed_region=signed_region)(details)


def _details(
    head: HttpHead,
    fields: Mapping[str, str],
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    version_id: str | None,
) -> ServiceErrorDetails:
    headers = head.headers
    date = timestamp(_header(headers, "Date"))
    return ServiceErrorDetails(
        status=head.status,
        code=fields.get("Code", ""),
        message=fields.get("Message", ""),
        method=method,
        request_id=_header(headers, "x-amz-request-id") or fields.get("RequestId"),
        host_id=_header(headers, "x-amz-id-2") or fields.get("HostId"),
        bucket=bucket,
        key=key,
        region=_region(headers, fields),
        headers=headers,
        storage_class=fields.get("StorageClass"),
        access_tier=fields.get("AccessTier"),
        actual_object_size=_actual_object_size(headers, fields),
        delete_marker=boolean(_header(headers, "x-amz-delete-marker")) is True,
        version_id=_header(headers, "x-amz-version-id") or fields.get("VersionId") or version_id,
        last_modified=timestamp(_header(headers, "Last-Modified")),
        retry_after=_retry_after(_header(headers, "Retry-After"), date),
        server_time=timestamp(fields.get("ServerTime", "")) or date,
        fields=_public_fields(fields),
    )


def _header(headers: CIMultiDictProxy[str], name: str) -> str:
    return printable(field_value(headers, name) or "")


def _actual_object_size(headers: CIMultiDictProxy[str], fields: Mapping[str, str]) -> int | None:
    size = integer(fields.get("ActualObjectSize", ""))
    content_range = ContentRange.parse(_header(headers, "Content-Range"))
    return content_range.size if size is None and content_range else size


def _retry_after(text: str, now: datetime | None) -> float | None:
    # RFC 9110 section 10.2.3: seconds or a date.
    seconds = integer(text)
    if seconds is not None:
        return float(seconds)
    until = timestamp(text)
    if until is None or now is None:
        return None
    return max(0.0, (until - now).total_seconds())


_REGION_CODES = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "Redirect",
    "TemporaryRedirect",
}
# The region becomes part of a host name, so only a single DNS label is accepted.
_is_region_name = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch
_find_region_in_host = re.compile(
    r"(?:^|\.)s3(?:[.-]fips)?(?:[.-]dualstack)?[.-]([a-z]{2,}(?:-[a-z]+)+-\d+)\.amazonaws\."
).search
_is_region_code = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+").fullmatch


def _region(headers: CIMultiDictProxy[str], fields: Mapping[str, str]) -> str | None:
    candidates = [_header(headers, "x-amz-bucket-region"), fields.get("Region", "")]
    if match := _find_region_in_host(fields.get("Endpoint", "")):
        candidates.append(match.group(1))
    if fields.get("Code") == "IllegalLocationConstraintException":
        candidates.append(_region_in_message(fields.get("Message", "")))
    return next(filter(_is_region_name, candidates), None)


def _region_in_message(message: str) -> str:
    # "The af-south-1 location constraint is incompatible for the region specific endpoint …"
    word = message.partition(" location")[0].rpartition(" ")[2]
    # Endpoints of opt-in regions call the location of a bucket in us-east-1 "unspecified".
    if word == "unspecified":
        return "us-east-1"
    return word if _is_region_code(word) else ""


_by_code: Mapping[str, type[ServiceError]] = {
    **{
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, ServiceError)
        and value not in (ServiceError, errors.WrongRegion, errors.PresignedUrlExpired)
    },
    # Synonyms that other servers, AWS's common layers and S3's developer guide use.
    "AuthorizationParameterserror": errors.AuthorizationHeaderMalformed,
    "AuthorizationQueryParameterserror": errors.AuthorizationQueryParametersError,
    "BandwidthLimitExceeded": errors.Throttled,
    "ExpiredTokenException": errors.ExpiredToken,
    "InternalFailure": errors.InternalError,
    "InvalidObjectStateError": errors.InvalidObjectState,
    "InvalidTokenId": errors.InvalidToken,
    "RequestLimitExceeded": errors.Throttled,
    "RequestThrottled": errors.Throttled,
    "SlowDownRead": errors.SlowDown,
    "Throttling": errors.Throttled,
    "ThrottlingException": errors.Throttled,
    "TooManyRequests": errors.Throttled,
}

_by_status: Mapping[int, type[ServiceError]] = {
    304: errors.NotModified,
    401: errors.AccessDenied,
    403: errors.AccessDenied,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    408: errors.RequestTimeout,
    412: errors.PreconditionFailed,
    416: errors.InvalidRange,
    429: errors.Throttled,
    500: errors.InternalError,
    501: errors.NotImplemented,
    503: errors.ServiceUnavailable,
}

_EXPIRED_CODES = {"AccessDenied", "ExpiredRequest", "RequestExpired"}
_says_request_expired = re.compile(r"\brequest (?:has|is)? ?expired\b", re.IGNORECASE).search


def _error_class(
    details: ServiceErrorDetails, *, version_id: str | None, signed_region: str | None
) -> type[ServiceError]:
    if details.region not in (None, signed_region) and _is_about_region(details):
        return errors.WrongRegion
    # S3 has no separate code for an expired link, only this message.
    if details.code in _EXPIRED_CODES and _says_request_expired(details.message):
        return errors.PresignedUrlExpired
    if cls := _by_code.get(details.code):
        return cls
    if details.status == 404 and details.delete_marker:
        return errors.NoSuchKey
    if details.status == 404 and details.method == "HEAD":
        # A response to HEAD has no body and no code; S3's API model names NoSuchKey.
        return errors.NoSuchVersion if version_id else errors.NoSuchKey
    return _by_status.get(details.status) or _by_hundred(details.status)


def _is_about_region(details: ServiceErrorDetails) -> bool:
    if details.code == "AuthorizationQueryParametersError":
        # S3 also uses this code for a wrong expiry; it names a region only for a wrong region.
        return "Region" in details.fields
    if details.code:
        return details.code in _REGION_CODES
    # Responses to HEAD have no code.
    return details.status in (301, 302, 307, 308) or (
        details.status == 400 and details.method == "HEAD"
    )


def _by_hundred(status: int) -> type[ServiceError]:
    if status >= 500:
        return errors.ServerError
    return errors.BadRequest if status >= 400 else ServiceError


# The body of SignatureDoesNotMatch repeats the request with its session token and SSE-C key.
_is_secret_field = re.compile(
    r"canonicalrequest|stringtosign|signature|token|secret|password", re.IGNORECASE
).search
_is_secret_argument = re.compile(
    r"authorization|customer-key|signature|token|credential", re.IGNORECASE
).search


def _public_fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    public = {name: text for name, text in fields.items() if not _is_secret_field(name)}
    if _is_secret_argument(public.get("ArgumentName", "")):
        public.pop("ArgumentValue", None)
    for name in ("Code", "Message"):
        public.pop(name, None)
    return MappingProxyType(public)

"""An error answer's head and body → the typed exception.

Bodies come from S3 (XML), from servers that speak like it (XML with and without a namespace, JSON)
and from whatever stands in between (HTML, text, nothing, half of any of these). All of them give a
``ServiceError``; none of them raises.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from multidict import CIMultiDictProxy

from aios3get import errors
from aios3get._protocol import error_body
from aios3get._protocol.header_values import boolean, integer, printable, timestamp
from aios3get._protocol.http import HttpHead
from aios3get._protocol.ranges import ContentRange
from aios3get.errors import ServiceError, ServiceErrorDetails

__all__ = ["MAX_ERROR_BODY", "parse"]

MAX_ERROR_BODY = 64 * 1024
"""How many bytes of an error's body are looked at."""


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
    """The exception that an answer stands for whose status is not the one hoped for.

    Args:
        head: the answer's status and headers.
        body: what came of its body; everything after ``MAX_ERROR_BODY`` bytes is ignored.
        method: the request's HTTP method.
        bucket: the bucket asked, as the caller wrote it.
        key: the key asked, as the caller wrote it.
        version_id: the version asked for.
        signed_region: the region that the request was signed for; an answer that names this one
            is not a ``WrongRegion``.
        bucket_region: the bucket's as another answer named it, for answers that name none.
    """
    told = error_body.fields(body[:MAX_ERROR_BODY])
    details = _details(head, told, method=method, bucket=bucket, key=key, version_id=version_id)
    if details.region is None and _region_name(bucket_region):
        details = replace(details, region=bucket_region)
    return _error_class(details, version_id=version_id, signed_region=signed_region)(details)


def _details(
    head: HttpHead,
    told: Mapping[str, str],
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    version_id: str | None,
) -> ServiceErrorDetails:
    headers = head.headers
    date = timestamp(headers.get("Date", ""))
    return ServiceErrorDetails(
        status=head.status,
        code=told.get("Code", ""),
        message=told.get("Message", ""),
        method=method,
        request_id=_header(headers, "x-amz-request-id") or told.get("RequestId"),
        host_id=_header(headers, "x-amz-id-2") or told.get("HostId"),
        bucket=bucket,
        key=key,
        region=_region(headers, told),
        headers=headers,
        storage_class=told.get("StorageClass"),
        access_tier=told.get("AccessTier"),
        actual_object_size=_actual_object_size(headers, told),
        delete_marker=boolean(headers.get("x-amz-delete-marker", "")) is True,
        version_id=_header(headers, "x-amz-version-id") or told.get("VersionId") or version_id,
        retry_after=_retry_after(headers.get("Retry-After", ""), date),
        server_time=timestamp(told.get("ServerTime", "")) or date,
        fields=_shown_fields(told),
    )


def _header(headers: CIMultiDictProxy[str], name: str) -> str | None:
    return printable(headers.get(name, "")) or None


def _actual_object_size(headers: CIMultiDictProxy[str], told: Mapping[str, str]) -> int | None:
    size = integer(told.get("ActualObjectSize", ""))
    content_range = ContentRange.parse(headers.get("Content-Range", ""))
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
# The region becomes part of a host name: nothing but one DNS label is taken from an answer.
_region_name = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch
_region_in_endpoint = re.compile(
    r"(?:^|\.)s3(?:[.-]fips)?(?:[.-]dualstack)?[.-]([a-z]{2,}(?:-[a-z]+)+-\d+)\.amazonaws\."
).search
_region_code = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+").fullmatch


def _region(headers: CIMultiDictProxy[str], told: Mapping[str, str]) -> str | None:
    named = [headers.get("x-amz-bucket-region", ""), told.get("Region", "")]
    if found := _region_in_endpoint(told.get("Endpoint", "")):
        named.append(found.group(1))
    if told.get("Code") == "IllegalLocationConstraintException":
        named.append(_region_in_message(told.get("Message", "")))
    return next(filter(_region_name, named), None)


def _region_in_message(message: str) -> str:
    # "The af-south-1 location constraint is incompatible for the region specific endpoint …"
    word = message.partition(" location")[0].rpartition(" ")[2]
    # Endpoints of opt-in regions call the location of a bucket in us-east-1 "unspecified".
    if word == "unspecified":
        return "us-east-1"
    return word if _region_code(word) else ""


_by_code: Mapping[str, type[ServiceError]] = {
    **{
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, ServiceError)
        and value not in (ServiceError, errors.WrongRegion, errors.PresignedUrlExpired)
    },
    # Not S3's words, but the same things said by other servers and by AWS's common layers.
    "AuthorizationParameterserror": errors.AuthorizationHeaderMalformed,
    "AuthorizationQueryParameterserror": errors.AuthorizationQueryParametersError,
    "BandwidthLimitExceeded": errors.Throttled,
    "ExpiredTokenException": errors.ExpiredToken,
    "InternalFailure": errors.InternalError,
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
_request_expired = re.compile(r"\brequest (?:has|is)? ?expired\b", re.IGNORECASE).search


def _error_class(
    details: ServiceErrorDetails, *, version_id: str | None, signed_region: str | None
) -> type[ServiceError]:
    if details.region not in (None, signed_region) and _speaks_of_region(details):
        return errors.WrongRegion
    # S3 has no code of its own for it, and neither have those who copied S3's sentence.
    if details.code in _EXPIRED_CODES and _request_expired(details.message):
        return errors.PresignedUrlExpired
    if found := _by_code.get(details.code):
        return found
    if details.status == 404 and details.method == "HEAD":
        # A HEAD answer has no body to say what was not found; S3's model says NoSuchKey.
        return errors.NoSuchVersion if version_id else errors.NoSuchKey
    return _by_status.get(details.status) or _by_hundred(details.status)


def _speaks_of_region(details: ServiceErrorDetails) -> bool:
    if details.code == "AuthorizationQueryParametersError":
        # A link's expiry may be what is wrong; only for its region does the body name another.
        return "Region" in details.fields
    if details.code:
        return details.code in _REGION_CODES
    # HEAD answers say it by their status only.
    return details.status in (301, 302, 307, 308) or (
        details.status == 400 and details.method == "HEAD"
    )


def _by_hundred(status: int) -> type[ServiceError]:
    if status >= 500:
        return errors.ServerError
    return errors.BadRequest if status >= 400 else ServiceError


# Bodies of SignatureDoesNotMatch repeat the request: its session token and SSE-C key are in there.
_secret = re.compile(
    r"canonicalrequest|stringtosign|signature|token|secret|password", re.IGNORECASE
).search
_secret_argument = re.compile(
    r"authorization|customer-key|signature|token|credential", re.IGNORECASE
).search


def _shown_fields(told: Mapping[str, str]) -> Mapping[str, str]:
    shown = {name: text for name, text in told.items() if not _secret(name)}
    if _secret_argument(shown.get("ArgumentName", "")):
        shown.pop("ArgumentValue", None)
    for name in ("Code", "Message"):
        shown.pop(name, None)
    return MappingProxyType(shown)

"""Every exception that aios3get raises on purpose.

::

    S3Error
    ├── ParameterError (ValueError)         an argument of the call is invalid
    ├── ConfigurationError (ValueError)     the client's arguments, the environment or the profile
    ├── UsageError (RuntimeError)           client or body closed, second reader, other event loop
    ├── CredentialsError                    no source had credentials, or a source failed
    ├── TransportError                      no complete response
    │   ├── ConnectionFailed                no connection: name, route, TLS or proxy
    │   ├── ConnectionLost                  the connection ended before the response did
    │   └── TransportTimeout (TimeoutError) a limit of ``Timeouts`` or the call's deadline passed
    ├── ServiceError                        S3 responded with an error
    │   ├── NotModified                     304: the condition says your copy is current
    │   ├── WrongRegion                     301, 307 or 400: the bucket is in ``.region``
    │   ├── BadRequest                      400, and 4xx without a class of their own
    │   │   └── AuthorizationHeaderMalformed, AuthorizationQueryParametersError, InvalidArgument,
    │   │       InvalidBucketName, InvalidRequest, InvalidToken, KeyTooLongError, RequestTimeout
    │   ├── AccessDenied                    401 and 403
    │   │   └── AllAccessDisabled, ExpiredToken, InvalidAccessKeyId, PresignedUrlExpired,
    │   │       RequestTimeTooSkewed, SignatureDoesNotMatch
    │   ├── InvalidObjectState              403: archived; ``.storage_class``, ``.access_tier``
    │   ├── NotFound                        404
    │   │   └── NoSuchAccessPoint, NoSuchBucket, NoSuchKey, NoSuchMultiRegionAccessPoint,
    │   │       NoSuchVersion
    │   ├── MethodNotAllowed                405: also the version id of a delete marker
    │   ├── PreconditionFailed              412
    │   ├── InvalidRange                    416: ``.actual_object_size``
    │   │   └── InvalidPartNumber
    │   ├── Throttled                       429, and 503 with a code for throttling
    │   │   └── SlowDown
    │   └── ServerError                     5xx
    │       └── InternalError, NotImplemented, ServiceUnavailable
    └── IntegrityError                      the response is not the requested object
        └── ChecksumMismatch, ObjectChanged, RangeMismatch, TruncatedBody

The class of a service error is named after S3's error code; the status selects the class for other
codes. All exceptions pickle, copy and hash. None shows a secret or the query of a URL. Each text is
one printable line; ``CredentialsError`` adds a line for each source.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from multidict import CIMultiDict, CIMultiDictProxy

__all__ = [
    "S3Error",
    "ParameterError",
    "ConfigurationError",
    "UsageError",
    "CredentialsError",
    "TransportError",
    "ConnectionFailed",
    "ConnectionLost",
    "TransportTimeout",
    "ServiceError",
    "ServiceErrorDetails",
    "NotModified",
    "WrongRegion",
    "BadRequest",
    "AuthorizationHeaderMalformed",
    "AuthorizationQueryParametersError",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidRequest",
    "InvalidToken",
    "KeyTooLongError",
    "RequestTimeout",
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "PresignedUrlExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "InvalidObjectState",
    "NotFound",
    "NoSuchAccessPoint",
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchMultiRegionAccessPoint",
    "NoSuchVersion",
    "MethodNotAllowed",
    "PreconditionFailed",
    "InvalidRange",
    "InvalidPartNumber",
    "Throttled",
    "SlowDown",
    "ServerError",
    "InternalError",
    "NotImplemented",
    "ServiceUnavailable",
    "IntegrityError",
    "ChecksumMismatch",
    "ObjectChanged",
    "RangeMismatch",
    "TruncatedBody",
]


# The most characters of a server's message in the text of an exception.
_SHOWN: Final = 1000


def _on_one_line(text: str) -> str:
    """Escape characters that would start a new line in a log or control a terminal.

    Keys and responses may contain any character.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


class S3Error(Exception):
    """Base class of every exception that aios3get raises on purpose.

    Attributes:
        bucket: the bucket of the call, as the caller wrote it; None outside a call.
        key: the key of the call, as the caller wrote it.
        method: the HTTP method of the call, ``GET`` or ``HEAD``.
        retryable: whether the same call may succeed later without any change.
        attempts: requests sent for the call, 0 if none was.
        elapsed: seconds from the start of the call to this error.
        bytes_received: body bytes received before this error.
        bytes_expected: body bytes that the response announced, None if it announced none.
        request_ids: ``x-amz-request-id`` of the call's latest responses, oldest first.
    """

    bucket: str | None = None
    key: str | None = None
    method: str | None = None
    retryable: bool = False
    attempts: int = 0
    elapsed: float = 0.0
    bytes_received: int = 0
    bytes_expected: int | None = None
    request_ids: tuple[str, ...] = ()

    def _subject(self) -> str:
        """``GET bucket/key: ``, or nothing for an error outside a call."""
        if self.method is None:
            return ""
        return f"{self.method} {'/'.join(filter(None, (self.bucket, self.key)))}: "

    def _history(self) -> str:
        facts: list[str] = []
        if self.attempts > 1:
            facts.append(f"{self.attempts} attempts in {self.elapsed:.1f} s")
        if self.bytes_received or self.bytes_expected:
            expected = "an unknown number" if self.bytes_expected is None else self.bytes_expected
            facts.append(f"{self.bytes_received} of {expected} bytes")
        if self.request_ids:
            facts.append(f"request id {', '.join(self.request_ids[-3:])}")
        return f" ({'; '.join(facts)})" if facts else ""

    def __str__(self) -> str:
        return _on_one_line(self._subject() + super().__str__() + self._history())


class ParameterError(S3Error, ValueError):
    """An argument of the call is invalid; raised before any I/O."""


class ConfigurationError(S3Error, ValueError):
    """An argument of the client, an environment variable or a profile's setting is invalid."""


class UsageError(S3Error, RuntimeError):
    """The client or body is closed, read by two tasks at once, or used on another event loop."""


class CredentialsError(S3Error):
    """No source had credentials, or the source that should have them failed.

    Attributes:
        sources: each source that was tried, and why it had no credentials; those that the
            environment or a profile configures come first. The text has one line for each.
    """

    def __init__(self, message: str = "", *, sources: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.sources = sources

    def __str__(self) -> str:
        return "".join((super().__str__(), *(f"\n  - {_on_one_line(s)}" for s in self.sources)))


class TransportError(S3Error):
    """No complete response arrived."""

    retryable = True


class ConnectionFailed(TransportError):
    """No connection could be made: name resolution, route, TLS or proxy."""


class ConnectionLost(TransportError):
    """The connection ended before the response did.

    Attributes:
        reused: whether the connection was kept alive from an earlier request; the server may have
            closed it as idle.
    """

    reused: bool = False


class TransportTimeout(TransportError, TimeoutError):
    """A limit of ``Timeouts``, or the call's own deadline, passed.

    Attributes:
        limit: the limit that passed: ``"connect"``, ``"idle"``, ``"queue"`` or ``"deadline"``.
        seconds: the value of the limit.
        loop_blocked: the longest time in seconds that the event loop was blocked while this call
            waited; a high value means that the process was slow, not the network.
    """

    def __init__(
        self, message: str = "", *, limit: str = "", seconds: float = 0.0, loop_blocked: float = 0.0
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.seconds = seconds
        self.loop_blocked = loop_blocked
        self.retryable = limit not in ("deadline", "queue")


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceErrorDetails:
    """What an error response says.

    Attributes:
        status: the HTTP status.
        code: S3's error code, such as ``NoSuchKey``; empty if the response has none.
        message: S3's description of the error; may be empty.
        method: the HTTP method of the request.
        request_id: ``x-amz-request-id``, for AWS Support.
        host_id: ``x-amz-id-2``, for AWS Support.
        bucket: the bucket as the caller wrote it.
        key: the key as the caller wrote it.
        region: the bucket's region, if the response names it.
        headers: the response's headers; lookups ignore case.
        storage_class: the storage class of an archived object (``InvalidObjectState``).
        access_tier: the tier of an archived object in Intelligent-Tiering (``InvalidObjectState``).
        actual_object_size: the object's size in bytes (``InvalidRange``).
        delete_marker: whether the requested version, or the key's newest, is a delete marker.
        version_id: the version that the response names.
        last_modified: ``Last-Modified`` of the object (``NotModified``) or of the delete marker.
        retry_after: the wait in seconds that the server requests.
        server_time: the server's clock, from ``ServerTime`` or the ``Date`` header.
        fields: the other elements of the error body by name, without signatures, tokens and
            requests.
    """

    status: int
    code: str = ""
    message: str = ""
    method: str = "GET"
    request_id: str | None = None
    host_id: str | None = None
    bucket: str | None = None
    key: str | None = None
    region: str | None = None
    headers: Mapping[str, str] = field(default_factory=_empty, repr=False, hash=False)
    storage_class: str | None = None
    access_tier: str | None = None
    actual_object_size: int | None = None
    delete_marker: bool = False
    version_id: str | None = None
    last_modified: datetime | None = None
    retry_after: float | None = None
    server_time: datetime | None = None
    fields: Mapping[str, str] = field(default_factory=_empty, repr=False, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Return every attribute except ``headers``, for a log record; times stay datetimes."""
        names = [name for name in self.__dataclass_fields__ if name != "headers"]
        return {name: getattr(self, name) for name in names} | {"fields": {**self.fields}}

    def __reduce__(self) -> tuple[object, ...]:
        # MappingProxyType and CIMultiDictProxy do not pickle.
        state = self.to_dict() | {"headers": [*self.headers.items()]}
        return _revive_details, (state,)


def _revive_details(state: dict[str, Any]) -> ServiceErrorDetails:
    state["headers"] = CIMultiDictProxy(CIMultiDict(state["headers"]))
    return ServiceErrorDetails(**state)


class ServiceError(S3Error):
    """S3 responded with an error.

    Every field of ``details`` (``ServiceErrorDetails``) except ``fields`` is an attribute of the
    exception, too. The text shows the first 1,000 characters of code and message.
    """

    def __init__(self, details: ServiceErrorDetails) -> None:
        super().__init__(details)
        self.details = details
        self.method = details.method
        self.status = details.status
        self.code = details.code
        self.message = details.message
        self.request_id = details.request_id
        self.host_id = details.host_id
        self.bucket = details.bucket
        self.key = details.key
        self.region = details.region
        self.headers = details.headers
        self.storage_class = details.storage_class
        self.access_tier = details.access_tier
        self.actual_object_size = details.actual_object_size
        self.delete_marker = details.delete_marker
        self.version_id = details.version_id
        self.last_modified = details.last_modified
        self.retry_after = details.retry_after
        self.server_time = details.server_time

    def __reduce__(self) -> tuple[object, ...]:
        state = {
            name: self.__dict__[name] for name in S3Error.__annotations__ if name in self.__dict__
        }
        return type(self), (self.details,), state

    def __str__(self) -> str:
        details = self.details
        reason = ": ".join(filter(None, (details.code, details.message)))
        if len(reason) > _SHOWN:
            reason = reason[:_SHOWN] + "…"
        reason = reason or _phrase(details.status)
        if details.delete_marker:
            reason += " (delete marker)"
        return _on_one_line(f"{self._subject()}{reason} [{details.status}]{self._history()}")


def _phrase(status: int) -> str:
    # A response to HEAD has no body, so only the status is known.
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an error without a body"


class NotModified(ServiceError):
    """304: the object is unchanged according to ``if_none_match`` or ``if_modified_since``."""


class WrongRegion(ServiceError):
    """The bucket is in another region: ``.region``, None if the response does not name it."""


class BadRequest(ServiceError):
    """400, and every other 4xx response without a class of its own."""


class AuthorizationHeaderMalformed(BadRequest):
    """The signature's scope names a region or service that the endpoint does not accept."""


class AuthorizationQueryParametersError(BadRequest):
    """A presigned URL's parameters are not acceptable, such as its scope or expiry."""


class InvalidArgument(BadRequest):
    """A parameter's value is not one S3 accepts."""


class InvalidBucketName(BadRequest):
    """The bucket's name breaks S3's naming rules."""


class InvalidRequest(BadRequest):
    """The parameters cannot be combined."""


class InvalidToken(BadRequest):
    """The session token is malformed or not of these credentials."""


class KeyTooLongError(BadRequest):
    """The key is longer than 1,024 bytes of UTF-8."""


class RequestTimeout(BadRequest):
    """S3 did not receive the whole request in time."""

    retryable = True


class AccessDenied(ServiceError):
    """401 or 403: the credentials do not permit the request."""


class AllAccessDisabled(AccessDenied):
    """The bucket or account is disabled."""


class ExpiredToken(AccessDenied):
    """The session token has expired."""


class InvalidAccessKeyId(AccessDenied):
    """S3 does not know the access key."""


class PresignedUrlExpired(AccessDenied):
    """The presigned URL has expired; S3's own code for it is ``AccessDenied``."""


class RequestTimeTooSkewed(AccessDenied):
    """The signature's clock is more than 15 minutes away from S3's."""


class SignatureDoesNotMatch(AccessDenied):
    """S3 computes another signature: the secret is wrong, or something changed the request."""


class InvalidObjectState(ServiceError):
    """The object is archived and must be restored before it can be read."""


class NotFound(ServiceError):
    """404."""


class NoSuchAccessPoint(NotFound):
    """The access point does not exist."""


class NoSuchBucket(NotFound):
    """The bucket does not exist."""


class NoSuchKey(NotFound):
    """The key does not exist, or its newest version is a delete marker (``.delete_marker``)."""

    def __str__(self) -> str:
        text = super().__str__()
        if self.key is None or not self.key.startswith("/"):
            return text
        return f"{text}; the key starts with a slash: '/a' and 'a' are different keys in S3"


class NoSuchMultiRegionAccessPoint(NotFound):
    """The multi-region access point does not exist."""


class NoSuchVersion(NotFound):
    """The version does not exist."""


class MethodNotAllowed(ServiceError):
    """405; S3 also returns it for the version id of a delete marker (``.delete_marker``)."""


class PreconditionFailed(ServiceError):
    """412: ``if_match`` or ``if_unmodified_since`` does not hold."""


class InvalidRange(ServiceError):
    """416: the range lies outside the object; ``.actual_object_size`` if S3 sends the size."""


class InvalidPartNumber(InvalidRange):
    """416: the object has fewer parts."""


class Throttled(ServiceError):
    """The server asks for fewer requests."""

    retryable = True


class SlowDown(Throttled):
    """S3 asks for fewer requests on this prefix."""


class ServerError(ServiceError):
    """5xx."""

    retryable = True


class InternalError(ServerError):
    """S3 failed; the same request may succeed."""


class NotImplemented(ServerError):
    """501: the server does not know a header or parameter of the request."""

    retryable = False


class ServiceUnavailable(ServerError):
    """503: the server is overloaded or in maintenance."""


class IntegrityError(S3Error):
    """The response is not the requested object."""


class ChecksumMismatch(IntegrityError):
    """The bytes do not match the checksum that the response announces.

    Attributes:
        algorithm: S3's name of the algorithm, such as ``CRC64NVME``.
        expected: the announced checksum, base64.
        actual: the checksum of the bytes, base64.
    """

    def __init__(
        self, message: str = "", *, algorithm: str = "", expected: str = "", actual: str = ""
    ) -> None:
        super().__init__(message)
        self.algorithm = algorithm
        self.expected = expected
        self.actual = actual


class ObjectChanged(IntegrityError):
    """The object was replaced or deleted while it was being read.

    Attributes:
        expected: the ETag of the first response.
        actual: the ETag of the latest response, None if the server did not send one.
    """

    def __init__(
        self, message: str = "", *, expected: str | None = None, actual: str | None = None
    ) -> None:
        super().__init__(message)
        self.expected = expected
        self.actual = actual


class RangeMismatch(IntegrityError):
    """The response contains other bytes than those requested."""


class TruncatedBody(IntegrityError):
    """The body ended before, or went on after, the announced length."""

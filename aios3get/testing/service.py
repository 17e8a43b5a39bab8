"""S3 as a function from requests to responses; no sockets."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from multidict import CIMultiDict, CIMultiDictProxy

from aios3get.testing.access import AccessControl
from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.faults import Fault
from aios3get.testing.get_object import get_object, get_transformed_object
from aios3get.testing.hosts import Target, find_target
from aios3get.testing.list_objects import list_objects
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse, Response, http_date
from aios3get.testing.store import Bucket, Store
from aios3get.testing.tokens import bearer_token_response, session_response

__all__ = ["Service"]


class Service:
    """The operations of S3 on one store.

    Attributes:
        store: the buckets.
        access: authenticates and authorizes requests.
        credentials: the accepted credentials by access key.
        api_keys: the IBM API keys that ``/identity/token`` accepts.
        session_lifetime: the lifetime of ``CreateSession`` credentials; S3's is five minutes.
    """

    def __init__(self, region: str, clock: Callable[[], datetime]) -> None:
        self.store = Store()
        self.credentials: dict[str, ServerCredentials] = {}
        self.api_keys: set[str] = set()
        self.session_lifetime = timedelta(minutes=5)
        self._clock = clock
        self._bearer_tokens: dict[str, datetime] = {}
        self._bearer_lifetime = timedelta(hours=1)
        self.access = AccessControl(region, self.store, self.credentials, self._bearer_tokens)

    def find_target(self, request: RecordedRequest) -> Target:
        """Return and record the bucket and key of the request.

        Raises:
            ErrorResponse: the path is not UTF-8.
        """
        target = find_target(request.host, request.path, self.store.names())
        bucket = self.store.find(target.name)
        request.bucket = (bucket.name if bucket else target.name) or None
        request.key = target.key or None
        return target

    def respond(self, request: RecordedRequest, fault: Fault | None = None) -> Response:
        """Return the response of S3, changed by ``fault``."""
        now = self._clock() + timedelta(seconds=fault.clock_skew if fault else 0.0)
        request_id = secrets.token_hex(8).upper()
        host_id = secrets.token_urlsafe(56)
        try:
            if fault and fault.error:
                raise fault.error()
            response = self._respond(request, now, fault)
        except ErrorResponse as error:
            request.error_code = error.code
            response = error.to_response(request_id, host_id)
        common = {
            "x-amz-id-2": host_id,
            "x-amz-request-id": request_id,
            "Date": http_date(now),
            "Server": "AmazonS3",
        }
        bucket = self.store.buckets.get(request.bucket or "")
        if bucket is not None and request.key is None and request.method == "HEAD":
            # API_HeadBucket: "regardless of the permissions on the bucket, you will receive a
            # response header with the correct bucket location". The response to a HeadObject in the
            # wrong region has no such header: boto/botocore#1413.
            common["x-amz-bucket-region"] = bucket.region
        headers = tuple(common.items())
        response = replace(response, headers=headers).with_headers(dict(response.headers))
        response = fault.alter_response(response) if fault and fault.alter_response else response
        request.status = response.status
        return response

    def _respond(self, request: RecordedRequest, now: datetime, fault: Fault | None) -> Response:
        if request.method == "POST" and request.path == "/identity/token":
            return bearer_token_response(
                request, self.api_keys, self._bearer_tokens, self._bearer_lifetime, now
            )
        target = self.find_target(request)
        bucket = self.store.find(target.name)
        credentials = self.access.authenticate(request, target, bucket, now)
        if not target.name or request.method not in ("GET", "HEAD"):
            raise _not_implemented(request)
        if bucket is None:
            raise _no_bucket(target)
        is_charged = self.access.authorize(request, bucket, credentials)
        _check_key(target.key)
        if fault and fault.alter_request:
            headers = CIMultiDict(request.headers)
            fault.alter_request(headers)
            request = replace(request, headers=CIMultiDictProxy(headers))
        if target.key:
            response = self._get_object(request, target, bucket, now)
        else:
            response = self._perform_on_bucket(request, target, bucket, credentials, now)
        charged = {"x-amz-request-charged": "requester"} if is_charged else {}
        return response.with_headers(charged)

    def _get_object(
        self, request: RecordedRequest, target: Target, bucket: Bucket, now: datetime
    ) -> Response:
        point = self.store.access_points.get(target.name)
        if point is not None and point.transform is not None:
            return get_transformed_object(request, bucket, target.key, now, point.transform)
        return get_object(request, bucket, target.key, now)

    def _perform_on_bucket(
        self,
        request: RecordedRequest,
        target: Target,
        bucket: Bucket,
        credentials: ServerCredentials | None,
        now: datetime,
    ) -> Response:
        if request.method == "HEAD":
            return Response(200, framing="chunked")
        if request.parameter("list-type") == "2":
            return list_objects(request, bucket, target.name)
        if request.parameter("session") is not None and bucket.is_directory:
            return self._create_session(bucket, credentials, now)
        raise _not_implemented(request)

    def _create_session(
        self, bucket: Bucket, credentials: ServerCredentials | None, now: datetime
    ) -> Response:
        if credentials is None or credentials.session_of is not None:
            raise ErrorResponse(403, "AccessDenied", "Access Denied")
        expires_at = now + self.session_lifetime
        session = ServerCredentials.temporary(expires_at, session_of=bucket.name)
        self.credentials[session.access_key_id] = session
        return session_response(session, expires_at)


def _no_bucket(target: Target) -> ErrorResponse:
    if target.kind == "mrap":
        message = "The specified multi-region access point does not exist"
        return ErrorResponse(404, "NoSuchMultiRegionAccessPoint", message)
    if target.kind == "point":
        message = "The specified accesspoint does not exist"
        return ErrorResponse(404, "NoSuchAccessPoint", message)
    message = "The specified bucket does not exist"
    return ErrorResponse(404, "NoSuchBucket", message, {"BucketName": target.name})


def _check_key(key: str) -> None:
    size = len(key.encode())
    if size > 1024:
        fields = {"Size": str(size), "MaxSizeAllowed": "1024"}
        raise ErrorResponse(400, "KeyTooLongError", "Your key is too long", fields)


def _not_implemented(request: RecordedRequest) -> ErrorResponse:
    return ErrorResponse(
        501,
        "NotImplemented",
        f"This server does not implement {request.method} of {request.path};"
        " call S3Server.put_object, delete_object and create_bucket instead.",
    )

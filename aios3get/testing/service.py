"""From a request to its answer: who asks, for which bucket, what for. No sockets here."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qsl

from multidict import CIMultiDict, CIMultiDictProxy

from aios3get.testing.creating import bucket_created, is_creation, new_bucket, refuse_again
from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.faults import Fault
from aios3get.testing.get_object import read_object, read_transformed
from aios3get.testing.hosts import Target, find_target
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse, Response, http_date, iso_time
from aios3get.testing.store import Bucket, Store
from aios3get.testing.verify import (
    ECDSA,
    Signature,
    read_signature,
    signing_key,
    verify,
    wrong_region,
)
from aios3get.testing.writing import write_object

__all__ = ["WrongRegionResponse", "Service"]

WrongRegionResponse = Literal["301", "307", "400"]


@dataclass(slots=True)
class _Caller:
    signature: Signature | None = None
    credentials: ServerCredentials | None = None


class Service:
    """S3 as a function from requests to answers.

    Attributes:
        store: the buckets.
        credentials: what is accepted, by access key.
        api_keys: IBM API keys that ``/identity/token`` takes.
        wrong_region_response: how a request for a bucket of another region is answered.
        session_lifetime: of what ``CreateSession`` gives out; S3's own is five minutes.
    """

    def __init__(self, region: str, account: str, clock: Callable[[], datetime]) -> None:
        self.region = region
        self.account = account
        self.clock = clock
        self.store = Store()
        self.credentials: dict[str, ServerCredentials] = {}
        self.api_keys: set[str] = set()
        self.bearer_tokens: dict[str, datetime] = {}
        self.wrong_region_response: WrongRegionResponse = "301"
        self.session_lifetime = timedelta(minutes=5)
        self.bearer_lifetime = timedelta(hours=1)

    def find_target(self, request: RecordedRequest) -> Target:
        """What the request is about; noted in ``request``."""
        target = find_target(request.host, request.path, self.store.names())
        bucket = self.store.find(target.name)
        request.bucket = (bucket.name if bucket else target.name) or None
        request.key = target.key or None
        return target

    def answer(self, request: RecordedRequest, fault: Fault | None = None) -> Response:
        """The answer that S3 would give, but for ``fault``."""
        now = self.clock() + timedelta(seconds=fault.clock_skew if fault else 0.0)
        request_id = secrets.token_hex(8).upper()
        host_id = secrets.token_urlsafe(56)
        try:
            if fault and fault.error:
                raise fault.error()
            answer = self._answer(request, now, fault)
        except ErrorResponse as refusal:
            request.error_code = refusal.code
            answer = refusal.answer(request_id, host_id)
        usual = {
            "x-amz-id-2": host_id,
            "x-amz-request-id": request_id,
            "Date": http_date(now),
            "Server": "AmazonS3",
        }
        bucket = self.store.buckets.get(request.bucket or "")
        if bucket is not None and request.key is None and request.method == "HEAD":
            # API_HeadBucket: "regardless of the permissions on the bucket, you will receive a
            # response header with the correct bucket location". HeadObject, refused for its
            # region, has none: boto/botocore#1413.
            usual["x-amz-bucket-region"] = bucket.region
        answer = replace(answer, headers=tuple(usual.items())).having(dict(answer.headers))
        answer = fault.alter_response(answer) if fault and fault.alter_response else answer
        request.status = answer.status
        return answer

    def _answer(self, request: RecordedRequest, now: datetime, fault: Fault | None) -> Response:
        if request.method == "POST" and request.path == "/identity/token":
            return self._bearer_token(request, now)
        target = self.find_target(request)
        bucket = self.store.find(target.name)
        caller = self._authenticate(request, target, bucket, now)
        if not target.name:
            raise _not_allowed(request)
        if bucket is None:
            return self._create_bucket(request, target, caller)
        charged = self._admit(request, bucket, caller)
        _check_key(target.key)
        if fault and fault.alter_request:
            headers = CIMultiDict(request.headers)
            fault.alter_request(headers)
            request = replace(request, headers=CIMultiDictProxy(headers))
        answer = self._perform(request, target, bucket, caller, now)
        return answer.having({"x-amz-request-charged": "requester"}) if charged else answer

    def _perform(
        self,
        request: RecordedRequest,
        target: Target,
        bucket: Bucket,
        caller: _Caller,
        now: datetime,
    ) -> Response:
        if not target.key:
            return self._perform_on_bucket(request, target, bucket, caller, now)
        match request.method:
            case "GET" | "HEAD":
                point = self.store.access_points.get(target.name)
                if point is not None and point.transform is not None:
                    return read_transformed(request, bucket, target.key, now, point.transform)
                return read_object(request, bucket, target.key, now)
            case "PUT":
                key = self._chunk_key(caller)
                return write_object(request, bucket, target.key, now, caller.signature, key)
            case "DELETE":
                return self._delete(request, bucket, target.key, now)
            case _:
                raise _not_allowed(request)

    def _perform_on_bucket(
        self,
        request: RecordedRequest,
        target: Target,
        bucket: Bucket,
        caller: _Caller,
        now: datetime,
    ) -> Response:
        match request.method:
            case "HEAD":
                return Response(200, framing="chunked")
            case "GET" if request.parameter("session") is not None and bucket.is_directory:
                return self._create_session(bucket, caller, now)
            case "PUT" if target.name == bucket.name and is_creation(request):
                refuse_again(bucket, self.account)
                return bucket_created(bucket)
            case _:
                raise _not_allowed(request)

    def _authenticate(
        self, request: RecordedRequest, target: Target, bucket: Bucket | None, now: datetime
    ) -> _Caller:
        bearer = request.headers.get("Authorization", "")
        if bearer.startswith("Bearer "):
            self._check_bearer(bearer.removeprefix("Bearer "), now)
            request.auth = "bearer"
            return _Caller(None, ServerCredentials("bearer", "none"))
        signature = read_signature(request)
        if signature is None:
            self._check_place(None, target, bucket)
            request.auth = "anonymous"
            return _Caller()
        request.access_key_id = signature.access_key_id
        request.signing_service = signature.service
        request.signing_region = signature.region or signature.region_set
        credentials = verify(
            signature,
            request,
            self.credentials,
            service=self._expected_service(target),
            check_region=lambda signature: self._check_place(signature, target, bucket),
            now=now,
        )
        request.auth = "query" if signature.presigned else "header"
        return _Caller(signature, credentials)

    def _expected_service(self, target: Target) -> str:
        point = self.store.access_points.get(target.name)
        if point is not None and point.service != "s3":
            return point.service
        if target.service is not None:
            return target.service
        is_express = target.name.endswith(("--x-s3", "--xa-s3"))
        return "s3express" if is_express else "s3"

    def _check_place(
        self, signature: Signature | None, target: Target, bucket: Bucket | None
    ) -> None:
        """Is the request signed for, and sent to, the bucket's region?

        A host that names no region answers for every region, if it is signed for.
        """
        if signature is not None and signature.algorithm == ECDSA:
            _check_region_set(signature, bucket.region if bucket else self.region)
            return
        if target.kind == "mrap":
            message = "Multi-Region Access Points only support AWS4-ECDSA-P256-SHA256."
            raise ErrorResponse(400, "InvalidRequest", message)
        home = bucket.region if bucket else target.region or self.region
        here = target.region or self.region
        signed = home if signature is None else signature.region
        at_home = (target.region or signed) == home
        if home != here and not at_home:
            raise self._wrong_region_refusal(home, target, signature)
        if signature is not None and signed != home:
            raise wrong_region(signature, home)

    def _wrong_region_refusal(
        self, home: str, target: Target, signature: Signature | None
    ) -> ErrorResponse:
        if self.wrong_region_response == "400" and signature is not None:
            return wrong_region(signature, home)
        code, status = "PermanentRedirect", 301
        message = (
            "The bucket you are attempting to access must be addressed using the specified "
            "endpoint. Please send all future requests to this endpoint."
        )
        endpoint = f"{target.name}.s3.{home}.amazonaws.com"
        headers = {"x-amz-bucket-region": home}
        if self.wrong_region_response == "307":
            code, status = "TemporaryRedirect", 307
            message = "Please re-send this request to the specified temporary endpoint."
            headers["Location"] = f"https://{endpoint}/"
        return ErrorResponse(
            status, code, message, {"Endpoint": endpoint, "Bucket": target.name}, headers
        )

    def _create_bucket(self, request: RecordedRequest, target: Target, caller: _Caller) -> Response:
        if target.key or target.kind != "bucket" or not is_creation(request):
            raise self._no_bucket(target)
        if caller.credentials is None or caller.credentials.session_of is not None:
            raise ErrorResponse(403, "AccessDenied", "Access Denied")
        here = target.region or self.region
        bucket = new_bucket(request, target.name, here, self.account)
        self.store.buckets[bucket.name] = bucket
        return bucket_created(bucket)

    def _no_bucket(self, target: Target) -> ErrorResponse:
        if target.kind == "mrap":
            return ErrorResponse(
                404,
                "NoSuchMultiRegionAccessPoint",
                "The specified multi-region access point does not exist",
            )
        if target.kind == "point":
            return ErrorResponse(
                404, "NoSuchAccessPoint", "The specified accesspoint does not exist"
            )
        return ErrorResponse(
            404,
            "NoSuchBucket",
            "The specified bucket does not exist",
            {"BucketName": target.name},
        )

    def _admit(self, request: RecordedRequest, bucket: Bucket, caller: _Caller) -> bool:
        """Whether the caller pays.

        Raises:
            ErrorResponse: this caller may not use the bucket.
        """
        denied = ErrorResponse(403, "AccessDenied", "Access Denied")
        session_of = caller.credentials.session_of if caller.credentials else None
        if session_of not in (None, bucket.name):
            raise denied
        reads = request.method in ("GET", "HEAD")
        if caller.credentials is None and not (bucket.public and reads):
            raise denied
        owner = request.option("x-amz-expected-bucket-owner")
        if owner not in (None, bucket.owner):
            raise denied
        pays = (request.option("x-amz-request-payer") or "").lower() == "requester"
        if bucket.requester_pays and (not pays or caller.credentials is None):
            raise denied
        return bucket.requester_pays

    def _chunk_key(self, caller: _Caller) -> bytes | None:
        if caller.signature is None or caller.credentials is None:
            return None
        return signing_key(caller.credentials.secret_access_key, *caller.signature.credential[1:])

    def _delete(
        self, request: RecordedRequest, bucket: Bucket, key: str, now: datetime
    ) -> Response:
        version_id = request.parameter("versionId")
        marker = bucket.delete(key, version_id, now)
        headers = {"x-amz-version-id": version_id} if version_id else {}
        if marker is not None:
            headers = {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}
        return Response(204, tuple(headers.items()))

    def _create_session(self, bucket: Bucket, caller: _Caller, now: datetime) -> Response:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html."""
        if caller.credentials is None or caller.credentials.session_of is not None:
            raise ErrorResponse(403, "AccessDenied", "Access Denied")
        expires_at = now + self.session_lifetime
        session = ServerCredentials.temporary(expires_at, session_of=bucket.name)
        self.credentials[session.access_key_id] = session
        document = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>'
            f"<SessionToken>{session.session_token}</SessionToken>"
            f"<SecretAccessKey>{session.secret_access_key}</SecretAccessKey>"
            f"<AccessKeyId>{session.access_key_id}</AccessKeyId>"
            f"<Expiration>{iso_time(expires_at)}</Expiration>"
            "</Credentials></CreateSessionResult>"
        )
        return Response(200, (("Content-Type", "application/xml"),), document.encode())

    def _bearer_token(self, request: RecordedRequest, now: datetime) -> Response:
        """IBM's IAM: https://cloud.ibm.com/apidocs/iam-identity-token-api."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        grant = "urn:ibm:params:oauth:grant-type:apikey"
        if form.get("grant_type") != grant or form.get("apikey") not in self.api_keys:
            told = {
                "errorCode": "BXNIM0415E",
                "errorMessage": "Provided API key could not be found.",
            }
            return _json(400, told)
        token = secrets.token_urlsafe(60)
        self.bearer_tokens[token] = ends = now + self.bearer_lifetime
        return _json(
            200,
            {
                "access_token": token,
                "refresh_token": "not_supported",
                "token_type": "Bearer",
                "expires_in": int(self.bearer_lifetime.total_seconds()),
                "expiration": int(ends.timestamp()),
                "scope": "ibm openid",
            },
        )

    def _check_bearer(self, token: str, now: datetime) -> None:
        ends = self.bearer_tokens.get(token)
        if ends is None or now >= ends:
            raise ErrorResponse(403, "AccessDenied", "Access Denied")


def _check_region_set(signature: Signature, region: str) -> None:
    regions = (signature.region_set or "").split(",")
    if region not in regions and "*" not in regions:
        raise ErrorResponse(
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; "
            f"the region set '{signature.region_set}' does not include '{region}'",
        )


def _check_key(key: str) -> None:
    if len(key.encode()) > 1024:
        raise ErrorResponse(
            400,
            "KeyTooLongError",
            "Your key is too long",
            {"Size": str(len(key.encode())), "MaxSizeAllowed": "1024"},
        )


def _not_allowed(request: RecordedRequest) -> ErrorResponse:
    return ErrorResponse(
        405,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
        {"Method": request.method, "ResourceType": "SERVICE" if not request.bucket else "OBJECT"},
    )


def _json(status: int, document: Mapping[str, object]) -> Response:
    body = json.dumps(document).encode()
    return Response(status, (("Content-Type", "application/json"),), body)

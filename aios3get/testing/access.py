"""Authentication and authorization of requests by server, region and bucket."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.hosts import Target
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse
from aios3get.testing.store import Bucket, Store
from aios3get.testing.verify import ECDSA, Signature, read_signature, verify, wrong_region

__all__ = ["AccessControl", "WrongRegionResponse"]

WrongRegionResponse = Literal["301", "307", "400"]


@dataclass(slots=True)
class AccessControl:
    """Authenticates requests and authorizes them.

    Attributes:
        region: the region of the endpoint.
        store: the buckets.
        credentials: the accepted credentials by access key.
        bearer_tokens: the accepted bearer tokens of IBM, and when they expire.
        wrong_region_response: the response to a request for a bucket of another region.
    """

    region: str
    store: Store
    credentials: dict[str, ServerCredentials]
    bearer_tokens: dict[str, datetime]
    wrong_region_response: WrongRegionResponse = "301"

    def authenticate(
        self, request: RecordedRequest, target: Target, bucket: Bucket | None, now: datetime
    ) -> ServerCredentials | None:
        """Return and record the credentials of the request; None if it is anonymous.

        Raises:
            ErrorResponse: the signature or the region is wrong.
        """
        authorization = request.headers.get("Authorization", "")
        if authorization.startswith("Bearer "):
            self._check_bearer(authorization.removeprefix("Bearer "), now)
            request.auth = "bearer"
            return ServerCredentials("bearer", "none")
        signature = read_signature(request)
        if signature is None:
            self._check_region(None, target, bucket)
            request.auth = "anonymous"
            return None
        request.access_key_id = signature.access_key_id
        request.signing_service = signature.service
        request.signing_region = signature.region or signature.region_set
        credentials = verify(
            signature,
            request,
            self.credentials,
            service=self._expected_service(target),
            check_region=lambda signature: self._check_region(signature, target, bucket),
            now=now,
        )
        request.auth = "query" if signature.presigned else "header"
        return credentials

    def authorize(
        self, request: RecordedRequest, bucket: Bucket, credentials: ServerCredentials | None
    ) -> bool:
        """Return whether the requester is charged.

        Raises:
            ErrorResponse: these credentials do not permit reading the bucket.
        """
        owner = request.option("x-amz-expected-bucket-owner")
        pays = (request.option("x-amz-request-payer") or "").lower() == "requester"
        is_denied = (
            (credentials is None and not bucket.public)
            or (credentials is not None and credentials.session_of not in (None, bucket.name))
            or owner not in (None, bucket.owner)
            or (bucket.requester_pays and (not pays or credentials is None))
        )
        if is_denied:
            raise ErrorResponse(403, "AccessDenied", "Access Denied")
        return bucket.requester_pays

    def _check_bearer(self, token: str, now: datetime) -> None:
        expires_at = self.bearer_tokens.get(token)
        if expires_at is None or now >= expires_at:
            raise ErrorResponse(403, "AccessDenied", "Access Denied")

    def _expected_service(self, target: Target) -> str:
        point = self.store.access_points.get(target.name)
        if point is not None and point.service != "s3":
            return point.service
        if target.service is not None:
            return target.service
        is_express = target.name.endswith(("--x-s3", "--xa-s3"))
        return "s3express" if is_express else "s3"

    def _check_region(
        self, signature: Signature | None, target: Target, bucket: Bucket | None
    ) -> None:
        """Check that the request is signed for, and sent to, the bucket's region.

        A host without a region accepts every region that a request is signed for.
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
        if home not in (here, target.region or signed):
            raise self._redirect(home, target, signature)
        if signature is not None and signed != home:
            raise wrong_region(signature, home)

    def _redirect(self, home: str, target: Target, signature: Signature | None) -> ErrorResponse:
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
        fields = {"Endpoint": endpoint, "Bucket": target.name}
        return ErrorResponse(status, code, message, fields, headers)


def _check_region_set(signature: Signature, region: str) -> None:
    regions = (signature.region_set or "").split(",")
    if region not in regions and "*" not in regions:
        raise ErrorResponse(
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; "
            f"the region set '{signature.region_set}' does not include '{region}'",
        )

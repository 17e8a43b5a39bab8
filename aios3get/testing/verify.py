"""Verification of signatures: AWS Signature Version 4 and 4A, in headers and in URLs.

Written from AWS's documentation only, and without any code of the client's signer:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse, iso_time

__all__ = ["ECDSA", "Signature", "read_signature", "verify", "wrong_region"]

HMAC = "AWS4-HMAC-SHA256"
ECDSA = "AWS4-ECDSA-P256-SHA256"
_skew = timedelta(minutes=15)
_week = 604800
_stamp = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The parts of a request's signature, parsed but not verified."""

    algorithm: str
    credential: tuple[str, ...]
    signed_headers: tuple[str, ...]
    value: str = field(repr=False)
    stamp: str
    time: datetime
    expires: int | None = None
    presigned: bool = False
    region_set: str | None = None

    @property
    def access_key_id(self) -> str:
        """The access key, which has no slashes."""
        return self.credential[0]

    @property
    def date(self) -> str:
        """The day of the scope."""
        return self.credential[1]

    @property
    def region(self) -> str | None:
        """The region of the scope; Version 4A has none there."""
        return self.credential[2] if self.algorithm == HMAC else None

    @property
    def service(self) -> str:
        """The service of the scope."""
        return self.credential[-2]

    @property
    def scope(self) -> str:
        """The credential without the access key."""
        return "/".join(self.credential[1:])


def _malformed(why: str, *, presigned: bool = False, **fields: str) -> ErrorResponse:
    if presigned:
        text = f"Error parsing the X-Amz-Credential parameter; {why}"
        return ErrorResponse(400, "AuthorizationQueryParametersError", text, fields)
    text = f"The authorization header is malformed; {why}"
    return ErrorResponse(400, "AuthorizationHeaderMalformed", text, fields)


def _denied(message: str, **fields: str) -> ErrorResponse:
    return ErrorResponse(403, "AccessDenied", message, fields)


def read_signature(request: RecordedRequest) -> Signature | None:
    """Parse the signature of a request; None if it is not signed.

    Raises:
        ErrorResponse: the signature is malformed.
    """
    header = request.headers.get("Authorization")
    algorithm = request.parameter("X-Amz-Algorithm")
    if header is not None and algorithm is not None:
        raise ErrorResponse(
            400,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
            "Signature query string parameter or the Authorization header should be specified",
            {"ArgumentName": "Authorization", "ArgumentValue": header.partition(" ")[0]},
        )
    if header is not None:
        return _from_header(request, header)
    if algorithm is not None or request.parameter("X-Amz-Signature") is not None:
        return _from_query(request, algorithm or "")
    if request.parameter("AWSAccessKeyId") is not None:
        raise _version_2()
    return None


def _version_2() -> ErrorResponse:
    return ErrorResponse(
        400,
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. "
        "Please use AWS4-HMAC-SHA256.",
    )


_authorization = re.compile(
    r"(?P<algorithm>\S+) +Credential=(?P<credential>[^, ]+), *"
    r"SignedHeaders=(?P<headers>[^, ]+), *Signature=(?P<signature>[0-9a-f]+)"
).fullmatch


def _from_header(request: RecordedRequest, header: str) -> Signature:
    match = _authorization(header)
    if not match or match["algorithm"] not in (HMAC, ECDSA):
        if header.startswith("AWS "):
            raise _version_2()
        raise ErrorResponse(
            400,
            "InvalidArgument",
            "Unsupported Authorization Type",
            {"ArgumentName": "Authorization", "ArgumentValue": header.partition(" ")[0]},
        )
    stamp, time = _header_time(request)
    return Signature(
        algorithm=match["algorithm"],
        credential=_credential(match["algorithm"], match["credential"], presigned=False),
        signed_headers=tuple(match["headers"].split(";")),
        value=match["signature"],
        stamp=stamp,
        time=time,
        region_set=request.headers.get("x-amz-region-set"),
    )


def _header_time(request: RecordedRequest) -> tuple[str, datetime]:
    stamp = request.headers.get("x-amz-date")
    try:
        if stamp is not None:
            return stamp, _moment(stamp)
        date = parsedate_to_datetime(request.headers.get("Date", ""))
        # A date with "-0000" is parsed as naive.
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _denied("AWS authentication requires a valid Date or x-amz-date header") from None
    return date.strftime(_stamp), date


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, _stamp).replace(tzinfo=UTC)


def _from_query(request: RecordedRequest, algorithm: str) -> Signature:
    names = ("Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires")
    parameters = {name: request.parameter(f"X-Amz-{name}") for name in names}
    if algorithm not in (HMAC, ECDSA) or None in parameters.values():
        raise _bad_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, "
            "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
            "X-Amz-Expires parameters."
        )
    values = {name: value or "" for name, value in parameters.items()}
    try:
        time = _moment(values["Date"])
    except ValueError:
        raise _bad_query(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        ) from None
    return Signature(
        algorithm=algorithm,
        credential=_credential(algorithm, values["Credential"], presigned=True),
        signed_headers=tuple(values["SignedHeaders"].split(";")),
        value=values["Signature"],
        stamp=values["Date"],
        time=time,
        expires=_expires(values["Expires"]),
        presigned=True,
        region_set=request.parameter("X-Amz-Region-Set"),
    )


def _bad_query(message: str) -> ErrorResponse:
    return ErrorResponse(400, "AuthorizationQueryParametersError", message)


def _expires(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", text):
        raise _bad_query("X-Amz-Expires should be a number")
    # int() refuses thousands of digits.
    seconds = int(text[:100])
    if seconds < 0:
        raise _bad_query("X-Amz-Expires must be non-negative")
    if seconds > _week:
        raise _bad_query(
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {_week} seconds"
        )
    return seconds


def _credential(algorithm: str, text: str, *, presigned: bool) -> tuple[str, ...]:
    parts = tuple(text.split("/"))
    if len(parts) != (5 if algorithm == HMAC else 4) or parts[-1] != "aws4_request":
        raise _malformed(
            "the Credential is mal-formed; expecting "
            '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
            presigned=presigned,
        )
    return parts


def verify(
    signature: Signature,
    request: RecordedRequest,
    known: Mapping[str, ServerCredentials],
    *,
    service: str,
    check_region: Callable[[Signature], None],
    now: datetime,
) -> ServerCredentials:
    """Verify a signature.

    Args:
        signature: the signature.
        request: the request.
        known: the accepted credentials by access key.
        service: the service that the request must be signed for.
        check_region: raises if the request is signed for a wrong region.
        now: the server's time.

    Returns:
        The credentials that signed the request.

    Raises:
        ErrorResponse: S3 would not accept the signature.
    """
    credentials = known.get(signature.access_key_id)
    if credentials is None:
        raise _unknown_key(signature)
    _check_token(signature, request, credentials, now)
    _check_time(signature, now)
    _check_scope(signature, service)
    check_region(signature)
    _check_signed_headers(signature, request)
    payload = _payload_hash(signature, request)
    _check_signature(signature, request, credentials, payload)
    _check_payload(request, payload)
    return credentials


def _unknown_key(signature: Signature) -> ErrorResponse:
    return ErrorResponse(
        403,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
        {"AWSAccessKeyId": signature.access_key_id},
    )


def _check_token(
    signature: Signature, request: RecordedRequest, credentials: ServerCredentials, now: datetime
) -> None:
    name, other = "x-amz-security-token", "x-amz-s3session-token"
    if credentials.session_of:
        name, other = other, name
    read = request.option if signature.presigned else request.headers.get
    token = read(name)
    if credentials.session_token and token is None:
        raise _unknown_key(signature)
    known = credentials.session_token or ""
    if read(other) is not None or not _equal(known, token or ""):
        raise ErrorResponse(
            400, "InvalidToken", "The provided token is malformed or otherwise invalid."
        )
    if credentials.expires_at is not None and now >= credentials.expires_at:
        raise ErrorResponse(400, "ExpiredToken", "The provided token has expired.")


def _check_time(signature: Signature, now: datetime) -> None:
    if signature.expires is None:
        if abs(now - signature.time) > _skew:
            raise ErrorResponse(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                {
                    "RequestTime": signature.stamp,
                    "ServerTime": iso_time(now),
                    "MaxAllowedSkewMilliseconds": "900000",
                },
            )
        return
    if signature.time > now + _skew:
        raise _denied("Request is not valid yet", ServerTime=iso_time(now))
    expires_at = signature.time + timedelta(seconds=signature.expires)
    if now > expires_at:
        raise ErrorResponse(
            403,
            "AccessDenied",
            "Request has expired",
            {
                "X-Amz-Expires": str(signature.expires),
                "Expires": iso_time(expires_at),
                "ServerTime": iso_time(now),
            },
        )


def _check_scope(signature: Signature, service: str) -> None:
    if signature.date != signature.stamp[:8]:
        raise _malformed(
            f'Invalid credential date "{signature.date}". This date is not the same as '
            f'X-Amz-Date: "{signature.stamp[:8]}".',
            presigned=signature.presigned,
        )
    if signature.service != service:
        raise _malformed(
            f'incorrect service "{signature.service}". This endpoint belongs to "{service}".',
            presigned=signature.presigned,
        )


def wrong_region(signature: Signature, region: str) -> ErrorResponse:
    """Return the error response to a signature for another region."""
    return _malformed(
        f"the region '{signature.region}' is wrong; expecting '{region}'",
        presigned=signature.presigned,
        Region=region,
    )


def _check_signed_headers(signature: Signature, request: RecordedRequest) -> None:
    names = {name.lower() for name in request.headers}
    required = {name for name in names if name.startswith("x-amz-")} | {"host"}
    unsigned = sorted(required - set(signature.signed_headers))
    if unsigned:
        raise _denied(
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(unsigned),
        )


def _payload_hash(signature: Signature, request: RecordedRequest) -> str:
    payload_hash = request.headers.get("x-amz-content-sha256")
    if payload_hash is None and signature.presigned:
        return request.parameter("X-Amz-Content-Sha256") or "UNSIGNED-PAYLOAD"
    if payload_hash is None:
        raise ErrorResponse(
            400,
            "InvalidRequest",
            "Missing required header for this request: x-amz-content-sha256",
        )
    if not re.fullmatch(r"UNSIGNED-PAYLOAD|[0-9a-f]{64}", payload_hash):
        raise ErrorResponse(
            400,
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.",
            {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": payload_hash},
        )
    return payload_hash


def _canonical_request(signature: Signature, request: RecordedRequest, payload: str) -> str:
    headers = "".join(
        f"{name}:{','.join(' '.join(text.split()) for text in request.headers.getall(name, []))}\n"
        for name in signature.signed_headers
    )
    return "\n".join(
        (
            request.method,
            request.canonical_path(),
            request.canonical_query(),
            headers,
            ";".join(signature.signed_headers),
            payload,
        )
    )


def _signing_key(secret: str, *scope: str) -> bytes:
    """Derive the signing key of a scope: day, region, service, ``aws4_request``."""
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _check_signature(
    signature: Signature, request: RecordedRequest, credentials: ServerCredentials, payload: str
) -> None:
    canonical = _canonical_request(signature, request, payload).encode("utf-8", "surrogateescape")
    to_sign = "\n".join(
        (
            signature.algorithm,
            signature.stamp,
            signature.scope,
            hashlib.sha256(canonical).hexdigest(),
        )
    )
    if not _matches(signature, credentials, to_sign.encode()):
        raise ErrorResponse(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            {
                "AWSAccessKeyId": signature.access_key_id,
                "StringToSign": to_sign,
                "SignatureProvided": signature.value,
                "StringToSignBytes": to_sign.encode().hex(" "),
                "CanonicalRequest": canonical.decode("utf-8", "replace"),
                "CanonicalRequestBytes": canonical.hex(" "),
            },
        )


def _matches(signature: Signature, credentials: ServerCredentials, to_sign: bytes) -> bool:
    if signature.algorithm == ECDSA:
        from aios3get.testing.verify_ecdsa import is_signed_by  # noqa: PLC0415 - needs the sigv4a extra

        return is_signed_by(credentials, to_sign, signature.value)
    key = _signing_key(credentials.secret_access_key, *signature.credential[1:])
    return _equal(hmac.digest(key, to_sign, "sha256").hex(), signature.value)


def _equal(expected: str, sent: str) -> bool:
    # hmac.compare_digest accepts only ASCII text; a request may contain any bytes.
    return hmac.compare_digest(expected.encode(), sent.encode("utf-8", "surrogateescape"))


def _check_payload(request: RecordedRequest, payload: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", payload):
        return
    computed = hashlib.sha256(request.body).hexdigest()
    if computed != payload:
        raise ErrorResponse(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            {"ClientComputedContentSHA256": payload, "S3ComputedContentSHA256": computed},
        )

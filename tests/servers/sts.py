"""A strict STS on loopback: signatures, tokens and parameters are checked as AWS documents them.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import hashlib
import hmac
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.identity import Credentials
from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse
from aios3get.testing.verify import Signature, read_signature
from tests.servers.http_service import HttpService, Request, Response

__all__ = ["Sts", "issued", "refusal"]

_ALLOWED_SKEW = timedelta(minutes=5)
_PATTERNS = {
    "RoleArn": r"arn:aws[\w-]*:iam::\d{12}:role/.{1,512}",
    "RoleSessionName": r"[\w+=,.@-]{2,64}",
    "ExternalId": r"[\w+=,.@:/-]{2,1224}",
    "SerialNumber": r"[\w+=/:,.@-]{9,256}",
    "TokenCode": r"\d{6}",
    "WebIdentityToken": r".{4,20000}",
    "DurationSeconds": r"9\d\d|[1-9]\d{3}|[123]\d{4}|4[0-2]\d{3}|43[01]\d\d|43200",
}


class Sts(HttpService):
    """The accepted credentials, and the recorded requests.

    Attributes:
        known: who may assume roles, by access key; the credentials that it issues join them.
        tokens: the web identity tokens that are accepted.
        mfa_codes: the codes that are accepted, each once.
        external_ids: the id that a role's trust policy requires, by its ARN.
        forms: the parameters of each request.
        regions: what each signature was made for.
        clock: seconds since 1970.
        lifetime: seconds, if a request has none.
        before: called before each request is looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, at the same address."""
        self.heal()
        self.requests.clear()
        self.known: dict[str, ServerCredentials] = {}
        self.tokens: set[str] = set()
        self.mfa_codes: list[str] = []
        self.external_ids: dict[str, str] = {}
        self.forms: list[dict[str, str]] = []
        self.regions: list[str | None] = []
        self.clock: Callable[[], float] = time.time
        self.lifetime = 3600

    def add(self, credentials: Credentials) -> None:
        """Let these assume roles."""
        self.known[credentials.access_key_id] = ServerCredentials.of(credentials)

    def respond(self, request: Request) -> Response:
        now = datetime.fromtimestamp(self.clock(), UTC)
        try:
            with self._lock:
                status, body = 200, self._assume(request)
        except ErrorResponse as error:
            status, body = error.status, _error(error.code, error.message)
        headers = {"Date": format_datetime(now, usegmt=True), "Content-Type": "text/xml"}
        return Response(status, body, headers)

    def _assume(self, request: Request) -> str:
        if request.method != "POST" or request.path != "/":
            raise ErrorResponse(404, "UnknownOperationException", "")
        if not request.headers.get("Content-Type", "").startswith(
            "application/x-www-form-urlencoded"
        ):
            raise ErrorResponse(400, "MissingAction", "not a form")
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
        self.forms.append(form.copy())
        if form.pop("Version", "") != "2011-06-15":
            raise ErrorResponse(400, "NoSuchVersion", "")
        action = form.pop("Action", "")
        if action == "AssumeRole":
            by = self._signer(request)
        elif action == "AssumeRoleWithWebIdentity":
            by = self._subject(request, form.get("WebIdentityToken", ""))
        else:
            raise ErrorResponse(400, "InvalidAction", action)
        _check_parameters(form)
        self._check_mfa(form)
        wanted = self.external_ids.get(form["RoleArn"])
        if wanted is not None and form.get("ExternalId") != wanted:
            raise ErrorResponse(403, "AccessDenied", f"not authorized to perform: sts:{action}")
        seconds = int(form.get("DurationSeconds", self.lifetime))
        ends = datetime.fromtimestamp(int(self.clock()) + seconds, UTC)
        credentials = issued(form["RoleArn"], by, ends)
        self.add(credentials)
        return _document(action, credentials, form["RoleArn"])

    def _signer(self, request: Request) -> str:
        headers = CIMultiDictProxy(CIMultiDict(request.headers.items()))
        if "Authorization" not in headers:
            raise ErrorResponse(403, "MissingAuthenticationToken", "Request is missing a signature")
        recorded = RecordedRequest(method="POST", raw_path="/", headers=headers)
        signature = read_signature(recorded)
        assert signature is not None
        self.regions.append(signature.region)
        now = datetime.fromtimestamp(self.clock(), UTC)
        if abs(now - signature.time) > _ALLOWED_SKEW:
            is_late = signature.time < now
            raise ErrorResponse(
                403,
                "SignatureDoesNotMatch",
                f"Signature {'expired' if is_late else 'not yet current'}: {signature.stamp}",
            )
        signer = self.known.get(signature.access_key_id)
        token = headers.get("X-Amz-Security-Token")
        if signer is None or token != signer.session_token:
            raise ErrorResponse(
                403, "InvalidClientTokenId", "The security token included in the request is invalid"
            )
        if signer.expires_at is not None and signer.expires_at <= now:
            raise ErrorResponse(
                403, "ExpiredToken", "The security token included in the request is expired"
            )
        _check_signature(signature, signer.secret_access_key, headers, request.body)
        return signer.access_key_id

    def _subject(self, request: Request, token: str) -> str:
        if "Authorization" in request.headers:
            raise ErrorResponse(400, "InvalidRequest", "this action takes no signature")
        if token.startswith("expired"):
            raise ErrorResponse(400, "ExpiredTokenException", "Token expired: current date/time …")
        if token not in self.tokens:
            raise ErrorResponse(400, "InvalidIdentityToken", "No OpenIDConnect provider found")
        return token

    def _check_mfa(self, form: dict[str, str]) -> None:
        if "SerialNumber" not in form:
            return
        if form.get("TokenCode") not in self.mfa_codes:
            raise ErrorResponse(
                403, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time"
            )
        self.mfa_codes.remove(form["TokenCode"])


def _check_signature(
    signature: Signature, secret: str, headers: CIMultiDictProxy[str], body: bytes
) -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
    demanded = {name.lower() for name in headers if name.lower().startswith("x-amz-")} | {"host"}
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in signature.signed_headers]
    names = ";".join(signature.signed_headers)
    payload = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(["POST", "/", "", *lines, "", names, payload])
    to_sign = "\n".join(
        [
            signature.algorithm,
            signature.stamp,
            signature.scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in (signature.stamp[:8], signature.region or "", "sts", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    value = hmac.digest(key, to_sign.encode(), "sha256").hex()
    if value != signature.value or not demanded <= set(signature.signed_headers):
        raise ErrorResponse(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
        )


def issued(role_arn: str, by: str, ends: datetime | None = None) -> Credentials:
    """The credentials that anybody gets who assumes the role by the same means."""
    digest = hashlib.sha256(f"{role_arn} {by}".encode()).hexdigest()
    return Credentials(f"ASIA{digest[:16].upper()}", digest[16:56], f"token-of-{digest}", ends)


def _check_parameters(form: dict[str, str]) -> None:
    for name in ("RoleArn", "RoleSessionName"):
        if name not in form:
            raise ErrorResponse(400, "ValidationError", f"1 validation error detected: {name}")
    for name, value in form.items():
        if name not in _PATTERNS or not re.fullmatch(_PATTERNS[name], value, re.ASCII):
            raise ErrorResponse(400, "ValidationError", f"1 validation error detected: {name}")


def _document(action: str, credentials: Credentials, role_arn: str) -> str:
    ends = credentials.expires_at
    assert ends is not None
    return f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <{action}Result>
    <AssumedRoleUser>
      <AssumedRoleId>AROA123EXAMPLE123EXAMPLE:example</AssumedRoleId>
      <Arn>{escape(role_arn)}</Arn>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>{credentials.access_key_id}</AccessKeyId>
      <SecretAccessKey>{credentials.secret_access_key}</SecretAccessKey>
      <SessionToken>{credentials.session_token}</SessionToken>
      <Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration>
    </Credentials>
  </{action}Result>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</{action}Response>"""


def refusal(status: int, code: str, message: str = "") -> Response:
    """A response for ``fail``."""
    return Response(status, _error(code, message))


def _error(code: str, message: str) -> str:
    return f"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>{code}</Code>
    <Message>{escape(message)}</Message>
  </Error>
  <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>
</ErrorResponse>"""

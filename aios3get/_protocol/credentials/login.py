"""Sessions of ``aws login``: the cache file, and its refresh through AWS Sign-In.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-login-credentials.html
https://docs.aws.amazon.com/signin/latest/APIReference/API_CreateOAuth2Token.html
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from aios3get._protocol.credentials.document import Document
from aios3get._protocol.credentials.failure import check_status
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import Credentials
from aios3get.errors import ConfigurationError, CredentialsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = [
    "LoginSession",
    "cache_file_name",
    "create_token_request",
    "load_key",
    "parse_created_token",
    "parse_session",
]

# The AWS CLI and botocore do not refresh credentials that are valid for longer than this.
_REFRESH_WINDOW: Final = timedelta(minutes=5)


def cache_file_name(session: str) -> str:
    """Return the name of the session's file in the cache folder.

    Args:
        session: the profile's ``login_session``.
    """
    return f"{hashlib.sha256(session.encode()).hexdigest()}.json"


@dataclass(frozen=True, slots=True)
class LoginSession:
    """The session in a cache file.

    Attributes:
        credentials: the latest credentials.
        expires_at: when they expire.
        sign_in_region: the region of AWS Sign-In; None in files of older versions.
        document: the whole file.
    """

    credentials: Credentials
    expires_at: datetime
    sign_in_region: str | None
    document: Document = field(repr=False)

    def needs_refresh(self, now: datetime) -> bool:
        """Whether at most 5 minutes remain."""
        return self.expires_at - now <= _REFRESH_WINDOW


def parse_session(data: bytes, origin: str) -> LoginSession:
    """Parse a cache file.

    Args:
        data: its bytes.
        origin: the file's path, for errors.

    Raises:
        CredentialsError: it contains no session.
    """
    document = Document.parse(data, origin)
    for name in ("refreshToken", "dpopKey", "clientId"):
        document.text(name)
    token = document.object("accessToken")
    session_token, expires_at = token.text("sessionToken"), token.timestamp("expiresAt")
    return LoginSession(
        token.credentials("accessKeyId", "secretAccessKey", session_token, expires_at),
        expires_at,
        document.optional_text("signInRegion"),
        document,
    )


def load_key(session: LoginSession) -> "EllipticCurvePrivateKey":
    """Load the private key that proves the possession of the session.

    The first call of a process imports ``cryptography``, which reads files for tens of
    milliseconds; run it in a thread.

    Raises:
        ConfigurationError: ``cryptography`` is not installed.
        CredentialsError: the file contains no P-256 key.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - an extra
            load_pem_private_key,
        )
    except ImportError:
        raise ConfigurationError(
            "the credentials of `aws login` are refreshed with an ECDSA signature, which needs the"
            ' cryptography package; install it with: pip install "aios3get[login]"'
        ) from None
    try:
        key = load_pem_private_key(session.document.text("dpopKey").encode(), None)
    except (ValueError, TypeError):
        # Their texts describe the key.
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise CredentialsError(f"{session.document.origin} has a dpopKey that is not a P-256 key")
    return key


def create_token_request(
    endpoint: str,
    session: LoginSession,
    key: "EllipticCurvePrivateKey",
    *,
    identifier: str,
    now: datetime,
) -> FetchRequest:
    """Return the CreateOAuth2Token request, which exchanges the refresh token for new credentials.

    Args:
        endpoint: the URL of AWS Sign-In, without a trailing slash.
        session: the session.
        key: its private key.
        identifier: a unique value for this request.
        now: when the request is sent.
    """
    url = f"{endpoint}/v1/token"
    form = {
        "clientId": session.document.text("clientId"),
        "refreshToken": session.document.text("refreshToken"),
        "grantType": "refresh_token",
    }
    headers = {
        "Content-Type": "application/json",
        "DPoP": _dpop_proof(key, url, identifier, int(now.timestamp())),
    }
    return FetchRequest("POST", url, headers, json.dumps(form).encode())


def _dpop_proof(key: "EllipticCurvePrivateKey", url: str, identifier: str, issued_at: int) -> str:
    # RFC 9449 section 4.2; ES256 of RFC 7518 section 3.4: both numbers with 32 bytes.
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - an extra

    point = key.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": _coordinate(point.x), "y": _coordinate(point.y)}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
    claims = {"htm": "POST", "htu": url, "iat": issued_at, "jti": identifier}
    signed = f"{_base64(_json(header))}.{_base64(_json(claims))}"
    r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _json(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _coordinate(number: int) -> str:
    return _base64(number.to_bytes(32, "big"))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def parse_created_token(
    response: FetchedResponse, origin: str, session: LoginSession, now: datetime
) -> bytes:
    """Return the new cache file: the old one with new credentials and a new refresh token.

    Args:
        response: the response to ``create_token_request``.
        origin: the name of the response in errors.
        session: the session that was refreshed.
        now: when the response arrived.

    Raises:
        CredentialsError: the status is not 200, or the body is malformed.
    """
    check_status(response, origin)
    document = Document.parse(response.body, origin)
    token = document.object("accessToken")
    expires_at = document.moment("expiresIn", now, timedelta(seconds=1)).astimezone(UTC)
    old = cast("Mapping[str, object]", session.document.members["accessToken"])
    renewed = {
        **session.document.members,
        "accessToken": {
            **old,
            "accessKeyId": token.text("accessKeyId"),
            "secretAccessKey": token.text("secretAccessKey"),
            "sessionToken": token.text("sessionToken"),
            "expiresAt": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "refreshToken": document.text("refreshToken"),
    }
    return json.dumps(renewed).encode()

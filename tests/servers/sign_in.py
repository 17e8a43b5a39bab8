"""AWS Sign-In: the refresh of ``aws login`` sessions, with proof of possession.

https://docs.aws.amazon.com/signin/latest/APIReference/API_CreateOAuth2Token.html
https://www.rfc-editor.org/rfc/rfc9449.html
"""

import hashlib
import json
import time
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.servers.http_service import HttpService, Request, Response

__all__ = ["SESSION", "SignIn"]

SESSION = "arn:aws:iam::123456789012:user/reader"
CLIENT_ID = "arn:aws:signin:::devtools/same-device"


class SignIn(HttpService):
    """Refreshes one session.

    Attributes:
        key: the session's private key.
        refresh_token: the only valid refresh token; each is good for one use.
        generation: a number in the credentials.
        proofs: the identifiers of the proofs that were used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.refresh_token = "example-refresh-token-0"
        self.generation = 0
        self.proofs: set[str] = set()

    def respond(self, request: Request) -> Response:
        if (request.method, request.path, request.query) != ("POST", "/v1/token", {}):
            return Response(404)
        if not self._is_proof(request.headers.get("DPoP", "")):
            return _error(400, "ValidationException", "INVALID_REQUEST", "The proof is invalid")
        form = {
            "clientId": CLIENT_ID,
            "grantType": "refresh_token",
            "refreshToken": self.refresh_token,
        }
        if request.headers.get("Content-Type") != "application/json" or request.json != form:
            return _error(403, "AccessDeniedException", "TOKEN_EXPIRED", "The token has expired")
        self.generation += 1
        self.refresh_token = f"example-refresh-token-{self.generation}"
        return Response(
            200,
            {
                "accessToken": self.keys(),
                "tokenType": "aws_sigv4",
                "expiresIn": 900,
                "refreshToken": self.refresh_token,
            },
        )

    def keys(self) -> dict[str, str]:
        return {
            "accessKeyId": f"ASIALOGIN{self.generation:011}",
            "secretAccessKey": "login/secret+EXAMPLEKEY",
            "sessionToken": f"login-session-token-{self.generation}==",
        }

    def _is_proof(self, proof: str) -> bool:
        header, claims, signature = (_decode(part) for part in proof.split("."))
        point = self.key.public_key().public_numbers()
        head = json.loads(header)
        if (head["typ"], head["alg"]) != ("dpop+jwt", "ES256") or len(signature) != 64:
            return False
        coordinates = (int.from_bytes(_decode(head["jwk"][name])) for name in ("x", "y"))
        if tuple(coordinates) != (point.x, point.y):
            return False
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        try:
            self.key.public_key().verify(
                utils.encode_dss_signature(r, s),
                proof.rpartition(".")[0].encode(),
                ec.ECDSA(hashes.SHA256()),
            )
        except InvalidSignature:
            return False
        said = json.loads(claims)
        is_new = said["jti"] not in self.proofs
        self.proofs.add(said["jti"])
        return (
            is_new
            and (said["htm"], said["htu"]) == ("POST", f"{self.url}/v1/token")
            and abs(said["iat"] - time.time()) < 300
        )

    def log_in(self, folder: Path, remaining: timedelta, **changes: Any) -> Path:
        """Write the cache file as ``aws login`` does; None leaves a member out."""
        ends = datetime.now(UTC) + remaining
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        members = {
            "accessToken": {
                **self.keys(),
                "accountId": "123456789012",
                "expiresAt": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "tokenType": "aws_sigv4",
            "clientId": CLIENT_ID,
            "refreshToken": self.refresh_token,
            "idToken": "example-id-token",
            "dpopKey": pem.decode(),
            **changes,
        }
        path = folder / f"{hashlib.sha256(SESSION.encode()).hexdigest()}.json"
        path.write_text(json.dumps({k: v for k, v in members.items() if v is not None}))
        return path


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _error(status: int, code: str, error: str, message: str) -> Response:
    return Response(status, {"error": error, "message": message}, {"x-amzn-ErrorType": code})

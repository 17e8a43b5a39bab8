"""IAM Identity Center: the access portal's GetRoleCredentials and CreateToken of SSO OIDC.

https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
https://docs.aws.amazon.com/singlesignon/latest/OIDCAPIReference/API_CreateToken.html
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.servers.http_service import HttpService, Request, Response

__all__ = ["Sso"]


class Sso(HttpService):
    """Both services on one host, with one role.

    Attributes:
        access_token: the only valid token.
        refresh_token: the only valid refresh token; each is good for one use.
        expires_at: when credentials end.
        generation: a number in the credentials.
        token_seconds: how long new tokens live.
    """

    client_id = "example-client-id"
    client_secret = "example-client-secret"

    def __init__(self) -> None:
        super().__init__()
        self.access_token = "example-access-token-0"
        self.refresh_token = "example-refresh-token-0"
        self.expires_at = datetime.now(UTC) + timedelta(hours=6)
        self.generation = 1
        self.token_seconds = 28_800

    def respond(self, request: Request) -> Response:
        if (request.method, request.path) == ("GET", "/federation/credentials"):
            return self._role_credentials(request)
        if (request.method, request.path) == ("POST", "/token"):
            return self._create_token(request)
        return Response(404)

    def credentials(self) -> dict[str, Any]:
        return {
            "accessKeyId": f"ASIASSO{self.generation:013}",
            "secretAccessKey": "sso/secret+EXAMPLEKEY",
            "sessionToken": f"sso-session-token-{self.generation}==",
            "expiration": int(self.expires_at.timestamp()) * 1000,
        }

    def _role_credentials(self, request: Request) -> Response:
        if request.body or set(request.query) != {"role_name", "account_id"}:
            return _error(400, "InvalidRequestException", "Request is malformed")
        if request.headers.get("x-amz-sso_bearer_token") != self.access_token:
            return _error(401, "UnauthorizedException", "Session token not found or invalid")
        if request.query != {"role_name": "Read Only/é", "account_id": "123456789012"}:
            return _error(403, "ForbiddenException", "No access")
        return Response(200, {"roleCredentials": self.credentials()})

    def _create_token(self, request: Request) -> Response:
        form = request.json
        if request.headers.get("Content-Type") != "application/json" or request.query:
            return _oidc_error(400, "InvalidRequestException", "invalid_request")
        client = {"clientId": self.client_id, "clientSecret": self.client_secret}
        if {name: form.get(name) for name in client} != client:
            return _oidc_error(401, "InvalidClientException", "invalid_client")
        granted = {"grantType": "refresh_token", "refreshToken": self.refresh_token}
        if form != client | granted:
            return _oidc_error(400, "InvalidGrantException", "invalid_grant")
        number = int(self.access_token.rpartition("-")[2]) + 1
        self.access_token = f"example-access-token-{number}"
        self.refresh_token = f"example-refresh-token-{number}"
        return Response(
            200,
            {
                "accessToken": self.access_token,
                "expiresIn": self.token_seconds,
                "refreshToken": self.refresh_token,
                "tokenType": "Bearer",
            },
        )

    def sign_in(self, home: Path, name: str, **changes: str | None) -> Path:
        """Write the cache file as ``aws sso login`` does; None leaves a member out."""
        now = datetime.now(UTC)
        members: dict[str, str | None] = {
            "startUrl": "https://example.awsapps.com/start",
            "region": "eu-west-1",
            "accessToken": self.access_token,
            "expiresAt": _timestamp(now + timedelta(hours=8)),
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "registrationExpiresAt": _timestamp(now + timedelta(days=90)),
            "refreshToken": self.refresh_token,
            **changes,
        }
        path = home / ".aws" / "sso" / "cache" / f"{hashlib.sha1(name.encode()).hexdigest()}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({k: v for k, v in members.items() if v is not None}))
        return path


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(status: int, code: str, message: str) -> Response:
    return Response(status, {"message": message}, {"x-amzn-ErrorType": f"{code}:"})


def _oidc_error(status: int, code: str, error: str) -> Response:
    body = {"error": error, "error_description": f"{error} was sent"}
    return Response(status, body, {"x-amzn-ErrorType": code})

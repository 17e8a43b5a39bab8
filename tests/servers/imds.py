"""The EC2 instance metadata service, as strict as AWS describes it.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from datetime import UTC, datetime, timedelta

from tests.servers.http_service import HttpService, Request, Response

__all__ = ["Imds"]

_ROLES = "/latest/meta-data/iam/security-credentials/"


class Imds(HttpService):
    """IMDS of an instance with a role.

    Attributes:
        role: the role's name; None for an instance without one.
        requires_token: whether only IMDSv2 is served, as new instances do.
        issues_tokens: whether it knows IMDSv2 at all.
        expires_at: when the credentials end.
        generation: a number in the credentials; changed by rotation.
        tokens: the valid session tokens.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.role: str | None = "web+server@example"
        self.requires_token = True
        self.issues_tokens = True
        self.expires_at = datetime.now(UTC) + timedelta(hours=6)
        self.generation = 1
        self.tokens: set[str] = set()

    def respond(self, request: Request) -> Response:
        # Requests that came through a proxy get no token.
        if "X-Forwarded-For" in request.headers:
            return Response(403)
        if request.path == "/latest/api/token":
            return self._token(request)
        if request.method != "GET" or request.body:
            return Response(405)
        token = request.headers.get("X-aws-ec2-metadata-token")
        if token not in self.tokens and (token is not None or self.requires_token):
            return Response(401)
        document = self._documents().get(request.path)
        return Response(404) if document is None else Response(200, document)

    def _documents(self) -> dict[str, str | dict[str, str]]:
        role: dict[str, str | dict[str, str]] = {}
        if self.role is not None:
            role = {_ROLES: self.role, f"{_ROLES}{self.role}": self.credentials()}
        return {
            "/latest/meta-data/placement/region": "eu-central-1",
            "/latest/meta-data/placement/availability-zone/": "eu-central-1b",
            **role,
        }

    def credentials(self) -> dict[str, str]:
        return {
            "Code": "Success",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": f"ASIAIMDS{self.generation:012}",
            "SecretAccessKey": "imds/secret+EXAMPLEKEY",
            "Token": f"imds-session-token-{self.generation}==",
            "Expiration": self.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _token(self, request: Request) -> Response:
        if not self.issues_tokens:
            return Response(404)
        if request.method != "PUT":
            return Response(405)
        seconds = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not seconds.isdigit() or not 1 <= int(seconds) <= 21_600 or request.body:
            return Response(400)
        token = f"AQAEA-token-{len(self.tokens)}=="
        self.tokens.add(token)
        return Response(200, token, {"X-aws-ec2-metadata-token-ttl-seconds": seconds})

"""A container credentials service: that of ECS without a token, that of EKS Pod Identity with one.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from datetime import UTC, datetime, timedelta

from tests.servers.http_service import HttpService, Request, Response

__all__ = ["ContainerService"]


class ContainerService(HttpService):
    """Serves one path.

    Attributes:
        path: the only path.
        token: the authorization token that requests must have; None if they must have none.
        expires_at: when the credentials end.
        generation: a number in the credentials; changed by rotation.
    """

    path = "/v2/credentials/0a1b2c3d"

    def __init__(self, token: str | None = None) -> None:
        super().__init__()
        self.token = token
        self.expires_at = datetime.now(UTC) + timedelta(hours=6)
        self.generation = 1

    @property
    def full_uri(self) -> str:
        return self.url + self.path

    def respond(self, request: Request) -> Response:
        if request.path != self.path or request.query:
            return Response(404, {"code": "InvalidIdInRequest", "message": "No such credentials"})
        if request.method != "GET" or request.body:
            return Response(405)
        if request.headers.get("Authorization") != self.token:
            return Response(401, f"invalid token: {request.headers.get('Authorization')}")
        return Response(200, self.credentials(), {"Content-Type": "application/json"})

    def credentials(self) -> dict[str, str]:
        return {
            "RoleArn": "arn:aws:iam::123456789012:role/task",
            "AccessKeyId": f"ASIATASK{self.generation:012}",
            "SecretAccessKey": "container/secret+EXAMPLEKEY",
            "Token": f"container-session-token-{self.generation}==",
            "Expiration": self.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "AccountId": "123456789012",
        }

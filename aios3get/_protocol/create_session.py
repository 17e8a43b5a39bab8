"""CreateSession for directory buckets: its request, and the credentials in its response.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html
"""

from datetime import datetime
from typing import Final

from aios3get._protocol.body_fields import parse_fields
from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing.signed_request import signed_request
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["parse_session", "session_request"]

# ReadOnly suffices for GetObject and HeadObject, and a policy may forbid ReadWrite.
_MODE: Final = {"x-amz-create-session-mode": "ReadOnly"}


def session_request(endpoint: Endpoint, credentials: Credentials, now: float) -> HttpRequest:
    """Return the request for a session of the endpoint's bucket."""
    return signed_request("GET", endpoint, "/", (("session", ""),), _MODE, credentials, now)


def parse_session(body: bytes) -> Credentials:
    """Parse the session credentials of a ``CreateSessionResult``.

    Raises:
        CredentialsError: an element is missing or invalid.
    """
    fields = parse_fields(body)
    try:
        return Credentials(
            access_key_id=fields["AccessKeyId"],
            secret_access_key=fields["SecretAccessKey"],
            session_token=fields["SessionToken"],
            expires_at=datetime.fromisoformat(fields["Expiration"]),
        )
    except (ConfigurationError, KeyError, ValueError) as error:
        raise CredentialsError("the response to CreateSession has no valid session") from error

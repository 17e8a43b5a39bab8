"""The credentials that the server accepts."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from aios3get._protocol.identity import Credentials

__all__ = ["ServerCredentials", "EXAMPLE_CREDENTIALS"]


@dataclass(frozen=True, slots=True)
class ServerCredentials(Credentials):
    """Credentials that the server knows; a client takes them as they are.

    Attributes:
        session_of: the directory bucket whose ``CreateSession`` gave these out.
    """

    session_of: str | None = None

    @classmethod
    def of(cls, given: Credentials) -> "ServerCredentials":
        """The same, for the server."""
        if isinstance(given, cls):
            return given
        return cls(
            given.access_key_id, given.secret_access_key, given.session_token, given.expires_at
        )

    @classmethod
    def temporary(
        cls, expires_at: datetime | None = None, *, session_of: str | None = None
    ) -> "ServerCredentials":
        """New random credentials with a session token."""
        return cls(
            "ASIA" + secrets.token_hex(8).upper(),
            secrets.token_urlsafe(30),
            secrets.token_urlsafe(120),
            expires_at,
            session_of,
        )


# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
EXAMPLE_CREDENTIALS = ServerCredentials(
    "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

"""The credentials that the server accepts."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from aios3get._protocol.identity import Credentials

__all__ = ["ServerCredentials", "EXAMPLE_CREDENTIALS"]


@dataclass(frozen=True, slots=True)
class ServerCredentials(Credentials):
    """Credentials that the server accepts; clients can use them, too.

    Attributes:
        session_of: the directory bucket that ``CreateSession`` issued them for.
    """

    session_of: str | None = None

    @classmethod
    def of(cls, credentials: Credentials) -> Self:
        """Convert credentials to ``ServerCredentials``."""
        if isinstance(credentials, cls):
            return credentials
        return cls(
            credentials.access_key_id,
            credentials.secret_access_key,
            credentials.session_token,
            credentials.expires_at,
        )

    @classmethod
    def temporary(
        cls, expires_at: datetime | None = None, *, session_of: str | None = None
    ) -> Self:
        """Create random credentials with a session token."""
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

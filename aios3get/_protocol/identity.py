"""The identity of a request: AWS credentials, a bearer token, or none."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias, final

from aios3get.errors import ConfigurationError

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "BearerToken",
    "Credentials",
    "CredentialsProvider",
    "Identity",
    "check_source",
]

# RFC 9110 section 5.5: the characters of a header value, without spaces and non-ASCII bytes.
_is_visible_ascii = re.compile(r"[!-~]+").fullmatch
_find_control_character = re.compile(r"[\x00-\x1f\x7f]").search


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {_type_of(value)}")


def _check_header_text(name: str, value: object) -> None:
    _check_text(name, value)
    if not _is_visible_ascii(str(value)):
        raise ConfigurationError(
            f"{name} must be printable ASCII without spaces; remove a copied line break"
        )


def _check_expiry(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, datetime):
        raise ConfigurationError(
            f"expires_at must be an aware datetime or None, not {_type_of(value)}"
        )
    if value.utcoffset() is None:
        raise ConfigurationError(
            "expires_at has no time zone; pass an aware datetime, such as datetime.now(UTC)"
        )


def _type_of(value: object) -> str:
    return "None" if value is None else type(value).__name__


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials: an access key and, for temporary credentials, a session token.

    Args:
        access_key_id: the access key's id, such as ``AKIAIOSFODNN7EXAMPLE``.
        secret_access_key: the secret; ``repr`` does not show it.
        session_token: part of temporary credentials; ``repr`` does not show it.
        expires_at: when temporary credentials expire, as an aware datetime; None if they do not.

    Raises:
        ConfigurationError: a value is empty or has characters that it cannot have, or
            ``expires_at`` is naive.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("access_key_id", "secret_access_key"):
            _check_text(name, getattr(self, name))
            if not getattr(self, name):
                raise ConfigurationError(f"{name} is empty; pass the access key's id and secret")
        _check_header_text("access_key_id", self.access_key_id)
        secret = self.secret_access_key
        if secret != secret.strip() or _find_control_character(secret):
            raise ConfigurationError(
                "secret_access_key has white space at its ends or a control character; remove a "
                "copied line break"
            )
        if self.session_token is not None:
            _check_header_text("session_token", self.session_token)
        _check_expiry(self.expires_at)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """An OAuth 2.0 access token, which IBM Cloud Object Storage accepts instead of a signature.

    Args:
        token: the token; ``repr`` does not show it.
        expires_at: when the token expires, as an aware datetime; None if it does not.
        extra_headers: headers to send with the token, such as ``ibm-service-instance-id``.

    Raises:
        ConfigurationError: the token is empty or has characters that it cannot have, or
            ``expires_at`` is naive.
    """

    token: str = field(repr=False)
    expires_at: datetime | None = None
    extra_headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _check_header_text("token", self.token)
        _check_expiry(self.expires_at)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that replace a signature (RFC 6750 section 2.1)."""
        return (("Authorization", f"Bearer {self.token}"), *self.extra_headers)


@final
class Anonymous:
    """The type of ``ANONYMOUS``, the identity of unsigned requests."""

    __slots__ = ()

    @property
    def expires_at(self) -> None:
        """None: it does not expire."""

    def __repr__(self) -> str:
        return "ANONYMOUS"

    def __reduce__(self) -> str:
        return "ANONYMOUS"


ANONYMOUS: Final = Anonymous()

Identity: TypeAlias = Credentials | BearerToken | Anonymous

# A provider returns None if it is not configured; a chain then asks its next provider.
CredentialsProvider: TypeAlias = Callable[[], Identity | Awaitable[Identity | None] | None]


def check_source(source: object) -> None:
    """Check the ``credentials`` argument: an identity, or a provider of one.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(source, Credentials | BearerToken | Anonymous):
        return
    if isinstance(source, type) or not callable(source):
        raise ConfigurationError(
            "credentials must be Credentials, ANONYMOUS or a callable that returns Credentials,"
            f" not {getattr(source, '__name__', None) or type(source).__name__}"
        )

"""Who asks: one immutable snapshot of AWS credentials or of a bearer token, or nobody."""

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
]

# RFC 9110 section 5.5: what a header's value may hold, here without spaces and bytes above ASCII.
_visible_ascii = re.compile(r"[!-~]+").fullmatch
_control_character = re.compile(r"[\x00-\x1f\x7f]").search


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is {_a(value)}; it must be text")


def _check_header_text(name: str, value: object) -> None:
    _check_text(name, value)
    if not _visible_ascii(str(value)):
        raise ConfigurationError(
            f"{name} must be printable ASCII without spaces; was a line break copied along?"
        )


def _check_expiry(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, datetime):
        raise ConfigurationError(f"expires_at is {_a(value)}; it must be an aware datetime or None")
    if value.utcoffset() is None:
        raise ConfigurationError("expires_at has no time zone; use datetime.now(UTC)-like values")


def _a(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, its secret and, for temporary credentials, a session token.

    Args:
        access_key_id: the public half, such as ``AKIAIOSFODNN7EXAMPLE``.
        secret_access_key: the secret half; never shown by ``repr``.
        session_token: given with temporary credentials; never shown by ``repr``.
        expires_at: when temporary credentials end, as an aware datetime; None if they do not.

    Raises:
        ConfigurationError: a key is empty or cannot stand in a header, or ``expires_at`` is naive.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("access_key_id", "secret_access_key"):
            _check_text(name, getattr(self, name))
            if not getattr(self, name):
                raise ConfigurationError(f"{name} is empty; pass both halves of the access key")
        _check_header_text("access_key_id", self.access_key_id)
        secret = self.secret_access_key
        if secret != secret.strip() or _control_character(secret):
            raise ConfigurationError(
                "secret_access_key has white space around it or a control character in it;"
                " was a line break copied along?"
            )
        if self.session_token is not None:
            _check_header_text("session_token", self.session_token)
        _check_expiry(self.expires_at)


@dataclass(frozen=True, slots=True)
class BearerToken:
    """An OAuth 2.0 access token, sent instead of a signature: IBM Cloud Object Storage takes it.

    Args:
        token: the token; never shown by ``repr``.
        expires_at: when it ends, as an aware datetime; None if it does not.
        extra_headers: what goes along with it, such as ``ibm-service-instance-id``.

    Raises:
        ConfigurationError: the token is empty or cannot stand in a header, or ``expires_at`` is
            naive.
    """

    token: str = field(repr=False)
    expires_at: datetime | None = None
    extra_headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _check_header_text("token", self.token)
        _check_expiry(self.expires_at)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that stand in a signature's place (RFC 6750 section 2.1)."""
        return (("Authorization", f"Bearer {self.token}"), *self.extra_headers)


@final
class Anonymous:
    """The type of ``ANONYMOUS``: requests go out unsigned."""

    __slots__ = ()

    @property
    def expires_at(self) -> None:
        """None: there is nothing to expire."""

    def __repr__(self) -> str:
        return "ANONYMOUS"

    def __reduce__(self) -> str:
        return "ANONYMOUS"


ANONYMOUS: Final = Anonymous()

Identity: TypeAlias = Credentials | BearerToken | Anonymous

# None says "not configured here": a chain then asks its next source.
CredentialsProvider: TypeAlias = Callable[[], Identity | Awaitable[Identity | None] | None]

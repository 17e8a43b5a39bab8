"""``PresignedUrl``: the URL of one object that needs no credentials."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

__all__ = ["PresignedUrl"]


@dataclass(frozen=True, slots=True, repr=False)
class PresignedUrl:
    """A presigned URL. ``str()`` returns the URL; ``repr`` hides its query, which is a credential.

    Send the URL unchanged: any other encoding breaks the signature. For aiohttp and yarl that is
    ``yarl.URL(link.url, encoded=True)``.

    Attributes:
        url: the URL.
        expires_at: when the URL expires, in UTC; the unsigned URL of a public object
            (``ANONYMOUS``) never does and has ``datetime.max``.
        headers: headers that must be sent with the URL, because they are signed; empty for a URL
            that works in a browser.
    """

    url: str
    expires_at: datetime
    headers: Mapping[str, str] = field(hash=False)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        place, mark, _ = self.url.partition("?")
        hidden = f"{mark}…" if mark else ""
        return (
            f"PresignedUrl(url='{place}{hidden}', expires_at={self.expires_at!r}, "
            f"headers={sorted(self.headers)!r})"
        )

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, with ``headers`` as a dict; it holds the credential."""
        return {"url": self.url, "expires_at": self.expires_at, "headers": dict(self.headers)}

    def __reduce__(self) -> tuple[object, ...]:
        # A read-only mapping does not pickle.
        return _revive, (self.url, self.expires_at, dict(self.headers))


def _revive(url: str, expires_at: datetime, headers: dict[str, str]) -> PresignedUrl:
    return PresignedUrl(url, expires_at, MappingProxyType(headers))

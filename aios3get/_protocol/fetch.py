"""Small requests and complete responses as values, for the services that provide credentials."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from multidict import CIMultiDict, CIMultiDictProxy

__all__ = ["FetchRequest", "FetchedResponse"]


def _no_headers() -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict())


@dataclass(frozen=True, slots=True, repr=False)
class FetchRequest:
    """One request with its body; ``repr`` shows the method and the host only.

    It is neither a tuple nor a mapping, because error reporters print the items of those, and
    headers and body contain secrets.

    Args:
        method: the HTTP method.
        url: sent exactly as it is.
        headers: sent exactly as they are; ``Host`` is added if it is missing.
        body: the whole body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    body: bytes = b""

    @property
    def host(self) -> str:
        """The host, with its port if the URL has one."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def __repr__(self) -> str:
        return f"FetchRequest({self.method} {self.host})"


@dataclass(frozen=True, slots=True, repr=False)
class FetchedResponse:
    """A response with its whole body; ``repr`` shows the status only.

    Args:
        status: the HTTP status.
        headers: the headers; lookups ignore case.
        body: the whole body.
    """

    status: int
    headers: CIMultiDictProxy[str] = field(default_factory=_no_headers, hash=False)
    body: bytes = b""

    def __repr__(self) -> str:
        return f"FetchedResponse({self.status}, {len(self.body)} bytes)"

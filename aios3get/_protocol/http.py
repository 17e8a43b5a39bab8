"""HTTP requests and response heads as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from multidict import CIMultiDictProxy

__all__ = ["HttpHead", "HttpRequest"]


@dataclass(slots=True, repr=False)
class HttpRequest:
    """A finished request: ``url`` and ``headers`` are sent exactly as signed.

    It is not a tuple, because error reporters print the items of tuples in local variables, and
    ``Authorization`` and a presigned query are credentials. It is not frozen, because that takes
    four times as long to create, and every attempt creates one; nothing modifies it.

    Attributes:
        method: the HTTP method.
        url: the complete URL.
        headers: all headers, with ``Host``.
    """

    method: str
    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"HttpRequest(method={self.method!r})"


class HttpHead(NamedTuple):
    """The status and headers of a response."""

    status: int
    headers: CIMultiDictProxy[str]

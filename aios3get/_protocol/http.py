"""Requests and answers as plain values, the only HTTP vocabulary the protocol core knows."""

from collections.abc import Mapping
from typing import NamedTuple

from multidict import CIMultiDictProxy

__all__ = ["HttpHead", "HttpRequest"]


class HttpRequest(NamedTuple):
    """One finished request: ``url`` and ``headers`` are exactly what was signed."""

    method: str
    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        # A presigned query is a credential, and so is Authorization.
        return f"HttpRequest(method={self.method!r})"


class HttpHead(NamedTuple):
    """The status line and headers of an answer whose body was not read yet."""

    status: int
    headers: CIMultiDictProxy[str]

"""Requests and answers as plain values, the only HTTP vocabulary the protocol core knows."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeAlias

from multidict import CIMultiDictProxy

__all__ = ["HttpHead", "HttpRequest", "request_of"]


class HttpRequest(NamedTuple):
    """One finished request: ``url`` and ``headers`` are exactly what was signed."""

    method: str
    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        # A presigned query is a credential, and so is Authorization.
        return f"HttpRequest(method={self.method!r})"


_Fields: TypeAlias = tuple[str, str, Mapping[str, str]]

# A named tuple's own ``__new__`` and ``_make`` are Python functions; this makes one without them.
request_of: Callable[[_Fields], HttpRequest] = partial(_Fields.__new__, HttpRequest)


class HttpHead(NamedTuple):
    """The status line and headers of an answer whose body was not read yet."""

    status: int
    headers: CIMultiDictProxy[str]

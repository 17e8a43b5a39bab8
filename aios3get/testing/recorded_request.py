"""One request as it came in, and what became of it."""

from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote

from multidict import CIMultiDictProxy

from aios3get.testing.hosts import decode

__all__ = ["RecordedRequest"]


@dataclass(kw_only=True, eq=False)
class RecordedRequest:
    """An entry of ``S3Server.requests``.

    Attributes:
        method: such as ``GET``.
        raw_path: path and query byte for byte as they came.
        headers: all headers; lookups ignore case.
        body: the request's body.
        secure: whether it came over TLS.
        connection: the number of its connection; equal for requests that shared one.
        bucket: the bucket it is about, also behind an access point; None if it names none.
        key: the key, decoded; None if it names none.
        auth: ``anonymous``, ``header``, ``query`` or ``bearer``; empty if it was refused before.
        access_key_id: the key it was signed with.
        signing_service: the service of the signature's scope.
        signing_region: the region of the signature's scope, or its region set.
        fault: the fault that met it.
        status: the status sent, None if none was.
        error_code: S3's code, if the answer is an error.
        bytes_sent: body bytes handed to the connection so far.
    """

    method: str
    raw_path: str = field(repr=False)
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    secure: bool = False
    connection: int = 0
    keep_alive: bool = True
    bucket: str | None = None
    key: str | None = None
    auth: str = ""
    access_key_id: str | None = None
    signing_service: str | None = None
    signing_region: str | None = None
    fault: str | None = None
    status: int | None = None
    error_code: str | None = None
    bytes_sent: int = 0

    @property
    def host(self) -> str:
        """The ``Host`` header."""
        return self.headers.get("Host", "")

    @property
    def path(self) -> str:
        """The raw path without its query."""
        return self._target.partition("?")[0]

    @property
    def _target(self) -> str:
        # RFC 9112 section 3.2.2: a server must accept the absolute form that proxies are sent.
        if self.raw_path.startswith(("http://", "https://")):
            _, _, rest = self.raw_path.partition("://")
            return "/" + rest.partition("/")[2]
        return self.raw_path

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The query's names and values, decoded, in their order."""
        _, _, text = self._target.partition("?")
        pairs = (pair.partition("=") for pair in text.split("&") if pair)
        return tuple((_readable(name), _readable(value)) for name, _, value in pairs)

    def parameter(self, name: str) -> str | None:
        """The first query parameter of that name."""
        return next((value for each, value in self.query if each == name), None)

    def option(self, name: str) -> str | None:
        """An ``x-amz-`` option, which a presigned URL may carry in its query instead."""
        value = self.headers.get(name)
        if value is not None:
            return value
        found = (value for each, value in self.query if each.lower() == name.lower())
        return next(found, None)

    def canonical_path(self) -> str:
        """The path as S3 writes it before it computes the signature."""
        return quote(decode(self.path), safe="/-._~")

    def canonical_query(self) -> str:
        """The query as S3 writes it before it computes the signature."""
        pairs = (
            (_encoded(name), _encoded(value))
            for name, value in self.query
            if name != "X-Amz-Signature"
        )
        return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _readable(raw: str) -> str:
    return decode(raw).decode("utf-8", "surrogateescape")


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="-._~")

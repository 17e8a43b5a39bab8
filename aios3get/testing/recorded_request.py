"""``RecordedRequest``: a request as the server received it, and its outcome."""

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
        raw_path: path and query as received.
        headers: all headers; lookups ignore case.
        body: the request's body.
        secure: whether it came over TLS.
        connection: the number of its connection; requests of one connection share it.
        bucket: the bucket, resolved from an access point; None if the request has none.
        key: the decoded key; None if the request has none.
        auth: ``anonymous``, ``header``, ``query`` or ``bearer``; empty if authentication failed.
        access_key_id: the access key of the signature.
        signing_service: the service of the signature's scope.
        signing_region: the region of the signature's scope, or its region set.
        fault: the name of the fault that was applied.
        status: the status that was sent; None if none was sent.
        error_code: S3's error code, if the response is an error.
        bytes_sent: the number of body bytes written to the connection so far.
    """

    method: str
    raw_path: str = field(repr=False)
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    secure: bool = False
    connection: int = 0
    keep_alive: bool = field(default=True, repr=False)
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
        # RFC 9112 section 3.2.2: a server must accept the absolute form, which proxies receive.
        if self.raw_path.startswith(("http://", "https://")):
            _, _, rest = self.raw_path.partition("://")
            return "/" + rest.partition("/")[2]
        return self.raw_path

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The decoded names and values of the query, in order."""
        _, _, text = self._target.partition("?")
        pairs = (pair.partition("=") for pair in text.split("&") if pair)
        return tuple((_decode(name), _decode(value)) for name, _, value in pairs)

    def parameter(self, name: str) -> str | None:
        """Return the value of the first query parameter of that name."""
        return next((value for each, value in self.query if each == name), None)

    def option(self, name: str) -> str | None:
        """Return the value of an ``x-amz-`` header, or of a presigned URL's query parameter."""
        value = self.headers.get(name)
        if value is not None:
            return value
        values = (value for each, value in self.query if each.lower() == name.lower())
        return next(values, None)

    def canonical_path(self) -> str:
        """Return the path as S3 encodes it to compute the signature."""
        return quote(decode(self.path), safe="/-._~")

    def canonical_query(self) -> str:
        """Return the query as S3 encodes and sorts it to compute the signature."""
        pairs = (
            (_encode(name), _encode(value))
            for name, value in self.query
            if name != "X-Amz-Signature"
        )
        return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _decode(raw: str) -> str:
    return decode(raw).decode("utf-8", "surrogateescape")


def _encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="-._~")

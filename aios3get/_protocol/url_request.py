"""A GET of somebody's presigned URL: sent byte for byte as it was given, with no credentials."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from aios3get._protocol.endpoints.hosts import is_authority
from aios3get._protocol.header_values import is_sendable
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.options import SSE_CUSTOMER_KEY_MD5
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ConfigurationError

__all__ = ["UrlRequest"]

# All visible ASCII but the "?" and "#" that end a path, and the "#" that ends a query.
_url_parts = re.compile(
    r"(https?)://([^/?#]+)(/[!\x22$->@-~]*)?(?:\?([!\x22$-~]*))?", re.ASCII | re.IGNORECASE
).fullmatch
_signed_headers = re.compile(r"(?:^|&)X-Amz-SignedHeaders=([^&]*)", re.ASCII | re.IGNORECASE).search
_part_number = re.compile(r"(?:^|&)partNumber=([0-9]{1,5})(?:&|$)").search
_field_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
# About the bytes or about whether to answer at all: nothing that the rest of a body is asked for.
_answered = frozenset({"range", "if-none-match", "if-modified-since", "if-unmodified-since"})


@dataclass(frozen=True, slots=True)
class UrlRequest:
    """The URL, the headers its holder must send, and the bytes asked for.

    ``bucket`` stays empty and ``key`` is the URL's path: a link does not say where one ends and
    the other begins.

    Attributes:
        url: as it goes out.
        headers: lower-case name → value.
        range: the range asked for.
        part_number: the part that the link is for.
        key: the path, decoded.
        signed: the lower-case names of the headers that the link is signed with.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    range: ByteRange | None
    part_number: int | None
    key: str
    signed: frozenset[str]

    @classmethod
    def create(
        cls, url: str, byte_range: ByteRange | str | None, headers: Mapping[str, str]
    ) -> "UrlRequest":
        """Check what the caller gave.

        Raises:
            ConfigurationError: not an http or https URL, one or a header that cannot be sent as it
                is, or a range beside a ``Range`` or part that the link is for.
        """
        parts = _url_parts(url)
        if parts is None or not is_authority(parts[2]):
            raise ConfigurationError(
                "the URL must be a whole http or https URL in ASCII, with a host and at most a port"
                " 1-65535, without a fragment or user information; pass it exactly as it was signed"
            )
        scheme, _, path, query = parts.groups()
        if query == "":
            raise ConfigurationError(
                "the URL ends in a '?' without a query, which cannot be sent as it is;"
                " leave the '?' out"
            )
        for name, value in headers.items():
            text = isinstance(name, str) and isinstance(value, str)
            if not (text and _field_name(name) and is_sendable(value)):
                raise ConfigurationError(
                    f"header {name!r} cannot stand in a request as it is; names and values are"
                    " text in ASCII, without white space around it"
                )
        listed = _signed_headers(query or "")
        part = _part_number(query or "")
        own = {name.lower(): value for name, value in headers.items()}
        if byte_range is not None:
            byte_range = ByteRange.of(byte_range)
        if part is not None and (byte_range is not None or "range" in own):
            raise ConfigurationError(
                f"the link is for part {part[1]} and takes no range; leave the range out"
            )
        if "range" in own:
            if byte_range is not None:
                raise ConfigurationError("range is given twice: as range= and in headers")
            byte_range = ByteRange.parse(own["range"])
        elif byte_range is not None:
            own["range"] = str(byte_range)
        return cls(
            # The scheme is not sent, and only its lower-case name is looked up.
            scheme.lower() + url[len(scheme) :],
            own,
            byte_range,
            int(part[1]) if part else None,
            unquote((path or "/")[1:]),
            frozenset(unquote(listed[1]).lower().split(";") if listed else ()),
        )

    @property
    def resumable(self) -> bool:
        """Whether the link may be asked for other bytes: a signed range or part is the only one."""
        return self.part_number is None and "range" not in self.signed

    @property
    def bucket(self) -> str:
        """Empty: a link does not say where the bucket ends and the key begins."""
        return ""

    @property
    def version_id(self) -> None:
        """None: a version is part of the link."""

    @property
    def checksum_mode(self) -> None:
        """None: whether checksums are asked for is part of the link."""

    @property
    def sse_customer_key_md5(self) -> str | None:
        """The base64 MD5 digest of the SSE-C key among the headers."""
        return self.headers.get(SSE_CUSTOMER_KEY_MD5.lower())

    @property
    def presigned(self) -> HttpRequest:
        """The HTTP request, which the link's maker has signed."""
        return HttpRequest("GET", self.url, self.headers)

    def for_range(
        self, range: ByteRange, *, if_match: str | None = None, version_id: str | None = None
    ) -> "UrlRequest":
        """The same link for another range of the same object; its version is in the link.

        Headers that it is signed with stay as they are: of the same object, they hold as before.
        """
        kept = {
            name: value
            for name, value in self.headers.items()
            if name in self.signed or name not in _answered
        }
        kept["range"] = str(range)
        if if_match is not None and "if-match" not in self.signed:
            kept["if-match"] = if_match
        return replace(self, headers=kept, range=range)

"""A GET request for a presigned URL, which is sent unchanged and without credentials."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from aios3get._protocol.endpoints.hosts import is_authority
from aios3get._protocol.header_values import is_sendable
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.options import SSE_CUSTOMER_KEY_MD5
from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ParameterError

__all__ = ["UrlRequest"]

# Visible ASCII, without "?" and "#" in the path and without "#" in the query.
_match_url = re.compile(
    r"(https?)://([^/?#]+)(/[!\x22$->@-~]*)?(?:\?([!\x22$-~]*))?", re.ASCII | re.IGNORECASE
).fullmatch
_find_signed_headers = re.compile(
    r"(?:^|&)X-Amz-SignedHeaders=([^&]*)", re.ASCII | re.IGNORECASE
).search
_find_part_number = re.compile(r"(?:^|&)partNumber=([0-9]{1,5})(?:&|$)").search
_is_field_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
# The first response has evaluated the conditions; the range is replaced.
_NOT_REPEATED = frozenset({"range", "if-none-match", "if-modified-since", "if-unmodified-since"})


@dataclass(frozen=True, slots=True)
class UrlRequest:
    """A presigned URL, its headers, and the requested bytes.

    Attributes:
        url: the URL as it is sent.
        headers: the headers to send, with lower-case names.
        range: the requested range.
        part_number: the part that the link is for.
        key: the decoded path, without its leading slash.
        signed: the lower-case names of the headers that the link's signature covers.
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
        """Check the arguments of a call.

        Raises:
            ParameterError: the URL is not an http or https URL, the URL or a header cannot be sent
                unchanged, or the range contradicts the link or the headers.
        """
        match = _match_url(url)
        if match is None or not is_authority(match[2]):
            raise ParameterError(
                "url must be a complete http or https URL in ASCII, with a host, no port or one "
                "from 1 to 65535, and no fragment or user information; pass it exactly as signed"
            )
        scheme, _, path, query = match.groups()
        if query == "":
            raise ParameterError("url ends with '?', which is not sent; leave the '?' out")
        _check_headers(headers)
        own = {name.lower(): value for name, value in headers.items()}
        signed = _find_signed_headers(query or "")
        part = _find_part_number(query or "")
        byte_range = None if byte_range is None else ByteRange.of(byte_range)
        if part is not None and (byte_range is not None or "range" in own):
            raise ParameterError(
                f"the link is for part {part[1]}, which excludes range; leave it out"
            )
        if "range" in own:
            if byte_range is not None:
                raise ParameterError("range= and the Range header exclude each other; pass one")
            byte_range = ByteRange.parse(own["range"])
        elif byte_range is not None:
            own["range"] = str(byte_range)
        return cls(
            # The scheme is not part of what is signed.
            scheme.lower() + url[len(scheme) :],
            own,
            byte_range,
            int(part[1]) if part else None,
            unquote((path or "/")[1:]),
            frozenset(unquote(signed[1]).lower().split(";") if signed else ()),
        )

    @property
    def resumable(self) -> bool:
        """Whether the request may be sent again for another range: not if the link signs one."""
        return self.part_number is None and "range" not in self.signed

    @property
    def bucket(self) -> str:
        """Empty: a link does not separate the bucket from the key."""
        return ""

    @property
    def version_id(self) -> None:
        """None: a version is part of the link."""

    @property
    def checksum_mode(self) -> None:
        """None: whether checksums are requested is part of the link."""

    @property
    def sse_customer_key_md5(self) -> str | None:
        """The base64 MD5 digest of the SSE-C key among the headers."""
        return self.headers.get(SSE_CUSTOMER_KEY_MD5.lower())

    @property
    def presigned(self) -> HttpRequest:
        """The HTTP request, which is already signed."""
        return HttpRequest("GET", self.url, self.headers)

    def for_range(
        self, range: ByteRange, *, if_match: str | None = None, version_id: str | None = None
    ) -> "UrlRequest":
        """The request for another range of the same object; see ``ObjectRequest``.

        Signed headers are kept, as the link requires them. The version is part of the link.
        """
        kept = {
            name: value
            for name, value in self.headers.items()
            if name in self.signed or name not in _NOT_REPEATED
        }
        kept["range"] = str(range)
        if if_match is not None and "if-match" not in self.signed:
            kept["if-match"] = if_match
        return replace(self, headers=kept, range=range)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        text = isinstance(name, str) and isinstance(value, str)
        if not (text and _is_field_name(name) and is_sendable(value)):
            raise ParameterError(
                f"header {name!r} cannot be sent unchanged; names and values must be ASCII text "
                "without white space at its ends"
            )

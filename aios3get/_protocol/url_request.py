"""A GET of somebody's presigned URL: sent byte for byte as it was given, with no credentials."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import unquote

from aios3get._protocol.ranges import ByteRange
from aios3get.errors import ConfigurationError

__all__ = ["UrlRequest"]

_url_parts = re.compile(r"https?://([^/?#@\s]+)(/[^?#\s]*)?(?:\?([^#\s]*))?", re.ASCII).fullmatch
_signed_headers = re.compile(r"(?:^|&)X-Amz-SignedHeaders=([^&]*)", re.ASCII | re.IGNORECASE).search
_field_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_field_value = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|").fullmatch


@dataclass(frozen=True, slots=True)
class UrlRequest:
    """The URL, the headers its holder must send, and the range asked for.

    ``bucket`` stays empty and ``key`` is the URL's path: a link does not say where one ends and
    the other begins.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    range: ByteRange | None
    key: str
    resumable: bool
    bucket: str = ""
    version_id: str | None = None
    part_number: ClassVar[None] = None
    checksum_mode: ClassVar[None] = None

    @classmethod
    def create(
        cls, url: str, byte_range: ByteRange | str | None, headers: Mapping[str, str]
    ) -> "UrlRequest":
        """Check what the caller gave.

        Raises:
            ConfigurationError: not an http or https URL, a header that cannot be sent, or a range
                beside a ``Range`` that the link is signed for.
        """
        parts = _url_parts(url) if url.isascii() else None
        if parts is None:
            raise ConfigurationError(
                "the URL must be a whole http or https URL in ASCII, without a fragment or user"
                " information; pass it exactly as it was signed"
            )
        for name, value in headers.items():
            if not (_field_name(name) and _field_value(value)):
                raise ConfigurationError(f"header {name!r} cannot stand in a request as it is")
        signed = _signed_headers(parts[3] or "")
        names = unquote(signed[1]).lower().split(";") if signed else []
        own = {name.lower(): value for name, value in headers.items()}
        if isinstance(byte_range, str):
            byte_range = ByteRange.parse(byte_range)
        if "range" in own:
            if byte_range is not None:
                raise ConfigurationError("range is given twice: as range= and in headers")
            byte_range = ByteRange.parse(own["range"])
        elif byte_range is not None:
            own["range"] = str(byte_range)
        # A signed Range or If-Match can be sent as it was signed only, so no other range follows.
        resumable = "range" not in names and "if-match" not in names
        return cls(url, own, byte_range, unquote((parts[2] or "/")[1:]), resumable)

    def with_range(
        self, byte_range: ByteRange, *, if_match: str | None = None, version_id: str | None = None
    ) -> "UrlRequest":
        """The same link for another range of the same object; its version is in the link."""
        dropped = ("range", "if-none-match", "if-modified-since", "if-unmodified-since")
        kept = {name: value for name, value in self.headers.items() if name not in dropped}
        kept["range"] = str(byte_range)
        if if_match is not None:
            kept["if-match"] = if_match
        return UrlRequest(self.url, kept, byte_range, self.key, self.resumable)

"""Percent-encoding of paths and queries, used for both the signature and the URL.

S3 encodes a key once, keeps its slashes and never normalizes the path: "UriEncode" in
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["encode_path", "encode_query", "encode_query_value"]

# RFC 3986 section 2.3: letters, digits and these four characters are not encoded.
_is_plain_path = re.compile(r"[A-Za-z0-9\-._~/]*").fullmatch


def encode_path(key: str) -> str:
    """Percent-encode a key for the path of a URL, except for ``/``.

    Raises:
        UnicodeEncodeError: the key contains lone surrogates, which UTF-8 cannot encode.
    """
    if _is_plain_path(key):
        return key
    return quote(key, safe="/~")


def encode_query_value(text: str) -> str:
    """Percent-encode a query name or value, including ``/``."""
    return quote(text, safe="~")


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the canonical query: encoded and sorted; a name with an empty value ends in ``=``."""
    encoded = sorted((encode_query_value(name), encode_query_value(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)

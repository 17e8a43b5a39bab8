"""The one place where text becomes %XX: what is signed here is what is sent.

S3 encodes once, keeps the slashes of a key, and never normalises a path (SigV4 for S3,
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "UriEncode").
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["encode_path", "encode_query", "encode_query_value"]

# RFC 3986 section 2.3: letters, digits and these four are never encoded.
_plain_path = re.compile(r"[A-Za-z0-9\-._~/]*").fullmatch


def encode_path(key: str) -> str:
    """The key as it stands in a URL's path: UTF-8, every byte but the unreserved and ``/`` as %XX.

    Raises:
        UnicodeEncodeError: the text holds lone surrogates, which UTF-8 cannot carry.
    """
    if _plain_path(key):
        return key
    return quote(key, safe="/~")


def encode_query_value(text: str) -> str:
    """A query name or value: like a path, but ``/`` is encoded too."""
    return quote(text, safe="~")


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The canonical query: encoded, then sorted by name and value; an empty value keeps ``=``."""
    encoded = sorted((encode_query_value(name), encode_query_value(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)

"""ListObjectsV2: the query for one page, and the parser for the response.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from aios3get._protocol.header_values import integer, timestamp
from aios3get.errors import IntegrityError

__all__ = ["ListPage", "ListedObject", "list_query", "parse_page"]


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An entry of a listing.

    Attributes:
        key: the object's key.
        size: the size in bytes.
        etag: the entity tag, verbatim with its quotes.
        last_modified: when the object was written; None if the server does not say.
        storage_class: such as ``STANDARD``; None if the server does not say.
    """

    key: str
    size: int
    etag: str | None
    last_modified: datetime | None
    storage_class: str | None


@dataclass(frozen=True, slots=True)
class ListPage:
    """Up to 1,000 entries of a listing.

    Attributes:
        objects: the page's objects.
        prefixes: the common prefixes, each ending in the delimiter.
        next_token: continues the listing; None on the last page.
    """

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    next_token: str | None


def list_query(
    prefix: str, *, delimiter: str = "", token: str | None = None, max_keys: int | None = None
) -> tuple[tuple[str, str], ...]:
    """Return the query of the request for one page, not yet encoded.

    Args:
        prefix: the prefix of the keys to list; empty for all keys.
        delimiter: groups the keys that share the text up to its next occurrence.
        token: ``next_token`` of the previous page.
        max_keys: the most entries, 1 to 1,000.
    """
    # Request percent-encoding, because XML 1.0 cannot represent every character of a key.
    query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)]
    if delimiter:
        query.append(("delimiter", delimiter))
    if token is not None:
        query.append(("continuation-token", token))
    if max_keys is not None:
        query.append(("max-keys", str(max_keys)))
    return tuple(query)


def parse_page(body: bytes) -> ListPage:
    """Parse the body of a response to ListObjectsV2.

    Raises:
        IntegrityError: the body is not a complete ``ListBucketResult``.
    """
    try:
        parser = XMLParser(target=_Builder())
        parser.feed(body)
        root: Element = parser.close()
    except (ParseError, ValueError) as error:
        raise IntegrityError(f"the listing is not well-formed XML: {error}") from None
    if _local(root.tag) != "ListBucketResult":
        raise IntegrityError(f"the listing is a {_local(root.tag)!r:.80}, not a ListBucketResult")
    decode = unquote_plus if _text(root, "EncodingType") == "url" else str
    token = _text(root, "NextContinuationToken")
    truncated = _text(root, "IsTruncated") == "true"
    if truncated and not token:
        raise IntegrityError("the listing is truncated, but names no continuation token")
    return ListPage(
        objects=tuple(
            ListedObject(
                key=decode(_text(entry, "Key")),
                size=integer(_text(entry, "Size")) or 0,
                etag=_text(entry, "ETag") or None,
                last_modified=timestamp(_text(entry, "LastModified")),
                storage_class=_text(entry, "StorageClass") or None,
            )
            for entry in root
            if _local(entry.tag) == "Contents"
        ),
        prefixes=tuple(
            decode(_text(entry, "Prefix"))
            for entry in root
            if _local(entry.tag) == "CommonPrefixes"
        ),
        next_token=token if truncated else None,
    )


class _Builder(TreeBuilder):
    def doctype(self, *declaration: object) -> NoReturn:
        """Reject a DTD: only a DTD can declare entities, and no listing has one."""
        raise ValueError("it has a document type declaration")


def _local(tag: str) -> str:
    # Servers differ in their namespaces.
    return tag.rpartition("}")[2]


def _text(parent: Element, name: str) -> str:
    for child in parent:
        if _local(child.tag) == name:
            return child.text or ""
    return ""

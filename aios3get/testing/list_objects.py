"""ListObjectsV2.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

import hashlib
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse, Response
from aios3get.testing.store import Bucket
from aios3get.testing.stored_object import StoredObject

__all__ = ["list_objects"]

_limit = 1000


@dataclass(frozen=True, slots=True)
class _Query:
    prefix: str
    delimiter: str
    start_after: str
    token: str | None
    max_keys: int
    is_url_encoded: bool

    def encode(self, text: str) -> str:
        """Encode the text of an element if the request asks for URL encoding."""
        return _escape(quote_plus(text, safe="/") if self.is_url_encoded else text)


def list_objects(request: RecordedRequest, bucket: Bucket, name: str) -> Response:
    """Return one page of the bucket's keys.

    Args:
        request: the request.
        bucket: the bucket.
        name: the name in the request, which may be that of an access point.

    Raises:
        ErrorResponse: S3 would reject the request.
    """
    query = _read_query(request)
    if bucket.is_directory:
        _check_directory(query)
    if not bucket.reveals_missing_keys:
        # The bucket was created without s3:ListBucket.
        raise ErrorResponse(403, "AccessDenied", "Access Denied")
    entries = _entries(bucket, query)
    page = dict(list(entries.items())[: query.max_keys])
    is_truncated = 0 < len(page) < len(entries)
    document = "".join(_document(name, query, page, is_truncated=is_truncated))
    return Response(200, (("Content-Type", "application/xml"),), document.encode(), "chunked")


def _read_query(request: RecordedRequest) -> _Query:
    encoding = request.parameter("encoding-type")
    if encoding not in (None, "url"):
        raise _invalid("Invalid Encoding Method specified in Request", "encoding-type", encoding)
    max_keys = request.parameter("max-keys") or str(_limit)
    if not re.fullmatch(r"[0-9]{1,9}", max_keys):
        message = "Provided max-keys not an integer or within integer range"
        raise _invalid(message, "max-keys", max_keys)
    return _Query(
        prefix=request.parameter("prefix") or "",
        delimiter=request.parameter("delimiter") or "",
        start_after=request.parameter("start-after") or "",
        token=request.parameter("continuation-token"),
        max_keys=min(int(max_keys), _limit),
        is_url_encoded=encoding == "url",
    )


def _check_directory(query: _Query) -> None:
    # API_ListObjectsV2 of directory buckets: "/ is the only supported delimiter", "only prefixes
    # that end in a delimiter (/) are supported", start-after "is not supported".
    if query.delimiter not in ("", "/"):
        raise _invalid("Unsupported delimiter", "delimiter", query.delimiter)
    if query.prefix and not query.prefix.endswith("/"):
        raise _invalid("Unsupported prefix", "prefix", query.prefix)
    if query.start_after:
        raise _invalid("Unsupported start-after", "start-after", query.start_after)


def _entries(bucket: Bucket, query: _Query) -> Mapping[str, StoredObject | None]:
    """Return the objects, and None for each common prefix, after the token or ``start-after``."""
    entries: dict[str, StoredObject | None] = {}
    for stored in bucket.objects():
        if stored.key.startswith(query.prefix):
            group = _common_prefix(stored.key, query)
            entries[group or stored.key] = None if group else stored
    # General purpose buckets sort by the bytes of the name, directory buckets do not.
    order = _digest if bucket.is_directory else str.encode
    after = query.start_after if query.token is None else _decode_token(query.token)
    names = [name for name in entries if not after or order(name) > order(after)]
    return {name: entries[name] for name in sorted(names, key=order)}


def _common_prefix(key: str, query: _Query) -> str:
    """Return the key up to the first delimiter after the prefix; empty if there is none."""
    if not query.delimiter:
        return ""
    first, delimiter, _ = key.removeprefix(query.prefix).partition(query.delimiter)
    return f"{query.prefix}{first}{delimiter}" if delimiter else ""


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _document(
    name: str, query: _Query, page: Mapping[str, StoredObject | None], *, is_truncated: bool
) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    yield from _elements(
        {
            "Name": _escape(name),
            "Prefix": query.encode(query.prefix),
            "Delimiter": query.encode(query.delimiter) or None,
            "StartAfter": query.encode(query.start_after) or None,
            "EncodingType": "url" if query.is_url_encoded else None,
            "ContinuationToken": query.token and _escape(query.token),
            "NextContinuationToken": _encode_token([*page][-1]) if is_truncated else None,
            "KeyCount": str(len(page)),
            "MaxKeys": str(query.max_keys),
            "IsTruncated": "true" if is_truncated else "false",
        }.items()
    )
    for key, stored in page.items():
        if stored is not None:
            yield f"<Contents><Key>{query.encode(key)}</Key>{_contents(stored)}</Contents>"
    for key, stored in page.items():
        if stored is None:
            yield f"<CommonPrefixes><Prefix>{query.encode(key)}</Prefix></CommonPrefixes>"
    yield "</ListBucketResult>"


def _contents(stored: StoredObject) -> str:
    algorithms = [("ChecksumAlgorithm", name) for name in stored.checksums]
    checksum_type = [("ChecksumType", stored.checksum_type)] if algorithms else []
    return "".join(
        _elements(
            [
                ("LastModified", stored.last_modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
                ("ETag", escape(stored.etag, {'"': "&quot;"})),
                *algorithms,
                *checksum_type,
                ("Size", str(len(stored.body))),
                ("StorageClass", stored.storage_class),
            ]
        )
    )


def _elements(fields: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    return (f"<{name}>{text}</{name}>" for name, text in fields if text is not None)


# XML 1.0 cannot represent most of these; S3 writes references that XML parsers reject.
_control = re.compile(r"[\x00-\x1f]")


def _escape(text: str) -> str:
    return _control.sub(lambda match: f"&#x{ord(match[0]):x};", escape(text))


def _encode_token(name: str) -> str:
    return urlsafe_b64encode(name.encode()).decode()


def _decode_token(token: str) -> str:
    try:
        name = b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        name = ""
    if not name:
        message = "The continuation token provided is incorrect"
        raise _invalid(message, "continuation-token", token)
    return name


def _invalid(message: str, name: str, value: str) -> ErrorResponse:
    fields = {"ArgumentName": name, "ArgumentValue": value}
    return ErrorResponse(400, "InvalidArgument", message, fields)

"""The answer model: what the headers of a GetObject or HeadObject answer say, one line a member.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html and API_HeadObject.html; the
``retention_*`` and ``ibm_*`` members are IBM Cloud Object Storage's.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar, overload
from urllib.parse import unquote

from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.header_values import (
    boolean,
    decode_words,
    integer,
    parameters,
    readable,
    timestamp,
)
from aios3get._protocol.ranges import ContentRange

__all__ = ["Expiration", "ObjectInfo", "Restore"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Expiration:
    """When a lifecycle rule will remove the object.

    Attributes:
        expiry_date: the time, in UTC.
        rule_id: the rule's id, URL-decoded; empty if the server named none.
    """

    expiry_date: datetime
    rule_id: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The value of ``x-amz-expiration``; directory buckets say ``NotImplemented``: None."""
        told = parameters(readable(text))
        expiry_date = timestamp(told.get("expiry-date", ""))
        if expiry_date is None:
            return None
        return cls(expiry_date, unquote(told.get("rule-id", "")))


@dataclass(frozen=True, slots=True)
class Restore:
    """How the restoring of an archived object stands.

    Attributes:
        ongoing: it was asked for and is not finished.
        expiry_date: until when the restored copy can be read, in UTC; None while ``ongoing``.
    """

    ongoing: bool
    expiry_date: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The value of ``x-amz-restore``."""
        told = parameters(text)
        ongoing = boolean(told.get("ongoing-request", ""))
        return None if ongoing is None else cls(ongoing, timestamp(told.get("expiry-date", "")))


def _stored_encoding(text: str) -> str | None:
    # aws-chunked frames an upload; S3 keeps it in the header although the stored bytes have none.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    if "aws-chunked" not in text.lower():
        return readable(text)
    tokens = [token.strip() for token in text.split(",")]
    return ", ".join(token for token in tokens if token.lower() not in ("aws-chunked", "")) or None


class _Header(Generic[T]):
    """A read-only attribute computed from one header of the answer: None if absent or odd."""

    __slots__ = ("name", "parse")

    def __init__(self, name: str, parse: Callable[[str], T | None]) -> None:
        self.name = name
        self.parse = parse

    @overload
    def __get__(self, info: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, info: "ObjectInfo", owner: Any = None) -> T | None: ...
    def __get__(self, info: "ObjectInfo | None", owner: Any = None) -> "Self | T | None":
        if info is None:
            return self
        text = info.headers.get(self.name)
        return None if text is None else self.parse(text)


@dataclass(frozen=True, repr=False)
class ObjectInfo:
    """What S3 said about an object: every header typed, computed when it is looked at.

    A member is None where its header is absent or does not hold what it should; the header's text
    is in ``headers`` all the same. Times are aware, in UTC. The value needs no connection: it
    outlives the body, pickles, copies and compares by content.

    Attributes:
        status: 200, or 206 for a range or part.
        headers: all headers as they came; lookups ignore case.
        bucket: the bucket as the caller wrote it.
        key: the key as the caller wrote it.
    """

    # With slots=True the refusal to assign a member below fails itself:
    # https://github.com/python/cpython/issues/105936
    __slots__ = ("bucket", "headers", "key", "status")

    status: int
    headers: CIMultiDictProxy[str]
    _: KW_ONLY
    bucket: str
    key: str

    accept_ranges = _Header("accept-ranges", readable)
    """``bytes`` where ranges can be asked for."""
    archive_status = _Header("x-amz-archive-status", readable)
    """The archive tier; HEAD only."""
    bucket_key_enabled = _Header("x-amz-server-side-encryption-bucket-key-enabled", boolean)
    """Whether an S3 Bucket Key serves SSE-KMS."""
    cache_control = _Header("Cache-Control", readable)
    """How caches may keep the object."""
    checksum_type = _Header("x-amz-checksum-type", readable)
    """``FULL_OBJECT`` or ``COMPOSITE``."""
    content_disposition = _Header("Content-Disposition", readable)
    """How to present the object."""
    content_encoding = _Header("Content-Encoding", _stored_encoding)
    """The stored bytes' coding, without ``aws-chunked``."""
    content_language = _Header("Content-Language", readable)
    """The content's language."""
    content_length = _Header("Content-Length", integer)
    """The body's size in bytes; see also ``object_size``."""
    content_range = _Header("Content-Range", ContentRange.parse)
    """Which bytes of the object the body holds."""
    content_type = _Header("Content-Type", readable)
    """The content's media type."""
    etag = _Header("ETag", readable)
    """The entity tag, verbatim with its quotes."""
    expiration = _Header("x-amz-expiration", Expiration.parse)
    """When a lifecycle rule removes the object."""
    expires = _Header("Expires", timestamp)
    """When caches should drop the object; None if that is no date."""
    expires_string = _Header("Expires", readable)
    """``Expires`` as it was stored: S3 takes any text."""
    host_id = _Header("x-amz-id-2", readable)
    """For AWS Support, with ``request_id``."""
    ibm_restored_copy_storage_class = _Header("x-ibm-restored-copy-storage-class", readable)
    """IBM: the bucket's class while a restored copy exists."""
    ibm_transition = _Header("x-ibm-transition", readable)
    """IBM: the archive tier and time of the transition."""
    last_modified = _Header("Last-Modified", timestamp)
    """When the object was written."""
    missing_meta = _Header("x-amz-missing-meta", integer)
    """How many metadata entries HTTP could not carry."""
    object_lock_event_hold = _Header("x-amz-object-lock-event-hold", readable)
    """``ON`` or ``OFF``."""
    object_lock_event_hold_duration_days = _Header(
        "x-amz-object-lock-event-hold-duration-days", integer
    )
    """The event hold's length in days."""
    object_lock_event_hold_duration_years = _Header(
        "x-amz-object-lock-event-hold-duration-years", integer
    )
    """The event hold's length in years."""
    object_lock_legal_hold_status = _Header("x-amz-object-lock-legal-hold", readable)
    """``ON`` or ``OFF``."""
    object_lock_mode = _Header("x-amz-object-lock-mode", readable)
    """``GOVERNANCE`` or ``COMPLIANCE``."""
    object_lock_retain_until_date = _Header("x-amz-object-lock-retain-until-date", timestamp)
    """Until when the version is locked."""
    parts_count = _Header("x-amz-mp-parts-count", integer)
    """The number of parts; only if a part was asked for."""
    replication_status = _Header("x-amz-replication-status", readable)
    """Where replication stands."""
    request_charged = _Header("x-amz-request-charged", readable)
    """``requester`` if you pay for this answer."""
    request_id = _Header("x-amz-request-id", readable)
    """For AWS Support, with ``host_id``."""
    restore = _Header("x-amz-restore", Restore.parse)
    """How the restoring of an archived object stands."""
    retention_expiration_date = _Header("Retention-Expiration-Date", timestamp)
    """IBM: until when the object is retained."""
    retention_legal_hold_count = _Header("Retention-Legal-Hold-Count", integer)
    """IBM: the number of legal holds."""
    retention_period = _Header("Retention-Period", integer)
    """IBM: the retention in seconds."""
    server_side_encryption = _Header("x-amz-server-side-encryption", readable)
    """Such as ``AES256`` or ``aws:kms``."""
    sse_customer_algorithm = _Header("x-amz-server-side-encryption-customer-algorithm", readable)
    """SSE-C: the cipher."""
    sse_customer_key_md5 = _Header("x-amz-server-side-encryption-customer-key-MD5", readable)
    """SSE-C: the key's base64 MD5 digest."""
    sse_kms_key_id = _Header("x-amz-server-side-encryption-aws-kms-key-id", readable)
    """The KMS key."""
    storage_class = _Header("x-amz-storage-class", readable)
    """None for ``STANDARD``, which S3 does not name."""
    tag_count = _Header("x-amz-tagging-count", integer)
    """The number of tags, if you may read them."""
    version_id = _Header("x-amz-version-id", readable)
    """The version read."""
    website_redirect_location = _Header("x-amz-website-redirect-location", readable)
    """Where a website bucket redirects this key."""

    @property
    def delete_marker(self) -> bool:
        """Whether the answer speaks of a delete marker; S3 sends the header only if so."""
        return boolean(self.headers.get("x-amz-delete-marker", "")) is True

    @property
    def checksums(self) -> Mapping[str, str]:
        """Stored checksums, base64, by S3's name of the algorithm, such as ``CRC64NVME``.

        A composite one ends in ``-`` and the number of parts; see ``checksum_type``.
        """
        found = self._with_prefix("x-amz-checksum-")
        return MappingProxyType(
            {name.upper(): readable(text) for name, text in found.items() if name != "type"}
        )

    @property
    def metadata(self) -> Mapping[str, str]:
        """User metadata by name in lower case, without ``x-amz-meta-``, as it was meant.

        S3 sends what is not US-ASCII as RFC 2047 words
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html); they are
        decoded here, and UTF-8 that was taken for ISO-8859-1 on its way is put right.
        """
        found = self._with_prefix("x-amz-meta-")
        return MappingProxyType({name: _intended(text) for name, text in found.items()})

    @property
    def raw_metadata(self) -> Mapping[str, str]:
        """User metadata with its values as they came."""
        return MappingProxyType(self._with_prefix("x-amz-meta-"))

    @property
    def object_size(self) -> int | None:
        """The whole object's size in bytes, also where the body is a range or part of it."""
        if (content_range := self.content_range) is not None:
            return content_range.size
        return self.content_length if self.status == 200 else None

    def _with_prefix(self, prefix: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, text in self.headers.items():
            lower = name.lower()
            if lower.startswith(prefix):
                short = lower[len(prefix) :]
                # RFC 9110 section 5.3: a repeated field is one list.
                found[short] = f"{found[short]}, {text}" if short in found else text
        return found

    def __repr__(self) -> str:
        told = {name: getattr(self, name) for name in _shown}
        told |= {name: {**getattr(self, name)} for name in ("checksums", "metadata")}
        shown = [
            f"{name}={value!r}"
            for name, value in told.items()
            if value is not False and value not in (None, {})
        ]
        return f"ObjectInfo({', '.join(shown)})"

    def __hash__(self) -> int:
        # Headers do not hash.
        return hash((self.status, self.bucket, self.key))

    def __reduce__(self) -> tuple[object, ...]:
        # A header proxy does not pickle.
        return _revive, (self.status, [*self.headers.items()], self.bucket, self.key)


_shown = (
    "bucket",
    "key",
    "status",
    "object_size",
    *(
        name
        for name, value in vars(ObjectInfo).items()
        if isinstance(value, _Header) and name not in ("expires_string", "sse_customer_key_md5")
    ),
    "delete_marker",
)


def _revive(status: int, headers: list[tuple[str, str]], bucket: str, key: str) -> ObjectInfo:
    return ObjectInfo(status, CIMultiDictProxy(CIMultiDict(headers)), bucket=bucket, key=key)


def _intended(text: str) -> str:
    decoded = decode_words(readable(text))
    if decoded.isascii():
        return decoded
    try:
        return decoded.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return decoded

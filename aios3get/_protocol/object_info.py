"""The metadata of an object, from the headers of a GetObject or HeadObject response.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html and API_HeadObject.html. The
``retention_*`` and ``ibm_*`` members are headers of IBM Cloud Object Storage.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, NoReturn, Self, TypeVar, overload
from urllib.parse import unquote

from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.header_values import (
    boolean,
    decode_words,
    field_value,
    integer,
    parameters,
    readable,
    signed_integer,
    timestamp,
)
from aios3get._protocol.ranges import ContentRange

__all__ = ["Expiration", "ObjectInfo", "Restore"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Expiration:
    """When a lifecycle rule deletes the object.

    Attributes:
        expiry_date: the time, in UTC.
        rule_id: the rule's id, URL-decoded; empty if the server does not send it.
    """

    expiry_date: datetime
    rule_id: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse ``x-amz-expiration``; None for the ``NotImplemented`` of directory buckets."""
        values = parameters(readable(text))
        expiry_date = timestamp(values.get("expiry-date", ""))
        if expiry_date is None:
            return None
        return cls(expiry_date, unquote(values.get("rule-id", "")))


@dataclass(frozen=True, slots=True)
class Restore:
    """The state of the restoration of an archived object.

    Attributes:
        ongoing: the restoration was requested and is not finished.
        expiry_date: when the restored copy will be removed, in UTC; None while ``ongoing``.
    """

    ongoing: bool
    expiry_date: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse ``x-amz-restore``."""
        values = parameters(text)
        ongoing = boolean(values.get("ongoing-request", ""))
        return None if ongoing is None else cls(ongoing, timestamp(values.get("expiry-date", "")))


def _stored_encoding(text: str) -> str | None:
    # aws-chunked frames an upload; S3 keeps it in the header although the stored bytes have none.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    if "aws-chunked" not in text.lower():
        return readable(text)
    tokens = [token.strip() for token in text.split(",")]
    return ", ".join(token for token in tokens if token.lower() not in ("aws-chunked", "")) or None


class _Header(Generic[T]):
    """A read-only attribute parsed from one header; None if the header is absent or malformed."""

    def __init__(self, name: str, parse: Callable[[str], T | None], doc: str) -> None:
        self.name = name
        self.parse = parse
        self.__doc__ = doc

    @overload
    def __get__(self, info: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, info: "ObjectInfo", owner: Any = None) -> T | None: ...
    def __get__(self, info: "ObjectInfo | None", owner: Any = None) -> "Self | T | None":
        if info is None:
            return self
        text = field_value(info.headers, self.name)
        return None if text is None else self.parse(text)

    def __set__(self, info: "ObjectInfo", value: NoReturn) -> NoReturn:
        # With this method it is a data descriptor, whose text help() shows.
        raise AttributeError(f"{self.name} is read-only")


@dataclass(frozen=True, repr=False)
class ObjectInfo:
    """The metadata of an object: each header of the response as a typed attribute.

    Attributes are parsed on access. An attribute is None if its header is absent or malformed;
    ``headers`` has the text in either case. Times are aware, in UTC. An ``ObjectInfo`` needs no
    connection; it can be kept after the body is closed, pickled, copied and compared.

    Attributes:
        status: the HTTP status: 200, or 206 for a range or part.
        headers: all headers as received; lookups ignore case.
        bucket: the bucket as the caller wrote it.
        key: the key as the caller wrote it.
    """

    # With slots=True, assigning to a member below would raise the wrong error:
    # https://github.com/python/cpython/issues/105936
    __slots__ = ("bucket", "headers", "key", "status")

    status: int
    headers: CIMultiDictProxy[str]
    _: KW_ONLY
    bucket: str
    key: str

    accept_ranges = _Header("accept-ranges", readable, "``bytes`` if the server supports ranges.")
    archive_status = _Header(
        "x-amz-archive-status", readable, "The archive tier; in responses to HEAD only."
    )
    bucket_key_enabled = _Header(
        "x-amz-server-side-encryption-bucket-key-enabled",
        boolean,
        "Whether SSE-KMS uses an S3 Bucket Key.",
    )
    cache_control = _Header("Cache-Control", readable, "The directives for caches.")
    checksum_type = _Header("x-amz-checksum-type", readable, "``FULL_OBJECT`` or ``COMPOSITE``.")
    content_disposition = _Header("Content-Disposition", readable, "How to present the content.")
    content_encoding = _Header(
        "Content-Encoding", _stored_encoding, "The stored bytes' coding, without ``aws-chunked``."
    )
    content_language = _Header("Content-Language", readable, "The content's language.")
    content_length = _Header(
        "Content-Length", integer, "The body's size in bytes; see also ``object_size``."
    )
    content_range = _Header(
        "Content-Range", ContentRange.parse, "The bytes of the object that the body contains."
    )
    content_type = _Header("Content-Type", readable, "The content's media type.")
    etag = _Header("ETag", readable, "The entity tag, verbatim with its quotes.")
    expiration = _Header(
        "x-amz-expiration", Expiration.parse, "When a lifecycle rule deletes the object."
    )
    expires = _Header(
        "Expires", timestamp, "When caches should drop the object; None if it is not a date."
    )
    expires_string = _Header("Expires", readable, "``Expires`` as stored: S3 accepts any text.")
    host_id = _Header("x-amz-id-2", readable, "For AWS Support, with ``request_id``.")
    ibm_restored_copy_storage_class = _Header(
        "x-ibm-restored-copy-storage-class",
        readable,
        "IBM: the bucket's class while a restored copy exists.",
    )
    ibm_transition = _Header(
        "x-ibm-transition", readable, "IBM: the archive tier and time of the transition."
    )
    last_modified = _Header("Last-Modified", timestamp, "When the object was created.")
    missing_meta = _Header(
        "x-amz-missing-meta", integer, "How many metadata entries HTTP cannot carry."
    )
    object_lock_event_hold = _Header("x-amz-object-lock-event-hold", readable, "``ON`` or ``OFF``.")
    object_lock_event_hold_duration_days = _Header(
        "x-amz-object-lock-event-hold-duration-days", integer, "The event hold's length in days."
    )
    object_lock_event_hold_duration_years = _Header(
        "x-amz-object-lock-event-hold-duration-years", integer, "The event hold's length in years."
    )
    object_lock_legal_hold_status = _Header(
        "x-amz-object-lock-legal-hold", readable, "``ON`` or ``OFF``."
    )
    object_lock_mode = _Header(
        "x-amz-object-lock-mode", readable, "``GOVERNANCE`` or ``COMPLIANCE``."
    )
    object_lock_retain_until_date = _Header(
        "x-amz-object-lock-retain-until-date", timestamp, "The end of the version's lock, in UTC."
    )
    parts_count = _Header(
        "x-amz-mp-parts-count", integer, "The number of parts; only if a part was requested."
    )
    replication_status = _Header(
        "x-amz-replication-status", readable, "The replication status, such as ``COMPLETED``."
    )
    request_charged = _Header(
        "x-amz-request-charged", readable, "``requester`` if you are charged for the request."
    )
    request_id = _Header("x-amz-request-id", readable, "For AWS Support, with ``host_id``.")
    restore = _Header(
        "x-amz-restore", Restore.parse, "The state of the restoration of an archived object."
    )
    retention_expiration_date = _Header(
        "Retention-Expiration-Date", timestamp, "IBM: the end of the retention, in UTC."
    )
    retention_legal_hold_count = _Header(
        "Retention-Legal-Hold-Count", integer, "IBM: the number of legal holds."
    )
    retention_period = _Header(
        "Retention-Period",
        signed_integer,
        "IBM: the retention in seconds, or -1 or -2 for one without a fixed end.",
    )
    server_side_encryption = _Header(
        "x-amz-server-side-encryption",
        readable,
        "The encryption, such as ``AES256`` or ``aws:kms``.",
    )
    sse_customer_algorithm = _Header(
        "x-amz-server-side-encryption-customer-algorithm", readable, "SSE-C: the cipher."
    )
    sse_customer_key_md5 = _Header(
        "x-amz-server-side-encryption-customer-key-MD5",
        readable,
        "SSE-C: the key's base64 MD5 digest.",
    )
    sse_kms_key_id = _Header(
        "x-amz-server-side-encryption-aws-kms-key-id", readable, "SSE-KMS: the key."
    )
    storage_class = _Header(
        "x-amz-storage-class", readable, "The storage class; None for ``STANDARD``, which S3 omits."
    )
    tag_count = _Header("x-amz-tagging-count", integer, "The number of tags, if you may read tags.")
    version_id = _Header("x-amz-version-id", readable, "The object's version.")
    website_redirect_location = _Header(
        "x-amz-website-redirect-location", readable, "The redirect target in a website bucket."
    )

    @property
    def delete_marker(self) -> bool:
        """Whether the version is a delete marker; S3 sends the header only if it is."""
        return boolean(field_value(self.headers, "x-amz-delete-marker") or "") is True

    @property
    def checksums(self) -> Mapping[str, str]:
        """The stored checksums in base64, by S3's name of the algorithm, such as ``CRC64NVME``.

        A composite checksum ends in ``-`` and the number of parts; see ``checksum_type``.
        """
        fields = self._fields_with_prefix("x-amz-checksum-")
        return MappingProxyType(
            {name.upper(): readable(text) for name, text in fields.items() if name != "type"}
        )

    @property
    def metadata(self) -> Mapping[str, str]:
        """The user metadata by lower-case name without ``x-amz-meta-``, decoded.

        S3 sends text other than US-ASCII as RFC 2047 encoded words
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html). Text in UTF-8
        that was decoded as ISO-8859-1 on its way is repaired.
        """
        fields = self.raw_metadata
        return MappingProxyType({name: _decode_metadata(text) for name, text in fields.items()})

    @property
    def raw_metadata(self) -> Mapping[str, str]:
        """The user metadata by lower-case name, with values as received."""
        return MappingProxyType(self._fields_with_prefix("x-amz-meta-"))

    @property
    def object_size(self) -> int | None:
        """The size of the whole object in bytes, even for a response with a range or part."""
        if (content_range := self.content_range) is not None:
            return content_range.size
        return self.content_length if self.status == 200 else None

    def to_dict(self) -> dict[str, Any]:
        """Return every attribute except ``headers`` and ``raw_metadata``, for a log record.

        Absent members are None; times stay datetimes.
        """
        members: dict[str, Any] = {name: getattr(self, name) for name in _MEMBERS}
        for name in ("content_range", "expiration", "restore"):
            if members[name] is not None:
                members[name] = asdict(members[name])
        return members | {"checksums": {**self.checksums}, "metadata": {**self.metadata}}

    def _fields_with_prefix(self, prefix: str) -> dict[str, str]:
        fields: dict[str, list[str]] = {}
        for name, text in self.headers.items():
            lower = name.lower()
            if lower.startswith(prefix):
                fields.setdefault(lower.removeprefix(prefix), []).append(text)
        # RFC 9110 section 5.3: repeated fields are one list.
        return {name: ", ".join(texts) for name, texts in fields.items()}

    def __repr__(self) -> str:
        members = {name: getattr(self, name) for name in _MEMBERS if name not in _NOT_IN_REPR}
        members |= {"checksums": {**self.checksums}, "metadata": {**self.metadata}}
        shown = [
            f"{name}={value!r}"
            for name, value in members.items()
            if value is not False and value not in (None, {})
        ]
        return f"ObjectInfo({', '.join(shown)})"

    def __hash__(self) -> int:
        # The headers are not hashable.
        return hash((self.status, self.bucket, self.key))

    def __reduce__(self) -> tuple[object, ...]:
        # A header proxy does not pickle.
        return _revive, (self.status, [*self.headers.items()], self.bucket, self.key)


_MEMBERS = (
    *("bucket", "key", "status", "object_size"),
    *(name for name, value in vars(ObjectInfo).items() if isinstance(value, _Header)),
    "delete_marker",
)
_NOT_IN_REPR = {"expires_string", "sse_customer_key_md5"}


def _revive(status: int, headers: list[tuple[str, str]], bucket: str, key: str) -> ObjectInfo:
    return ObjectInfo(status, CIMultiDictProxy(CIMultiDict(headers)), bucket=bucket, key=key)


def _decode_metadata(text: str) -> str:
    decoded = decode_words(readable(text))
    if decoded.isascii():
        return decoded
    try:
        return decoded.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return decoded

"""The objects that the server keeps, and the options of ``S3Server.put_object``."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypedDict

from aios3get.testing.checksums import ALGORITHMS, checksum, composite_checksum, default_type
from aios3get.testing.validation import (
    check_fields,
    check_key,
    check_sse_customer_key,
    check_text,
    utc,
)

__all__ = ["ObjectOptions", "StoredObject", "delete_marker", "make_object"]


class ObjectOptions(TypedDict, total=False):
    """The options of ``S3Server.put_object``.

    Attributes:
        content_type: ``binary/octet-stream`` by default, as with S3.
        metadata: the user metadata; non-ASCII values are sent as S3 sends them.
        headers: further headers of its responses, such as ``Cache-Control``,
            ``x-amz-expiration``, ``x-amz-object-lock-mode``.
        tags: the tags; only their number is sent.
        storage_class: ``STANDARD`` by default, ``EXPRESS_ONEZONE`` in directory buckets;
            ``GLACIER`` and ``DEEP_ARCHIVE`` cannot be read unless restored.
        access_tier: ``ARCHIVE_ACCESS`` or ``DEEP_ARCHIVE_ACCESS`` of Intelligent-Tiering.
        restore: when the restored copy expires, an aware datetime, or ``"ongoing"``.
        parts: the sizes of its parts in bytes, as after a multipart upload.
        checksum_algorithm: one or several of S3's names, such as ``CRC64NVME``.
        checksum_type: ``FULL_OBJECT`` or, with parts, ``COMPOSITE``.
        sse_customer_key: the 32 bytes of an SSE-C key, without which the object cannot be read.
        etag: the ETag with quotes; computed as S3 does by default, which takes 2 s per GiB.
        last_modified: an aware datetime; the server's time by default. Fractions of seconds are
            dropped.
        version_id: the version id; random by default.
        missing_meta: the number in ``x-amz-missing-meta``.
    """

    content_type: str | None
    metadata: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    tags: Mapping[str, str] | None
    storage_class: str
    access_tier: str | None
    restore: datetime | Literal["ongoing"] | None
    parts: Sequence[int]
    checksum_algorithm: str | Sequence[str] | None
    checksum_type: str | None
    sse_customer_key: bytes | None
    etag: str | None
    last_modified: datetime | None
    version_id: str | None
    missing_meta: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredObject:
    """One version of an object; ``S3Server.put_object`` returns it.

    Attributes:
        key: the object's key.
        body: its bytes.
        etag: the ETag with its quotes, as S3 sends it.
        version_id: ``"null"`` in a bucket that has never been versioned.
        last_modified: the time in whole seconds, in UTC.
        parts: the sizes of its parts in bytes; empty if it was not uploaded in parts.
        checksums: base64 by algorithm; a composite one without its ``-N``.
        checksum_type: ``FULL_OBJECT`` or ``COMPOSITE``.
        headers: further headers of every response to GET and HEAD.
        options: the options of ``put_object``.
        delete_marker: whether this version is a delete marker.
    """

    key: str
    body: bytes = field(default=b"", repr=False)
    etag: str = ""
    version_id: str
    last_modified: datetime
    parts: tuple[int, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])
    checksum_type: str = "FULL_OBJECT"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    options: ObjectOptions = field(default_factory=ObjectOptions, repr=False)
    delete_marker: bool = False

    @property
    def storage_class(self) -> str:
        """The storage class, ``STANDARD`` by default."""
        return self.options.get("storage_class", "STANDARD")

    @property
    def access_tier(self) -> str | None:
        """The archive tier of Intelligent-Tiering."""
        return self.options.get("access_tier")

    @property
    def sse_customer_key(self) -> bytes | None:
        """The SSE-C key."""
        return self.options.get("sse_customer_key")

    def part_bounds(self, number: int) -> tuple[int, int]:
        """Return the offsets of the start and the end of part ``number``.

        An object that was not uploaded in parts is its own part 1.
        """
        sizes = self.parts or (len(self.body),)
        start = sum(sizes[: number - 1])
        return start, start + sizes[number - 1]


def make_object(
    key: str, body: bytes, *, version_id: str, now: datetime, options: ObjectOptions
) -> StoredObject:
    """Validate the options and compute ETag and checksums as S3 does.

    Args:
        key: the object's key.
        body: its bytes, which are not copied.
        version_id: the version id unless the options have one.
        now: the time of modification unless the options have one.
        options: the options of ``S3Server.put_object``.

    Raises:
        TypeError: there is no such option.
        ValueError: S3 could not store such an object.
    """
    _validate(key, options)
    sizes = tuple(options.get("parts", ()))
    if any(size < 0 for size in sizes) or len(sizes) > 10_000:
        raise ValueError(f"parts {sizes!r:.80} must be 1 to 10,000 sizes in bytes, none negative")
    if sizes and sum(sizes) != len(body):
        raise ValueError(f"parts sum up to {sum(sizes)} bytes, but the body has {len(body)}")
    algorithms = options.get("checksum_algorithm") or ()
    algorithms = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms)
    checksum_type = _checksum_type(algorithms, sizes, options.get("checksum_type"))
    pieces = _pieces(body, sizes)
    is_composite = checksum_type == "COMPOSITE"
    content_type = options.get("content_type")
    typed = {"Content-Type": content_type} if content_type is not None else {}
    opaque = options.get("sse_customer_key") is not None
    return StoredObject(
        key=key,
        body=body,
        etag=options.get("etag") or _etag(pieces, is_multipart=bool(sizes), opaque=opaque),
        version_id=options.get("version_id") or version_id,
        last_modified=_last_modified(options, now),
        parts=sizes,
        checksums={
            name: composite_checksum(name, pieces) if is_composite else checksum(name, body)
            for name in algorithms
        },
        checksum_type=checksum_type,
        headers={**typed, **(options.get("headers") or {})},
        options=options,
    )


def delete_marker(key: str, *, version_id: str, now: datetime) -> StoredObject:
    """Return a delete marker for ``key``."""
    last_modified = now.replace(microsecond=0)
    return StoredObject(
        key=key, version_id=version_id, last_modified=last_modified, delete_marker=True
    )


def _validate(key: str, options: ObjectOptions) -> None:
    for name in options:
        if name not in ObjectOptions.__annotations__:
            raise TypeError(f"put_object() got an unexpected keyword argument {name!r}")
    check_key(key)
    for name in ("content_type", "storage_class", "access_tier", "etag", "version_id"):
        check_text(name, str(options.get(name) or ""))
    check_fields("headers", options.get("headers") or {})
    check_fields("metadata", options.get("metadata") or {})
    restore = options.get("restore")
    if isinstance(restore, datetime):
        utc("restore", restore)
    elif restore not in (None, "ongoing"):
        raise ValueError(f"restore {restore!r} must be an aware datetime, 'ongoing' or None")
    if (customer_key := options.get("sse_customer_key")) is not None:
        check_sse_customer_key(customer_key)


def _last_modified(options: ObjectOptions, now: datetime) -> datetime:
    last_modified = options.get("last_modified")
    moment = now if last_modified is None else utc("last_modified", last_modified)
    return moment.replace(microsecond=0)


def _checksum_type(
    algorithms: Sequence[str], sizes: Sequence[int], checksum_type: str | None
) -> str:
    for name in algorithms:
        if name not in ALGORITHMS:
            raise ValueError(f"checksum_algorithm {name!r} is none of {', '.join(ALGORITHMS)}")
    if checksum_type is None:
        return default_type(algorithms[0]) if sizes and algorithms else "FULL_OBJECT"
    if checksum_type not in ("FULL_OBJECT", "COMPOSITE"):
        raise ValueError(f"checksum_type {checksum_type!r} is neither FULL_OBJECT nor COMPOSITE")
    if checksum_type == "COMPOSITE" and not sizes:
        raise ValueError("only an object with parts has a COMPOSITE checksum")
    return checksum_type


def _pieces(body: bytes, sizes: Sequence[int]) -> list[memoryview]:
    pieces: list[memoryview] = []
    rest = memoryview(body)
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces or [rest]


def _md5(data: bytes | memoryview) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _etag(pieces: Sequence[memoryview], *, is_multipart: bool, opaque: bool) -> str:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: under SSE-C and SSE-KMS the
    # ETag is no MD5; of a multipart upload it is that of the parts' digests, with their number.
    if opaque:
        digest = secrets.token_bytes(16)
    elif is_multipart:
        digest = _md5(b"".join(map(_md5, pieces)))
    else:
        digest = _md5(pieces[0])
    return f'"{digest.hex()}-{len(pieces)}"' if is_multipart else f'"{digest.hex()}"'

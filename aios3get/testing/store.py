"""What the server keeps: buckets, versions of objects, access points. Plain data, no HTTP."""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from aios3get.testing.checksums import ALGORITHMS, checksum, composite, default_type

__all__ = ["AccessPoint", "Bucket", "Store", "StoredObject", "make_object"]

Restore = datetime | Literal["ongoing"] | None


def _no_headers() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredObject:
    """One version of an object; ``S3Server.put_object`` returns it.

    Attributes:
        key: the object's key.
        body: its bytes.
        etag: with its quotes, as S3 sends it.
        version_id: ``"null"`` in a bucket that has never been versioned.
        last_modified: whole seconds, UTC.
        parts: the sizes of its parts in bytes; empty if it was put in one piece.
        checksums: base64 by algorithm, without the ``-N`` of a composite one.
        checksum_type: ``FULL_OBJECT`` or ``COMPOSITE``.
        headers: further headers that every GET and HEAD of it carries.
        delete_marker: this version hides the key.
    """

    key: str
    body: bytes = field(repr=False)
    etag: str
    version_id: str
    last_modified: datetime
    parts: tuple[int, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=_no_headers)
    checksum_type: str = "FULL_OBJECT"
    headers: Mapping[str, str] = field(default_factory=_no_headers)
    metadata: Mapping[str, str] = field(default_factory=_no_headers)
    missing_meta: int = 0
    storage_class: str = "STANDARD"
    access_tier: str | None = None
    restore: Restore = None
    tags: Mapping[str, str] = field(default_factory=_no_headers)
    sse_customer_key: bytes | None = field(default=None, repr=False)
    delete_marker: bool = False

    def part_bounds(self, number: int) -> tuple[int, int]:
        """Where part ``number`` starts and stops; an object put in one piece is its own part 1."""
        sizes = self.parts or (len(self.body),)
        start = sum(sizes[: number - 1])
        return start, start + sizes[number - 1]


def _pieces(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces: list[bytes] = []
    start = 0
    for size in sizes:
        pieces.append(body[start : start + size])
        start += size
    return pieces


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _etag(body: bytes, sizes: Sequence[int], *, opaque: bool) -> str:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: under SSE-C and SSE-KMS the
    # ETag is no MD5; of a multipart upload it is that of the parts' digests, with their number.
    if opaque:
        digest = secrets.token_hex(16)
    elif sizes:
        digest = _md5(b"".join(map(_md5, _pieces(body, sizes)))).hex()
    else:
        digest = _md5(body).hex()
    return f'"{digest}-{len(sizes)}"' if sizes else f'"{digest}"'


def make_object(
    key: str,
    body: bytes,
    *,
    version_id: str,
    last_modified: datetime,
    parts: Sequence[int] = (),
    etag: str | None = None,
    checksum_algorithm: str | Sequence[str] | None = None,
    checksum_type: str | None = None,
    headers: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    missing_meta: int = 0,
    storage_class: str = "STANDARD",
    access_tier: str | None = None,
    restore: Restore = None,
    tags: Mapping[str, str] | None = None,
    sse_customer_key: bytes | None = None,
) -> StoredObject:
    """A version as S3 would keep it: ETag and checksums computed from the bytes.

    Raises:
        ValueError: what is asked for cannot exist in S3.
    """
    if any(size < 0 for size in parts) or len(parts) > 10_000:
        raise ValueError(f"parts {parts!r:.80} must be 1 to 10,000 sizes in bytes, none negative")
    if parts and sum(parts) != len(body):
        raise ValueError(f"parts sum up to {sum(parts)} bytes, but the body has {len(body)}")
    names = [checksum_algorithm] if isinstance(checksum_algorithm, str) else checksum_algorithm
    names = list(names or ())
    unknown = [name for name in names if name not in ALGORITHMS]
    if unknown:
        raise ValueError(f"checksum_algorithm {unknown[0]!r} is none of {', '.join(ALGORITHMS)}")
    kind = checksum_type or (default_type(names[0]) if parts and names else "FULL_OBJECT")
    if kind == "COMPOSITE" and not parts:
        raise ValueError("only an object with parts has a COMPOSITE checksum")
    whole = kind == "FULL_OBJECT"
    return StoredObject(
        key=key,
        body=body,
        etag=etag or _etag(body, parts, opaque=sse_customer_key is not None),
        version_id=version_id,
        last_modified=last_modified.replace(microsecond=0),
        parts=tuple(parts),
        checksums={
            name: checksum(name, body) if whole else composite(name, _pieces(body, parts))
            for name in names
        },
        checksum_type=kind,
        headers=dict(headers or {}),
        metadata={name.lower(): text for name, text in (metadata or {}).items()},
        missing_meta=missing_meta,
        storage_class=storage_class,
        access_tier=access_tier,
        restore=restore,
        tags=dict(tags or {}),
        sse_customer_key=sse_customer_key,
    )


@dataclass(slots=True, kw_only=True, eq=False)
class Bucket:
    """A bucket and all versions in it, oldest first."""

    name: str
    region: str
    owner: str
    public: bool = False
    requester_pays: bool = False
    reveals_missing_keys: bool = True
    versioning: bool = False
    versions: dict[str, list[StoredObject]] = field(default_factory=dict[str, list[StoredObject]])

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory bucket, which has sessions and no versions."""
        return self.name.endswith("--x-s3")

    def next_version_id(self) -> str:
        """``null`` until versioning is on."""
        return secrets.token_urlsafe(24) if self.versioning else "null"

    def add(self, version: StoredObject) -> None:
        """Make ``version`` the newest; there is one version of each id."""
        kept = [
            old
            for old in self.versions.get(version.key, [])
            if old.version_id != version.version_id
        ]
        self.versions[version.key] = [*kept, version]

    def newest(self, key: str) -> StoredObject | None:
        """The version that a request without ``versionId`` gets; it may be a delete marker."""
        versions = self.versions.get(key)
        return versions[-1] if versions else None

    def version(self, key: str, version_id: str) -> StoredObject | None:
        """That very version."""
        found = (each for each in self.versions.get(key, ()) if each.version_id == version_id)
        return next(found, None)

    def delete(self, key: str, version_id: str | None, now: datetime) -> StoredObject | None:
        """Remove a version, or the object, or hide it behind a delete marker, which is returned."""
        if version_id is None and self.versioning:
            marker = StoredObject(
                key=key,
                body=b"",
                etag="",
                version_id=self.next_version_id(),
                last_modified=now.replace(microsecond=0),
                delete_marker=True,
            )
            self.add(marker)
            return marker
        gone = version_id or "null"
        kept = [each for each in self.versions.get(key, ()) if each.version_id != gone]
        self.versions[key] = kept
        return None


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """Another name of a bucket, and the service that its requests are signed for.

    ``transform`` is the function of an Object Lambda access point.
    """

    bucket: str
    service: str = "s3"
    transform: Callable[[bytes], bytes] | None = None


class Store:
    """All buckets, and the other names by which they are reached."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.access_points: dict[str, AccessPoint] = {}

    def names(self) -> list[str]:
        """Every name that may stand before an endpoint's host, the longest first."""
        return sorted([*self.buckets, *self.access_points], key=len, reverse=True)

    def find(self, name: str) -> Bucket | None:
        """The bucket of that name, or behind the access point of that name."""
        point = self.access_points.get(name)
        return self.buckets.get(point.bucket if point else name)

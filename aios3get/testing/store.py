"""The buckets of the server, the versions in them, and access points. Plain data, no HTTP."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from aios3get.testing.stored_object import StoredObject, delete_marker

__all__ = ["AccessPoint", "Bucket", "Store"]


@dataclass(slots=True, kw_only=True, eq=False)
class Bucket:
    """A bucket; ``S3Server.create_bucket`` documents its settings.

    Attributes:
        versions: all versions by key, oldest first.
    """

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
        """Return the id of the next version: ``null`` until versioning is enabled."""
        return secrets.token_urlsafe(24) if self.versioning else "null"

    def add(self, version: StoredObject) -> None:
        """Make ``version`` the latest of its key; it replaces one with the same id."""
        versions = self.versions.get(version.key, [])
        kept = [old for old in versions if old.version_id != version.version_id]
        self.versions[version.key] = [*kept, version]

    def latest(self, key: str) -> StoredObject | None:
        """Return the current version of a key, which may be a delete marker."""
        versions = self.versions.get(key)
        return versions[-1] if versions else None

    def version(self, key: str, version_id: str) -> StoredObject | None:
        """Return the version with that id."""
        versions = (each for each in self.versions.get(key, ()) if each.version_id == version_id)
        return next(versions, None)

    def objects(self) -> Iterator[StoredObject]:
        """Iterate over the current versions except delete markers, by key in UTF-8 order."""
        for key in sorted(self.versions, key=str.encode):
            version = self.latest(key)
            if version is not None and not version.delete_marker:
                yield version

    def delete(self, key: str, version_id: str | None, now: datetime) -> StoredObject | None:
        """Delete a version or the object; return the delete marker if one is created."""
        if version_id is None and self.versioning:
            marker = delete_marker(key, version_id=self.next_version_id(), now=now)
            self.add(marker)
            return marker
        removed = version_id or "null"
        kept = [each for each in self.versions.get(key, ()) if each.version_id != removed]
        self.versions[key] = kept
        return None


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """Another name of a bucket.

    Attributes:
        bucket: the bucket's name.
        service: the service that requests are signed for.
        transform: the function of an Object Lambda access point.
    """

    bucket: str
    service: str = "s3"
    transform: Callable[[bytes], bytes] | None = None


class Store:
    """All buckets and access points."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.access_points: dict[str, AccessPoint] = {}

    def names(self) -> list[str]:
        """Return every name that may precede an endpoint's host, the longest first."""
        return sorted([*self.buckets, *self.access_points], key=len, reverse=True)

    def find(self, name: str) -> Bucket | None:
        """Return the bucket of that name, or of the access point of that name."""
        point = self.access_points.get(name)
        return self.buckets.get(point.bucket if point else name)

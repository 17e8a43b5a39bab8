"""The locations that commands read: ``s3://bucket/key``, an ARN with a key, or a link."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from aios3get._protocol.endpoints.paths import split_path

__all__ = ["LinkLocation", "Location", "ObjectLocation", "parse_location"]


@dataclass(frozen=True, slots=True)
class ObjectLocation:
    """A bucket or access point, and a key."""

    bucket: str
    key: str

    @property
    def name(self) -> str:
        """The default file name of a download; empty if the key ends in a slash."""
        return self.key.rpartition("/")[2]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class LinkLocation:
    """A presigned or public URL; its query may be a credential, so ``str`` and ``repr`` omit it."""

    url: str

    @property
    def name(self) -> str:
        """The default file name of a download."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]

    def __str__(self) -> str:
        return self.url.partition("?")[0]

    def __repr__(self) -> str:
        return f"LinkLocation({str(self)!r})"


Location = ObjectLocation | LinkLocation


def parse_location(text: str) -> Location:
    """Parse a location.

    Raises:
        ValueError: it is none; the message says what to write.
    """
    if text.startswith(("http://", "https://")):
        return LinkLocation(text)
    path = text.removeprefix("s3://")
    if path == text and not text.startswith("arn:"):
        raise ValueError("write s3://bucket/key, an ARN with a key, or a link that begins https://")
    bucket, key = split_path(path)
    if not bucket or not key:
        raise ValueError("write both a bucket and a key, as in s3://bucket/key")
    return ObjectLocation(bucket, key)

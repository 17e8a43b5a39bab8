"""The places that commands read from: ``s3://bucket/key``, an ARN with a key, or a link."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

__all__ = ["LinkLocation", "Location", "ObjectLocation", "parse_location"]

# The key follows the access point's name, as in the AWS CLI:
# https://docs.aws.amazon.com/cli/latest/reference/s3/
_access_point = re.compile(
    r"(arn:[a-z-]+:s3(?:-object-lambda|-outposts|express)?:[a-z0-9-]*:\d{12}:"
    r"(?:outpost[:/][^/:]+[:/])?accesspoint[:/][^/:]+)[/:](.+)",
    re.DOTALL,
).fullmatch
_object_arn = re.compile(r"arn:[a-z-]+:s3:::([^/]+)/(.+)", re.DOTALL).fullmatch


@dataclass(frozen=True, slots=True)
class ObjectLocation:
    """A bucket or access point, and a key."""

    bucket: str
    key: str

    @property
    def name(self) -> str:
        """The file name that a download gets by default; empty if the key ends in a slash."""
        return self.key.rpartition("/")[2]

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class LinkLocation:
    """A presigned or public URL; its query may be a credential, so texts leave it out."""

    url: str

    @property
    def name(self) -> str:
        """The file name that a download gets by default."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]

    def __str__(self) -> str:
        return self.url.partition("?")[0]

    def __repr__(self) -> str:
        return f"LinkLocation({str(self)!r})"


Location = ObjectLocation | LinkLocation


def parse_location(text: str) -> Location:
    """The place that an argument names.

    Raises:
        ValueError: it names none; the message says what to write.
    """
    if text.startswith(("http://", "https://")):
        return LinkLocation(text)
    name = text.removeprefix("s3://")
    if name.startswith("arn:"):
        if match := _access_point(name) or _object_arn(name):
            return ObjectLocation(match[1], match[2])
        raise ValueError(
            "write the ARN of an access point or bucket, a slash and the key, such as"
            " arn:aws:s3:us-west-2:123456789012:accesspoint/example-ap/photos/sample.jpg"
        )
    if name == text:
        raise ValueError("write s3://bucket/key, an ARN with a key, or a link that begins https://")
    bucket, _, key = name.partition("/")
    if not bucket or not key:
        raise ValueError("write both a bucket and a key, as in s3://bucket/key")
    return ObjectLocation(bucket, key)

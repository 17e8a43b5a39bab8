"""Splits ``bucket/key``, where the bucket may be an ARN."""

import re

__all__ = ["split_path"]

# The key follows the access point's name, as in the AWS CLI:
# https://docs.aws.amazon.com/cli/latest/reference/s3/
_access_point = re.compile(
    r"(arn:[a-z-]+:s3(?:-object-lambda|-outposts|express)?:[a-z0-9-]*:\d{12}:"
    r"(?:outpost[:/][^/:]+[:/])?accesspoint[:/][^/:]+)(?:[/:](.*))?",
    re.DOTALL,
).fullmatch
_bucket_arn = re.compile(r"arn:[a-z-]+:s3:::([^/]+)(?:/(.*))?", re.DOTALL).fullmatch


def split_path(path: str) -> tuple[str, str]:
    """Return the bucket or the access point's ARN, and the key; either may be empty.

    Args:
        path: ``bucket/key``, an access point's ARN with a slash and a key, or an object's ARN.

    Raises:
        ValueError: the path is another ARN.
    """
    if not path.startswith("arn:"):
        bucket, _, key = path.partition("/")
        return bucket, key
    match = _access_point(path) or _bucket_arn(path)
    if match is None:
        raise ValueError(
            f"{path!r:.200} is not the ARN of an access point or bucket, followed by a slash and a"
            " key"
        )
    return match[1], match[2] or ""

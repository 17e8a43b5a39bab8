"""Finds the bucket and key of a request, from its path or from any host name of S3.

Host names: https://docs.aws.amazon.com/general/latest/gr/s3.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Literal
from urllib.parse import unquote_to_bytes

from aios3get.testing.responses import ErrorResponse

__all__ = ["Target", "decode", "find_target"]

_suffix = (
    r"\.(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov"
    r"|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_region = r"(?P<region>[a-z]+(?:-[a-z]+)+-\d+)"

_Kind = Literal["bucket", "point", "mrap"]

# Service, kind of the name before the endpoint, and pattern of the host.
_patterns: tuple[tuple[str, _Kind, str], ...] = (
    ("s3", "mrap", r"(?P<name>[^.]+\.mrap)\.accesspoint\.s3-global"),
    ("s3", "point", rf"(?P<name>[^.]+)\.s3-accesspoint(?:-fips)?(?:\.dualstack)?\.{_region}"),
    ("s3-object-lambda", "point", rf"(?P<name>[^.]+)\.s3-object-lambda(?:-fips)?\.{_region}"),
    ("s3-outposts", "point", rf"(?P<name>[^.]+)\.(?:op-[^.]+|ec2)\.s3-outposts\.{_region}"),
    (
        "s3express",
        "bucket",
        rf"(?:(?P<name>[^.]+)\.)?s3express(?:-fips)?-[a-z0-9-]+(?:\.dualstack)?\.{_region}",
    ),
    ("s3", "bucket", r"(?P<name>.+)\.s3-accelerate(?:\.dualstack)?"),
    ("s3", "bucket", rf"(?:(?P<name>.+)\.)?s3(?:-fips)?(?:\.dualstack)?[.-]{_region}"),
    ("s3", "bucket", r"(?:(?P<name>.+)\.)?s3(?P<global>-external-1)?"),
)
_endpoints = tuple((service, kind, re.compile(text + _suffix)) for service, kind, text in _patterns)


@dataclass(frozen=True, slots=True)
class Target:
    """The bucket and object of a request.

    Attributes:
        name: the bucket or access point; empty for the service itself.
        key: the object's key; empty for the bucket itself.
        service: the service that the host belongs to; None for a host outside AWS.
        region: the region in the host; None if it has none.
        kind: the kind of ``name`` according to the host: ``bucket``, ``point`` or ``mrap``.
    """

    name: str
    key: str
    service: str | None = None
    region: str | None = None
    kind: _Kind = "bucket"


def decode(text: str) -> bytes:
    """Percent-decode a path or query; S3 decodes ``+`` to a space in both."""
    return unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape"))


def _text(raw: str) -> str:
    try:
        return decode(raw).decode()
    except UnicodeDecodeError:
        raise ErrorResponse(
            400, "InvalidURI", "Couldn't parse the specified URI.", {"URI": raw}
        ) from None


def find_target(host: str, path: str, names: Iterable[str]) -> Target:
    """Parse the host and the raw path.

    Args:
        host: the ``Host`` header.
        path: the raw path.
        names: the buckets and access points that may precede a host outside AWS.

    Raises:
        ErrorResponse: the path is not UTF-8.
    """
    host = re.sub(r":\d+$", "", host).lower()
    for service, kind, pattern in _endpoints:
        if match := pattern.fullmatch(host):
            groups = match.groupdict()
            region = groups.get("region") or ("us-east-1" if "global" in groups else None)
            return replace(_split(groups["name"], path), service=service, region=region, kind=kind)
    if not _is_address(host):
        name = next((name for name in names if host.startswith(f"{name}.")), None)
        if name:
            return _split(name, path)
    return _split(None, path)


def _split(name: str | None, path: str) -> Target:
    rest = path.removeprefix("/")
    if name is None:
        first, _, rest = rest.partition("/")
        name = _text(first)
    return Target(name, _text(rest))


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True

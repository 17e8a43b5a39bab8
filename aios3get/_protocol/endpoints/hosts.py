"""Host names, and the parsing of ``endpoint_url``."""

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from aios3get._protocol.endpoints.partitions import PARTITIONS
from aios3get.errors import ConfigurationError

__all__ = [
    "CustomEndpoint",
    "is_authority",
    "is_host_label",
    "is_host_name",
    "is_hostable",
    "parse_endpoint_url",
]

# RFC 1123 section 2.1: letters, digits and inner hyphens, at most 63 of them.
_is_label = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)").fullmatch
_is_ipv4 = re.compile(r"([0-9]{1,3}\.){3}[0-9]{1,3}").fullmatch
_match_url = re.compile(r"(https?)://([^/?#]*)([^?#]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
# Container networks have host names with underscores, which RFC 1123 does not allow but resolvers
# accept. RFC 1035 section 2.3.4 limits the lengths.
_match_authority = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?![^:]{255})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)"
    r"(:(?P<port>[0-9]{1,5}))?"
).fullmatch
# Only characters with a single spelling in a canonical URI: the path is sent as it is signed.
_is_canonical_path = re.compile(r"([A-Za-z0-9\-._~/]|%[0-9A-F]{2})*").fullmatch
_is_accelerate_host = re.compile(r"s3-accelerate(\.dualstack)?\.amazonaws\.com").fullmatch
# Hosts that have buckets as subdomains.
_has_bucket_subdomains = re.compile(
    r"(s3|oss|cos|obs)([.-].*)?|storage\.googleapis\.com|.*\.r2\.cloudflarestorage\.com"
).fullmatch


def is_host_label(text: str) -> bool:
    """Whether the text can be a label of a host name."""
    return _is_label(text) is not None


def is_host_name(text: str) -> bool:
    """Whether the text is one or more host labels, joined by dots."""
    return all(map(_is_label, text.split(".")))


def is_hostable(bucket: str, *, dots: bool = False) -> bool:
    """Whether the bucket's name can be part of a host name.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html

    Args:
        bucket: the bucket's name.
        dots: whether it may have dots; S3's TLS certificates do not match such names.
    """
    if len(bucket) < 3 or bucket != bucket.lower() or _is_ipv4(bucket):
        return False
    return is_host_name(bucket) if dots else is_host_label(bucket)


def is_authority(text: str) -> bool:
    """Whether the text is a host, with no port or one from 1 to 65535."""
    parts = _match_authority(text)
    if parts is None or not _is_port(parts["port"]):
        return False
    host = parts["host"]
    return not host.startswith("[") or _is_ipv6(host[1:-1])


class CustomEndpoint(NamedTuple):
    """A parsed ``endpoint_url``.

    Attributes:
        scheme: ``http`` or ``https``.
        authority: the lower-case host, with the port if the URL has one.
        path: the base path without a trailing slash; may be empty.
        is_address: the host is an IP address, which has no subdomains.
    """

    scheme: str
    authority: str
    path: str
    is_address: bool

    @property
    def is_accelerate(self) -> bool:
        """Whether the host is S3's accelerate host, which has no path style."""
        return _is_accelerate_host(self.authority) is not None

    @property
    def is_aws(self) -> bool:
        """Whether AWS runs the host, as with a VPC endpoint."""
        host = self.authority.partition(":")[0]
        return host.endswith(tuple(f".{partition.dns_suffix}" for partition in PARTITIONS))

    def contains(self, bucket: str) -> bool:
        """Whether the URL already has the bucket's name as subdomain or last path segment."""
        first, _, rest = self.authority.partition(f"{bucket}.")
        in_host = first == "" and _has_bucket_subdomains(rest) is not None
        return in_host or self.path.rpartition("/")[2] == bucket


def _is_port(port: str | None) -> bool:
    return port is None or 0 < int(port) < 65536


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _normal_path(path: str) -> str | None:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or not _is_canonical_path(path):
        return None
    return "".join(f"/{part}" for part in parts)


def parse_endpoint_url(text: str) -> CustomEndpoint:
    """Parse an ``endpoint_url``.

    Raises:
        ConfigurationError: the URL is not ``http(s)://host[:port][/base/path]``.
    """
    if "@" in text:
        # The text may contain a password, so it is not shown.
        raise ConfigurationError(
            "endpoint_url contains '@'; it takes no user and password, pass credentials= instead"
        )
    shown = f"endpoint_url={re.split('[?#]', text, maxsplit=1)[0]!r}"
    match = _match_url(text)
    if match is None:
        raise ConfigurationError(
            f"{shown} must start with https:// or http://, as in 'http://localhost:9000'"
        )
    scheme, authority, path, rest = match.groups()
    if rest:
        raise ConfigurationError(f"{shown} must end before its '{rest[0]}': no query, no fragment")
    parts = _match_authority(authority)
    if parts is None or not _is_port(parts["port"]):
        raise ConfigurationError(
            f"{shown} needs a host (its labels 1-63 characters long) and at most a port 1-65535,"
            " as in 'https://s3.example.com:9000'"
        )
    host = parts["host"]
    if host.startswith("[") and not _is_ipv6(host[1:-1]):
        raise ConfigurationError(f"{shown} has no valid IPv6 address in its brackets")
    normal = _normal_path(path)
    if normal is None:
        raise ConfigurationError(
            f"{shown} has a path that would be changed on its way; percent-encode all but letters, "
            "digits and '-._~/', with upper-case hexadecimal digits, and leave '..' out"
        )
    is_address = host.startswith("[") or _is_ipv4(host) is not None
    return CustomEndpoint(scheme.lower(), authority.lower(), normal, is_address)

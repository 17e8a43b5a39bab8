"""Host names: which names may become part of one, and what a custom endpoint's URL means."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

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
_label = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)").fullmatch
_ipv4 = re.compile(r"([0-9]{1,3}\.){3}[0-9]{1,3}").fullmatch
_url = re.compile(r"(https?)://([^/?#]*)([^?#]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
# Container networks name hosts with underscores; RFC 1123 does not, resolvers do not mind. What
# they do mind is lengths: RFC 1035 section 2.3.4.
_authority = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?![^:]{255})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)"
    r"(:(?P<port>[0-9]{1,5}))?"
).fullmatch
# What is signed is what is sent: only characters that have one spelling in a canonical URI.
_path = re.compile(r"([A-Za-z0-9\-._~/]|%[0-9A-F]{2})*").fullmatch
_accelerate = re.compile(r"s3-accelerate(\.dualstack)?\.amazonaws\.com").fullmatch
# Hosts under which a bucket's own name stands as a subdomain.
_bucket_host = re.compile(
    r"(s3|oss|cos|obs)([.-].*)?|storage\.googleapis\.com|.*\.r2\.cloudflarestorage\.com"
).fullmatch


def is_host_label(text: str) -> bool:
    """Whether the text can stand between two dots of a host name."""
    return _label(text) is not None


def is_host_name(text: str) -> bool:
    """Whether the text is host labels joined by dots."""
    return all(map(_label, text.split(".")))


def is_hostable(bucket: str, *, dots: bool = False) -> bool:
    """Whether the bucket's name can lead a host name: DNS-like, lower case, no IPv4 address.

    A dotted name can only where no TLS certificate has to match it.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    if len(bucket) < 3 or bucket != bucket.lower() or _ipv4(bucket):
        return False
    return is_host_name(bucket) if dots else is_host_label(bucket)


def is_authority(text: str) -> bool:
    """Whether the text is a host that can be asked for, with a port from 1 to 65535 or none."""
    parts = _authority(text)
    if parts is None or not _port_is_possible(parts["port"]):
        return False
    host = parts["host"]
    return not host.startswith("[") or _is_ipv6(host[1:-1])


@dataclass(frozen=True, slots=True)
class CustomEndpoint:
    """An ``endpoint_url``, taken apart.

    Attributes:
        scheme: ``http`` or ``https``.
        authority: lower-case host, with the port if the URL named one.
        path: the base path without a slash at its end; empty for none.
        is_address: the host is an IP address, which cannot have subdomains.
    """

    scheme: str
    authority: str
    path: str
    is_address: bool

    @property
    def is_accelerate(self) -> bool:
        """Whether it is S3's own accelerate host, which knows no path style."""
        return _accelerate(self.authority) is not None

    @property
    def is_aws(self) -> bool:
        """Whether the host is AWS's, such as a VPC endpoint's."""
        host = self.authority.partition(":")[0]
        return host.endswith(tuple(f".{partition.dns_suffix}" for partition in PARTITIONS))

    def holds(self, bucket: str) -> bool:
        """Whether the bucket's name already stands in the URL, as subdomain or last path part."""
        first, _, rest = self.authority.partition(f"{bucket}.")
        in_host = first == "" and _bucket_host(rest) is not None
        return in_host or self.path.rpartition("/")[2] == bucket


def _port_is_possible(port: str | None) -> bool:
    return port is None or 0 < int(port) < 65536


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _normal_path(path: str) -> str | None:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or not _path(path):
        return None
    return "".join(f"/{part}" for part in parts)


def parse_endpoint_url(text: str) -> CustomEndpoint:
    """The parts of an ``endpoint_url``.

    Raises:
        ConfigurationError: it is not ``http(s)://host[:port][/base/path]``.
    """
    if "@" in text:
        # Whatever stands before it is a password, so the value is not shown.
        raise ConfigurationError(
            "endpoint_url holds an '@'; it takes no user and password, pass credentials= instead"
        )
    shown = f"endpoint_url={re.split('[?#]', text, maxsplit=1)[0]!r}"
    matched = _url(text)
    if matched is None:
        raise ConfigurationError(
            f"{shown} must start with https:// or http://, as in 'http://localhost:9000'"
        )
    scheme, authority, path, rest = matched.groups()
    if rest:
        raise ConfigurationError(f"{shown} must end before its '{rest[0]}': no query, no fragment")
    parts = _authority(authority)
    if parts is None or not _port_is_possible(parts["port"]):
        raise ConfigurationError(
            f"{shown} needs a host (its labels 1-63 characters long) and at most a port 1-65535,"
            " as in 'https://s3.example.com:9000'"
        )
    host = parts["host"]
    if host.startswith("[") and not _is_ipv6(host[1:-1]):
        raise ConfigurationError(f"{shown} has no IPv6 address between its brackets")
    normal = _normal_path(path)
    if normal is None:
        raise ConfigurationError(
            f"{shown} has a path that cannot be sent as written; percent-encode all but letters, "
            "digits and '-._~/', with upper-case hexadecimal digits, and leave '..' out"
        )
    is_address = host.startswith("[") or _ipv4(host) is not None
    return CustomEndpoint(scheme.lower(), authority.lower(), normal, is_address)

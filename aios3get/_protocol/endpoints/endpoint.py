"""What the endpoint rules read and what they make."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

__all__ = [
    "AddressingStyle",
    "AuthScheme",
    "Endpoint",
    "EndpointKind",
    "EndpointSettings",
    "service_host",
]

AddressingStyle = Literal["auto", "path", "virtual"]
AuthScheme = Literal["sigv4", "sigv4a", "sigv4-s3express"]
EndpointKind = Literal[
    "bucket", "access-point", "object-lambda", "outposts", "multi-region", "directory"
]


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Everything the endpoint rules look at besides the bucket."""

    region: str = "us-east-1"
    endpoint_url: str | None = None
    addressing_style: AddressingStyle = "auto"
    use_fips: bool = False
    use_dualstack: bool = False
    use_accelerate: bool = False
    use_arn_region: bool = True
    use_global_endpoint: bool = False
    disable_access_points: bool = False
    disable_multi_region_access_points: bool = False
    disable_s3_express_session_auth: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests for one bucket go, how they are signed, and what may be expected there.

    ``host`` is lower case and carries a port that is not the scheme's own; ``path`` is encoded,
    starts with ``/`` and has no slash at its end, or is empty: the URL of a key is
    ``{scheme}://{host}{path}/{key}``.

    Attributes:
        signing_region: the signature's region; for ``sigv4a`` its region set, ``*``.
        auth: ``sigv4-s3express`` signs with the credentials of a session of the bucket's own.
        kind: what stands behind the host.
        is_aws: AWS runs the host; a custom ``endpoint_url`` may also be AWS's, as a VPC endpoint.
        corrects_region: an answer that names another region can be followed by resolving the
            bucket again in that region.
        url: up to the slash before the key.
        signing: ``auth``, ``signing_region`` and ``signing_name`` in one.
        is_transformed: the owner's function writes the answers, and so decides what is in them.
            ``Range`` and part numbers are refused with 501 unless the owner allowed them, and then
            may be ignored; conditions too; ETag, length and checksums may be missing or the
            original's. Only a single plain GET is safe, and it can be repeated only from the start.
            https://docs.aws.amazon.com/AmazonS3/latest/userguide/range-get-olap.html
            https://docs.aws.amazon.com/AmazonS3/latest/API/API_WriteGetObjectResponse.html
    """

    scheme: str
    host: str
    path: str
    signing_name: str
    signing_region: str
    auth: AuthScheme = "sigv4"
    kind: EndpointKind = "bucket"
    is_aws: bool = True
    corrects_region: bool = False
    url: str = field(init=False, repr=False, compare=False)
    signing: tuple[AuthScheme, str, str] = field(init=False, repr=False, compare=False)
    is_transformed: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", f"{self.scheme}://{self.host}{self.path}")
        object.__setattr__(self, "signing", (self.auth, self.signing_region, self.signing_name))
        object.__setattr__(self, "is_transformed", self.kind == "object-lambda")

    @property
    def is_confidential(self) -> bool:
        """Whether nobody on the way reads along: TLS, or a host of this very machine.

        RFC 6761 section 6.3: ``localhost`` and names below it are loopback.
        """
        if self.scheme == "https":
            return True
        name = urlsplit(self.url).hostname or ""
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return f".{name}".endswith(".localhost")


def service_host(service: str, settings: EndpointSettings, *, zone: str = "") -> str:
    """The labels by which AWS tells a service's variants apart, such as ``s3-fips.dualstack``."""
    fips = "-fips" if settings.use_fips else ""
    zonal = f"-{zone}" if zone else ""
    stack = ".dualstack" if settings.use_dualstack else ""
    return f"{service}{fips}{zonal}{stack}"

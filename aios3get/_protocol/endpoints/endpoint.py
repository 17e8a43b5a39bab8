"""The settings that endpoint resolution reads, and the endpoint that it returns."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal, NamedTuple
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


class EndpointSettings(NamedTuple):
    """The settings that endpoint resolution depends on; see ``S3Client``."""

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
    """Where requests for one bucket are sent and how they are signed.

    The URL of a key is ``{scheme}://{host}{path}/{key}``.

    Attributes:
        scheme: ``https`` or ``http``.
        host: the host in lower case, with a port that is not the scheme's default.
        path: empty, or encoded, with a leading slash and without a trailing one.
        signing_name: the service in the signature's scope.
        signing_region: the region in the signature's scope; for ``sigv4a`` the region set, ``*``.
        auth: the kind of signature; ``sigv4-s3express`` signs with the credentials of a
            directory-bucket session.
        kind: the kind of resource that the bucket argument names.
        is_aws: whether AWS runs the host; also true for the ``endpoint_url`` of a VPC endpoint.
        corrects_region: whether a response that names another region can be followed by resolving
            the bucket again in that region.
        url: scheme, host and path.
        signing: ``auth``, ``signing_region`` and ``signing_name``.
        is_transformed: whether an Object Lambda function writes the responses. Unless the
            function's owner allows them, ``Range`` and part numbers fail with 501; if allowed, they
            and the conditions may be ignored. ETag, length and checksums may be missing, or those
            of the original object. Only a plain GET of the whole object is reliable, so an
            interrupted body starts again from the beginning.
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
        """Whether requests cannot be read on the network: over TLS, or to this machine.

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
    """Return the first labels of a service's host, such as ``s3-fips.dualstack``."""
    fips = "-fips" if settings.use_fips else ""
    zonal = f"-{zone}" if zone else ""
    stack = ".dualstack" if settings.use_dualstack else ""
    return f"{service}{fips}{zonal}{stack}"

"""Endpoints of the services that provide credentials, from environment and profile."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aios3get._config.settings import (
    USE_FIPS,
    Setting,
    configured_endpoint_url,
    parse_boolean,
    parse_legacy,
)
from aios3get._protocol.credentials.endpoints import CredentialsService, service_url
from aios3get._protocol.shared_config import Profile, SharedConfig

__all__ = ["ServiceEndpoint", "resolve_service_endpoint"]


class ServiceEndpoint(NamedTuple):
    """The endpoint of a service that provides credentials.

    Attributes:
        url: the URL, without a trailing slash.
        region: the region to sign for.
    """

    url: str
    region: str


def resolve_service_endpoint(
    service: CredentialsService,
    region: str | None,
    environ: Mapping[str, str],
    shared: SharedConfig,
    profile: Profile,
) -> ServiceEndpoint:
    """Return the endpoint of a service that provides credentials.

    ``AWS_STS_REGIONAL_ENDPOINTS=legacy`` selects the global endpoint of STS for the regions that
    were open before 2019. The global endpoint is also used if no region is known.

    Args:
        service: the service.
        region: the region of the caller; None if unknown.
        environ: the environment variables.
        shared: the shared files.
        profile: the active profile.

    Raises:
        ConfigurationError: a setting is invalid.
    """
    is_global = region in (None, "aws-global")
    region = _GLOBAL_REGION if region is None or is_global else region
    url = configured_endpoint_url(service, environ, shared, profile)
    if url is not None:
        return ServiceEndpoint(url.rstrip("/"), region)
    use_fips = bool(USE_FIPS.resolve("", None, environ, profile))
    use_dualstack = bool(_USE_DUALSTACK.resolve("", None, environ, profile))
    if service == "sts" and not use_fips and not use_dualstack:
        legacy = _STS_REGIONAL_ENDPOINTS.resolve("", None, environ, profile)
        if is_global or (legacy and region in _LEGACY_STS_REGIONS):
            return ServiceEndpoint("https://sts.amazonaws.com", _GLOBAL_REGION)
    url = service_url(service, region, use_fips=use_fips, use_dualstack=use_dualstack)
    return ServiceEndpoint(url, region)


_GLOBAL_REGION: Final = "us-east-1"
_USE_DUALSTACK: Final = Setting(
    parse_boolean, ("AWS_USE_DUALSTACK_ENDPOINT",), (("use_dualstack_endpoint",),)
)
_STS_REGIONAL_ENDPOINTS: Final = Setting(
    parse_legacy, ("AWS_STS_REGIONAL_ENDPOINTS",), (("sts_regional_endpoints",),)
)
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-sts-regionalized-endpoints.html
_LEGACY_STS_REGIONS: Final = frozenset(
    {
        *("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1"),
        *("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    }
)

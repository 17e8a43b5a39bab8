"""Hosts of the AWS services that provide credentials.

The data is that of the services' endpoint rules in AWS's SDKs.
"""

from typing import Final, Literal, TypeAlias

from aios3get._protocol.endpoints.partitions import partition_of

__all__ = ["CredentialsService", "service_url"]

CredentialsService: TypeAlias = Literal["sts", "sso", "sso-oidc", "signin"]

_PREFIXES: Final[dict[CredentialsService, str]] = {
    "sts": "sts",
    "sso": "portal.sso",
    "sso-oidc": "oidc",
    "signin": "signin",
}
_DUAL_STACK_SUFFIXES: Final = {
    "aws": "api.aws",
    "aws-cn": "api.amazonwebservices.com.cn",
    "aws-eusc": "api.amazonwebservices.eu",
    "aws-iso": "api.aws.ic.gov",
    "aws-iso-b": "api.aws.scloud",
    "aws-iso-e": "api.cloud-aws.adc-e.uk",
    "aws-iso-f": "api.aws.hci.ic.gov",
    "aws-us-gov": "api.aws",
}
_SIGN_IN_DOMAINS: Final = {
    "aws": "signin.aws.amazon.com",
    "aws-cn": "signin.amazonaws.cn",
    "aws-eusc": "signin.amazonaws-eusc.eu",
    "aws-iso": "signin.c2shome.ic.gov",
    "aws-iso-b": "signin.sc2shome.sgov.gov",
    "aws-iso-e": "signin.csphome.adc-e.uk",
    "aws-iso-f": "signin.csphome.hci.ic.gov",
    "aws-us-gov": "signin.amazonaws-us-gov.com",
}


def service_url(
    service: CredentialsService,
    region: str,
    *,
    use_fips: bool = False,
    use_dualstack: bool = False,
) -> str:
    """Return the URL of the service in the region, without a trailing slash."""
    partition = partition_of(region)
    if service == "signin" and not use_dualstack:
        host = _sign_in_host(partition.name, region, use_fips=use_fips)
        if host is not None:
            return f"https://{host}"
    # The regional hosts of AWS GovCloud (US) are FIPS endpoints themselves.
    fips = use_fips and (use_dualstack or partition.name != "aws-us-gov")
    prefix = _PREFIXES[service] + ("-fips" if fips else "")
    suffix = _DUAL_STACK_SUFFIXES[partition.name] if use_dualstack else partition.dns_suffix
    return f"https://{prefix}.{region}.{suffix}"


def _sign_in_host(partition: str, region: str, *, use_fips: bool) -> str | None:
    if not use_fips:
        return f"{region}.{_SIGN_IN_DOMAINS[partition]}"
    if partition != "aws-us-gov":
        return None
    fips = "signin-fips.amazonaws-us-gov.com"
    return fips if region == "us-gov-west-1" else f"{region}.{fips}"

"""Endpoints of bucket names and of access point aliases."""

import re

from aios3get._protocol.endpoints.endpoint import (
    Endpoint,
    EndpointKind,
    EndpointSettings,
    service_host,
)
from aios3get._protocol.endpoints.hosts import CustomEndpoint, is_host_label, is_hostable
from aios3get._protocol.endpoints.partitions import partition_of
from aios3get._protocol.signing.uri import encode_query_value
from aios3get.errors import ParameterError

__all__ = ["bucket_endpoint", "directory_endpoint", "is_outposts_alias", "outposts_alias_endpoint"]

# New buckets have 3 to 63 lower-case characters. Those created in us-east-1 before March 2018 may
# be longer, with upper case and underscores.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_is_aws_name = re.compile(r"[A-Za-z0-9._-]{1,255}").fullmatch

# The region of requests to the global host.
_GLOBAL_REGION = "us-east-1"


def _kind_of_name(name: str) -> EndpointKind:
    # Reserved suffixes; an alias has a host like that of a bucket.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
    if name.endswith("-s3alias"):
        return "access-point"
    return "object-lambda" if name.endswith("--ol-s3") else "bucket"


def bucket_endpoint(
    name: str, settings: EndpointSettings, custom: CustomEndpoint | None
) -> Endpoint:
    """Return the endpoint of a general purpose bucket, or of the alias of an access point.

    Raises:
        ParameterError: AWS has no such bucket, or S3 does not accelerate it.
    """
    if custom is not None:
        return _custom_bucket_endpoint(name, settings, custom)
    if not _is_aws_name(name):
        raise ParameterError(
            f"bucket={name!r} is not a bucket name of AWS, which has letters, digits, '.', '-' and "
            "'_' only; pass the key as key="
        )
    # S3 accelerates virtual-hosted requests only.
    by_path = settings.addressing_style == "path" and not settings.use_accelerate
    virtual = not by_path and is_hostable(name)
    if settings.use_accelerate and not virtual:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/transfer-acceleration.html
        raise ParameterError(
            f"bucket={name!r} cannot be used with use_accelerate=True: S3 accelerates only "
            "buckets whose name is 3 to 63 lower-case letters, digits and inner '-', without dots"
        )
    service = service_host("s3-accelerate" if settings.use_accelerate else "s3", settings)
    labels = (service, _host_region(settings), partition_of(settings.region).dns_suffix)
    host = ".".join(filter(None, labels))
    return Endpoint(
        scheme="https",
        host=f"{name}.{host}" if virtual else host,
        path="" if virtual else f"/{name}",
        signing_name="s3",
        signing_region=_signing_region(settings),
        kind=_kind_of_name(name),
        corrects_region=True,
    )


def _signing_region(settings: EndpointSettings) -> str:
    return _GLOBAL_REGION if settings.region == "aws-global" else settings.region


def _host_region(settings: EndpointSettings) -> str:
    in_variants = settings.use_fips or settings.use_dualstack
    if settings.region == "aws-global":
        # The global host names no region; its FIPS and dual-stack variants do, accelerated or not.
        return _GLOBAL_REGION if in_variants else ""
    if settings.use_accelerate:
        return ""
    if settings.use_global_endpoint and settings.region == _GLOBAL_REGION and not in_variants:
        return ""
    return settings.region


def _custom_bucket_endpoint(
    name: str, settings: EndpointSettings, custom: CustomEndpoint
) -> Endpoint:
    host, path = custom.authority, f"{custom.path}/{encode_query_value(name)}"
    signing_region = _signing_region(settings)
    if _is_virtual_at(custom, name, settings):
        host, path = f"{name}.{custom.authority}", custom.path
        if "." in name:
            # AWS's rules sign a dotted name in the configured region, even if it is aws-global.
            signing_region = settings.region
    return Endpoint(
        scheme=custom.scheme,
        host=host,
        path=path,
        signing_name="s3",
        signing_region=signing_region,
        kind=_kind_of_name(name) if custom.is_aws else "bucket",
        is_aws=custom.is_aws,
    )


def _is_virtual_at(custom: CustomEndpoint, name: str, settings: EndpointSettings) -> bool:
    # Custom endpoints rarely have DNS names for buckets, so "auto" means path style there.
    style = settings.addressing_style
    if style == "path" or (style == "auto" and not custom.is_accelerate):
        return False
    # An IP address has no subdomains, and the wildcard of a certificate matches one label only.
    return not custom.is_address and is_hostable(name, dots=custom.scheme == "http")


# The lengths of the zone ids in S3's endpoint rules, such as 8 for usw2-az1. The shortest zone id
# that follows "--" applies.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-bucket-naming-rules.html
_ZONE_ID_LENGTHS = (8, 9, 13, 14, 20)

# The regions with directory buckets, by the first part of their zone ids.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/endpoint-directory-buckets-AZ.html
_REGION_OF_ZONES = {
    "use1": "us-east-1",
    "use2": "us-east-2",
    "usw2": "us-west-2",
    "aps1": "ap-south-1",
    "apne1": "ap-northeast-1",
    "euw1": "eu-west-1",
    "eun1": "eu-north-1",
}


def _zone_of(name: str) -> str:
    stem = name.rpartition("--")[0]
    for length in _ZONE_ID_LENGTHS:
        if stem[:-length].endswith("--"):
            return stem[-length:]
    raise ParameterError(
        f"bucket={name!r} names no zone: a directory bucket is 'base-name--zone-id--x-s3', as in "
        "'amzn-s3-demo-bucket--usw2-az1--x-s3', and its access points end with '--xa-s3'"
    )


def _check_region_of_zone(name: str, zone: str, region: str) -> None:
    zone_region = _REGION_OF_ZONES.get(zone.partition("-")[0], region)
    if zone_region != region:
        raise ParameterError(
            f"bucket={name!r} is in the zone {zone!r} of {zone_region!r}, but the client has "
            f"region={region!r}; set region={zone_region!r}"
        )


def directory_endpoint(
    name: str, settings: EndpointSettings, custom: CustomEndpoint | None
) -> Endpoint:
    """Return the endpoint of a directory bucket (``--x-s3``) or its access point (``--xa-s3``).

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/endpoint-directory-buckets-AZ.html

    Raises:
        ParameterError: the name has no zone or one of another region, or contradicts the settings.
    """
    if settings.use_accelerate:
        raise ParameterError(
            f"bucket={name!r} is a directory bucket, which S3 does not accelerate; leave "
            "use_accelerate=True out"
        )
    if custom is not None and custom.is_address:
        host, path = custom.authority, f"/{encode_query_value(name)}{custom.path}"
    elif not is_hostable(name):
        raise ParameterError(
            f"bucket={name!r} is not the name of a directory bucket, which is 3 to 63 lower-case "
            "letters, digits and inner '-'"
        )
    elif custom is not None:
        host, path = f"{name}.{custom.authority}", custom.path
    else:
        zone = _zone_of(name)
        _check_region_of_zone(name, zone, settings.region)
        zonal = service_host("s3express", settings, zone=zone)
        suffix = partition_of(settings.region).dns_suffix
        host, path = f"{name}.{zonal}.{settings.region}.{suffix}", ""
    return Endpoint(
        scheme=custom.scheme if custom else "https",
        host=host,
        path=path,
        signing_name="s3express",
        signing_region=settings.region,
        auth="sigv4" if settings.disable_s3_express_session_auth else "sigv4-s3express",
        kind="directory",
        is_aws=custom is None or custom.is_aws,
    )


def is_outposts_alias(name: str) -> bool:
    """Whether the name has the suffix and the length of an alias of S3 on Outposts.

    https://docs.aws.amazon.com/AmazonS3/latest/s3-outposts/s3-outposts-access-points-alias.html
    """
    return name.endswith("--op-s3") and len(name) >= 50 and name.isascii()


def outposts_alias_endpoint(
    name: str, settings: EndpointSettings, custom: CustomEndpoint | None
) -> Endpoint:
    """Return the endpoint of the alias of an access point on an Outpost; it contains its host.

    Raises:
        ParameterError: the name is not an alias, or contradicts the settings.
    """
    rack, outpost = name[-50], name[-49:-32]
    _check_outposts_alias(name, settings, custom)
    host = (
        custom.authority
        if custom
        else f"s3-outposts.{settings.region}.{partition_of(settings.region).dns_suffix}"
    )
    return Endpoint(
        scheme="https",
        host=f"{name}.{'ec2' if rack == 'e' else f'op-{outpost}'}.{host}",
        path="",
        signing_name="s3-outposts",
        signing_region=settings.region,
        kind="outposts",
        is_aws=custom is None or custom.is_aws,
    )


def _check_outposts_alias(
    name: str, settings: EndpointSettings, custom: CustomEndpoint | None
) -> None:
    rack, outpost, region_mark = name[-50], name[-49:-32], name[-12:-8]
    if rack not in ("e", "o") or not is_hostable(name) or not is_host_label(outpost):
        raise ParameterError(
            f"bucket={name!r} is not an alias of S3 on Outposts, although it ends like one; copy "
            "the access point's alias or pass its ARN"
        )
    if settings.use_fips or settings.use_dualstack or settings.use_accelerate:
        raise ParameterError(
            f"bucket={name!r} is on an Outpost, which has no FIPS, dual-stack or accelerate host; "
            "leave use_fips, use_dualstack and use_accelerate out"
        )
    # Aliases with this mark belong to test regions, which have no host of their own. S3's rules
    # allow a custom endpoint only for these.
    is_test = region_mark == "beta"
    if custom is not None and not is_test:
        raise ParameterError(f"bucket={name!r} contains its host; leave endpoint_url out")
    if custom is None and is_test:
        raise ParameterError(f"bucket={name!r} is in a test region; pass its endpoint_url")

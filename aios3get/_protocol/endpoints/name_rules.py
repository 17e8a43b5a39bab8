"""The doors opened by a name: buckets, directory buckets and aliases of access points."""

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
from aios3get.errors import ConfigurationError

__all__ = ["bucket_endpoint", "directory_endpoint", "is_outposts_alias", "outposts_alias_endpoint"]

# Newer buckets are 3 to 63 lower-case characters; those made in us-east-1 before March 2018 may be
# longer and hold upper case and underscores.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_aws_name = re.compile(r"[A-Za-z0-9._-]{1,255}").fullmatch

# S3 signs in us-east-1 what goes to the partition's one global host.
_HOME = "us-east-1"


def _kind_of_name(name: str) -> EndpointKind:
    # Reserved suffixes: an alias is used like a bucket, through the bucket's own host.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
    if name.endswith("-s3alias"):
        return "access-point"
    return "object-lambda" if name.endswith("--ol-s3") else "bucket"


def bucket_endpoint(
    name: str, settings: EndpointSettings, custom: CustomEndpoint | None
) -> Endpoint:
    """A general purpose bucket, or the alias of an access point or Object Lambda access point."""
    if custom is not None:
        return _bucket_at(name, settings, custom)
    if not _aws_name(name):
        raise ConfigurationError(
            f"bucket={name!r} cannot be a bucket of AWS: names are letters, digits, '.', '-' and "
            "'_'; give the key as key="
        )
    virtual = settings.addressing_style != "path" and is_hostable(name)
    if settings.use_accelerate:
        _check_accelerate(name, settings, virtual)
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
    return _HOME if settings.region == "aws-global" else settings.region


def _host_region(settings: EndpointSettings) -> str:
    in_variants = settings.use_fips or settings.use_dualstack
    if settings.region == "aws-global":
        # One host in all, but each of its variants names a region, the accelerated one too.
        return _HOME if in_variants else ""
    if settings.use_accelerate:
        return ""
    if settings.use_global_endpoint and settings.region == _HOME and not in_variants:
        return ""
    return settings.region


def _check_accelerate(name: str, settings: EndpointSettings, virtual: bool) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/transfer-acceleration.html
    if settings.addressing_style == "path":
        raise ConfigurationError(
            "use_accelerate=True needs the bucket in the host name; leave addressing_style='path' "
            "out"
        )
    if not virtual:
        raise ConfigurationError(
            f"bucket={name!r} cannot be used with use_accelerate=True: S3 accelerates only buckets "
            "whose name is 3 to 63 lower-case letters, digits and inner '-', without dots"
        )
    if partition_of(settings.region).name == "aws-cn":
        raise ConfigurationError(
            f"use_accelerate=True has no host in region={settings.region!r}; leave it out in China"
        )


def _bucket_at(name: str, settings: EndpointSettings, custom: CustomEndpoint) -> Endpoint:
    host, path = custom.authority, f"{custom.path}/{encode_query_value(name)}"
    signing_region = _signing_region(settings)
    if _leads_host(name, settings, custom):
        host, path = f"{name}.{custom.authority}", custom.path
        if "." in name:
            # AWS's rules sign a dotted name in the region as given, even in aws-global.
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


def _leads_host(name: str, settings: EndpointSettings, custom: CustomEndpoint) -> bool:
    # Whoever sets an endpoint_url rarely runs DNS for every bucket, so "auto" means path there.
    wanted = settings.addressing_style
    if wanted == "path" or (wanted == "auto" and not custom.is_accelerate):
        return False
    # An address has no subdomains, and a certificate's wildcard matches only one.
    return not custom.is_address and is_hostable(name, dots=custom.scheme == "http")


# The ids of the zones that S3's rules know have one of these lengths, from usw2-az1 on; the first
# that "--" precedes counts.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-bucket-naming-rules.html
_ZONE_ID_LENGTHS = (8, 9, 13, 14, 20)


def _zone_of(name: str) -> str:
    stem = name.rpartition("--")[0]
    for length in _ZONE_ID_LENGTHS:
        if stem[:-length].endswith("--"):
            return stem[-length:]
    raise ConfigurationError(
        f"bucket={name!r} names no zone: a directory bucket is 'base-name--zone-id--x-s3', as in "
        "'amzn-s3-demo-bucket--usw2-az1--x-s3', its access points end with '--xa-s3'"
    )


def directory_endpoint(
    name: str, settings: EndpointSettings, custom: CustomEndpoint | None
) -> Endpoint:
    """A directory bucket (``--x-s3``) or an access point of one (``--xa-s3``): a zonal host.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/endpoint-directory-buckets-AZ.html
    """
    if settings.use_accelerate:
        raise ConfigurationError(
            f"bucket={name!r} is a directory bucket, which S3 does not accelerate; leave "
            "use_accelerate=True out"
        )
    if custom is not None and custom.is_address:
        host, path = custom.authority, f"/{encode_query_value(name)}{custom.path}"
    elif not is_hostable(name):
        raise ConfigurationError(
            f"bucket={name!r} cannot lead a host name, as a directory bucket must: 3 to 63 "
            "lower-case letters, digits and inner '-'"
        )
    elif custom is not None:
        host, path = f"{name}.{custom.authority}", custom.path
    else:
        zonal = service_host("s3express", settings, zone=_zone_of(name))
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
    """Whether the name is as long as an alias that S3 on Outposts makes, and ends like one.

    https://docs.aws.amazon.com/AmazonS3/latest/s3-outposts/s3-outposts-access-points-alias.html
    """
    return name.endswith("--op-s3") and len(name) >= 50 and name.isascii()


def outposts_alias_endpoint(
    name: str, settings: EndpointSettings, custom: CustomEndpoint | None
) -> Endpoint:
    """The alias of an access point on an Outpost: the end of the name tells which host."""
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
        raise ConfigurationError(
            f"bucket={name!r} ends like an alias of S3 on Outposts but is none; copy the access "
            "point's alias or give its ARN"
        )
    if settings.use_fips or settings.use_dualstack or settings.use_accelerate:
        raise ConfigurationError(
            f"bucket={name!r} is on an Outpost, which has no FIPS, dual-stack or accelerate host; "
            "leave use_fips, use_dualstack and use_accelerate out"
        )
    # Aliases marked so belong to test regions, the only ones that S3's rules let a custom
    # endpoint serve; they have no host of their own.
    is_test = region_mark == "beta"
    if custom is not None and not is_test:
        raise ConfigurationError(f"bucket={name!r} decides its own host; leave endpoint_url out")
    if custom is None and is_test:
        raise ConfigurationError(f"bucket={name!r} is of a test region; give its endpoint_url")

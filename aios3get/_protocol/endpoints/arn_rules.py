"""The doors opened by an ARN: access points of every kind."""

import re
from typing import Literal

from aios3get._protocol.endpoints.arn import Arn
from aios3get._protocol.endpoints.endpoint import Endpoint, EndpointSettings, service_host
from aios3get._protocol.endpoints.hosts import CustomEndpoint, is_host_label, is_host_name
from aios3get._protocol.endpoints.partitions import partition_of
from aios3get.errors import ConfigurationError

__all__ = ["arn_endpoint"]

_account = re.compile(r"[0-9]{12}").fullmatch


def arn_endpoint(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    """The access point that the ARN names."""
    if settings.addressing_style == "path":
        raise _refusal(arn, "stands in the host name; leave addressing_style='path' out")
    if custom is not None and custom.is_address:
        raise _refusal(arn, "stands in the host name, but endpoint_url has an IP address")
    match arn.service, arn.resource[0]:
        case "s3", "accesspoint" if arn.region:
            return _access_point(arn, settings, custom)
        case "s3", "accesspoint":
            return _multi_region(arn, settings, custom)
        case "s3-object-lambda", "accesspoint":
            return _object_lambda(arn, settings, custom)
        case "s3-outposts", "outpost":
            return _outposts(arn, settings, custom)
        case "s3" | "s3express", _:
            raise _refusal(arn, "names no access point; give a bucket's plain name instead")
        case _:
            raise _refusal(
                arn, "cannot hold objects; s3, s3-object-lambda and s3-outposts access points can"
            )


def _refusal(arn: Arn, rule: str) -> ConfigurationError:
    return ConfigurationError(f"bucket={arn.text!r} {rule}")


def _access_point(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
    if settings.use_accelerate:
        raise _refusal(arn, "is an access point, which has no accelerate host; leave it out")
    service = service_host("s3-accesspoint", settings)
    return _regional_access_point(arn, service, "access-point", settings, custom)


def _object_lambda(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/olap-use.html
    if settings.use_accelerate or settings.use_dualstack:
        raise _refusal(
            arn,
            "is an Object Lambda access point, which has no accelerate or dual-stack host; "
            "leave use_accelerate and use_dualstack out",
        )
    service = service_host("s3-object-lambda", settings)
    return _regional_access_point(arn, service, "object-lambda", settings, custom)


def _regional_access_point(
    arn: Arn,
    service: str,
    kind: Literal["access-point", "object-lambda"],
    settings: EndpointSettings,
    custom: CustomEndpoint | None,
) -> Endpoint:
    if settings.disable_access_points:
        raise _refusal(arn, "is an access point, which disable_access_points=True rules out")
    (name,) = _names(arn, "accesspoint/NAME")
    suffix = _owner_suffix(arn, settings)
    host = custom.authority if custom else f"{service}.{arn.region}.{suffix}"
    return Endpoint(
        scheme=custom.scheme if custom else "https",
        host=f"{name}-{arn.account}.{host}",
        path=custom.path if custom else "",
        signing_name=arn.service,
        signing_region=arn.region,
        kind=kind,
        is_aws=custom is None or custom.is_aws,
    )


def _outposts(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    # https://docs.aws.amazon.com/AmazonS3/latest/s3-outposts/S3OutpostsWorkingBuckets.html
    if settings.use_fips or settings.use_dualstack or settings.use_accelerate:
        raise _refusal(
            arn,
            "is on an Outpost, which has no FIPS, dual-stack or accelerate host; leave use_fips, "
            "use_dualstack and use_accelerate out",
        )
    outpost, name = _names(arn, "outpost/ID/accesspoint/NAME")
    suffix = _owner_suffix(arn, settings)
    host = custom.authority if custom else f"s3-outposts.{arn.region}.{suffix}"
    # Outposts speak TLS only; AWS offers SigV4A for them too, which needs more and gives no more.
    return Endpoint(
        scheme="https",
        host=f"{name}-{arn.account}.{outpost}.{host}",
        path="",
        signing_name="s3-outposts",
        signing_region=arn.region,
        kind="outposts",
        is_aws=custom is None or custom.is_aws,
    )


def _multi_region(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiRegionAccessPointRequests.html
    if settings.disable_multi_region_access_points:
        raise _refusal(
            arn,
            "is a multi-region access point, which disable_multi_region_access_points=True "
            "(or AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS) rules out",
        )
    if custom or settings.use_fips or settings.use_dualstack or settings.use_accelerate:
        raise _refusal(
            arn,
            "is a multi-region access point, which has one host of its own; leave endpoint_url, "
            "use_fips, use_dualstack and use_accelerate out",
        )
    (name,) = _names(arn, "accesspoint/NAME", dots=True)
    partition = partition_of(settings.region)
    if arn.partition != partition.name:
        raise _refusal(
            arn, f"is of another partition than region={settings.region!r} ({partition.name})"
        )
    return Endpoint(
        scheme="https",
        host=f"{name}.accesspoint.s3-global.{partition.dns_suffix}",
        path="",
        signing_name="s3",
        signing_region="*",
        auth="sigv4a",
        kind="multi-region",
    )


def _names(arn: Arn, form: str, *, dots: bool = False) -> list[str]:
    """The names in the ARN's resource, which must have the form; capitals in it stand for names."""
    parts = form.split("/")
    is_name = is_host_name if dots else is_host_label
    fits = len(arn.resource) == len(parts) and all(
        is_name(given) if part.isupper() else given == part
        for given, part in zip(arn.resource, parts, strict=True)
    )
    if not fits:
        raise _refusal(
            arn, f"must end with {form}, each name being letters, digits and inner '-' (at most 63)"
        )
    return [given for given, part in zip(arn.resource, parts, strict=True) if part.isupper()]


def _owner_suffix(arn: Arn, settings: EndpointSettings) -> str:
    """The DNS suffix of the ARN's region, once region and account are found possible."""
    if not is_host_label(arn.region):
        raise _refusal(arn, f"needs a region as its fourth field, not {arn.region!r}")
    if not _account(arn.account):
        raise _refusal(arn, f"needs a 12-digit account id as its fifth field, not {arn.account!r}")
    if not settings.use_arn_region and arn.region != settings.region:
        raise _refusal(
            arn,
            f"is in {arn.region!r}, the client in region={settings.region!r}; make them equal or "
            "set use_arn_region=True (AWS_S3_USE_ARN_REGION)",
        )
    theirs, ours = partition_of(arn.region), partition_of(settings.region)
    if theirs is not ours:
        raise _refusal(
            arn,
            f"is of the partition {theirs.name!r}, which credentials and hosts of "
            f"region={settings.region!r} ({ours.name!r}) cannot reach; set a region of its own",
        )
    return theirs.dns_suffix

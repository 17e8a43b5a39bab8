"""Amazon Resource Names of access points, and their endpoints."""

import re
from typing import Literal, NamedTuple

from aios3get._protocol.endpoints.endpoint import Endpoint, EndpointSettings, service_host
from aios3get._protocol.endpoints.hosts import CustomEndpoint, is_host_label, is_host_name
from aios3get._protocol.endpoints.partitions import partition_of
from aios3get.errors import ParameterError

__all__ = ["Arn", "arn_endpoint", "parse_arn"]

_separators = re.compile("[:/]")
_is_account_id = re.compile(r"[0-9]{12}").fullmatch


class Arn(NamedTuple):
    """The fields of ``arn:partition:service:region:account:resource``.

    Attributes:
        text: the whole ARN.
        partition: such as ``aws`` or ``aws-cn``.
        service: such as ``s3`` or ``s3-outposts``.
        region: empty for a global resource.
        account: the owner's account id; may be empty.
        resource: the resource, split at ``:`` and ``/``: its type, then names.
    """

    text: str
    partition: str
    service: str
    region: str
    account: str
    resource: tuple[str, ...]


def parse_arn(text: str) -> Arn:
    """Parse an ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html

    Raises:
        ParameterError: a mandatory field is missing or empty.
    """
    fields = text.split(":", 5)
    if len(fields) < 6 or not all((fields[0] == "arn", fields[1], fields[2], fields[5])):
        raise ParameterError(
            f"bucket={text!r} is not an ARN; one has six fields, "
            "'arn:partition:service:region:account:resource', of which only region and account "
            "may be empty"
        )
    _, partition, service, region, account, resource = fields
    return Arn(text, partition, service, region, account, tuple(_separators.split(resource)))


def arn_endpoint(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    """Return the endpoint of the access point that the ARN names.

    Raises:
        ParameterError: the ARN does not name an access point, or contradicts the settings.
    """
    if custom is not None and custom.is_address:
        raise _error(arn, "needs a host name, but endpoint_url has an IP address")
    match arn.service, arn.resource[0]:
        case "s3", "accesspoint" if arn.region:
            return _access_point(arn, settings, custom)
        case "s3", "accesspoint":
            return _multi_region(arn, settings, custom)
        case "s3-object-lambda", "accesspoint":
            return _object_lambda(arn, settings, custom)
        case "s3-outposts", "outpost":
            return _outposts(arn, settings, custom)
        case _:
            raise _error(arn, _why_not_an_access_point(arn))


def _error(arn: Arn, rule: str) -> ParameterError:
    return ParameterError(f"bucket={arn.text!r} {rule}")


def _why_not_an_access_point(arn: Arn) -> str:
    match arn.service, arn.resource:
        case "s3express", ("accesspoint" | "bucket", name, *_):
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            return (
                "is the ARN of a directory bucket or of an access point of one, which S3 takes by "
                f"name; pass {name!r}"
            )
        case "s3", (name,):
            return f"is the ARN of a bucket, not of an access point; pass {name!r}"
        case (("s3" | "s3express"), _):
            return "does not name an access point; pass the name of a bucket"
        case _:
            return (
                "is not an ARN of S3; access points of s3, s3-object-lambda and s3-outposts "
                "are supported"
            )


def _access_point(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
    if settings.use_accelerate:
        raise _error(arn, "is an access point, which has no accelerate host; leave it out")
    service = service_host("s3-accesspoint", settings)
    return _regional_access_point(arn, service, "access-point", settings, custom)


def _object_lambda(arn: Arn, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/olap-use.html
    if settings.use_accelerate or settings.use_dualstack:
        raise _error(
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
        raise _error(arn, "is an access point, which disable_access_points=True rejects")
    (name,) = _names(arn, "accesspoint/NAME")
    suffix = _dns_suffix(arn, settings)
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
        raise _error(
            arn,
            "is on an Outpost, which has no FIPS, dual-stack or accelerate host; leave use_fips, "
            "use_dualstack and use_accelerate out",
        )
    outpost, name = _names(arn, "outpost/ID/accesspoint/NAME")
    suffix = _dns_suffix(arn, settings)
    host = custom.authority if custom else f"s3-outposts.{arn.region}.{suffix}"
    # Outposts accept TLS only. Of SigV4A and SigV4, which AWS offers, SigV4 needs no extra package.
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
        raise _error(
            arn,
            "is a multi-region access point, which disable_multi_region_access_points=True "
            "(or AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS) rejects",
        )
    if custom or settings.use_fips or settings.use_dualstack or settings.use_accelerate:
        raise _error(
            arn,
            "is a multi-region access point, which has a single host; leave endpoint_url, "
            "use_fips, use_dualstack and use_accelerate out",
        )
    (name,) = _names(arn, "accesspoint/NAME", dots=True)
    partition = partition_of(settings.region)
    if arn.partition != partition.name:
        raise _error(
            arn, f"is in another partition than region={settings.region!r} ({partition.name})"
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
    """Return the names in the ARN's resource; in ``form``, upper case stands for a name."""
    parts = form.split("/")
    is_name = is_host_name if dots else is_host_label
    fits = len(arn.resource) == len(parts) and all(
        is_name(text) if part.isupper() else text == part
        for text, part in zip(arn.resource, parts, strict=True)
    )
    if not fits:
        raise _error(
            arn, f"must end with {form}, each name being letters, digits and inner '-' (at most 63)"
        )
    return [text for text, part in zip(arn.resource, parts, strict=True) if part.isupper()]


def _dns_suffix(arn: Arn, settings: EndpointSettings) -> str:
    """Check the ARN's region, account and partition; return the DNS suffix of the region."""
    if not is_host_label(arn.region):
        raise _error(arn, f"needs a region as its fourth field, not {arn.region!r}")
    if not _is_account_id(arn.account):
        raise _error(arn, f"needs a 12-digit account id as its fifth field, not {arn.account!r}")
    if not settings.use_arn_region and arn.region != settings.region:
        raise _error(
            arn,
            f"is in {arn.region!r}, but the client has region={settings.region!r}; set that region "
            "or use_arn_region=True (AWS_S3_USE_ARN_REGION)",
        )
    arn_partition, partition = partition_of(arn.region), partition_of(settings.region)
    if arn_partition is not partition:
        raise _error(
            arn,
            f"is in the partition {arn_partition.name!r}, which a client with "
            f"region={settings.region!r} ({partition.name!r}) cannot reach; set a region of that "
            "partition",
        )
    return arn_partition.dns_suffix

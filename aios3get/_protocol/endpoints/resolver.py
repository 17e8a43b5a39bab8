"""Resolves a bucket and the client's settings to an endpoint.

The hosts are those of the endpoint rules of AWS's SDKs. Those rules ignore some settings that
contradict a bucket, such as ``endpoint_url`` with a multi-region access point or FIPS with an alias
of S3 on Outposts; here they are errors.
"""

from dataclasses import replace
from functools import lru_cache

from aios3get._protocol.endpoints.arns import arn_endpoint, parse_arn
from aios3get._protocol.endpoints.endpoint import (
    AddressingStyle,
    AuthScheme,
    Endpoint,
    EndpointKind,
    EndpointSettings,
)
from aios3get._protocol.endpoints.hosts import CustomEndpoint, is_host_label, parse_endpoint_url
from aios3get._protocol.endpoints.names import (
    bucket_endpoint,
    directory_endpoint,
    is_outposts_alias,
    outposts_alias_endpoint,
)
from aios3get._protocol.endpoints.partitions import partition_of
from aios3get.errors import ConfigurationError, ParameterError

__all__ = [
    "AddressingStyle",
    "AuthScheme",
    "Endpoint",
    "EndpointKind",
    "EndpointResolver",
    "EndpointSettings",
    "resolve_endpoint",
    "resolve_session_endpoint",
]

_CACHE_SIZE = 1024


def resolve_endpoint(bucket: str, settings: EndpointSettings) -> Endpoint:
    """Return the endpoint of a bucket name, access point alias or ARN.

    Raises:
        ParameterError: the bucket is invalid, or contradicts the settings.
        ConfigurationError: the settings are invalid for any bucket.
    """
    settings, custom = _check_settings(settings)
    _check_bucket(bucket)
    if custom is not None and custom.contains(bucket):
        raise ConfigurationError(
            f"endpoint_url={settings.endpoint_url!r} already contains bucket={bucket!r}, which is "
            "added to each URL; leave it out of endpoint_url"
        )
    endpoint = _resolve(bucket, settings, custom)
    return replace(endpoint, host=_host_header(endpoint.scheme, endpoint.host))


def _resolve(bucket: str, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    if bucket.startswith("arn:"):
        return arn_endpoint(parse_arn(bucket), settings, custom)
    if bucket.endswith(("--x-s3", "--xa-s3")):
        return directory_endpoint(bucket, settings, custom)
    if is_outposts_alias(bucket):
        return outposts_alias_endpoint(bucket, settings, custom)
    return bucket_endpoint(bucket, settings, custom)


def resolve_session_endpoint(bucket: str, settings: EndpointSettings) -> Endpoint:
    """Return the endpoint of ``CreateSession``: that of the directory bucket, signed with SigV4.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html

    Raises:
        ParameterError: as for ``resolve_endpoint``, and if the bucket is not a directory bucket.
        ConfigurationError: as for ``resolve_endpoint``.
    """
    endpoint = resolve_endpoint(bucket, settings)
    if endpoint.kind != "directory":
        raise ParameterError(
            f"bucket={bucket!r} has no sessions: only directory buckets ('…--x-s3') do"
        )
    return replace(endpoint, auth="sigv4")


class EndpointResolver:
    """Resolves buckets with one set of settings and caches the latest endpoints.

    Args:
        settings: the client's settings.

    Raises:
        ConfigurationError: the settings are invalid for any bucket.
    """

    __slots__ = ("resolve", "settings")

    def __init__(self, settings: EndpointSettings) -> None:
        _check_settings(settings)
        self.settings = settings
        self.resolve = lru_cache(_CACHE_SIZE)(self._resolve)

    def _resolve(self, bucket: str, region: str | None = None) -> Endpoint:
        """Return the bucket's endpoint; ``region`` replaces that of the settings, after a redirect.

        Raises:
            ParameterError: as for ``resolve_endpoint``.
        """
        settings = self.settings if region is None else self.settings._replace(region=region)
        return resolve_endpoint(bucket, settings)

    def resolve_session(self, bucket: str) -> Endpoint:
        """Return the endpoint of the directory bucket's ``CreateSession``.

        Raises:
            ParameterError: as for ``resolve_session_endpoint``.
        """
        return resolve_session_endpoint(bucket, self.settings)


def _host_header(scheme: str, host: str) -> str:
    """Return the value of the ``Host`` header: lower case, without the scheme's default port."""
    return host.lower().removesuffix(":443" if scheme == "https" else ":80")


def _check_settings(settings: EndpointSettings) -> tuple[EndpointSettings, CustomEndpoint | None]:
    """Return the settings that apply, and the parsed ``endpoint_url``."""
    if not is_host_label(settings.region):
        raise ConfigurationError(
            f"region={settings.region!r} must be a host label, such as 'eu-central-1': letters, "
            "digits and inner '-', at most 63"
        )
    if settings.addressing_style not in ("auto", "path", "virtual"):
        raise ConfigurationError(
            f"addressing_style={settings.addressing_style!r} must be 'auto', 'path' or 'virtual'"
        )
    url = settings.endpoint_url
    if url is None:
        _check_variants(settings)
        return settings, None
    if settings.use_accelerate:
        raise ConfigurationError(
            "use_accelerate=True selects a host of AWS, but endpoint_url names the host; "
            "leave one of them out"
        )
    if settings.use_fips or settings.use_dualstack:
        # The SDKs ignore both if there is an endpoint_url.
        settings = settings._replace(use_fips=False, use_dualstack=False)
    return settings, parse_endpoint_url(url)


def _check_variants(settings: EndpointSettings) -> None:
    if settings.use_fips and settings.use_accelerate:
        raise ConfigurationError(
            "use_fips=True and use_accelerate=True exclude each other: S3 has no accelerate host "
            "with FIPS 140; leave one of them out"
        )
    for name in ("use_fips", "use_accelerate"):
        if getattr(settings, name) and partition_of(settings.region).name == "aws-cn":
            raise ConfigurationError(
                f"{name}=True has no host in region={settings.region!r}; leave it out in China"
            )


def _check_bucket(bucket: str) -> None:
    if not bucket:
        raise ParameterError("bucket is empty; pass a bucket name, an alias or an ARN")
    # A signature may follow a question mark, and a password may precede an '@'.
    shown = bucket.partition("?")[0].rpartition("@")[2]
    if "://" in bucket:
        raise ParameterError(
            f"bucket is a URL, {shown!r}; pass bucket and key separately, "
            "as in get_object('amzn-s3-demo-bucket', 'photos/2006/February/sample.jpg')"
        )
    if "/" in bucket and not bucket.startswith("arn:"):
        name, _, key = shown.partition("/")
        raise ParameterError(
            f"bucket={shown!r} contains '/'; the bucket is {name!r}, and {key!r} belongs to the key"
        )
    if not bucket.isprintable():
        raise ParameterError(f"bucket={bucket!r} contains characters that bucket names cannot have")
    if bucket in (".", ".."):
        raise ParameterError(f"bucket={bucket!r} would change the URL's path; pass a bucket name")

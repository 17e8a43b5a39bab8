"""Bucket and configuration → where the request goes and how it is signed.

One door for each kind of bucket: names in ``endpoint_names``, ARNs in ``endpoint_arns``. The hosts
are those of the endpoint rules that AWS gives its SDKs. Where those rules would drop a setting
without a word (a custom endpoint for a multi-region access point, FIPS for an alias on Outposts)
the call is refused instead.
"""

from dataclasses import replace
from functools import lru_cache

from aios3get._protocol.endpoints.arn import parse_arn
from aios3get._protocol.endpoints.arn_rules import arn_endpoint
from aios3get._protocol.endpoints.endpoint import (
    AddressingStyle,
    AuthScheme,
    Endpoint,
    EndpointKind,
    EndpointSettings,
)
from aios3get._protocol.endpoints.hosts import CustomEndpoint, is_host_label, parse_endpoint_url
from aios3get._protocol.endpoints.name_rules import (
    bucket_endpoint,
    directory_endpoint,
    is_outposts_alias,
    outposts_alias_endpoint,
)
from aios3get._protocol.endpoints.partitions import partition_of
from aios3get.errors import ConfigurationError

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

# A process that reads from more buckets than this at once pays some microseconds for each change.
_REMEMBERED = 1024


def resolve_endpoint(bucket: str, settings: EndpointSettings) -> Endpoint:
    """The endpoint of a bucket name, access point alias or ARN.

    Raises:
        ConfigurationError: the bucket is none, or the settings do not go together with it.
    """
    custom = _checked_endpoint_url(settings)
    _check_bucket(bucket)
    if custom is not None and custom.holds(bucket):
        raise ConfigurationError(
            f"endpoint_url={settings.endpoint_url!r} already holds bucket={bucket!r}, which is put "
            "into each URL once more; leave it out of endpoint_url"
        )
    found = _door(bucket, settings, custom)
    return replace(found, host=_sent_host(found.scheme, found.host))


def _door(bucket: str, settings: EndpointSettings, custom: CustomEndpoint | None) -> Endpoint:
    if bucket.startswith("arn:"):
        return arn_endpoint(parse_arn(bucket), settings, custom)
    if bucket.endswith(("--x-s3", "--xa-s3")):
        return directory_endpoint(bucket, settings, custom)
    if is_outposts_alias(bucket):
        return outposts_alias_endpoint(bucket, settings, custom)
    return bucket_endpoint(bucket, settings, custom)


def resolve_session_endpoint(bucket: str, settings: EndpointSettings) -> Endpoint:
    """Where ``CreateSession`` for a directory bucket goes: its own host, signed with plain SigV4.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html

    Raises:
        ConfigurationError: as for ``resolve_endpoint``, and if it is no directory bucket.
    """
    endpoint = resolve_endpoint(bucket, settings)
    if endpoint.kind != "directory":
        raise ConfigurationError(
            f"bucket={bucket!r} has no sessions: only directory buckets ('…--x-s3') do"
        )
    return replace(endpoint, auth="sigv4")


class EndpointResolver:
    """Resolves with one set of settings and remembers the latest answers.

    Args:
        settings: what all buckets share.

    Raises:
        ConfigurationError: the settings cannot be right for any bucket.
    """

    __slots__ = ("resolve", "settings")

    def __init__(self, settings: EndpointSettings) -> None:
        _checked_endpoint_url(settings)
        self.settings = settings
        self.resolve = lru_cache(_REMEMBERED)(self._resolve)

    def _resolve(self, bucket: str, region: str | None = None) -> Endpoint:
        """The bucket's endpoint; ``region`` stands in for the settings' own, as after a redirect.

        Raises:
            ConfigurationError: as for ``resolve_endpoint``.
        """
        settings = self.settings if region is None else replace(self.settings, region=region)
        return resolve_endpoint(bucket, settings)

    def resolve_session(self, bucket: str) -> Endpoint:
        """The endpoint of the directory bucket's ``CreateSession``.

        Raises:
            ConfigurationError: as for ``resolve_session_endpoint``.
        """
        return resolve_session_endpoint(bucket, self.settings)


def _sent_host(scheme: str, host: str) -> str:
    """As the ``Host`` header has it: a host name's case means nothing, nor does the usual port."""
    return host.lower().removesuffix(":443" if scheme == "https" else ":80")


def _checked_endpoint_url(settings: EndpointSettings) -> CustomEndpoint | None:
    """The custom endpoint, if there is one, once the settings are found to go together."""
    _check_settings(settings)
    if settings.endpoint_url is None:
        return None
    for switch in ("use_fips", "use_dualstack", "use_accelerate"):
        if getattr(settings, switch):
            raise ConfigurationError(
                f"{switch}=True chooses among AWS's hosts, but endpoint_url names the host itself; "
                "leave one out"
            )
    return parse_endpoint_url(settings.endpoint_url)


def _check_settings(settings: EndpointSettings) -> None:
    if not is_host_label(settings.region):
        raise ConfigurationError(
            f"region={settings.region!r} must be one host label, such as 'eu-central-1': letters, "
            "digits and inner '-', at most 63"
        )
    if settings.addressing_style not in ("auto", "path", "virtual"):
        raise ConfigurationError(
            f"addressing_style={settings.addressing_style!r} must be 'auto', 'path' or 'virtual'"
        )
    if settings.use_fips and settings.use_accelerate:
        raise ConfigurationError(
            "use_fips=True and use_accelerate=True exclude each other: S3 has no accelerate host "
            "of FIPS 140; leave one out"
        )
    if settings.use_fips and partition_of(settings.region).name == "aws-cn":
        raise ConfigurationError(
            f"use_fips=True has no host in region={settings.region!r}; leave it out in China"
        )


def _check_bucket(bucket: str) -> None:
    if not bucket:
        raise ConfigurationError("bucket is empty; give a bucket name, an alias or an ARN")
    # What follows a question mark may be a presigned URL's signature, and before an @ a password.
    shown = bucket.partition("?")[0].rpartition("@")[2]
    if "://" in bucket:
        raise ConfigurationError(
            f"bucket is a URL, {shown!r}; give bucket and key apart, "
            "as in get_object('amzn-s3-demo-bucket', 'photos/2006/February/sample.jpg')"
        )
    if "/" in bucket and not bucket.startswith("arn:"):
        name, _, key = shown.partition("/")
        raise ConfigurationError(
            f"bucket={shown!r} holds a '/'; the bucket is {name!r}, and {key!r} begins the key"
        )
    if not bucket.isprintable():
        raise ConfigurationError(f"bucket={bucket!r} holds characters that no bucket's name has")
    if bucket in (".", ".."):
        raise ConfigurationError(f"bucket={bucket!r} would change the URL's path; give a name")

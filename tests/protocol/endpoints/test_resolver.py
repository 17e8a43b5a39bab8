import ast
import gc
import re
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.endpoints.hosts import is_host_name
from aios3get._protocol.endpoints.resolver import (
    EndpointResolver,
    EndpointSettings,
    resolve_endpoint,
    resolve_session_endpoint,
)
from aios3get.errors import ConfigurationError, ParameterError

BUCKET = "amzn-s3-demo-bucket"
DIRECTORY = "amzn-s3-demo-bucket--usw2-az1--x-s3"


@pytest.mark.parametrize(
    ("bucket", "kind"),
    [
        (BUCKET, "bucket"),
        (DIRECTORY, "directory"),
        ("my-ap--usw2-az1--xa-s3", "directory"),
        ("my-access-po-o01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3kuse10--op-s3", "outposts"),
        ("short--op-s3", "bucket"),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap", "access-point"),
        ("arn:aws:s3::123456789012:accesspoint/my.mrap", "multi-region"),
    ],
)
def test_kind_of_every_bucket_argument(bucket: str, kind: str) -> None:
    assert resolve_endpoint(bucket, EndpointSettings("us-west-2")).kind == kind


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://h:443", "h"),
        ("http://h:80", "h"),
        ("https://h:80", "h:80"),
        ("http://h:443", "h:443"),
        ("http://[::1]:80", "[::1]"),
        ("HTTPS://H.Example:9000", "h.example:9000"),
    ],
)
def test_host_has_no_default_port_and_lower_case(url: str, host: str) -> None:
    assert resolve_endpoint(BUCKET, EndpointSettings(endpoint_url=url)).host == host


def test_host_of_an_access_point_is_lower_case() -> None:
    arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/My-AP"
    assert resolve_endpoint(arn, EndpointSettings()).host.startswith("my-ap-123456789012.")


@pytest.mark.parametrize(
    ("bucket", "message"),
    [
        ("", "bucket is empty"),
        ("s3://amzn-s3-demo-bucket/key", "bucket and key separately"),
        ("https://amzn-s3-demo-bucket.s3.amazonaws.com/key", "bucket and key separately"),
        ("amzn-s3-demo-bucket/photos/2006", "'photos/2006' belongs to the key"),
        ("/amzn-s3-demo-bucket", "contains '/'"),
        ("bucket\r\nHost: x", "characters"),
        ("\ud800", "characters"),
        (".", "change the URL's path"),
        ("..", "change the URL's path"),
        ("arn:aws:s3", "not an ARN"),
    ],
)
@pytest.mark.parametrize("endpoint_url", [None, "http://localhost:9000"])
def test_invalid_bucket_is_a_parameter_error(
    bucket: str, message: str, endpoint_url: str | None
) -> None:
    with pytest.raises(ParameterError, match="bucket") as caught:
        resolve_endpoint(bucket, EndpointSettings(endpoint_url=endpoint_url))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "bucket",
    [
        "https://h/b/k?X-Amz-Signature=hunter2",
        "h/b/k?X-Amz-Signature=hunter2",
        "https://user:hunter2@h/b/k",
    ],
)
def test_error_does_not_show_secrets_of_a_url_as_bucket(bucket: str) -> None:
    with pytest.raises(ParameterError) as caught:
        resolve_endpoint(bucket, EndpointSettings())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"region": ""}, "region=''"),
        ({"region": "eu west 1"}, "region='eu west 1'"),
        ({"region": "us-east-1.evil.example"}, "region="),
        ({"region": "-a"}, "region='-a'"),
        ({"addressing_style": "host"}, "addressing_style='host'"),
        ({"use_fips": True, "use_accelerate": True}, "exclude each other"),
        ({"use_fips": True, "region": "cn-north-1"}, "use_fips=True"),
        ({"use_accelerate": True, "region": "cn-north-1"}, "use_accelerate=True"),
        ({"use_accelerate": True, "endpoint_url": "https://h"}, "use_accelerate=True"),
        ({"endpoint_url": "h:9000"}, "endpoint_url='h:9000'"),
    ],
)
def test_invalid_settings_are_a_configuration_error_for_resolver_and_bucket(
    settings: dict[str, Any], message: str
) -> None:
    for resolve in (
        lambda: EndpointResolver(EndpointSettings(**settings)),
        lambda: resolve_endpoint(BUCKET, EndpointSettings(**settings)),
    ):
        with pytest.raises(ConfigurationError) as caught:
            resolve()
        assert message in str(caught.value)


@pytest.mark.parametrize("settings", [{"use_fips": True}, {"use_dualstack": True}])
@pytest.mark.parametrize("region", ["us-west-2", "cn-north-1"])
@pytest.mark.parametrize(
    "bucket", [BUCKET, DIRECTORY, "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap"]
)
def test_endpoint_url_replaces_fips_and_dualstack_hosts(
    bucket: str, region: str, settings: dict[str, Any]
) -> None:
    if bucket.startswith("arn:") and region == "cn-north-1":
        bucket = bucket.replace("aws", "aws-cn").replace("us-west-2", region)
    custom = EndpointSettings(region, "http://localhost:9000")
    assert resolve_endpoint(bucket, custom._replace(**settings)) == resolve_endpoint(bucket, custom)


@pytest.mark.parametrize(
    "endpoint_url",
    [f"https://{BUCKET}.s3.us-east-1.amazonaws.com", f"http://localhost:9000/{BUCKET}"],
)
def test_endpoint_url_with_the_bucket_is_a_configuration_error(endpoint_url: str) -> None:
    with pytest.raises(ConfigurationError, match="leave it out of endpoint_url"):
        resolve_endpoint(BUCKET, EndpointSettings(endpoint_url=endpoint_url))
    resolve_endpoint("examplebucket", EndpointSettings(endpoint_url=endpoint_url))


@pytest.mark.parametrize("disabled", [False, True])
def test_session_endpoint_is_the_buckets_own_with_sigv4(disabled: bool) -> None:
    settings = EndpointSettings("us-west-2", disable_s3_express_session_auth=disabled)
    session = resolve_session_endpoint(DIRECTORY, settings)
    assert (session.auth, session.signing_name) == ("sigv4", "s3express")
    assert session.url == resolve_endpoint(DIRECTORY, settings).url
    assert EndpointResolver(settings).resolve_session(DIRECTORY) == session


def test_session_endpoint_of_another_bucket_is_a_parameter_error() -> None:
    with pytest.raises(ParameterError, match="only directory buckets"):
        resolve_session_endpoint(BUCKET, EndpointSettings())


def test_resolver_caches_each_bucket_in_each_region() -> None:
    resolver = EndpointResolver(EndpointSettings("eu-west-1"))
    first = resolver.resolve(BUCKET)
    assert resolver.resolve(BUCKET) is first
    moved = resolver.resolve(BUCKET, "us-west-2")
    assert (moved.host, moved.signing_region) == (
        f"{BUCKET}.s3.us-west-2.amazonaws.com",
        "us-west-2",
    )
    assert resolver.resolve(BUCKET, "us-west-2") is moved
    assert resolver.resolve(BUCKET) is first


def test_cache_is_bounded() -> None:
    resolver = EndpointResolver(EndpointSettings())
    first = resolver.resolve(BUCKET)
    for number in range(1024):
        resolver.resolve(f"{BUCKET}-{number}")
    assert resolver.resolve(BUCKET) == first
    assert resolver.resolve(BUCKET) is not first


def test_errors_are_not_cached() -> None:
    resolver = EndpointResolver(EndpointSettings())
    for _ in range(2):
        with pytest.raises(ParameterError):
            resolver.resolve("")


def test_invalid_region_of_a_redirect_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="region"):
        EndpointResolver(EndpointSettings()).resolve(BUCKET, "us-east-1.evil.example")


def test_dropped_resolver_frees_its_cache() -> None:
    resolver = EndpointResolver(EndpointSettings())
    cache = weakref.ref(resolver.resolve)
    del resolver
    gc.collect()
    assert cache() is None


_text = st.text(max_size=70)
_name = st.text("abz019.-", max_size=63)
_bucket = st.one_of(
    _text,
    st.builds("{}{}".format, _name, st.sampled_from(["--x-s3", "--xa-s3", "--op-s3", "-s3alias"])),
    st.builds("arn:aws:{}:{}:123456789012:{}".format, _name, _name, _text),
    st.builds("arn:aws:s3:us-west-2:123456789012:accesspoint/{}".format, _text),
)
_settings = st.builds(
    EndpointSettings._replace,
    st.just(EndpointSettings()),
    endpoint_url=st.sampled_from([None, "http://h:9000", "https://h/base", "http://[::1]:9000"]),
    addressing_style=st.sampled_from(["auto", "path", "virtual"]),
)


@given(_bucket, _settings)
def test_any_bucket_gives_a_valid_url_or_a_parameter_error(
    bucket: str, settings: EndpointSettings
) -> None:
    try:
        endpoint = resolve_endpoint(bucket, settings)
    except ParameterError:
        return
    host, _, port = endpoint.host.removeprefix("[::1]").partition(":")
    assert host == "" or is_host_name(host)
    assert port in ("", "9000")
    assert endpoint.url.isascii()
    assert endpoint.url.isprintable()
    assert not {" ", "?", "#"} & set(endpoint.url)
    assert not endpoint.path.endswith("/")
    assert replace(endpoint, host=endpoint.host.lower()) == endpoint


_DOCUMENTED = re.findall(
    r"^\| `(\S+)` \| (?:`(.+?)` )?\| `(https?://\S+)` \| `(\S+ \S+ \S+)` \|$",
    (Path(__file__).resolve().parents[3] / "docs" / "endpoints.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_documented_endpoints_are_found() -> None:
    assert len(_DOCUMENTED) >= 20


@pytest.mark.parametrize(("bucket", "settings", "url", "signed"), _DOCUMENTED)
def test_documented_endpoint_is_the_resolved_one(
    bucket: str, settings: str, url: str, signed: str
) -> None:
    call = ast.parse(f"f({settings})", mode="eval").body
    assert isinstance(call, ast.Call)
    keywords: dict[str, Any] = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    endpoint = resolve_endpoint(bucket, EndpointSettings(**keywords))
    assert endpoint.url == url
    assert f"{endpoint.auth} {endpoint.signing_name} {endpoint.signing_region}" == signed

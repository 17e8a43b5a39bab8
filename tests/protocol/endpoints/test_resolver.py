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
from aios3get.errors import ConfigurationError

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
def test_each_kind_of_bucket_has_its_door(bucket: str, kind: str) -> None:
    assert resolve_endpoint(bucket, EndpointSettings()).kind == kind


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
def test_the_host_is_what_the_host_header_says(url: str, host: str) -> None:
    assert resolve_endpoint(BUCKET, EndpointSettings(endpoint_url=url)).host == host


def test_an_access_points_capitals_mean_nothing_in_its_host() -> None:
    arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/My-AP"
    assert resolve_endpoint(arn, EndpointSettings()).host.startswith("my-ap-123456789012.")


@pytest.mark.parametrize(
    ("bucket", "said"),
    [
        ("", "bucket is empty"),
        ("s3://amzn-s3-demo-bucket/key", "bucket and key apart"),
        ("https://amzn-s3-demo-bucket.s3.amazonaws.com/key", "bucket and key apart"),
        ("amzn-s3-demo-bucket/photos/2006", "'photos/2006' begins the key"),
        ("/amzn-s3-demo-bucket", "holds a '/'"),
        ("bucket\r\nHost: x", "characters"),
        ("\ud800", "characters"),
        (".", "change the URL's path"),
        ("..", "change the URL's path"),
        ("arn:aws:s3", "not an ARN"),
    ],
)
@pytest.mark.parametrize("endpoint_url", [None, "http://localhost:9000"])
def test_what_is_no_bucket_is_explained(bucket: str, said: str, endpoint_url: str | None) -> None:
    with pytest.raises(ConfigurationError, match="bucket") as refused:
        resolve_endpoint(bucket, EndpointSettings(endpoint_url=endpoint_url))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "bucket",
    [
        "https://h/b/k?X-Amz-Signature=hunter2",
        "h/b/k?X-Amz-Signature=hunter2",
        "https://user:hunter2@h/b/k",
    ],
)
def test_no_secret_of_a_url_given_as_bucket_is_told(bucket: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        resolve_endpoint(bucket, EndpointSettings())
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"region": ""}, "region=''"),
        ({"region": "eu west 1"}, "region='eu west 1'"),
        ({"region": "us-east-1.evil.example"}, "region="),
        ({"region": "-a"}, "region='-a'"),
        ({"addressing_style": "host"}, "addressing_style='host'"),
        ({"use_fips": True, "use_accelerate": True}, "exclude each other"),
        ({"use_fips": True, "region": "cn-north-1"}, "use_fips=True"),
        ({"use_fips": True, "endpoint_url": "https://h"}, "use_fips=True"),
        ({"use_dualstack": True, "endpoint_url": "https://h"}, "use_dualstack=True"),
        ({"use_accelerate": True, "endpoint_url": "https://h"}, "use_accelerate=True"),
        ({"endpoint_url": "h:9000"}, "endpoint_url='h:9000'"),
    ],
)
def test_settings_that_no_bucket_can_have_are_refused_at_once(
    settings: dict[str, Any], said: str
) -> None:
    for resolve in (
        lambda: EndpointResolver(EndpointSettings(**settings)),
        lambda: resolve_endpoint(BUCKET, EndpointSettings(**settings)),
    ):
        with pytest.raises(ConfigurationError) as refused:
            resolve()
        assert said in str(refused.value)


@pytest.mark.parametrize(
    "endpoint_url",
    [f"https://{BUCKET}.s3.us-east-1.amazonaws.com", f"http://localhost:9000/{BUCKET}"],
)
def test_a_bucket_already_in_the_endpoint_url_is_explained(endpoint_url: str) -> None:
    with pytest.raises(ConfigurationError, match="leave it out of endpoint_url"):
        resolve_endpoint(BUCKET, EndpointSettings(endpoint_url=endpoint_url))
    resolve_endpoint("examplebucket", EndpointSettings(endpoint_url=endpoint_url))


@pytest.mark.parametrize("disabled", [False, True])
def test_a_session_is_created_at_the_buckets_own_host_with_plain_sigv4(disabled: bool) -> None:
    settings = EndpointSettings("us-west-2", disable_s3_express_session_auth=disabled)
    session = resolve_session_endpoint(DIRECTORY, settings)
    assert (session.auth, session.signing_name) == ("sigv4", "s3express")
    assert session.url == resolve_endpoint(DIRECTORY, settings).url
    assert EndpointResolver(settings).resolve_session(DIRECTORY) == session


def test_only_directory_buckets_have_sessions() -> None:
    with pytest.raises(ConfigurationError, match="only directory buckets"):
        resolve_session_endpoint(BUCKET, EndpointSettings())


def test_the_resolver_remembers_each_bucket_in_each_region() -> None:
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


def test_the_resolver_remembers_no_more_than_it_may() -> None:
    resolver = EndpointResolver(EndpointSettings())
    first = resolver.resolve(BUCKET)
    for number in range(1024):
        resolver.resolve(f"{BUCKET}-{number}")
    assert resolver.resolve(BUCKET) == first
    assert resolver.resolve(BUCKET) is not first


def test_a_refusal_is_not_remembered_and_repeats() -> None:
    resolver = EndpointResolver(EndpointSettings())
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            resolver.resolve("")


def test_a_redirect_to_what_is_no_region_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="region"):
        EndpointResolver(EndpointSettings()).resolve(BUCKET, "us-east-1.evil.example")


def test_a_dropped_resolver_leaves_nothing_behind() -> None:
    resolver = EndpointResolver(EndpointSettings())
    remembered = weakref.ref(resolver.resolve)
    del resolver
    gc.collect()
    assert remembered() is None


_text = st.text(max_size=70)
_name = st.text("abz019.-", max_size=63)
_bucket = st.one_of(
    _text,
    st.builds("{}{}".format, _name, st.sampled_from(["--x-s3", "--xa-s3", "--op-s3", "-s3alias"])),
    st.builds("arn:aws:{}:{}:123456789012:{}".format, _name, _name, _text),
    st.builds("arn:aws:s3:us-west-2:123456789012:accesspoint/{}".format, _text),
)
_settings = st.builds(
    EndpointSettings,
    endpoint_url=st.sampled_from([None, "http://h:9000", "https://h/base", "http://[::1]:9000"]),
    addressing_style=st.sampled_from(["auto", "path", "virtual"]),
)


@given(_bucket, _settings)
def test_any_text_gives_a_possible_url_or_a_configuration_error(
    bucket: str, settings: EndpointSettings
) -> None:
    try:
        endpoint = resolve_endpoint(bucket, settings)
    except ConfigurationError:
        return
    host, _, port = endpoint.host.removeprefix("[::1]").partition(":")
    assert host == "" or is_host_name(host)
    assert port in ("", "9000")
    assert endpoint.url.isascii()
    assert endpoint.url.isprintable()
    assert not {" ", "?", "#"} & set(endpoint.url)
    assert not endpoint.path.endswith("/")
    assert replace(endpoint, host=endpoint.host.lower()) == endpoint


_DOORS = re.findall(
    r"^\| `(\S+)` \| (?:`(.+?)` )?\| `(https?://\S+)` \| `(\S+ \S+ \S+)` \|$",
    (Path(__file__).resolve().parents[3] / "docs" / "endpoints.md").read_text("utf-8"),
    re.MULTILINE,
)


def test_the_documented_doors_are_found() -> None:
    assert len(_DOORS) >= 20


@pytest.mark.parametrize(("bucket", "settings", "url", "signed"), _DOORS)
def test_every_documented_door_leads_where_it_says(
    bucket: str, settings: str, url: str, signed: str
) -> None:
    call = ast.parse(f"f({settings})", mode="eval").body
    assert isinstance(call, ast.Call)
    given: dict[str, Any] = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    found = resolve_endpoint(bucket, EndpointSettings(**given))
    assert found.url == url
    assert f"{found.auth} {found.signing_name} {found.signing_region}" == signed

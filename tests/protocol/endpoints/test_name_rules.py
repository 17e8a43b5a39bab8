from typing import Any

import pytest

from aios3get._protocol.endpoints.endpoint import Endpoint, EndpointSettings
from aios3get._protocol.endpoints.hosts import CustomEndpoint, parse_endpoint_url
from aios3get._protocol.endpoints.name_rules import (
    bucket_endpoint,
    directory_endpoint,
    is_outposts_alias,
    outposts_alias_endpoint,
)
from aios3get.errors import ConfigurationError

BUCKET = "amzn-s3-demo-bucket"
DIRECTORY = "amzn-s3-demo-bucket--usw2-az1--x-s3"
ALIAS = "my-access-po-{}01ac5d28a6a232904e8xz5w8ijx1qzlbp3i3k{}0--op-s3"
RACK = ALIAS.format("o", "use1")


def _custom(url: str | None) -> CustomEndpoint | None:
    return None if url is None else parse_endpoint_url(url)


def _bucket(name: str, url: str | None = None, **settings: Any) -> Endpoint:
    return bucket_endpoint(name, EndpointSettings(**settings), _custom(url))


def _directory(name: str, url: str | None = None, **settings: Any) -> Endpoint:
    return directory_endpoint(name, EndpointSettings(**settings), _custom(url))


def _alias(name: str, url: str | None = None, **settings: Any) -> Endpoint:
    return outposts_alias_endpoint(name, EndpointSettings(**settings), _custom(url))


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, f"https://{BUCKET}.s3.us-east-1.amazonaws.com"),
        ({"use_global_endpoint": True}, f"https://{BUCKET}.s3.amazonaws.com"),
        ({"region": "aws-global"}, f"https://{BUCKET}.s3.amazonaws.com"),
        (
            {"use_global_endpoint": True, "region": "eu-west-1"},
            f"https://{BUCKET}.s3.eu-west-1.amazonaws.com",
        ),
        (
            {"use_global_endpoint": True, "use_dualstack": True},
            f"https://{BUCKET}.s3.dualstack.us-east-1.amazonaws.com",
        ),
        (
            {"region": "aws-global", "use_fips": True},
            f"https://{BUCKET}.s3-fips.us-east-1.amazonaws.com",
        ),
        (
            {"region": "us-gov-west-1", "use_fips": True, "use_dualstack": True},
            f"https://{BUCKET}.s3-fips.dualstack.us-gov-west-1.amazonaws.com",
        ),
        ({"region": "cn-north-1"}, f"https://{BUCKET}.s3.cn-north-1.amazonaws.com.cn"),
        ({"region": "eusc-de-east-1"}, f"https://{BUCKET}.s3.eusc-de-east-1.amazonaws.eu"),
        ({"use_accelerate": True}, f"https://{BUCKET}.s3-accelerate.amazonaws.com"),
        (
            {"use_accelerate": True, "use_dualstack": True},
            f"https://{BUCKET}.s3-accelerate.dualstack.amazonaws.com",
        ),
        ({"addressing_style": "path"}, f"https://s3.us-east-1.amazonaws.com/{BUCKET}"),
        ({"addressing_style": "virtual"}, f"https://{BUCKET}.s3.us-east-1.amazonaws.com"),
    ],
)
def test_a_buckets_host_at_aws(settings: dict[str, Any], url: str) -> None:
    found = _bucket(BUCKET, **settings)
    assert found.url == url
    assert (found.signing_name, found.auth) == ("s3", "sigv4")
    home = settings.get("region", "us-east-1")
    assert found.signing_region == ("us-east-1" if home == "aws-global" else home)
    assert (found.kind, found.is_aws, found.corrects_region) == ("bucket", True, True)


@pytest.mark.parametrize("name", ["my.dotted.bucket", "UPPER_case", "ab", "192.168.5.4"])
def test_a_name_that_no_certificate_or_host_can_carry_goes_into_the_path(name: str) -> None:
    for style in ("auto", "virtual"):
        found = _bucket(name, addressing_style=style, region="eu-west-1")
        assert found.url == f"https://s3.eu-west-1.amazonaws.com/{name}"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("my-access-point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias", "access-point"),
        ("my-olap-aabbccddeeff00112233445566778899--ol-s3", "object-lambda"),
    ],
)
def test_aliases_of_access_points_have_a_buckets_host(name: str, kind: str) -> None:
    found = _bucket(name)
    assert found.url == f"https://{name}.s3.us-east-1.amazonaws.com"
    assert (found.kind, found.corrects_region) == (kind, True)
    assert _bucket(name, "http://localhost:9000").kind == "bucket"


@pytest.mark.parametrize(
    ("url", "style", "expected"),
    [
        ("http://localhost:9000", "auto", f"http://localhost:9000/{BUCKET}"),
        ("http://localhost:9000", "path", f"http://localhost:9000/{BUCKET}"),
        ("http://localhost:9000", "virtual", f"http://{BUCKET}.localhost:9000"),
        ("https://h/base", "auto", f"https://h/base/{BUCKET}"),
        ("https://h/base", "virtual", f"https://{BUCKET}.h/base"),
        ("http://127.0.0.1:9000", "virtual", f"http://127.0.0.1:9000/{BUCKET}"),
        ("http://[::1]", "auto", f"http://[::1]/{BUCKET}"),
        (
            "https://s3-accelerate.amazonaws.com",
            "auto",
            f"https://{BUCKET}.s3-accelerate.amazonaws.com",
        ),
        (
            "https://s3-accelerate.amazonaws.com",
            "path",
            f"https://s3-accelerate.amazonaws.com/{BUCKET}",
        ),
    ],
)
def test_a_bucket_at_a_custom_endpoint(url: str, style: str, expected: str) -> None:
    found = _bucket(BUCKET, url, addressing_style=style, region="auto")
    assert found.url == expected
    assert (found.signing_region, found.corrects_region) == ("auto", False)
    assert found.is_aws is ("amazonaws" in url)


@pytest.mark.parametrize(
    ("url", "expected", "region"),
    [
        ("http://h", "http://a.dotted.name.h", "aws-global"),
        ("https://h", "https://h/a.dotted.name", "us-east-1"),
        ("http://127.0.0.1", "http://127.0.0.1/a.dotted.name", "us-east-1"),
    ],
)
def test_a_dotted_name_leads_a_host_only_without_tls(url: str, expected: str, region: str) -> None:
    found = _bucket("a.dotted.name", url, addressing_style="virtual", region="aws-global")
    assert (found.url, found.signing_region) == (expected, region)


def test_names_that_only_others_allow_are_encoded_at_a_custom_endpoint() -> None:
    assert _bucket("tenant:bucket", "http://ceph:8080").url == "http://ceph:8080/tenant%3Abucket"
    assert _bucket("bücket", "http://h", addressing_style="virtual").path == "/b%C3%BCcket"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("tenant:bucket", {}, "bucket='tenant:bucket'"),
        ("x" * 256, {}, "bucket="),
        ("my.dotted.bucket", {"use_accelerate": True}, "without dots"),
        (BUCKET, {"use_accelerate": True, "addressing_style": "path"}, "addressing_style='path'"),
        (BUCKET, {"use_accelerate": True, "region": "cn-north-1"}, "region='cn-north-1'"),
    ],
)
def test_what_no_bucket_of_aws_can_have_is_refused(
    name: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _bucket(name, **settings)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "settings", "host"),
    [
        (DIRECTORY, {}, "s3express-usw2-az1.us-west-2.amazonaws.com"),
        (DIRECTORY, {"use_fips": True}, "s3express-fips-usw2-az1.us-west-2.amazonaws.com"),
        (
            DIRECTORY,
            {"use_fips": True, "use_dualstack": True},
            "s3express-fips-usw2-az1.dualstack.us-west-2.amazonaws.com",
        ),
        (DIRECTORY, {"addressing_style": "path"}, "s3express-usw2-az1.us-west-2.amazonaws.com"),
        ("demo--usw2-az1--xa-s3", {}, "s3express-usw2-az1.us-west-2.amazonaws.com"),
        ("demo--usw2-lax1-az1--x-s3", {}, "s3express-usw2-lax1-az1.us-west-2.amazonaws.com"),
        ("demo--apne1-az1--x-s3", {}, "s3express-apne1-az1.us-west-2.amazonaws.com"),
    ],
)
def test_a_directory_bucket_has_its_zones_host(
    name: str, settings: dict[str, Any], host: str
) -> None:
    found = _directory(name, region="us-west-2", **settings)
    assert found.url == f"https://{name}.{host}"
    assert (found.signing_name, found.signing_region) == ("s3express", "us-west-2")
    assert (found.auth, found.kind, found.is_aws) == ("sigv4-s3express", "directory", True)
    assert not found.corrects_region


def test_without_session_auth_a_directory_bucket_is_signed_plainly() -> None:
    found = _directory(DIRECTORY, disable_s3_express_session_auth=True)
    assert (found.auth, found.signing_name) == ("sigv4", "s3express")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:9000/base", f"http://{DIRECTORY}.localhost:9000/base"),
        ("http://127.0.0.1:9000", f"http://127.0.0.1:9000/{DIRECTORY}"),
    ],
)
def test_a_directory_bucket_at_a_custom_endpoint(url: str, expected: str) -> None:
    found = _directory(DIRECTORY, url)
    assert (found.url, found.is_aws) == (expected, False)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (DIRECTORY, {"use_accelerate": True}, "use_accelerate=True"),
        ("Upper--usw2-az1--x-s3", {}, "lower-case"),
        ("demo--az1--x-s3", {}, "names no zone"),
        ("demo-usw2-az1--x-s3", {}, "names no zone"),
    ],
)
def test_what_no_directory_bucket_can_have_is_refused(
    name: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _directory(name, **settings)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("rack", "host"),
    [
        ("o", "op-01ac5d28a6a232904.s3-outposts.us-east-1.amazonaws.com"),
        ("e", "ec2.s3-outposts.us-east-1.amazonaws.com"),
    ],
)
def test_the_alias_of_an_outposts_access_point_tells_its_host(rack: str, host: str) -> None:
    name = ALIAS.format(rack, "use1")
    assert is_outposts_alias(name)
    found = _alias(name)
    assert found.url == f"https://{name}.{host}"
    assert (found.signing_name, found.auth, found.kind) == ("s3-outposts", "sigv4", "outposts")
    assert not found.corrects_region


def test_the_alias_of_a_test_region_is_served_by_the_endpoint_given() -> None:
    name = ALIAS.format("o", "beta")
    found = _alias(name, "https://beta.example.com")
    assert found.url == f"https://{name}.op-01ac5d28a6a232904.beta.example.com"
    assert not found.is_aws


@pytest.mark.parametrize("name", ["short--op-s3", "x" * 60, f"ä{RACK}"])
def test_other_names_are_no_aliases_of_outposts(name: str) -> None:
    assert not is_outposts_alias(name)


@pytest.mark.parametrize(
    ("name", "url", "settings", "said"),
    [
        (ALIAS.format("x", "use1"), None, {}, "is none"),
        (RACK.replace("my", "MY"), None, {}, "is none"),
        (RACK.replace("o01ac", "o-1ac"), None, {}, "is none"),
        (RACK, None, {"use_fips": True}, "use_fips"),
        (RACK, None, {"use_dualstack": True}, "use_dualstack"),
        (RACK, None, {"use_accelerate": True}, "use_accelerate"),
        (RACK, "https://h", {}, "leave endpoint_url out"),
        (ALIAS.format("o", "beta"), None, {}, "give its endpoint_url"),
    ],
)
def test_what_no_outposts_alias_can_have_is_refused(
    name: str, url: str | None, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _alias(name, url, **settings)
    assert said in str(refused.value)

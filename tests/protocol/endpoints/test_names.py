from typing import Any

import pytest

from aios3get._protocol.endpoints.endpoint import Endpoint, EndpointSettings
from aios3get._protocol.endpoints.hosts import CustomEndpoint, parse_endpoint_url
from aios3get._protocol.endpoints.names import (
    bucket_endpoint,
    directory_endpoint,
    is_outposts_alias,
    outposts_alias_endpoint,
)
from aios3get.errors import ParameterError

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
            {"use_accelerate": True, "addressing_style": "path"},
            f"https://{BUCKET}.s3-accelerate.amazonaws.com",
        ),
        (
            {"use_accelerate": True, "use_dualstack": True},
            f"https://{BUCKET}.s3-accelerate.dualstack.amazonaws.com",
        ),
        ({"addressing_style": "path"}, f"https://s3.us-east-1.amazonaws.com/{BUCKET}"),
        ({"addressing_style": "virtual"}, f"https://{BUCKET}.s3.us-east-1.amazonaws.com"),
    ],
)
def test_bucket_at_aws(settings: dict[str, Any], url: str) -> None:
    endpoint = _bucket(BUCKET, **settings)
    assert endpoint.url == url
    assert (endpoint.signing_name, endpoint.auth) == ("s3", "sigv4")
    home = settings.get("region", "us-east-1")
    assert endpoint.signing_region == ("us-east-1" if home == "aws-global" else home)
    assert (endpoint.kind, endpoint.is_aws, endpoint.corrects_region) == ("bucket", True, True)


@pytest.mark.parametrize("name", ["my.dotted.bucket", "UPPER_case", "ab", "192.168.5.4"])
def test_name_that_is_not_hostable_uses_path_style(name: str) -> None:
    for style in ("auto", "virtual"):
        endpoint = _bucket(name, addressing_style=style, region="eu-west-1")
        assert endpoint.url == f"https://s3.eu-west-1.amazonaws.com/{name}"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("my-access-point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias", "access-point"),
        ("my-olap-aabbccddeeff00112233445566778899--ol-s3", "object-lambda"),
    ],
)
def test_access_point_alias_has_a_host_like_a_bucket(name: str, kind: str) -> None:
    endpoint = _bucket(name)
    assert endpoint.url == f"https://{name}.s3.us-east-1.amazonaws.com"
    assert (endpoint.kind, endpoint.corrects_region) == (kind, True)
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
def test_bucket_at_a_custom_endpoint(url: str, style: str, expected: str) -> None:
    endpoint = _bucket(BUCKET, url, addressing_style=style, region="auto")
    assert endpoint.url == expected
    assert (endpoint.signing_region, endpoint.corrects_region) == ("auto", False)
    assert endpoint.is_aws is ("amazonaws" in url)


@pytest.mark.parametrize(
    ("url", "expected", "region"),
    [
        ("http://h", "http://a.dotted.name.h", "aws-global"),
        ("https://h", "https://h/a.dotted.name", "us-east-1"),
        ("http://127.0.0.1", "http://127.0.0.1/a.dotted.name", "us-east-1"),
    ],
)
def test_dotted_name_is_virtual_at_a_custom_endpoint_without_tls(
    url: str, expected: str, region: str
) -> None:
    endpoint = _bucket("a.dotted.name", url, addressing_style="virtual", region="aws-global")
    assert (endpoint.url, endpoint.signing_region) == (expected, region)


def test_name_of_another_server_is_encoded_at_a_custom_endpoint() -> None:
    assert _bucket("tenant:bucket", "http://ceph:8080").url == "http://ceph:8080/tenant%3Abucket"
    assert _bucket("bücket", "http://h", addressing_style="virtual").path == "/b%C3%BCcket"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("tenant:bucket", {}, "bucket='tenant:bucket'"),
        ("x" * 256, {}, "bucket="),
        ("my.dotted.bucket", {"use_accelerate": True}, "without dots"),
    ],
)
def test_invalid_bucket_name_is_a_parameter_error(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        _bucket(name, **settings)
    assert message in str(caught.value)


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
        ("demo--xxw9-az1--x-s3", {}, "s3express-xxw9-az1.us-west-2.amazonaws.com"),
    ],
)
def test_directory_bucket_has_a_zonal_host(name: str, settings: dict[str, Any], host: str) -> None:
    endpoint = _directory(name, region="us-west-2", **settings)
    assert endpoint.url == f"https://{name}.{host}"
    assert (endpoint.signing_name, endpoint.signing_region) == ("s3express", "us-west-2")
    assert (endpoint.auth, endpoint.kind, endpoint.is_aws) == ("sigv4-s3express", "directory", True)
    assert not endpoint.corrects_region


def test_directory_bucket_without_session_auth_is_signed_with_sigv4() -> None:
    endpoint = _directory(DIRECTORY, region="us-west-2", disable_s3_express_session_auth=True)
    assert (endpoint.auth, endpoint.signing_name) == ("sigv4", "s3express")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:9000/base", f"http://{DIRECTORY}.localhost:9000/base"),
        ("http://127.0.0.1:9000", f"http://127.0.0.1:9000/{DIRECTORY}"),
    ],
)
def test_directory_bucket_at_a_custom_endpoint(url: str, expected: str) -> None:
    endpoint = _directory(DIRECTORY, url)
    assert (endpoint.url, endpoint.is_aws) == (expected, False)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (DIRECTORY, {"use_accelerate": True}, "use_accelerate=True"),
        ("Upper--usw2-az1--x-s3", {}, "lower-case"),
        ("demo--az1--x-s3", {}, "names no zone"),
        ("demo-usw2-az1--x-s3", {}, "names no zone"),
        (
            DIRECTORY,
            {"region": "us-east-1"},
            "zone 'usw2-az1' of 'us-west-2', but the client has"
            " region='us-east-1'; set region='us-west-2'",
        ),
        ("demo--usw2-lax1-az1--x-s3", {"region": "eu-west-1"}, "set region='us-west-2'"),
        ("demo--use1-az4--xa-s3", {"region": "us-west-2"}, "set region='us-east-1'"),
    ],
)
def test_invalid_directory_bucket_or_setting_is_a_parameter_error(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        _directory(name, **settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rack", "host"),
    [
        ("o", "op-01ac5d28a6a232904.s3-outposts.us-east-1.amazonaws.com"),
        ("e", "ec2.s3-outposts.us-east-1.amazonaws.com"),
    ],
)
def test_outposts_alias_contains_its_host(rack: str, host: str) -> None:
    name = ALIAS.format(rack, "use1")
    assert is_outposts_alias(name)
    endpoint = _alias(name)
    assert endpoint.url == f"https://{name}.{host}"
    assert (endpoint.signing_name, endpoint.auth, endpoint.kind) == (
        "s3-outposts",
        "sigv4",
        "outposts",
    )
    assert not endpoint.corrects_region


def test_outposts_alias_of_a_test_region_uses_the_custom_endpoint() -> None:
    name = ALIAS.format("o", "beta")
    endpoint = _alias(name, "https://beta.example.com")
    assert endpoint.url == f"https://{name}.op-01ac5d28a6a232904.beta.example.com"
    assert not endpoint.is_aws


@pytest.mark.parametrize("name", ["short--op-s3", "x" * 60, f"ä{RACK}"])
def test_other_names_are_not_outposts_aliases(name: str) -> None:
    assert not is_outposts_alias(name)


@pytest.mark.parametrize(
    ("name", "url", "settings", "message"),
    [
        (ALIAS.format("x", "use1"), None, {}, "is not an alias"),
        (RACK.replace("my", "MY"), None, {}, "is not an alias"),
        (RACK.replace("o01ac", "o-1ac"), None, {}, "is not an alias"),
        (RACK, None, {"use_fips": True}, "use_fips"),
        (RACK, None, {"use_dualstack": True}, "use_dualstack"),
        (RACK, None, {"use_accelerate": True}, "use_accelerate"),
        (RACK, "https://h", {}, "leave endpoint_url out"),
        (ALIAS.format("o", "beta"), None, {}, "pass its endpoint_url"),
    ],
)
def test_invalid_outposts_alias_or_setting_is_a_parameter_error(
    name: str, url: str | None, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        _alias(name, url, **settings)
    assert message in str(caught.value)

from typing import Any

import pytest

from aios3get._protocol.endpoints.arn import parse_arn
from aios3get._protocol.endpoints.arn_rules import arn_endpoint
from aios3get._protocol.endpoints.endpoint import Endpoint, EndpointSettings
from aios3get._protocol.endpoints.hosts import parse_endpoint_url
from aios3get.errors import ConfigurationError

ACCESS_POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap"
OBJECT_LAMBDA = "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap"
OUTPOSTS = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/ap"
MULTI_REGION = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"


def _resolve(arn: str, url: str | None = None, **settings: Any) -> Endpoint:
    custom = None if url is None else parse_endpoint_url(url)
    return arn_endpoint(parse_arn(arn), EndpointSettings(**settings), custom)


@pytest.mark.parametrize(
    ("arn", "settings", "url"),
    [
        (ACCESS_POINT, {}, "https://my-ap-123456789012.s3-accesspoint.us-west-2.amazonaws.com"),
        (
            ACCESS_POINT.replace("/", ":"),
            {"use_fips": True},
            "https://my-ap-123456789012.s3-accesspoint-fips.us-west-2.amazonaws.com",
        ),
        (
            ACCESS_POINT,
            {"use_fips": True, "use_dualstack": True},
            "https://my-ap-123456789012.s3-accesspoint-fips.dualstack.us-west-2.amazonaws.com",
        ),
        (
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/my-ap",
            {"region": "cn-northwest-1"},
            "https://my-ap-123456789012.s3-accesspoint.cn-north-1.amazonaws.com.cn",
        ),
        (
            OBJECT_LAMBDA,
            {},
            "https://my-olap-123456789012.s3-object-lambda.us-west-2.amazonaws.com",
        ),
        (
            OBJECT_LAMBDA,
            {"use_fips": True},
            "https://my-olap-123456789012.s3-object-lambda-fips.us-west-2.amazonaws.com",
        ),
        (
            OUTPOSTS,
            {},
            "https://ap-123456789012.op-01ac5d28a6a232904.s3-outposts.us-west-2.amazonaws.com",
        ),
        (MULTI_REGION, {}, "https://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com"),
    ],
)
def test_an_arn_decides_its_host(arn: str, settings: dict[str, Any], url: str) -> None:
    found = _resolve(arn, **settings)
    assert found.url == url
    assert found.is_aws
    assert not found.corrects_region


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (ACCESS_POINT, ("s3", "us-west-2", "sigv4", "access-point")),
        (OBJECT_LAMBDA, ("s3-object-lambda", "us-west-2", "sigv4", "object-lambda")),
        (OUTPOSTS, ("s3-outposts", "us-west-2", "sigv4", "outposts")),
        (MULTI_REGION, ("s3", "*", "sigv4a", "multi-region")),
    ],
)
def test_an_arn_decides_how_requests_are_signed(arn: str, expected: tuple[str, ...]) -> None:
    found = _resolve(arn)
    assert (found.signing_name, found.signing_region, found.auth, found.kind) == expected


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (ACCESS_POINT, "http://my-ap-123456789012.h:8080/base"),
        (OBJECT_LAMBDA, "http://my-olap-123456789012.h:8080/base"),
        (OUTPOSTS, "https://ap-123456789012.op-01ac5d28a6a232904.h:8080"),
    ],
)
def test_regional_access_points_at_a_custom_endpoint(arn: str, expected: str) -> None:
    found = _resolve(arn, "http://h:8080/base")
    assert (found.url, found.is_aws) == (expected, False)


@pytest.mark.parametrize(
    ("arn", "settings", "said"),
    [
        (ACCESS_POINT, {"addressing_style": "path"}, "addressing_style='path'"),
        (ACCESS_POINT, {"use_accelerate": True}, "accelerate"),
        (ACCESS_POINT, {"disable_access_points": True}, "disable_access_points=True"),
        (ACCESS_POINT, {"use_arn_region": False}, "use_arn_region=True (AWS_S3_USE_ARN_REGION)"),
        (ACCESS_POINT, {"region": "cn-north-1"}, "partition"),
        (ACCESS_POINT + "/more", {}, "accesspoint/NAME"),
        (ACCESS_POINT[:-5], {}, "accesspoint/NAME"),
        (ACCESS_POINT.replace("my-ap", "my_ap"), {}, "accesspoint/NAME"),
        (ACCESS_POINT.replace("123456789012", "12345"), {}, "12-digit account id"),
        (ACCESS_POINT.replace("us-west-2", "us_west_2"), {}, "'us_west_2'"),
        (OBJECT_LAMBDA, {"use_dualstack": True}, "use_dualstack"),
        (OBJECT_LAMBDA, {"use_accelerate": True}, "use_accelerate"),
        (OBJECT_LAMBDA, {"disable_access_points": True}, "disable_access_points=True"),
        (OBJECT_LAMBDA.replace("us-west-2", ""), {}, "needs a region"),
        (OUTPOSTS, {"use_fips": True}, "use_fips"),
        (OUTPOSTS, {"use_dualstack": True}, "use_dualstack"),
        (OUTPOSTS, {"use_accelerate": True}, "use_accelerate"),
        (OUTPOSTS, {"use_arn_region": False}, "use_arn_region=True"),
        (OUTPOSTS.replace("accesspoint", "bucket"), {}, "outpost/ID/accesspoint/NAME"),
        (OUTPOSTS.replace("op-", "op_"), {}, "outpost/ID/accesspoint/NAME"),
        (MULTI_REGION, {"use_fips": True}, "use_fips"),
        (MULTI_REGION, {"use_dualstack": True}, "use_dualstack"),
        (MULTI_REGION, {"use_accelerate": True}, "use_accelerate"),
        (MULTI_REGION, {"region": "cn-north-1"}, "another partition"),
        (MULTI_REGION.replace(".mrap", "..mrap"), {}, "accesspoint/NAME"),
        (
            MULTI_REGION,
            {"disable_multi_region_access_points": True},
            "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS",
        ),
        ("arn:aws:s3:::amzn-s3-demo-bucket", {}, "plain name"),
        ("arn:aws:s3express:us-west-2:123456789012:bucket/demo", {}, "plain name"),
        ("arn:aws:sqs:us-west-2:123456789012:accesspoint/my-ap", {}, "cannot hold objects"),
    ],
)
def test_what_an_arn_cannot_be_used_with_is_refused(
    arn: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        _resolve(arn, **settings)
    assert repr(arn) in str(refused.value)
    assert said in str(refused.value)


def test_the_region_of_the_client_is_no_matter_while_the_arn_agrees() -> None:
    found = _resolve(ACCESS_POINT, region="us-west-2", use_arn_region=False)
    assert found == _resolve(ACCESS_POINT, region="eu-central-1")


def test_a_multi_region_access_point_takes_no_custom_endpoint() -> None:
    with pytest.raises(ConfigurationError, match="leave endpoint_url"):
        _resolve(MULTI_REGION, "https://s3.example.com")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "http://[::1]"])
def test_an_address_has_no_subdomain_for_an_arn(url: str) -> None:
    with pytest.raises(ConfigurationError, match="IP address"):
        _resolve(ACCESS_POINT, url)

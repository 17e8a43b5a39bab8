from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.endpoints.arns import Arn, arn_endpoint, parse_arn
from aios3get._protocol.endpoints.endpoint import Endpoint, EndpointSettings
from aios3get._protocol.endpoints.hosts import parse_endpoint_url
from aios3get.errors import ParameterError

ACCESS_POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap"
OBJECT_LAMBDA = "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap"
OUTPOSTS = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/ap"
MULTI_REGION = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"


def _resolve(arn: str, url: str | None = None, **settings: Any) -> Endpoint:
    custom = None if url is None else parse_endpoint_url(url)
    return arn_endpoint(parse_arn(arn), EndpointSettings(**settings), custom)


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap", ("accesspoint", "my-ap")),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint:my-ap", ("accesspoint", "my-ap")),
        ("arn:aws:s3:us-west-2:123456789012:outpost/a:b/c", ("outpost", "a", "b", "c")),
        ("arn:aws:s3:us-west-2:123456789012:accesspoint/", ("accesspoint", "")),
        ("arn:aws:s3:us-west-2:123456789012:/", ("", "")),
    ],
)
def test_resource_is_split_at_colons_and_slashes(text: str, resource: tuple[str, ...]) -> None:
    assert parse_arn(text) == Arn(text, "aws", "s3", "us-west-2", "123456789012", resource)


def test_region_and_account_may_be_empty() -> None:
    arn = parse_arn("arn:aws-cn:s3:::amzn-s3-demo-bucket")
    assert (arn.partition, arn.region, arn.account) == ("aws-cn", "", "")
    assert arn.resource == ("amzn-s3-demo-bucket",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn:aws:s3:us-west-2:123456789012",
        "arn::s3:us-west-2:123456789012:accesspoint/a",
        "arn:aws::us-west-2:123456789012:accesspoint/a",
        "arn:aws:s3:us-west-2:123456789012:",
        "urn:aws:s3:us-west-2:123456789012:accesspoint/a",
    ],
)
def test_text_without_a_mandatory_field_is_a_parameter_error(text: str) -> None:
    with pytest.raises(ParameterError, match="partition:service:region:account:resource"):
        parse_arn(text)


@given(st.text())
def test_any_text_is_parsed_or_a_parameter_error(text: str) -> None:
    fields = text.split(":", 4)
    if len(fields) == 5 and fields[0] and fields[1] and fields[4]:
        assert parse_arn(f"arn:{text}").text == f"arn:{text}"
    else:
        with pytest.raises(ParameterError):
            parse_arn(f"arn:{text}")


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
def test_host_of_an_arn(arn: str, settings: dict[str, Any], url: str) -> None:
    endpoint = _resolve(arn, **settings)
    assert endpoint.url == url
    assert endpoint.is_aws
    assert not endpoint.corrects_region


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (ACCESS_POINT, ("s3", "us-west-2", "sigv4", "access-point")),
        (OBJECT_LAMBDA, ("s3-object-lambda", "us-west-2", "sigv4", "object-lambda")),
        (OUTPOSTS, ("s3-outposts", "us-west-2", "sigv4", "outposts")),
        (MULTI_REGION, ("s3", "*", "sigv4a", "multi-region")),
    ],
)
def test_signature_of_an_arn(arn: str, expected: tuple[str, ...]) -> None:
    endpoint = _resolve(arn)
    signed = (endpoint.signing_name, endpoint.signing_region, endpoint.auth, endpoint.kind)
    assert signed == expected


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (ACCESS_POINT, "http://my-ap-123456789012.h:8080/base"),
        (OBJECT_LAMBDA, "http://my-olap-123456789012.h:8080/base"),
        (OUTPOSTS, "https://ap-123456789012.op-01ac5d28a6a232904.h:8080"),
    ],
)
def test_arn_at_a_custom_endpoint(arn: str, expected: str) -> None:
    endpoint = _resolve(arn, "http://h:8080/base")
    assert (endpoint.url, endpoint.is_aws) == (expected, False)


@pytest.mark.parametrize("arn", [ACCESS_POINT, OBJECT_LAMBDA, OUTPOSTS, MULTI_REGION])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_arn_leads_the_host_in_every_addressing_style(arn: str, style: str) -> None:
    assert _resolve(arn, addressing_style=style) == _resolve(arn)


@pytest.mark.parametrize(
    ("arn", "settings", "message"),
    [
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
        (MULTI_REGION, {"region": "cn-north-1"}, "in another partition"),
        (MULTI_REGION.replace(".mrap", "..mrap"), {}, "accesspoint/NAME"),
        (
            MULTI_REGION,
            {"disable_multi_region_access_points": True},
            "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS",
        ),
        ("arn:aws:s3:::amzn-s3-demo-bucket", {}, "pass 'amzn-s3-demo-bucket'"),
        ("arn:aws:s3:::amzn-s3-demo-bucket/key", {}, "pass the name of a bucket"),
        (
            "arn:aws:s3express:us-west-2:123456789012:accesspoint/my-ap--usw2-az1--xa-s3",
            {},
            "access point of one, which S3 takes by name; pass 'my-ap--usw2-az1--xa-s3'",
        ),
        (
            "arn:aws:s3express:us-west-2:123456789012:bucket/demo--usw2-az1--x-s3",
            {},
            "directory bucket or of an access point of one, which S3 takes by name; pass"
            " 'demo--usw2-az1--x-s3'",
        ),
        ("arn:aws:s3express:us-west-2:123456789012:bucket", {}, "pass the name of a bucket"),
        ("arn:aws:sqs:us-west-2:123456789012:accesspoint/my-ap", {}, "is not an ARN of S3"),
    ],
)
def test_invalid_arn_or_setting_is_a_parameter_error(
    arn: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        _resolve(arn, **settings)
    assert repr(arn) in str(caught.value)
    assert message in str(caught.value)


def test_use_arn_region_false_accepts_an_arn_of_the_clients_region() -> None:
    endpoint = _resolve(ACCESS_POINT, region="us-west-2", use_arn_region=False)
    assert endpoint == _resolve(ACCESS_POINT, region="eu-central-1")


def test_multi_region_access_point_at_a_custom_endpoint_is_a_parameter_error() -> None:
    with pytest.raises(ParameterError, match="leave endpoint_url"):
        _resolve(MULTI_REGION, "https://s3.example.com")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "http://[::1]"])
def test_arn_at_an_ip_address_is_a_parameter_error(url: str) -> None:
    with pytest.raises(ParameterError, match="IP address"):
        _resolve(ACCESS_POINT, url)

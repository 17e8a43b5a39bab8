import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.endpoints.arn import Arn, parse_arn
from aios3get.errors import ConfigurationError


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
def test_the_resource_is_split_at_colons_and_slashes(text: str, resource: tuple[str, ...]) -> None:
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
def test_what_lacks_a_field_is_refused_with_the_form_of_an_arn(text: str) -> None:
    with pytest.raises(ConfigurationError, match="partition:service:region:account:resource"):
        parse_arn(text)


@given(st.text())
def test_any_text_gives_an_arn_or_a_configuration_error(text: str) -> None:
    fields = text.split(":", 4)
    if len(fields) == 5 and fields[0] and fields[1] and fields[4]:
        assert parse_arn(f"arn:{text}").text == f"arn:{text}"
    else:
        with pytest.raises(ConfigurationError):
            parse_arn(f"arn:{text}")

import configparser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.shared_config import (
    Profile,
    SharedConfig,
    _describe,
    parse_sections,
)
from aios3get.errors import ConfigurationError

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

CONFIG = """
# everyone's
[default]
region = eu-central-1
s3 =
    addressing_style = path
    # not this
    use_accelerate_endpoint = true

[profile analytics]
Region = us-west-2 # stays
services = local

[profile "two words"]
region=ap-south-1

[services local]
s3 =
  endpoint_url = http://localhost:9000

[profile unclosed "quote]
region = nowhere

[preview]
cloudfront = true
"""

CREDENTIALS = """
[default]
aws_access_key_id: AKIAIOSFODNN7EXAMPLE
[keys-only]
aws_access_key_id = AKIAIOSFODNN7EXAMPLE
region = sa-east-1
"""


def shared(config: str = CONFIG, credentials: str = CREDENTIALS) -> SharedConfig:
    return SharedConfig.from_sections(
        parse_sections(config, "config"), parse_sections(credentials, "credentials"), ("a", "b")
    )


def test_profiles_of_both_files() -> None:
    assert set(shared().profiles) == {"default", "analytics", "two words", "keys-only"}
    assert set(shared().services) == {"local"}


@pytest.mark.parametrize(
    ("profile", "path", "value"),
    [
        ("default", ("region",), "eu-central-1"),
        ("default", ("aws_access_key_id",), "AKIAIOSFODNN7EXAMPLE"),
        ("default", ("s3", "addressing_style"), "path"),
        ("default", ("s3", "use_accelerate_endpoint"), "true"),
        ("default", ("s3", "absent"), None),
        ("default", ("s3",), None),
        ("default", ("region", "nested"), None),
        ("analytics", ("region",), "us-west-2 # stays"),
        ("analytics", ("s3", "addressing_style"), None),
        ("two words", ("region",), "ap-south-1"),
        ("keys-only", ("region",), "sa-east-1"),
    ],
)
def test_settings(profile: str, path: tuple[str, ...], value: str | None) -> None:
    assert shared().profile(profile).get(*path) == value


def test_credentials_file_takes_precedence() -> None:
    both = shared("[profile x]\nregion = a\nca_bundle = c", "[x]\nregion = b\nca_bundle =")
    assert both.profile("x").get("region") == "b"
    assert both.profile("x").get("ca_bundle") == "c"


def test_default_may_be_missing_unless_named() -> None:
    nothing = SharedConfig(looked_at=("here", "there"))
    assert nothing.profile(None) == Profile("default")
    with pytest.raises(ConfigurationError, match="profile 'default' is not in here or there"):
        nothing.profile("default")


def test_missing_profile_error_lists_the_profiles() -> None:
    with pytest.raises(ConfigurationError, match="found: analytics, default, keys-only, two words"):
        shared().profile("analytic")
    with pytest.raises(ConfigurationError, match=r"the shared files; profiles found: none"):
        SharedConfig().profile("x")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"aws_secret_access_key = {SECRET}", "line 1 stands before the first"),
        (f"[default]\naws_secret_access_key {SECRET}", "line 2 is not name = value"),
        ("[default]\n[default]", r"line 2 opens \[default\] a second time"),
        (f"[a]\nb = {SECRET}\nb = {SECRET}", "line 3 sets b a second time"),
        (f"[a]\nb =\n  c = d\n  {SECRET}", "a line in the group 'b' is not name = value"),
    ],
)
def test_malformed_file_error_names_the_line_but_not_its_content(text: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the-file cannot be read: {what}") as caught:
        parse_sections(text, "the-file")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_errors_that_a_later_configparser_may_raise_are_not_quoted() -> None:
    assert _describe(configparser.Error(SECRET)) == "it is not an INI file"


@given(st.text(alphabet=st.sampled_from("[]=:#; \t\n\r\x85\u2028abs3\"'\\%\0"), max_size=60))
def test_any_text_gives_sections_or_a_configuration_error(text: str) -> None:
    try:
        sections = parse_sections(text, "file")
    except ConfigurationError:
        return
    for profile in SharedConfig.from_sections(sections, sections).profiles.values():
        assert profile.get("a") is None or isinstance(profile.get("a"), str)


def test_repr_hides_the_settings_of_a_profile() -> None:
    held = shared("[default]", f"[default]\naws_secret_access_key = {SECRET}")
    assert SECRET not in repr(held)
    assert SECRET not in repr(parse_sections) + repr(held.profile(None))

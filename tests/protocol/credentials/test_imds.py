from datetime import UTC, datetime, timedelta

import pytest

from aios3get._protocol.credentials.imds import (
    ImdsSettings,
    extend_expired,
    imds_settings,
    parse_role_name,
    token_request,
)
from aios3get._protocol.fetch import FetchedResponse
from aios3get._protocol.identity import Credentials
from aios3get._protocol.shared_config import Profile
from aios3get.errors import ConfigurationError, CredentialsError

DEFAULT = ImdsSettings("http://169.254.169.254", False, False, 1.0, 2)


def settings(profile: dict[str, str] | None = None, /, **environ: str) -> ImdsSettings:
    return imds_settings(environ, Profile("default", config=profile or {}))


def test_defaults() -> None:
    assert settings() == DEFAULT
    assert settings().host == "169.254.169.254"


@pytest.mark.parametrize("value", ["true", "TRUE", " True "])
def test_service_is_disabled_by_true_only(value: str) -> None:
    assert settings(AWS_EC2_METADATA_DISABLED=value).is_disabled
    for other in ("false", "1", "yes", ""):
        assert not settings(AWS_EC2_METADATA_DISABLED=other).is_disabled
    assert not settings({"ec2_metadata_disabled": "true"}).is_disabled


@pytest.mark.parametrize("value", ["IPv6", "ipv6"])
def test_ipv6_mode(value: str) -> None:
    ipv6 = "http://[fd00:ec2::254]"
    assert settings(AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=value).endpoint == ipv6
    assert settings({"ec2_metadata_service_endpoint_mode": value}).endpoint == ipv6
    assert settings(AWS_IMDS_USE_IPV6="true").endpoint == ipv6
    mode = {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv4"}
    assert settings(AWS_IMDS_USE_IPV6="true", **mode) == DEFAULT


def test_endpoint_precedes_the_mode_and_the_environment_the_profile() -> None:
    named = {"ec2_metadata_service_endpoint": "http://[::1]:1338/"}
    assert settings(named).endpoint == "http://[::1]:1338"
    mode = {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}
    assert settings(named, **mode).endpoint == "http://[::1]:1338"
    assert (
        settings(named, AWS_EC2_METADATA_SERVICE_ENDPOINT="https://h/x").endpoint == "https://h/x"
    )


def test_imdsv1_is_allowed_only_by_false() -> None:
    assert settings(AWS_EC2_METADATA_V1_DISABLED="false").allows_v1
    assert settings({"ec2_metadata_v1_disabled": "False"}).allows_v1
    for value in ("true", "no", ""):
        assert not settings(AWS_EC2_METADATA_V1_DISABLED=value).allows_v1
    asking = {"ec2_metadata_v1_disabled": "false"}
    assert not settings(asking, AWS_EC2_METADATA_V1_DISABLED="true").allows_v1


def test_numbers() -> None:
    names = {"metadata_service_timeout": "2.5", "metadata_service_num_attempts": "03"}
    assert (settings(names).timeout, settings(names).attempts) == (2.5, 3)
    assert settings(names, AWS_METADATA_SERVICE_TIMEOUT="4").timeout == 4
    assert settings(names, AWS_METADATA_SERVICE_NUM_ATTEMPTS="1").attempts == 1


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("metadata_service_timeout", ["0", "-1", "nan", "inf", "1s"]),
        ("metadata_service_num_attempts", ["0", "-1", "1.5", "many"]),
        ("ec2_metadata_service_endpoint_mode", ["IPv5", "dual"]),
        (
            "ec2_metadata_service_endpoint",
            [
                "169.254.169.254",
                "ftp://h",
                "http://",
                "http://h:x",
                "http://h?a",
                "http://u@h",
                "http://a b",
            ],
        ),
    ],
)
def test_invalid_value_names_its_source(setting: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError, match=f"environment variable AWS_{setting.upper()}"):
            settings(None, **{f"AWS_{setting.upper()}": value})
        with pytest.raises(ConfigurationError, match=f"{setting} of the profile 'default'"):
            settings({setting: value})


def test_token_is_requested_for_six_hours() -> None:
    request = token_request(DEFAULT)
    assert (request.method, request.url) == ("PUT", "http://169.254.169.254/latest/api/token")
    assert request.headers == {"x-aws-ec2-metadata-token-ttl-seconds": "21600"}


@pytest.mark.parametrize("body", [b"", b"a/b", b"a b", b"<html>", b"a\nb", b"a?b", b"\xc3\xbc"])
def test_role_name_cannot_be_another_path(body: bytes) -> None:
    with pytest.raises(CredentialsError, match="is not one of the Instance Metadata Service"):
        parse_role_name(FetchedResponse(200, body=body), "the response")
    good = FetchedResponse(200, body=b"web+server=a,b.c@d-1_2\n")
    assert parse_role_name(good, "the response") == "web+server=a,b.c@d-1_2"


NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_expired_credentials_get_5_to_10_more_minutes(jitter: float) -> None:
    for end in (NOW - timedelta(hours=9), NOW, NOW + timedelta(seconds=60)):
        credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "abc", "token", end)
        extended = extend_expired(credentials, NOW, jitter)
        assert extended is not None
        assert extended.expires_at == NOW + timedelta(minutes=5) * (1 + jitter)
        assert extended.session_token == "token"


def test_valid_credentials_are_not_extended() -> None:
    end = NOW + timedelta(seconds=61)
    assert extend_expired(Credentials("A", "b", "c", end), NOW, 0) is None
    assert extend_expired(Credentials("A", "b"), NOW, 0) is None

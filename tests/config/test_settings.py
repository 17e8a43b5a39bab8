from pathlib import Path
from typing import Any

import pytest

from aios3get._config.settings import (
    ExplicitSettings,
    ResolvedSettings,
    resolve_settings,
)
from aios3get._config.shared_files import profile_name, read_shared_config
from aios3get._http.proxies import Proxies
from aios3get._protocol.endpoints.resolver import EndpointSettings
from aios3get.errors import ConfigurationError


async def resolved(
    home: Path,
    *,
    explicit: ExplicitSettings | None = None,
    environ: dict[str, str] | None = None,
    config: str = "",
    profile: str | None = None,
) -> ResolvedSettings:
    (home / "config").write_text(config)
    environ = {"HOME": str(home), "AWS_CONFIG_FILE": str(home / "config")} | (environ or {})
    shared = await read_shared_config(environ)
    return resolve_settings(explicit or {}, environ, shared, profile_name(profile, environ))


async def test_defaults_apply_if_nothing_is_set(tmp_path: Path) -> None:
    assert await resolved(tmp_path) == ResolvedSettings()
    assert ResolvedSettings().endpoint == EndpointSettings()
    nothing: ExplicitSettings = {"region": None, "use_fips": None, "endpoint_url": None}
    assert await resolved(tmp_path, explicit=nothing) == ResolvedSettings()


# argument, value there, environment, value there, profile's line, value there
SOURCES: list[tuple[str, Any, str | None, str, str | None, Any, Any]] = [
    ("region", "a-1", "AWS_REGION", "b-1", "region = c-1", "b-1", "c-1"),
    ("region", "a-1", "AWS_DEFAULT_REGION", "b-1", "region = c-1", "b-1", "c-1"),
    ("addressing_style", "virtual", None, "", "s3 =\n  addressing_style = Path", None, "path"),
    ("use_fips", False, "AWS_USE_FIPS_ENDPOINT", "True", "use_fips_endpoint = true", True, True),
    (
        "use_dualstack",
        False,
        "AWS_USE_DUALSTACK_ENDPOINT",
        "true",
        "use_dualstack_endpoint = true",
        True,
        True,
    ),
    ("use_dualstack", False, None, "", "s3 =\n  use_dualstack_endpoint = true", None, True),
    ("use_accelerate", False, None, "", "s3 =\n  use_accelerate_endpoint = true", None, True),
    (
        "use_arn_region",
        True,
        "AWS_S3_USE_ARN_REGION",
        "false",
        "s3_use_arn_region = false",
        False,
        False,
    ),
    ("use_arn_region", True, None, "", "s3 =\n  use_arn_region = false", None, False),
    (
        "use_global_endpoint",
        False,
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
        "legacy",
        "s3_us_east_1_regional_endpoint = legacy",
        True,
        True,
    ),
    (
        "use_global_endpoint",
        True,
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
        "regional",
        "s3 =\n  us_east_1_regional_endpoint = legacy",
        False,
        True,
    ),
    ("disable_access_points", True, None, "", None, None, None),
    (
        "disable_multi_region_access_points",
        False,
        "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS",
        "true",
        "s3_disable_multiregion_access_points = true",
        True,
        True,
    ),
    (
        "disable_s3_express_session_auth",
        False,
        "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH",
        "true",
        "s3_disable_express_session_auth = true",
        True,
        True,
    ),
    (
        "disable_s3_express_session_auth",
        False,
        "AWS_DISABLE_S3_EXPRESS_SESSION_AUTH",
        "true",
        "s3 =\n  disable_s3_express_session_auth = true",
        True,
        True,
    ),
    (
        "endpoint_url",
        "http://a",
        "AWS_ENDPOINT_URL_S3",
        "http://b:1/x",
        "endpoint_url = http://c",
        "http://b:1/x",
        "http://c",
    ),
    (
        "endpoint_url",
        "http://a",
        "AWS_ENDPOINT_URL",
        "http://b",
        "services = s\n[services s]\ns3 =\n  endpoint_url = http://c",
        "http://b",
        "http://c",
    ),
]


@pytest.mark.parametrize(
    ("name", "argument", "variable", "text", "line", "by_environment", "by_profile"), SOURCES
)
async def test_arguments_precede_environment_and_profile(
    tmp_path: Path,
    name: str,
    argument: Any,
    variable: str | None,
    text: str,
    line: str | None,
    by_environment: Any,
    by_profile: Any,
) -> None:
    explicit: Any = {name: argument}
    environ = {variable: text} if variable else {}
    config = f"[default]\n{line}" if line else ""

    async def value(**sources: Any) -> Any:
        return getattr((await resolved(tmp_path, **sources)).endpoint, name)

    assert await value(explicit=explicit, environ=environ, config=config) == argument
    if line:
        assert await value(config=config) == by_profile
        assert await value(config=config, environ=dict.fromkeys(environ, " ")) == by_profile
    if variable:
        assert await value(environ=environ, config=config) == by_environment


async def test_aws_region_precedes_aws_default_region(tmp_path: Path) -> None:
    both = {"AWS_DEFAULT_REGION": "us-west-2", "AWS_REGION": "eu-central-1"}
    assert (await resolved(tmp_path, environ=both)).endpoint.region == "eu-central-1"


SERVICES = """
[default]
endpoint_url = http://general
services = s
[services s]
dynamodb =
  endpoint_url = http://dynamodb
s3 =
  endpoint_url = http://s3
[profile without]
endpoint_url = http://general
services = other
[services other]
dynamodb =
  endpoint_url = http://dynamodb
"""


@pytest.mark.parametrize(
    ("profile", "environ", "url"),
    [
        (None, {}, "http://s3"),
        ("without", {}, "http://general"),
        (None, {"AWS_ENDPOINT_URL": "http://e"}, "http://e"),
        (None, {"AWS_ENDPOINT_URL": "http://e", "AWS_ENDPOINT_URL_S3": "http://f"}, "http://f"),
        (None, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
        (
            None,
            {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "http://e"},
            None,
        ),
        (None, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false"}, "http://s3"),
    ],
)
async def test_configured_endpoint_urls(
    tmp_path: Path, profile: str | None, environ: dict[str, str], url: str | None
) -> None:
    found = await resolved(tmp_path, config=SERVICES, profile=profile, environ=environ)
    assert found.endpoint.endpoint_url == url


async def test_endpoint_url_argument_is_never_ignored(tmp_path: Path) -> None:
    found = await resolved(
        tmp_path,
        explicit={"endpoint_url": "https://s3.example.com"},
        config="[default]\nignore_configured_endpoint_urls = true",
    )
    assert found.endpoint.endpoint_url == "https://s3.example.com"


@pytest.mark.parametrize(
    ("explicit", "environ", "config", "message"),
    [
        ({"use_fips": "yes"}, {}, "", "use_fips is 'yes'; pass True or False"),
        ({"use_global_endpoint": 1}, {}, "", "use_global_endpoint is 1; pass True or False"),
        ({"region": 7}, {}, "", "region is 7; pass text"),
        ({"region": ""}, {}, "", "region is ''; write a region's name"),
        ({"region": "us-east-1/x"}, {}, "", "region is 'us-east-1/x'"),
        ({"addressing_style": "host"}, {}, "", "'host'; write auto or path or virtual"),
        ({"endpoint_url": "localhost:9000"}, {}, "", "endpoint_url is 'localhost:9000'; write a"),
        ({"endpoint_url": ""}, {}, "", "endpoint_url is ''"),
        ({"endpoint_url": b"http://a"}, {}, "", "pass text"),
        ({"endpoint_url": "http://[::1"}, {}, "", "write a URL"),
        ({"endpoint_url": "ftp://u:secret@x"}, {}, "", "endpoint_url is not a usable URL"),
        (
            {},
            {"AWS_USE_FIPS_ENDPOINT": "maybe"},
            "",
            "environment variable AWS_USE_FIPS_ENDPOINT is 'maybe'; write true or false",
        ),
        ({}, {"AWS_REGION": "a b"}, "", "environment variable AWS_REGION is 'a b'"),
        (
            {},
            {"AWS_RESPONSE_CHECKSUM_VALIDATION": "never"},
            "",
            "'never'; write when_supported or when_required",
        ),
        ({}, {"AWS_ENDPOINT_URL": "s3"}, "", "environment variable AWS_ENDPOINT_URL is 's3'"),
        (
            {},
            {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "global"},
            "",
            "write regional or legacy",
        ),
        (
            {},
            {},
            "[default]\ns3 =\n  addressing_style = x",
            "s3 → addressing_style of the profile 'default' is 'x'",
        ),
        ({}, {}, "[default]\nservices = s", r"there is no \[services s\] section"),
        (
            {},
            {},
            "[default]\nservices = s\n[services s]\ns3 =\n  endpoint_url = nowhere",
            r"s3 → endpoint_url of \[services s\] is 'nowhere'",
        ),
        ({}, {"AWS_PROFILE": "absent"}, "", "profile 'absent' is not in"),
        ({}, {}, "region = x", "line 1 stands before the first"),
    ],
)
async def test_invalid_value_is_an_error_that_names_its_source(
    tmp_path: Path, explicit: Any, environ: dict[str, str], config: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        await resolved(tmp_path, explicit=explicit, environ=environ, config=config)
    assert "secret" not in str(caught.value)


async def test_ca_bundle_checksums_and_proxies(tmp_path: Path) -> None:
    config = "[default]\nca_bundle = /profile.pem\nresponse_checksum_validation = WHEN_REQUIRED"
    found = await resolved(tmp_path, config=config, environ={"HTTPS_PROXY": "http://p:1"})
    assert found.ca_bundle == "/profile.pem"
    assert found.response_checksum_validation == "when_required"
    assert found.proxies == Proxies({"https": "http://p:1"})
    found = await resolved(
        tmp_path,
        config=config,
        environ={"AWS_CA_BUNDLE": "/environment.pem"},
        explicit={"response_checksum_validation": "when_supported"},
    )
    assert found.ca_bundle == "/environment.pem"
    assert found.response_checksum_validation == "when_supported"

"""The same environment and files, read through botocore's session."""

import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.session
from botocore.configprovider import ConfiguredEndpointProvider
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3get._config.settings import resolve_settings
from aios3get._config.shared_files import _read_both, profile_name

boolean = st.sampled_from(["true", "false", "True", "FALSE"])
url = st.sampled_from(["http://a.example", "https://b.example:1/x"])
region = st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1"])

# AWS_REGION and AWS_PROFILE beside AWS_DEFAULT_PROFILE are where we follow the SDK reference.
environments = st.fixed_dictionaries(
    {},
    optional={
        "AWS_DEFAULT_REGION": region,
        "AWS_DEFAULT_PROFILE": st.sampled_from(["a", "default"]),
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ENDPOINT_URL": url,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": boolean,
        "AWS_USE_FIPS_ENDPOINT": boolean,
        "AWS_USE_DUALSTACK_ENDPOINT": boolean,
        "AWS_S3_USE_ARN_REGION": boolean,
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": st.sampled_from(["regional", "legacy"]),
        "AWS_S3_DISABLE_MULTIREGION_ACCESS_POINTS": boolean,
        "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH": boolean,
        "AWS_RESPONSE_CHECKSUM_VALIDATION": st.sampled_from(["when_supported", "when_required"]),
        "AWS_CA_BUNDLE": st.just("/env.pem"),
    },
)
in_s3 = st.fixed_dictionaries(
    {},
    optional={
        "addressing_style": st.sampled_from(["path", "virtual", "auto"]),
        "use_accelerate_endpoint": boolean,
        "use_arn_region": boolean,
        "us_east_1_regional_endpoint": st.sampled_from(["regional", "legacy"]),
        "s3_disable_multiregion_access_points": boolean,
    },
)
in_profile = st.fixed_dictionaries(
    {"s3": in_s3},
    optional={
        "region": region,
        "endpoint_url": url,
        "services": st.just("named"),
        "ignore_configured_endpoint_urls": boolean,
        "use_fips_endpoint": boolean,
        "use_dualstack_endpoint": boolean,
        "s3_use_arn_region": boolean,
        "s3_us_east_1_regional_endpoint": st.sampled_from(["regional", "legacy"]),
        "s3_disable_express_session_auth": boolean,
        "response_checksum_validation": st.sampled_from(["when_supported", "when_required"]),
        "ca_bundle": st.just("/profile.pem"),
    },
)
in_services = st.fixed_dictionaries({}, optional={"endpoint_url": url, "x": st.just("y")})


def section(title: str, held: dict[str, Any]) -> str:
    lines = [f"[{title}]"]
    for name, value in held.items():
        if isinstance(value, dict):
            nested = [f"  {inner} = {text}" for inner, text in value.items()]
            lines += [f"{name} =", *nested] if nested else []
        else:
            lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"


def by_botocore(environ: dict[str, str]) -> dict[str, Any]:
    with mock.patch.dict(os.environ, environ, clear=True):
        session = botocore.session.Session()
        get = session.get_config_variable
        s3 = get("s3") or {}
        endpoint_url = ConfiguredEndpointProvider(
            session.full_config, session.get_scoped_config(), "s3"
        ).provide()
        if get("ignore_configured_endpoint_urls"):
            endpoint_url = None
        # Its client, not its configuration, takes a host that was written out as it is.
        variants = endpoint_url is None
        return {
            "region": get("region") or "us-east-1",
            "endpoint_url": endpoint_url,
            "addressing_style": s3.get("addressing_style") or "auto",
            "use_fips": variants and (get("use_fips_endpoint") or False),
            "use_dualstack": variants and (get("use_dualstack_endpoint") or False),
            "use_accelerate": s3.get("use_accelerate_endpoint") in (True, "true"),
            "use_arn_region": s3.get("use_arn_region", True),
            "use_global_endpoint": s3.get("us_east_1_regional_endpoint", "regional") == "legacy",
            "disable_multi_region_access_points": s3.get(
                "s3_disable_multiregion_access_points", False
            ),
            "disable_s3_express_session_auth": (
                get("s3_disable_express_session_auth") or "false"
            ).lower()
            == "true",
            "checksums": get("response_checksum_validation"),
            "ca_bundle": get("ca_bundle"),
        }


def by_us(environ: dict[str, str]) -> dict[str, Any]:
    found = resolve_settings({}, environ, _read_both(environ), profile_name(None, environ))
    endpoint = found.endpoint
    names = [name for name in endpoint._fields if name != "disable_access_points"]
    return {name: getattr(endpoint, name) for name in names} | {
        "checksums": found.response_checksum_validation,
        "ca_bundle": found.ca_bundle,
    }


@settings(deadline=None, max_examples=150)
@given(environments, in_profile, in_profile, in_services)
def test_any_environment_and_files(
    environ: dict[str, str],
    default: dict[str, Any],
    named: dict[str, Any],
    services: dict[str, str],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "config").write_text(
            section("default", default)
            + section("profile a", named)
            + section("services named", {"s3": services, "unrelated": "x"})
        )
        environ = environ | {
            "HOME": directory,
            "AWS_CONFIG_FILE": str(home / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "none"),
        }
        assert by_us(environ) == by_botocore(environ)

import pytest

from aios3get._config.service_endpoints import ServiceEndpoint, resolve_service_endpoint
from aios3get._protocol.credentials.endpoints import CredentialsService
from aios3get._protocol.shared_config import SharedConfig, parse_sections

LOCAL_SERVICES = (
    "[default]\nservices = local\n[services local]\n"
    "sts =\n  endpoint_url = http://localhost:1\nsso_oidc =\n  endpoint_url = http://localhost:2/x/\n"
)


@pytest.mark.parametrize(
    ("service", "region", "environ", "config", "url", "signing_region"),
    [
        ("sts", None, {}, "", "https://sts.amazonaws.com", "us-east-1"),
        ("sts", "eu-west-1", {}, "", "https://sts.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sts", "aws-global", {}, "", "https://sts.amazonaws.com", "us-east-1"),
        (
            "sts",
            "eu-west-1",
            {"AWS_STS_REGIONAL_ENDPOINTS": "legacy"},
            "",
            "https://sts.amazonaws.com",
            "us-east-1",
        ),
        (
            "sts",
            "eu-south-1",
            {},
            "[default]\nsts_regional_endpoints = legacy",
            "https://sts.eu-south-1.amazonaws.com",
            "eu-south-1",
        ),
        (
            "sts",
            None,
            {"AWS_USE_FIPS_ENDPOINT": "true"},
            "",
            "https://sts-fips.us-east-1.amazonaws.com",
            "us-east-1",
        ),
        (
            "sso",
            "us-west-2",
            {},
            "[default]\nuse_dualstack_endpoint = true\ns3 =\n  use_dualstack_endpoint = false",
            "https://portal.sso.us-west-2.api.aws",
            "us-west-2",
        ),
        ("sts", "eu-west-1", {}, LOCAL_SERVICES, "http://localhost:1", "eu-west-1"),
        ("sts", None, {}, LOCAL_SERVICES, "http://localhost:1", "us-east-1"),
        ("sso-oidc", "eu-west-1", {}, LOCAL_SERVICES, "http://localhost:2/x", "eu-west-1"),
        (
            "sso-oidc",
            "eu-west-1",
            {"AWS_ENDPOINT_URL_SSO_OIDC": "http://localhost:3"},
            LOCAL_SERVICES,
            "http://localhost:3",
            "eu-west-1",
        ),
        (
            "sts",
            "eu-west-1",
            {"AWS_ENDPOINT_URL": "http://localhost:4", "AWS_USE_FIPS_ENDPOINT": "true"},
            LOCAL_SERVICES,
            "http://localhost:4",
            "eu-west-1",
        ),
        (
            "sts",
            "eu-west-1",
            {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL_STS": "http://l:1"},
            LOCAL_SERVICES,
            "https://sts.eu-west-1.amazonaws.com",
            "eu-west-1",
        ),
    ],
)
async def test_endpoint_of_a_credentials_service(
    service: CredentialsService,
    region: str | None,
    environ: dict[str, str],
    config: str,
    url: str,
    signing_region: str,
) -> None:
    shared = SharedConfig.from_sections(parse_sections(config, "config"), {})
    found = resolve_service_endpoint(service, region, environ, shared, shared.profile(None))
    assert found == ServiceEndpoint(url, signing_region)

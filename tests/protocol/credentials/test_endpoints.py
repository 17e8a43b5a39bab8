import pytest

from aios3get._protocol.credentials.endpoints import CredentialsService, service_url


@pytest.mark.parametrize(
    ("service", "region", "use_fips", "use_dualstack", "url"),
    [
        ("sts", "eu-central-1", False, False, "https://sts.eu-central-1.amazonaws.com"),
        ("sts", "cn-north-1", False, True, "https://sts.cn-north-1.api.amazonwebservices.com.cn"),
        ("sts", "us-gov-west-1", True, False, "https://sts.us-gov-west-1.amazonaws.com"),
        ("sso", "us-east-1", True, False, "https://portal.sso-fips.us-east-1.amazonaws.com"),
        ("sso-oidc", "us-east-1", False, True, "https://oidc.us-east-1.api.aws"),
        ("signin", "us-east-1", False, False, "https://us-east-1.signin.aws.amazon.com"),
    ],
)
def test_hosts_of_services(
    service: CredentialsService, region: str, use_fips: bool, use_dualstack: bool, url: str
) -> None:
    assert service_url(service, region, use_fips=use_fips, use_dualstack=use_dualstack) == url

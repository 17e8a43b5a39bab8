"""The hosts of STS, SSO and Sign-In by botocore's endpoint rules."""

from functools import cache
from itertools import product
from typing import Any

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider

from aios3get._protocol.credentials.endpoints import CredentialsService, service_url

REGIONS = (
    *("us-east-1", "eu-central-1", "mx-central-1", "cn-north-1", "us-gov-west-1", "us-gov-east-1"),
    *("us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1"),
    "xx-nowhere-9",
)


@cache
def _provider(service: str) -> Any:
    loader = botocore.session.Session().get_component("data_loader")
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    return EndpointProvider(rules, loader.load_data("partitions"))


@pytest.mark.parametrize("service", ["sts", "sso", "sso-oidc", "signin"])
def test_hosts_in_every_partition(service: CredentialsService) -> None:
    for region, fips, dual_stack in product(REGIONS, (False, True), (False, True)):
        parameters = {"Region": region, "UseFIPS": fips, "UseDualStack": dual_stack}
        if service == "sts":
            parameters["UseGlobalEndpoint"] = False
        if service == "signin":
            parameters["IsControlPlane"] = False
        expected = _provider(service).resolve_endpoint(**parameters)
        url = service_url(service, region, use_fips=fips, use_dualstack=dual_stack)
        assert (region, fips, dual_stack, url) == (region, fips, dual_stack, expected.url)

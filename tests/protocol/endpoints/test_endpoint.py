import copy
import dataclasses
import pickle
from typing import get_args

import pytest

from aios3get._protocol.endpoints.endpoint import (
    Endpoint,
    EndpointKind,
    EndpointSettings,
    service_host,
)


def _of(kind: EndpointKind) -> Endpoint:
    return Endpoint("https", "h", "/b", "s3", "us-east-1", kind=kind)


@pytest.mark.parametrize(
    ("fips", "dualstack", "plain", "zonal"),
    [
        (False, False, "s3", "s3-usw2-az1"),
        (True, False, "s3-fips", "s3-fips-usw2-az1"),
        (False, True, "s3.dualstack", "s3-usw2-az1.dualstack"),
        (True, True, "s3-fips.dualstack", "s3-fips-usw2-az1.dualstack"),
    ],
)
def test_service_host_of_every_variant(fips: bool, dualstack: bool, plain: str, zonal: str) -> None:
    settings = EndpointSettings(use_fips=fips, use_dualstack=dualstack)
    assert service_host("s3", settings) == plain
    assert service_host("s3", settings, zone="usw2-az1") == zonal


@pytest.mark.parametrize("kind", get_args(EndpointKind))
def test_responses_of_object_lambda_are_transformed(kind: EndpointKind) -> None:
    assert _of(kind).is_transformed is (kind == "object-lambda")


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("https", "s3.example.com", True),
        ("http", "s3.example.com", False),
        ("http", "localhost", True),
        ("http", "localhost:9000", True),
        ("http", "examplebucket.localhost:9000", True),
        ("http", "127.0.0.1", True),
        ("http", "127.8.9.1:9000", True),
        ("http", "[::1]", True),
        ("http", "[::1]:9000", True),
        ("http", "[2001:db8::1]:9000", False),
        ("http", "10.0.0.7", False),
        ("http", "notlocalhost", False),
        ("http", "localhost.example.com", False),
        ("http", "127.0.0.1.example.com", False),
    ],
)
def test_tls_and_loopback_are_confidential(scheme: str, host: str, expected: bool) -> None:
    endpoint = Endpoint(scheme, host, "/b", "s3", "us-east-1")
    assert endpoint.is_confidential is expected


def test_url_ends_before_the_slash_of_the_key() -> None:
    assert _of("bucket").url == "https://h/b"


def test_endpoints_copy_and_pickle() -> None:
    endpoint = _of("outposts")
    revived = pickle.loads(pickle.dumps(endpoint))
    assert copy.copy(endpoint) == endpoint == revived
    assert (revived.url, revived.signing) == (endpoint.url, endpoint.signing)


def test_derived_fields_follow_replaced_ones() -> None:
    endpoint = dataclasses.replace(_of("multi-region"), host="i", signing_region="*", auth="sigv4a")
    assert endpoint.url == "https://i/b"
    assert endpoint.signing == ("sigv4a", "*", "s3")

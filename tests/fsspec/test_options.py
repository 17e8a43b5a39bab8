from typing import Any

import pytest
from botocore import UNSIGNED

from aios3get import ANONYMOUS, Credentials, RetryPolicy, S3Client, Timeouts, errors
from aios3get.fsspec.options import client_arguments, object_options

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({}, {}),
        ({"key": KEY, "secret": SECRET}, {"credentials": Credentials(KEY, SECRET)}),
        (
            {"username": KEY, "password": SECRET, "token": "session"},
            {"credentials": Credentials(KEY, SECRET, "session")},
        ),
        (
            {"client_kwargs": {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}},
            {"credentials": Credentials(KEY, SECRET)},
        ),
        ({"anon": True, "key": KEY, "secret": SECRET}, {"credentials": ANONYMOUS}),
        ({"anon": False, "profile": "example"}, {"profile": "example"}),
        ({"requester_pays": True}, {"request_payer": "requester"}),
        (
            {"endpoint_url": "http://localhost", "use_ssl": False, "cache_regions": True},
            {"endpoint_url": "http://localhost"},
        ),
        (
            {
                "endpoint_url": "http://first",
                "client_kwargs": {"endpoint_url": "http://second", "region_name": "eu-west-1"},
            },
            {"endpoint_url": "http://first", "region": "eu-west-1"},
        ),
        ({"client_kwargs": {"verify": False}}, {"verify": False}),
        (
            {
                "config_kwargs": {
                    "connect_timeout": 3,
                    "read_timeout": 4,
                    "max_pool_connections": 100,
                    "signature_version": "s3v4",
                    "retries": {"max_attempts": 2, "mode": "standard"},
                    "proxies": {"https": "http://localhost:3128"},
                    "s3": {"addressing_style": "path", "use_accelerate_endpoint": False},
                    "use_fips_endpoint": True,
                }
            },
            {
                "timeouts": Timeouts(connect=3, idle=4),
                "retry": RetryPolicy(attempts=3),
                "proxy": "http://localhost:3128",
                "addressing_style": "path",
                "use_accelerate": False,
                "use_fips": True,
            },
        ),
        ({"config_kwargs": {"signature_version": UNSIGNED}}, {"credentials": ANONYMOUS}),
        ({"region": "eu-west-1", "max_concurrency": None}, {"region": "eu-west-1"}),
    ],
)
def test_options_become_arguments(given: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert client_arguments(given) == arguments
    S3Client(**arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": KEY}, "together"),
        ({"key": KEY, "secret": SECRET, "credentials": ANONYMOUS}, "not both"),
        ({"use_ssl": False}, "http://"),
        ({"session": object()}, "from_botocore"),
        ({"acl": "private"}, "unknown storage option 'acl'"),
        ({"client_kwargs": {"config": object()}}, "client_kwargs has 'config'"),
        ({"config_kwargs": {"signature_version": "s3"}}, "pass s3v4"),
        ({"config_kwargs": {"client_cert": "cert.pem"}}, "config_kwargs has 'client_cert'"),
        ({"config_kwargs": {"proxies": {"http": "http://a", "https": "http://b"}}}, "several"),
    ],
)
def test_invalid_options_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        client_arguments(given)


def test_additional_parameters_are_those_of_get_object() -> None:
    given = {
        "ServerSideEncryption": "aws:kms",
        "SSECustomerKey": b"k" * 32,
        "ExpectedBucketOwner": "123456789012",
    }
    assert object_options(given) == {
        "sse_customer_key": b"k" * 32,
        "expected_bucket_owner": "123456789012",
    }

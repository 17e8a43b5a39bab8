from typing import Any

import pytest
from botocore.auth import AUTH_TYPE_MAPS

from aios3get.testing import S3Server
from tests.testing_client import call, presign, send, sign

DIRECTORY = "examplebucket--use1-az4--x-s3"


@pytest.fixture
def server(server: S3Server) -> S3Server:
    server.put_object("examplebucket", "a/key", b"plain")
    server.put_object("dotted.example.bucket", "a/key", b"dotted")
    server.put_object(DIRECTORY, "a/key", b"express")
    return server


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("127.0.0.1:9000", "/examplebucket/a/key"),
        ("[::1]:9000", "/examplebucket/a/key"),
        ("localhost", "/examplebucket/a/key"),
        ("storage.example.com", "/examplebucket/a/key"),
        ("examplebucket.localhost:9000", "/a/key"),
        ("examplebucket.storage.example.com", "/a/key"),
        ("dotted.example.bucket.storage.example.com", "/a/key"),
        ("examplebucket.s3.us-east-1.amazonaws.com", "/a/key"),
        ("EXAMPLEBUCKET.s3.us-east-1.amazonaws.com", "/a/key"),
        ("dotted.example.bucket.s3.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3.dualstack.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3-fips.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3-fips.dualstack.us-east-1.amazonaws.com", "/a/key"),
        ("examplebucket.s3-accelerate.amazonaws.com", "/a/key"),
        ("examplebucket.s3-accelerate.dualstack.amazonaws.com", "/a/key"),
        ("examplebucket.s3.amazonaws.com", "/a/key"),
        ("examplebucket.s3-external-1.amazonaws.com", "/a/key"),
        ("s3.us-east-1.amazonaws.com", "/examplebucket/a/key"),
        ("s3.amazonaws.com", "/examplebucket/a/key"),
        ("s3.us-east-1.amazonaws.com:443", "/dotted.example.bucket/a/key"),
    ],
)
def test_host_or_path_names_the_bucket(server: S3Server, host: str, path: str) -> None:
    reply = call(server, path, host=host)
    assert reply.status == 200, reply.error
    assert reply.body in (b"plain", b"dotted")
    assert server.requests[-1].key == "a/key"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "examplebucket.s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "examplebucket.s3-fips.us-gov-west-1.amazonaws.com"),
        ("us-iso-east-1", "examplebucket.s3.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "examplebucket.s3.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "examplebucket.s3.eu-isoe-west-1.cloud.adc-e.uk"),
        ("us-isof-south-1", "examplebucket.s3.us-isof-south-1.csp.hci.ic.gov"),
        ("eusc-de-east-1", "examplebucket.s3.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_host_of_another_partition_names_the_bucket(region: str, host: str) -> None:
    with S3Server.in_thread(region=region) as server:
        server.put_object("examplebucket", "k", b"x")
        assert call(server, "/k", host=host, region=region).body == b"x"


@pytest.mark.parametrize(
    ("name", "service", "host"),
    [
        ("myendpoint-123456789012", "s3", "s3-accesspoint.us-east-1"),
        ("myendpoint-123456789012", "s3", "s3-accesspoint-fips.dualstack.us-east-1"),
        ("myendpoint-abc123-s3alias", "s3", "s3.us-east-1"),
        ("mylambda-123456789012", "s3-object-lambda", "s3-object-lambda.us-east-1"),
        ("myendpoint-123456789012", "s3-outposts", "op-01234567890123456.s3-outposts.us-east-1"),
        ("test-accessp-o0b1d--op-s3", "s3-outposts", "ec2.s3-outposts.us-east-1"),
    ],
)
def test_host_of_an_access_point_reaches_its_bucket(
    server: S3Server, name: str, service: str, host: str
) -> None:
    server.add_access_point(name, "examplebucket", service=service)
    host = f"{name}.{host}.amazonaws.com"
    assert call(server, "/a/key", host=host, service=service).body == b"plain"
    assert server.requests[-1].bucket == "examplebucket"
    reply = call(server, "/a/key", host=host, service="ec2")
    assert (reply.status, reply.code) == (400, "AuthorizationHeaderMalformed")
    assert f'belongs to "{service}"' in reply.error["Message"]


def test_access_point_before_a_custom_host_reaches_its_bucket(server: S3Server) -> None:
    server.add_access_point("mylambda-123456789012", "examplebucket", service="s3-object-lambda")
    host = "mylambda-123456789012.lambda.example.com"
    assert call(server, "/a/key", host=host, service="s3-object-lambda").status == 200


def test_unknown_access_point_is_refused(server: S3Server) -> None:
    host = "nowhere-123456789012.s3-accesspoint.us-east-1.amazonaws.com"
    reply = call(server, "/a/key", host=host)
    assert (reply.status, reply.code) == (404, "NoSuchAccessPoint")


def test_multi_region_access_point_needs_version_4a(server: S3Server) -> None:
    server.add_access_point("abc123.mrap", "examplebucket")
    host = "abc123.mrap.accesspoint.s3-global.amazonaws.com"
    options: dict[str, Any] = {"host": host, "region": "*", "auth": AUTH_TYPE_MAPS["s3v4a"]}
    assert call(server, "/a/key", **options).body == b"plain"
    options["host"] = host.replace("abc123", "nowhere")
    assert call(server, "/a/key", **options).code == "NoSuchMultiRegionAccessPoint"
    reply = call(server, "/a/key", host=host)
    assert (reply.status, reply.code) == (400, "InvalidRequest")
    path = presign(server, "/a/key", host=host, region="*", auth=AUTH_TYPE_MAPS["s3v4a-query"])
    assert send(server, path, {"Host": host}).body == b"plain"


def test_directory_bucket_on_a_custom_host_is_read(server: S3Server) -> None:
    path = f"/{DIRECTORY}/a/key"
    assert call(server, path, service="s3express").body == b"express"
    assert call(server, path, service="s3").code == "AuthorizationHeaderMalformed"
    assert call(server, f"{path}?versionId=x", service="s3express").code == "InvalidArgument"


def test_absolute_form_of_a_proxy_is_parsed(server: S3Server) -> None:
    path = "/examplebucket/a/key"
    headers = sign(server, path)
    assert send(server, f"{server.endpoint_url}{path}", headers).body == b"plain"

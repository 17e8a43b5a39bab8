from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import pytest

from aios3get._protocol.endpoints.resolver import EndpointResolver, EndpointSettings
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.identity import ANONYMOUS, BearerToken, Credentials, Identity
from aios3get._protocol.signing import sigv4
from aios3get._protocol.signing.signed_request import signed_request, signer_of

NOW = 1369353600.0
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "token")


def signed(
    bucket: str,
    identity: Identity,
    *,
    query: tuple[tuple[str, str], ...] = (),
    headers: Mapping[str, str] = MappingProxyType({"Range": "bytes=0-9"}),
) -> HttpRequest:
    endpoint = EndpointResolver(EndpointSettings(region="us-east-1")).resolve(bucket)
    return signed_request("GET", endpoint, "/a%20b", query, headers, identity, NOW)


def test_url_has_the_canonical_query() -> None:
    query = (("versionId", "a/b"), ("response-content-type", "text/x y"))
    request = signed("examplebucket", EXAMPLE, query=query)
    assert request.url == (
        "https://examplebucket.s3.us-east-1.amazonaws.com/a%20b"
        "?response-content-type=text%2Fx%20y&versionId=a%2Fb"
    )


@pytest.mark.parametrize(
    ("bucket", "token_header"),
    [
        ("examplebucket", "x-amz-security-token"),
        ("amzn-s3-demo-bucket--use1-az4--x-s3", "x-amz-s3session-token"),
    ],
)
def test_header_of_the_session_token_depends_on_the_bucket(bucket: str, token_header: str) -> None:
    request = signed(bucket, EXAMPLE)
    headers = request.headers
    assert headers[token_header] == "token"
    assert token_header in headers["Authorization"]
    assert headers["Range"] == "bytes=0-9"


def test_anonymous_request_has_no_signature() -> None:
    request = signed("examplebucket", ANONYMOUS)
    assert request.headers == {
        "Host": "examplebucket.s3.us-east-1.amazonaws.com",
        "Range": "bytes=0-9",
    }


def test_bearer_token_is_the_authorization() -> None:
    request = signed("examplebucket", BearerToken("abc"))
    assert request.headers["Authorization"] == "Bearer abc"


def test_multi_region_access_point_is_signed_with_sigv4a() -> None:
    arn = "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap"
    headers = signed(arn, EXAMPLE).headers
    assert headers["Authorization"].startswith("AWS4-ECDSA-P256-SHA256 ")
    assert headers["x-amz-region-set"] == "*"


def test_signer_is_cached_for_a_second_and_bounded() -> None:
    keys = (EXAMPLE.access_key_id, EXAMPLE.secret_access_key)
    signer = signer_of(("sigv4", "us-east-1", "s3"), *keys, "token", 1)
    assert signer_of(("sigv4", "us-east-1", "s3"), *keys, "token", 1) is signer
    others = {
        signer_of(("sigv4", "us-east-1", "s3"), *keys, "token", 2),
        signer_of(("sigv4", "us-east-1", "s3"), *keys, "other", 1),
        signer_of(("sigv4", "us-east-1", "s3"), *keys, None, 1),
        signer_of(("sigv4", "eu-west-1", "s3"), *keys, "token", 1),
        signer_of(("sigv4", "us-east-1", "s3express"), *keys, "token", 1),
        signer_of(("sigv4-s3express", "us-east-1", "s3"), *keys, "token", 1),
        signer_of(("sigv4a", "us-east-1", "s3"), *keys, "token", 1),
    }
    assert len(others - {signer}) == 7
    size = signer_of.cache_info().maxsize
    assert size is not None
    assert 1 < size <= 256


def test_requests_of_one_second_do_not_share_headers() -> None:
    first = dict(signed("examplebucket", EXAMPLE).headers)
    cast("dict[str, str]", signed("examplebucket", EXAMPLE).headers).clear()
    assert signed("examplebucket", EXAMPLE).headers == first


@pytest.mark.parametrize("etag", ['"1"', '"range:"', None])
def test_requests_for_ranges_are_signed_as_any_request(etag: str | None) -> None:
    conditions = {} if etag is None else {"If-Match": etag}
    signer = signer_of(
        ("sigv4", "us-east-1", "s3"),
        EXAMPLE.access_key_id,
        EXAMPLE.secret_access_key,
        EXAMPLE.session_token,
        int(NOW),
    )
    for text in ("bytes=0-9", "bytes=10-", "bytes=-5"):
        headers = {**conditions, "Range": text}
        request = signed("examplebucket", EXAMPLE, headers=headers)
        alone = sigv4.HeaderSigning(signer, request.headers["Host"], headers)
        assert request.headers == alone.headers("GET", "/a%20b", "")

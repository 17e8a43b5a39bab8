import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.endpoints.hosts import (
    CustomEndpoint,
    is_host_label,
    is_host_name,
    is_hostable,
    parse_endpoint_url,
)
from aios3get.errors import ConfigurationError


@pytest.mark.parametrize("text", ["a", "A-1", "x" * 63, "1"])
def test_valid_host_labels(text: str) -> None:
    assert is_host_label(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "a.b", "a_b", "ä", "x" * 64, "a\n", "٣"])
def test_invalid_host_labels(text: str) -> None:
    assert not is_host_label(text)


def test_host_name_is_labels_joined_by_dots() -> None:
    assert is_host_name("mfzwi23gnjvgw.mrap")
    assert is_host_name("one")
    assert not is_host_name("a..b")
    assert not is_host_name("")


@pytest.mark.parametrize(
    ("bucket", "plain", "dotted"),
    [
        ("amzn-s3-demo-bucket", True, True),
        ("abc", True, True),
        ("ab", False, False),
        ("a.b.c", False, True),
        ("a..c", False, False),
        ("Upper", False, False),
        ("under_score", False, False),
        ("192.168.5.4", False, False),
        ("192.168.5", False, True),
        ("a" * 64, False, False),
    ],
)
def test_hostable_bucket_names(bucket: str, plain: bool, dotted: bool) -> None:
    assert is_hostable(bucket) is plain
    assert is_hostable(bucket, dots=True) is dotted


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.example.com", CustomEndpoint("https", "s3.example.com", "", False)),
        ("http://localhost:9000/", CustomEndpoint("http", "localhost:9000", "", False)),
        ("HTTPS://S3.Example.com", CustomEndpoint("https", "s3.example.com", "", False)),
        ("http://my_minio:9000", CustomEndpoint("http", "my_minio:9000", "", False)),
        ("http://h.:9000", CustomEndpoint("http", "h.:9000", "", False)),
        (f"http://{'a' * 63}", CustomEndpoint("http", "a" * 63, "", False)),
        ("https://h/base/path/", CustomEndpoint("https", "h", "/base/path", False)),
        ("https://h//a/./b", CustomEndpoint("https", "h", "/a/b", False)),
        ("https://h/caf%C3%A9", CustomEndpoint("https", "h", "/caf%C3%A9", False)),
        ("http://127.0.0.1:9000", CustomEndpoint("http", "127.0.0.1:9000", "", True)),
        ("http://[::1]:9000", CustomEndpoint("http", "[::1]:9000", "", True)),
        ("https://[2001:DB8::1]", CustomEndpoint("https", "[2001:db8::1]", "", True)),
    ],
)
def test_endpoint_url_is_parsed(url: str, expected: CustomEndpoint) -> None:
    assert parse_endpoint_url(url) == expected


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", "must start with https://"),
        ("localhost:9000", "must start with https://"),
        ("s3://amzn-s3-demo-bucket", "must start with https://"),
        ("ftp://h", "must start with https://"),
        ("https://h/?a=b", "no query"),
        ("https://h#top", "no fragment"),
        ("https://", "needs a host"),
        ("https:///path", "needs a host"),
        ("https://h:", "needs a host"),
        ("https://h:port", "needs a host"),
        ("https://h:0", "1-65535"),
        ("https://h:65536", "1-65535"),
        ("https://h ost", "needs a host"),
        ("http://a..b", "needs a host"),
        ("http://.example", "needs a host"),
        (f"http://{'a' * 64}.example", "1-63"),
        (f"http://{'a.' * 128}", "needs a host"),
        ("https://bücher.example", "needs a host"),
        ("https://::1", "needs a host"),
        ("https://[::1", "needs a host"),
        ("https://[1:2]", "no valid IPv6 address"),
        ("https://h/a b", "percent-encode"),
        ("https://h/a+b", "percent-encode"),
        ("https://h/%c3%a9", "upper-case"),
        ("https://h/%zz", "percent-encode"),
        ("https://h/a/../b", "leave '..' out"),
    ],
)
def test_invalid_endpoint_url_is_a_configuration_error(url: str, rule: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint_url") as caught:
        parse_endpoint_url(url)
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@s3.example.com",
        "user:hunter2@s3.example.com",
        "https://user:hun?ter2@hunter2",
        "https://h/?X-Amz-Signature=hunter2",
        "https://h/#hunter2",
    ],
)
def test_error_does_not_show_secrets_of_the_endpoint_url(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_endpoint_url(url)
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_parsed_or_a_configuration_error(text: str) -> None:
    for url in (text, f"https://{text}", f"http://h/{text}"):
        try:
            custom = parse_endpoint_url(url)
        except ConfigurationError:
            continue
        again = parse_endpoint_url(f"{custom.scheme}://{custom.authority}{custom.path}")
        assert again == custom
        assert not custom.path.endswith("/")


@pytest.mark.parametrize(
    ("url", "is_aws"),
    [
        ("https://s3.eu-west-1.amazonaws.com", True),
        ("https://bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com:443", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://amazonaws.com.example.com", False),
        ("https://notamazonaws.com", False),
        ("http://[::1]:9000", False),
    ],
)
def test_is_aws_by_dns_suffix(url: str, is_aws: bool) -> None:
    assert parse_endpoint_url(url).is_aws is is_aws


@pytest.mark.parametrize(
    ("url", "is_accelerate"),
    [
        ("https://s3-accelerate.amazonaws.com", True),
        ("https://s3-accelerate.dualstack.amazonaws.com", True),
        ("https://s3-accelerate.example.com", False),
    ],
)
def test_is_accelerate(url: str, is_accelerate: bool) -> None:
    assert parse_endpoint_url(url).is_accelerate is is_accelerate


@pytest.mark.parametrize(
    ("url", "bucket", "contains"),
    [
        ("https://examplebucket.s3.us-east-1.amazonaws.com", "examplebucket", True),
        ("https://examplebucket.s3-us-west-2.amazonaws.com", "examplebucket", True),
        ("https://my.dotted.bucket.s3.example.com", "my.dotted.bucket", True),
        ("https://examplebucket.0a1b.r2.cloudflarestorage.com", "examplebucket", True),
        ("https://examplebucket.storage.googleapis.com", "examplebucket", True),
        ("http://localhost:9000/examplebucket", "examplebucket", True),
        ("http://localhost:9000/base/examplebucket/", "examplebucket", True),
        ("http://localhost:9000/examplebucket/base", "examplebucket", False),
        ("https://s3.example.com", "examplebucket", False),
        ("http://minio:9000", "minio", False),
        ("https://minio.example.com", "minio", False),
        ("https://s3.example.com", "s3", False),
        ("https://bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com", "bucket", False),
        ("https://cdn.examplebucket.s3.example.com", "examplebucket", False),
    ],
)
def test_url_that_contains_the_bucket(url: str, bucket: str, contains: bool) -> None:
    assert parse_endpoint_url(url).contains(bucket) is contains

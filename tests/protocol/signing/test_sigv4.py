import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

import pytest

from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing import sigv4
from aios3get._protocol.signing.uri import encode_query

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SESSION = Credentials(EXAMPLE.access_key_id, EXAMPLE.secret_access_key, "EXAMPLE/session+token==")
HOST = "examplebucket.s3.amazonaws.com"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
STAMP = "20130524T000000Z"
SCOPE = "20130524/us-east-1/s3/aws4_request"
NOW = datetime(2013, 5, 24, tzinfo=UTC).timestamp()


class Published(NamedTuple):
    path: str
    pairs: list[tuple[str, str]]
    headers: dict[str, str]
    names: str
    query: str
    lines: str
    payload: str
    request_hash: str
    signature: str


OWN_LINES = f"x-amz-content-sha256:{EMPTY}\nx-amz-date:{STAMP}\n"
OWN_NAMES = "host;x-amz-content-sha256;x-amz-date"

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and, for the last,
# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
OBJECT = Published(
    "/test.txt",
    [],
    {"Range": "bytes=0-9"},
    "host;range;x-amz-content-sha256;x-amz-date",
    "",
    f"host:{HOST}\nrange:bytes=0-9\n{OWN_LINES}",
    EMPTY,
    "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
)
LIFECYCLE = Published(
    "/",
    [("lifecycle", "")],
    {},
    OWN_NAMES,
    "lifecycle=",
    f"host:{HOST}\n{OWN_LINES}",
    EMPTY,
    "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
)
LISTING = Published(
    "/",
    [("prefix", "J"), ("max-keys", "2")],
    {},
    OWN_NAMES,
    "max-keys=2&prefix=J",
    f"host:{HOST}\n{OWN_LINES}",
    EMPTY,
    "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
)
PRESIGNED = Published(
    "/test.txt",
    [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"AKIAIOSFODNN7EXAMPLE/{SCOPE}"),
        ("X-Amz-Date", STAMP),
        ("X-Amz-Expires", "86400"),
        ("X-Amz-SignedHeaders", "host"),
    ],
    {},
    "host",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host",
    f"host:{HOST}\n",
    "UNSIGNED-PAYLOAD",
    "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04",
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
)
by_header = pytest.mark.parametrize(
    "case", [OBJECT, LIFECYCLE, LISTING], ids=["object", "lifecycle", "listing"]
)
published = pytest.mark.parametrize(
    "case",
    [OBJECT, LIFECYCLE, LISTING, PRESIGNED],
    ids=["object", "lifecycle", "listing", "presigned"],
)


def example_signer() -> sigv4.Signer:
    return sigv4.signer_for(EXAMPLE, "us-east-1", "s3", NOW)


@published
def test_stage_1_canonical_query(case: Published) -> None:
    assert encode_query(case.pairs) == case.query


@published
def test_stage_2_canonical_headers(case: Published) -> None:
    own = {"host": HOST}
    if case is not PRESIGNED:
        own |= {"x-amz-date": STAMP, "x-amz-content-sha256": EMPTY}
    assert sigv4.canonical_headers(case.headers, own) == (case.names, case.lines)


@published
def test_stage_3_canonical_request(case: Published) -> None:
    ending = sigv4.canonical_ending(case.lines, case.names, case.payload)
    request = sigv4.canonical_request("GET", case.path, case.query, ending)
    assert sha256(request.encode()).hexdigest() == case.request_hash


@published
def test_stage_4_string_to_sign(case: Published) -> None:
    ending = sigv4.canonical_ending(case.lines, case.names, case.payload)
    request = sigv4.canonical_request("GET", case.path, case.query, ending)
    text = sigv4.string_to_sign(example_signer(), request)
    assert text == f"AWS4-HMAC-SHA256\n{STAMP}\n{SCOPE}\n{case.request_hash}"


@published
def test_stage_5_signature(case: Published) -> None:
    text = f"AWS4-HMAC-SHA256\n{STAMP}\n{SCOPE}\n{case.request_hash}"
    assert example_signer().signature(text) == case.signature


@by_header
def test_published_requests(case: Published) -> None:
    signing = sigv4.HeaderSigning(example_signer(), HOST, case.headers)
    headers = signing.headers("GET", case.path, case.query)
    assert headers == {
        "Host": HOST,
        **case.headers,
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": STAMP,
        "Authorization": (
            f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/{SCOPE}, "
            f"SignedHeaders={case.names}, Signature={case.signature}"
        ),
    }


def test_published_presigned_url() -> None:
    url = sigv4.signed_url(
        example_signer(), "GET", "https", HOST, PRESIGNED.path, [], {}, expires_in=86400
    )
    assert url == (
        f"https://{HOST}/test.txt?{PRESIGNED.query}&X-Amz-Signature={PRESIGNED.signature}"
    )


@pytest.mark.parametrize(
    ("headers", "names", "lines"),
    [
        ({}, "host", "host:h\n"),
        ({"If-Match": '"a"'}, "host;if-match", 'host:h\nif-match:"a"\n'),
        ({"A": "  b \t c  "}, "a;host", "a:b c\nhost:h\n"),
        # Sorted by name: "-" precedes the ":" that follows a shorter name.
        ({"X-A-B": "1", "X-A": "2"}, "host;x-a;x-a-b", "host:h\nx-a:2\nx-a-b:1\n"),
    ],
)
def test_header_names_are_lower_case_and_sorted_and_values_trimmed(
    headers: dict[str, str], names: str, lines: str
) -> None:
    assert sigv4.canonical_headers(headers, {"host": "h"}) == (names, lines)


@pytest.mark.parametrize(
    ("token_name", "token_header"),
    [
        ("X-Amz-Security-Token", "x-amz-security-token"),
        ("X-Amz-S3session-Token", "x-amz-s3session-token"),
    ],
)
def test_session_token_is_sent_and_signed(token_name: str, token_header: str) -> None:
    signer = sigv4.signer_for(SESSION, "us-east-1", "s3", NOW, token_name)
    headers = sigv4.HeaderSigning(signer, HOST, {}).headers("GET", "/k", "")
    assert headers[token_header] == SESSION.session_token
    assert f";{token_header}" in f";{headers['Authorization'].split('SignedHeaders=')[1]}"


def test_presigned_url_has_the_session_token_and_sorted_parameters() -> None:
    signer = sigv4.signer_for(SESSION, "us-east-1", "s3express", NOW, "X-Amz-S3session-Token")
    url = sigv4.signed_url(
        signer,
        "GET",
        "http",
        "localhost:9000",
        "/b/k",
        [("versionId", "3"), ("partNumber", "1")],
        {"Range": "bytes=0-9"},
        expires_in=1,
    )
    place, _, query = url.partition("?")
    names = [pair.partition("=")[0] for pair in query.split("&")]
    assert place == "http://localhost:9000/b/k"
    assert names == [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-S3session-Token",
        "X-Amz-SignedHeaders",
        "partNumber",
        "versionId",
        "X-Amz-Signature",
    ]
    assert "X-Amz-S3session-Token=EXAMPLE%2Fsession%2Btoken%3D%3D" in query
    assert "X-Amz-SignedHeaders=host%3Brange" in query


def test_every_part_of_a_request_changes_the_signature() -> None:
    def signed(
        *,
        method: str = "GET",
        host: str = HOST,
        path: str = "/k",
        query: str = "",
        value: str = "1",
        secret: str = "secret",
        region: str = "us-east-1",
        service: str = "s3",
        now: float = NOW,
    ) -> str:
        credentials = Credentials("AKIAIOSFODNN7EXAMPLE", secret)
        signer = sigv4.signer_for(credentials, region, service, now)
        headers = sigv4.HeaderSigning(signer, host, {"x": value}).headers(method, path, query)
        return headers["Authorization"].rpartition("=")[2]

    signatures = {
        signed(),
        signed(method="HEAD"),
        signed(host="h"),
        signed(path="/l"),
        signed(query="a="),
        signed(value="2"),
        signed(secret="other"),
        signed(region="eu-west-1"),
        signed(service="s3express"),
        signed(now=NOW + 1),
        signed(now=NOW + 86400),
    }
    assert len(signatures) == 11
    assert signed() == signed(now=NOW + 0.999)


@pytest.mark.parametrize(
    ("second", "stamp"),
    [
        (0, "19700101T000000Z"),
        (1709251199, "20240229T235959Z"),
        (1709251200, "20240301T000000Z"),
        (4102444800, "21000101T000000Z"),
    ],
)
def test_amz_date(second: int, stamp: str) -> None:
    assert sigv4.amz_date(second) == stamp


def test_signing_key_is_a_chain_of_four_hmacs() -> None:
    key = b"AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    for part in (b"20130524", b"us-east-1", b"s3", b"aws4_request"):
        key = hmac.new(key, part, sha256).digest()
    derived = sigv4.signing_key(EXAMPLE.secret_access_key, "20130524", "us-east-1", "s3")
    assert sigv4.signature(derived, "text") == hmac.new(key, b"text", sha256).hexdigest()


def test_signing_does_not_change_the_cached_key() -> None:
    signer = example_signer()
    assert signer.signature("a") == signer.signature("a")
    assert signer.signature("a") != signer.signature("b")


def test_keys_are_cached_and_bounded() -> None:
    again = sigv4.signing_key("secret", "20130524", "us-east-1", "s3")
    assert sigv4.signing_key("secret", "20130524", "us-east-1", "s3") is again
    for number in range(1000):
        sigv4.signing_key(f"secret {number}", "20130524", "us-east-1", "s3")
        sigv4.amz_date(number)
    for cache in (sigv4.signing_key.cache_info(), sigv4.amz_date.cache_info()):
        assert cache.maxsize is not None
        assert cache.currsize <= cache.maxsize <= 256

import sys
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing import sigv4, sigv4a
from aios3get._protocol.signing.uri import encode_query
from aios3get.errors import ConfigurationError

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SESSION = Credentials(EXAMPLE.access_key_id, EXAMPLE.secret_access_key, "EXAMPLE/session+token==")
HOST = "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
STAMP = "20130524T000000Z"
NOW = datetime(2013, 5, 24, tzinfo=UTC).timestamp()


def check(signature: str, request: str) -> None:
    text = sigv4.string_to_sign(sigv4a.signer_for(EXAMPLE, "*", "s3", NOW), request)
    public = sigv4a.signing_key(EXAMPLE.access_key_id, EXAMPLE.secret_access_key).private
    public.public_key().verify(bytes.fromhex(signature), text.encode(), ec.ECDSA(SHA256()))


def test_string_to_sign_names_no_region() -> None:
    text = sigv4.string_to_sign(sigv4a.signer_for(EXAMPLE, "*", "s3", NOW), "")
    assert text == (f"AWS4-ECDSA-P256-SHA256\n20130524T000000Z\n20130524/s3/aws4_request\n{EMPTY}")


def test_signed_headers_verify_with_the_public_key() -> None:
    signer = sigv4a.signer_for(SESSION, "*", "s3", NOW)
    headers = sigv4.HeaderSigning(signer, HOST, {"Range": "bytes=0-9"}).headers(
        "GET", "/k", "versionId=3"
    )
    names = "host;range;x-amz-content-sha256;x-amz-date;x-amz-region-set;x-amz-security-token"
    start, _, signature = headers.pop("Authorization").rpartition("=")
    assert start == (
        "AWS4-ECDSA-P256-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/s3/aws4_request, "
        f"SignedHeaders={names}, Signature"
    )
    assert headers == {
        "Host": HOST,
        "Range": "bytes=0-9",
        "x-amz-region-set": "*",
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": STAMP,
        "x-amz-security-token": "EXAMPLE/session+token==",
    }
    lines = "".join(
        f"{name}:{value}\n"
        for name, value in sorted((name.lower(), value) for name, value in headers.items())
    )
    request = f"GET\n/k\nversionId=3\n{lines}\n{names}\n{EMPTY}"
    check(signature, request)
    with pytest.raises(InvalidSignature):
        check(signature, request.replace("bytes=0-9", "bytes=0-8"))


def test_presigned_url_verifies_with_the_public_key() -> None:
    url = sigv4.signed_url(
        sigv4a.signer_for(SESSION, "eu-west-1,us-east-1", "s3", NOW),
        "GET",
        "https",
        HOST,
        "/a%20b",
        [("versionId", "3")],
        {"If-Match": '"x"'},
        expires_in=60,
    )
    place, _, query = url.partition("?")
    pairs = parse_qsl(query, strict_parsing=True)
    name, signature = pairs.pop()
    assert (place, name) == (f"https://{HOST}/a%20b", "X-Amz-Signature")
    assert dict(pairs) == {
        "versionId": "3",
        "X-Amz-Algorithm": "AWS4-ECDSA-P256-SHA256",
        "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE/20130524/s3/aws4_request",
        "X-Amz-Date": STAMP,
        "X-Amz-Expires": "60",
        "X-Amz-Region-Set": "eu-west-1,us-east-1",
        "X-Amz-Security-Token": "EXAMPLE/session+token==",
        "X-Amz-SignedHeaders": "host;if-match",
    }
    check(
        signature,
        f'GET\n/a%20b\n{encode_query(pairs)}\nhost:{HOST}\nif-match:"x"\n\nhost;if-match\n'
        "UNSIGNED-PAYLOAD",
    )


def test_keys_depend_on_access_key_and_secret_and_are_cached_and_bounded() -> None:
    def number(access_key_id: str, secret: str) -> int:
        key = sigv4a.signing_key(access_key_id, secret)
        return key.private.private_numbers().private_value

    assert len({number("A", "s"), number("B", "s"), number("A", "t")}) == 3
    assert sigv4a.signing_key("A", "s") is sigv4a.signing_key("A", "s")
    size = sigv4a.signing_key.cache_info().maxsize
    assert size is not None
    assert 1 < size <= 256


def test_access_key_has_254_different_candidates() -> None:
    numbers = list(sigv4a.candidates("AKIAIOSFODNN7EXAMPLE", "s"))
    assert len(set(numbers)) == len(numbers) == 254
    assert numbers == list(sigv4a.candidates("AKIAIOSFODNN7EXAMPLE", "s"))
    assert all(0 <= number < 2**256 for number in numbers)


N = sigv4a.CURVE_ORDER


@pytest.mark.parametrize(
    ("numbers", "scalar"),
    [([0], 1), ([N - 2], N - 1), ([N - 1, 5], 6), ([2**256 - 1, N, N - 1, 7], 8)],
)
def test_private_key_is_the_first_candidate_below_the_curve_order(
    numbers: list[int], scalar: int
) -> None:
    assert sigv4a.scalar(numbers) == scalar


def test_curve_order_is_that_of_p256() -> None:
    ec.derive_private_key(N - 1, ec.SECP256R1())
    with pytest.raises(ValueError, match=r"(?i)private|invalid|value|infinity"):
        ec.derive_private_key(N, ec.SECP256R1())


def test_error_without_cryptography_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    fresh = Credentials("AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
    with pytest.raises(ConfigurationError, match=r"pip install \"aios3get\[sigv4a\]\"") as caught:
        sigv4a.signer_for(fresh, "*", "s3", NOW)
    assert "je7MtGbClwBF" not in str(caught.value)

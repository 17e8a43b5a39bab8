from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import botocore.auth
import botocore.credentials
import botocore.crt.auth
import pytest
from botocore.awsrequest import AWSRequest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing import sigv4, sigv4a
from aios3get._protocol.signing.uri import encode_path, encode_query

# The headers and query parameters of GetObject in botocore's S3 model.
HEADERS = (
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Range",
    "x-amz-checksum-mode",
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-MD5",
)
PARAMETERS = (
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "versionId",
)

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
line = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
# botocore and awscrt differ in the non-ASCII white space that they trim off a value.
value = st.text(st.sampled_from([*map(chr, range(32, 127)), "\t"])).map(str.strip).filter(bool)
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


class Case(NamedTuple):
    method: str
    scheme: str
    host: str
    path: str
    pairs: dict[str, str]
    headers: dict[str, str]
    credentials: Credentials
    region: str
    now: float
    expires_in: int

    @property
    def url(self) -> str:
        query = encode_query(self.pairs.items())
        return f"{self.scheme}://{self.host}{self.path}{'?' if query else ''}{query}"

    def signer(self, service: str, *token_name: str) -> sigv4.Signer:
        return sigv4.signer_for(self.credentials, self.region, service, self.now, *token_name)

    def signer_anywhere(self) -> sigv4.Signer:
        return sigv4a.signer_for(self.credentials, "*", "s3", self.now)

    def request(self) -> Any:
        return AWSRequest(method=self.method, url=self.url, headers=self.headers)

    def theirs(self) -> Any:
        ours = self.credentials
        return botocore.credentials.ReadOnlyCredentials(
            ours.access_key_id, ours.secret_access_key, ours.session_token
        )


def cases(tokens: st.SearchStrategy[str | None]) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        method=st.sampled_from(["GET", "HEAD"]),
        scheme=st.sampled_from(["https", "http"]),
        host=st.sampled_from(
            ["examplebucket.s3.eu-west-1.amazonaws.com", "localhost:9000", "[::1]:8080", "10.0.0.7"]
        ),
        path=keys.map(lambda key: f"/{encode_path(key)}"),
        pairs=st.dictionaries(st.sampled_from(PARAMETERS), st.text(line)),
        headers=st.dictionaries(st.sampled_from(HEADERS), value),
        credentials=st.builds(
            Credentials,
            visible,
            st.text(line, min_size=1).filter(lambda secret: secret == secret.strip()),
            tokens,
        ),
        region=st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1", "auto", "my region"]),
        now=st.floats(0, 4_102_444_800),
        expires_in=st.integers(1, 604_800),
    )


any_case = cases(st.none() | visible)
session_case = cases(visible)
moderate = settings(derandomize=True, deadline=None, max_examples=300)


@contextmanager
def clock(module: ModuleType, now: float) -> Iterator[None]:
    moment = datetime.fromtimestamp(int(now), UTC)

    def frozen(remove_tzinfo: bool = True) -> datetime:
        return moment.replace(tzinfo=None) if remove_tzinfo else moment

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "get_current_datetime", frozen)
        yield


def headers_by(signer: sigv4.Signer, case: Case) -> dict[str, str]:
    query = encode_query(case.pairs.items())
    return sigv4.HeaderSigning(signer, case.host, case.headers).headers(
        case.method, case.path, query
    )


def url_by(signer: sigv4.Signer, case: Case) -> str:
    return sigv4.signed_url(
        signer,
        case.method,
        case.scheme,
        case.host,
        case.path,
        case.pairs.items(),
        case.headers,
        expires_in=case.expires_in,
    )


def assert_headers_equal(case: Case, signer: sigv4.Signer, theirs: Any) -> None:
    ours = headers_by(signer, case)
    assert ours.pop("Host") == case.host
    assert {name.lower(): value for name, value in ours.items()} == {
        name.lower(): value for name, value in theirs.items()
    }


def assert_urls_equal(case: Case, signer: sigv4.Signer, theirs: str) -> None:
    # botocore sends the operation's parameters before the signature's; both are signed sorted.
    assert split(url_by(signer, case)) == split(theirs)


def split(url: str) -> tuple[str, list[tuple[str, str]]]:
    place, _, query = url.partition("?")
    return place, sorted(parse_qsl(query, keep_blank_values=True, strict_parsing=True))


@moderate
@given(any_case)
def test_header_signatures(case: Case) -> None:
    request = case.request()
    with clock(botocore.auth, case.now):
        botocore.auth.S3SigV4Auth(case.theirs(), "s3", case.region).add_auth(request)
    assert_headers_equal(case, case.signer("s3"), request.headers)


@moderate
@given(any_case)
def test_presigned_signatures(case: Case) -> None:
    request = case.request()
    with clock(botocore.auth, case.now):
        botocore.auth.S3SigV4QueryAuth(
            case.theirs(), "s3", case.region, expires=case.expires_in
        ).add_auth(request)
    assert_urls_equal(case, case.signer("s3"), request.url)


@settings(moderate, max_examples=50)
@given(session_case)
def test_header_signatures_of_directory_buckets(case: Case) -> None:
    request = case.request()
    with clock(botocore.auth, case.now):
        botocore.auth.S3ExpressAuth(
            case.theirs(), "s3express", case.region, identity_cache={}
        ).add_auth(request)
    signer = case.signer("s3express", "X-Amz-S3session-Token")
    assert_headers_equal(case, signer, request.headers)


@settings(moderate, max_examples=50)
@given(session_case)
def test_presigned_signatures_of_directory_buckets(case: Case) -> None:
    request = case.request()
    with clock(botocore.auth, case.now):
        botocore.auth.S3ExpressQueryAuth(
            case.theirs(), "s3express", case.region, identity_cache={}, expires=case.expires_in
        ).add_auth(request)
    signer = case.signer("s3express", "X-Amz-S3session-Token")
    assert_urls_equal(case, signer, request.url)


def verify(case: Case, signature: str, canonical_request: str) -> None:
    """Verify a signature of awscrt with our canonical request and our derived key."""
    key = sigv4a.signing_key(case.credentials.access_key_id, case.credentials.secret_access_key)
    key.private.public_key().verify(
        bytes.fromhex(signature),
        sigv4.string_to_sign(case.signer_anywhere(), canonical_request).encode(),
        ec.ECDSA(SHA256()),
    )


@settings(moderate, max_examples=100)
@given(any_case)
def test_sigv4a_header_signatures_of_awscrt_verify_with_our_key(case: Case) -> None:
    request = case.request()
    with clock(botocore.crt.auth, case.now):
        botocore.crt.auth.CrtS3SigV4AsymAuth(case.theirs(), "s3", "*").add_auth(request)
    theirs = {name.lower(): value for name, value in request.headers.items()}
    ours = headers_by(case.signer_anywhere(), case)
    start, _, signature = theirs.pop("authorization").rpartition("=")
    assert ours.pop("Authorization").rpartition("=")[0] == start
    assert {name.lower(): value for name, value in ours.items()} == theirs
    names, lines = sigv4.canonical_headers(theirs, {})
    ending = sigv4.canonical_ending(lines, names, sigv4.EMPTY_SHA256)
    query = encode_query(case.pairs.items())
    verify(case, signature, sigv4.canonical_request(case.method, case.path, query, ending))


@settings(moderate, max_examples=100)
@given(any_case)
def test_sigv4a_presigned_urls_of_awscrt_verify_with_our_key(case: Case) -> None:
    request = case.request()
    with clock(botocore.crt.auth, case.now):
        botocore.crt.auth.CrtS3SigV4AsymQueryAuth(
            case.theirs(), "s3", "*", expires=case.expires_in
        ).add_auth(request)
    theirs = dict(split(request.url)[1])
    signature = theirs.pop("X-Amz-Signature")
    place, pairs = split(url_by(case.signer_anywhere(), case))
    ours = dict(pairs)
    del ours["X-Amz-Signature"]
    assert (place, ours) == (request.url.partition("?")[0], theirs)
    names, lines = sigv4.canonical_headers(case.headers, {"host": case.host})
    ending = sigv4.canonical_ending(lines, names, "UNSIGNED-PAYLOAD")
    query = encode_query(theirs.items())
    verify(case, signature, sigv4.canonical_request(case.method, case.path, query, ending))

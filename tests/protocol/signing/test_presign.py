import copy
import dataclasses
import pickle
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from urllib.parse import parse_qsl

import pytest

from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.identity import ANONYMOUS, BearerToken, Credentials, Identity
from aios3get._protocol.signing.presign import PresignedUrl, presign_url
from aios3get.errors import ConfigurationError, CredentialsError

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
ENDPOINT = Endpoint("https", HOST, "", "s3", "us-east-1")
START = datetime(2013, 5, 24, tzinfo=UTC)
NOW = START.timestamp()


def link(
    expires_in: int | timedelta = 3600,
    *,
    credentials: Identity = EXAMPLE,
    endpoint: Endpoint = ENDPOINT,
    pairs: tuple[tuple[str, str], ...] = (),
    headers: dict[str, str] | None = None,
    now: float = NOW,
) -> PresignedUrl:
    return presign_url(
        endpoint,
        "/test.txt",
        pairs,
        headers or {},
        identity=credentials,
        now=now,
        expires_in=expires_in,
    )


def query(presigned: PresignedUrl) -> dict[str, str]:
    return dict(parse_qsl(presigned.url.partition("?")[2], strict_parsing=True))


def lasting(expires_at: datetime) -> Credentials:
    return dataclasses.replace(EXAMPLE, session_token="EXAMPLE/token", expires_at=expires_at)


def test_the_published_example() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    presigned = link(86400)
    assert presigned.url.startswith(f"https://{HOST}/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert presigned.url.endswith(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    assert presigned.expires_at == START + timedelta(days=1)
    assert presigned.headers == {}


def test_what_stands_in_headers_is_signed_and_told_to_the_holder() -> None:
    headers = {"Range": "bytes=0-9", "x-amz-request-payer": "requester"}
    presigned = link(pairs=(("versionId", "3/L4"),), headers=headers)
    headers.clear()
    assert presigned.headers == {"Range": "bytes=0-9", "x-amz-request-payer": "requester"}
    assert query(presigned)["X-Amz-SignedHeaders"] == "host;range;x-amz-request-payer"
    assert query(presigned)["versionId"] == "3/L4"


def test_the_headers_are_read_only() -> None:
    assert isinstance(link(headers={"Range": "bytes=0-9"}).headers, MappingProxyType)


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (1, 1),
        (604_800, 604_800),
        (timedelta(seconds=1), 1),
        (timedelta(hours=1), 3600),
        (timedelta(days=7), 604_800),
    ],
)
def test_the_life_of_a_link(expires_in: int | timedelta, seconds: int) -> None:
    presigned = link(expires_in)
    assert query(presigned)["X-Amz-Expires"] == str(seconds)
    assert presigned.expires_at == START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "expires_in",
    [
        0,
        -1,
        604_801,
        True,
        3600.0,
        "3600",
        None,
        float("nan"),
        timedelta(0),
        timedelta(seconds=-1),
        timedelta(seconds=1.5),
        timedelta(days=7, seconds=1),
    ],
)
@pytest.mark.parametrize("credentials", [EXAMPLE, ANONYMOUS])
def test_lives_that_s3_refuses_are_refused_here(expires_in: object, credentials: Identity) -> None:
    with pytest.raises(ConfigurationError, match=r"expires_in=.* 1 to 604800 whole seconds"):
        link(expires_in, credentials=credentials)  # type: ignore[arg-type] # what is refused


def test_a_link_dates_from_the_whole_second_that_it_is_signed_for() -> None:
    assert link(10, now=NOW + 0.9) == link(10)


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        (timedelta(minutes=15), 900),
        (timedelta(hours=1), 3600),
        (timedelta(hours=2), 3600),
        (timedelta(seconds=1), 1),
        (timedelta(seconds=5.9), 5),
    ],
)
def test_a_link_dies_with_its_credentials_at_the_latest(left: timedelta, seconds: int) -> None:
    presigned = link(3600, credentials=lasting(START + left))
    assert query(presigned)["X-Amz-Expires"] == str(seconds)
    assert presigned.expires_at == START + timedelta(seconds=seconds)


def test_the_credentials_end_is_read_in_its_own_time_zone() -> None:
    end = (START + timedelta(minutes=5)).astimezone(timezone(timedelta(hours=9)))
    presigned = link(credentials=lasting(end))
    assert presigned.expires_at == end
    assert presigned.expires_at is not None
    assert presigned.expires_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (timedelta(hours=-1), "credentials expired"),
        (timedelta(0), "credentials expired"),
        (timedelta(seconds=0.5), "expire this second"),
    ],
)
def test_expired_credentials_sign_no_link(left: timedelta, told: str) -> None:
    with pytest.raises(CredentialsError, match=told) as caught:
        link(credentials=lasting(START + left))
    assert "EXAMPLE" not in str(caught.value)


def test_a_directory_buckets_session_has_its_own_parameter() -> None:
    endpoint = dataclasses.replace(ENDPOINT, signing_name="s3express", auth="sigv4-s3express")
    credentials = lasting(START + timedelta(minutes=5))
    told = query(link(credentials=credentials, endpoint=endpoint))
    assert told["X-Amz-S3session-Token"] == "EXAMPLE/token"
    assert "X-Amz-Security-Token" not in told
    assert told["X-Amz-Credential"].endswith("/us-east-1/s3express/aws4_request")


def test_other_temporary_credentials_use_the_usual_parameter() -> None:
    told = query(link(credentials=lasting(START + timedelta(minutes=5))))
    assert told["X-Amz-Security-Token"] == "EXAMPLE/token"


def test_a_multi_region_access_point_is_signed_for_its_region_set() -> None:
    told = query(link(endpoint=dataclasses.replace(ENDPOINT, signing_region="*", auth="sigv4a")))
    assert told["X-Amz-Algorithm"] == "AWS4-ECDSA-P256-SHA256"
    assert told["X-Amz-Region-Set"] == "*"
    assert told["X-Amz-Credential"] == "AKIAIOSFODNN7EXAMPLE/20130524/s3/aws4_request"


@pytest.mark.parametrize(
    ("pairs", "url"),
    [
        ((), f"https://{HOST}/test.txt"),
        ((("versionId", "a b"),), f"https://{HOST}/test.txt?versionId=a%20b"),
    ],
)
def test_anonymous_links_are_plain_and_never_expire(
    pairs: tuple[tuple[str, str], ...], url: str
) -> None:
    presigned = link(credentials=ANONYMOUS, pairs=pairs, headers={"If-Match": '"x"'})
    assert (presigned.url, presigned.expires_at) == (url, None)
    assert presigned.headers == {"If-Match": '"x"'}


def test_a_bearer_token_signs_no_link() -> None:
    with pytest.raises(ConfigurationError, match="bearer token cannot sign") as caught:
        link(credentials=BearerToken("eyJFWEFNUExF"))
    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize("credentials", [EXAMPLE, ANONYMOUS])
def test_the_endpoints_own_path_comes_first(credentials: Identity) -> None:
    endpoint = Endpoint("http", "localhost:9000", "/base/examplebucket", "s3", "us-east-1")
    url = link(credentials=credentials, endpoint=endpoint).url
    assert url.partition("?")[0] == "http://localhost:9000/base/examplebucket/test.txt"


def test_str_is_the_url_and_repr_hides_what_opens_the_object() -> None:
    secret = "x-amz-server-side-encryption-customer-key"
    presigned = link(headers={secret: "cGFzc3dvcmQ=", "Range": "bytes=0-9"})
    assert str(presigned) == f"{presigned}" == presigned.url
    assert repr(presigned) == (
        f"PresignedUrl(url='https://{HOST}/test.txt?…', "
        "expires_at=datetime.datetime(2013, 5, 24, 1, 0, tzinfo=datetime.timezone.utc), "
        f"headers=['Range', '{secret}'])"
    )


def test_repr_of_a_plain_link_shows_it_whole() -> None:
    assert repr(link(credentials=ANONYMOUS)).startswith(
        f"PresignedUrl(url='https://{HOST}/test.txt', expires_at=None"
    )


def test_a_link_pickles_copies_compares_and_hashes() -> None:
    presigned = link(headers={"Range": "bytes=0-9"})
    for twin in (
        pickle.loads(pickle.dumps(presigned)),
        copy.copy(presigned),
        copy.deepcopy(presigned),
    ):
        assert twin == presigned
        assert hash(twin) == hash(presigned)
        assert isinstance(twin.headers, MappingProxyType)
    assert presigned != link()


def test_a_link_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        link().url = "https://example.com/"  # type: ignore[misc] # what is refused


def test_the_secret_is_nowhere_in_the_link() -> None:
    presigned = link(credentials=lasting(START + timedelta(hours=1)))
    assert "wJalrXUtnFEMI" not in presigned.url
    assert "token" not in repr(presigned).lower()

import copy
import dataclasses
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from urllib.parse import parse_qsl

import pytest
from yarl import URL

from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.identity import ANONYMOUS, BearerToken, Credentials, Identity
from aios3get._protocol.presigned_url import PresignedUrl
from aios3get._protocol.signing.presign import presign_url
from aios3get.errors import ConfigurationError, CredentialsError, ParameterError

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


def expiring(expires_at: datetime) -> Credentials:
    return dataclasses.replace(EXAMPLE, session_token="EXAMPLE/token", expires_at=expires_at)


def test_published_example() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    presigned = link(86400)
    assert presigned.url.startswith(f"https://{HOST}/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert presigned.url.endswith(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    assert presigned.expires_at == START + timedelta(days=1)
    assert presigned.headers == {}


def test_conditions_range_and_checksum_mode_are_signed_headers() -> None:
    headers = {"Range": "bytes=0-9", "x-amz-checksum-mode": "ENABLED"}
    presigned = link(pairs=(("versionId", "3/L4"),), headers=headers)
    headers.clear()
    assert presigned.headers == {"Range": "bytes=0-9", "x-amz-checksum-mode": "ENABLED"}
    assert query(presigned)["X-Amz-SignedHeaders"] == "host;range;x-amz-checksum-mode"
    assert query(presigned)["versionId"] == "3/L4"


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-amz-request-payer", "requester"), ("x-amz-expected-bucket-owner", "111122223333")],
)
def test_request_payer_and_bucket_owner_are_in_the_signed_query(name: str, value: str) -> None:
    presigned = link(headers={name: value})
    assert presigned.headers == {}
    assert query(presigned)["X-Amz-SignedHeaders"] == "host"
    assert query(presigned)[name] == value
    assert presigned.url != link(pairs=((name, "other"),)).url
    signature = query(presigned)["X-Amz-Signature"]
    assert signature == query(link(pairs=((name, value),)))["X-Amz-Signature"]


def test_headers_are_read_only() -> None:
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
def test_link_lasts_as_long_as_requested(expires_in: int | timedelta, seconds: int) -> None:
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
def test_expires_in_out_of_range_is_a_parameter_error(
    expires_in: object, credentials: Identity
) -> None:
    with pytest.raises(ParameterError, match=r"expires_in=.* 1 to 604800 whole seconds"):
        link(expires_in, credentials=credentials)  # type: ignore[arg-type] # rejected


def test_link_starts_at_the_whole_second() -> None:
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
def test_link_expires_with_its_credentials_at_the_latest(left: timedelta, seconds: int) -> None:
    presigned = link(3600, credentials=expiring(START + left))
    assert query(presigned)["X-Amz-Expires"] == str(seconds)
    assert presigned.expires_at == START + timedelta(seconds=seconds)


def test_expiry_of_credentials_in_another_time_zone() -> None:
    end = (START + timedelta(minutes=5)).astimezone(timezone(timedelta(hours=9)))
    presigned = link(credentials=expiring(end))
    assert presigned.expires_at == end
    assert presigned.expires_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (timedelta(hours=-1), "credentials expired"),
        (timedelta(0), "credentials expired"),
        (timedelta(seconds=0.5), "expire this second"),
    ],
)
def test_expired_credentials_are_a_credentials_error(left: timedelta, message: str) -> None:
    with pytest.raises(CredentialsError, match=message) as caught:
        link(credentials=expiring(START + left))
    assert "EXAMPLE" not in str(caught.value)


def test_session_token_of_a_directory_bucket() -> None:
    endpoint = dataclasses.replace(ENDPOINT, signing_name="s3express", auth="sigv4-s3express")
    credentials = expiring(START + timedelta(minutes=5))
    parameters = query(link(credentials=credentials, endpoint=endpoint))
    assert parameters["X-Amz-S3session-Token"] == "EXAMPLE/token"
    assert "X-Amz-Security-Token" not in parameters
    assert parameters["X-Amz-Credential"].endswith("/us-east-1/s3express/aws4_request")


def test_session_token_of_temporary_credentials() -> None:
    parameters = query(link(credentials=expiring(START + timedelta(minutes=5))))
    assert parameters["X-Amz-Security-Token"] == "EXAMPLE/token"


def test_multi_region_access_point_is_signed_for_a_region_set() -> None:
    parameters = query(
        link(endpoint=dataclasses.replace(ENDPOINT, signing_region="*", auth="sigv4a"))
    )
    assert parameters["X-Amz-Algorithm"] == "AWS4-ECDSA-P256-SHA256"
    assert parameters["X-Amz-Region-Set"] == "*"
    assert parameters["X-Amz-Credential"] == "AKIAIOSFODNN7EXAMPLE/20130524/s3/aws4_request"


@pytest.mark.parametrize(
    ("pairs", "url"),
    [
        ((), f"https://{HOST}/test.txt"),
        ((("versionId", "a b"),), f"https://{HOST}/test.txt?versionId=a%20b"),
    ],
)
def test_anonymous_links_are_unsigned_and_never_expire(
    pairs: tuple[tuple[str, str], ...], url: str
) -> None:
    presigned = link(credentials=ANONYMOUS, pairs=pairs, headers={"If-Match": '"x"'})
    assert (presigned.url, presigned.expires_at) == (url, datetime.max.replace(tzinfo=UTC))
    assert presigned.headers == {"If-Match": '"x"'}


def test_bearer_token_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="bearer token cannot sign") as caught:
        link(credentials=BearerToken("eyJFWEFNUExF"))
    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize("credentials", [EXAMPLE, ANONYMOUS])
def test_path_of_the_endpoint_comes_first(credentials: Identity) -> None:
    endpoint = Endpoint("http", "localhost:9000", "/base/examplebucket", "s3", "us-east-1")
    url = link(credentials=credentials, endpoint=endpoint).url
    assert url.partition("?")[0] == "http://localhost:9000/base/examplebucket/test.txt"


def test_str_is_the_url_and_repr_hides_its_query_and_headers() -> None:
    secret = "x-amz-server-side-encryption-customer-key"
    presigned = link(headers={secret: "cGFzc3dvcmQ=", "Range": "bytes=0-9"})
    assert str(presigned) == f"{presigned}" == presigned.url
    assert repr(presigned) == (
        f"PresignedUrl(url='https://{HOST}/test.txt?…', "
        "expires_at=datetime.datetime(2013, 5, 24, 1, 0, tzinfo=datetime.timezone.utc), "
        f"headers=['Range', '{secret}'])"
    )


def test_repr_of_an_unsigned_link_shows_the_url() -> None:
    assert repr(link(credentials=ANONYMOUS)).startswith(
        f"PresignedUrl(url='https://{HOST}/test.txt', expires_at="
    )


def test_link_pickles_copies_compares_and_hashes() -> None:
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


def test_link_as_a_dict_is_plain_values() -> None:
    presigned = link(headers={"Range": "bytes=0-9"})
    values = presigned.to_dict()
    assert values == {
        "url": presigned.url,
        "expires_at": presigned.expires_at,
        "headers": {"Range": "bytes=0-9"},
    }
    assert json.loads(json.dumps(values, default=str))["url"] == presigned.url


def test_url_is_unchanged_by_yarl_if_marked_as_encoded() -> None:
    presigned = link(pairs=(("response-content-disposition", 'a+b; c="d"'),))
    assert str(URL(presigned.url, encoded=True)) == presigned.url


def test_link_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        link().url = "https://example.com/"  # type: ignore[misc] # the point of the test


def test_link_does_not_contain_the_secret() -> None:
    presigned = link(credentials=expiring(START + timedelta(hours=1)))
    assert "wJalrXUtnFEMI" not in presigned.url
    assert "token" not in repr(presigned).lower()

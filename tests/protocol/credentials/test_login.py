import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from aios3get._protocol.credentials.login import (
    cache_file_name,
    create_token_request,
    load_key,
    parse_created_token,
    parse_session,
)
from aios3get._protocol.fetch import FetchedResponse
from aios3get._protocol.identity import Credentials
from aios3get.errors import CredentialsError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey, kind: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, kind, NoEncryption()).decode()


FILE: dict[str, Any] = {
    "accessToken": {
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "secretAccessKey": "example-secret",
        "sessionToken": "example-token",
        "accountId": "123456789012",
        "expiresAt": "2030-01-01T00:15:00Z",
    },
    "clientId": "arn:aws:signin:::devtools/same-device",
    "refreshToken": "example-refresh-token",
    "dpopKey": pem(KEY, PrivateFormat.TraditionalOpenSSL),
    "more": [1],
}


def session(**changes: object) -> Any:
    return parse_session(json.dumps(FILE | changes).encode(), "the file")


def test_name_of_the_cache_file() -> None:
    # sha256sum of the name
    assert cache_file_name("corp") == (
        "19f4c684a3ff4f2dfa73b8d9098257cfb08e3da6b5ac7f86aa3aa36537018265.json"
    )


def test_session_of_a_cache_file() -> None:
    found = session(signInRegion="us-east-1")
    ends = NOW + timedelta(minutes=15)
    keys = ("ASIAIOSFODNN7EXAMPLE", "example-secret", "example-token")
    assert found.credentials == Credentials(*keys, ends)
    assert (found.expires_at, found.sign_in_region) == (ends, "us-east-1")
    assert session().sign_in_region is None
    assert "example-" not in repr(found)


def test_session_is_refreshed_in_its_last_5_minutes() -> None:
    assert not session().needs_refresh(NOW + timedelta(minutes=9, seconds=59))
    assert session().needs_refresh(NOW + timedelta(minutes=10))
    assert session().needs_refresh(NOW + timedelta(days=1))


@pytest.mark.parametrize("kind", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_key_in_pem(kind: PrivateFormat) -> None:
    assert load_key(session(dpopKey=pem(KEY, kind))).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    "text",
    ["nonsense", pem(ec.generate_private_key(ec.SECP384R1()), PrivateFormat.PKCS8)],
    ids=["nonsense", "other curve"],
)
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(CredentialsError, match="the file has a dpopKey that is not a P-256 key"):
        load_key(session(dpopKey=text))


def test_request_proves_the_possession_of_the_key() -> None:
    request = create_token_request(
        "https://signin.example.com", session(), KEY, identifier="some-id", now=NOW
    )
    assert (request.method, request.url) == ("POST", "https://signin.example.com/v1/token")
    assert json.loads(request.body) == {
        "clientId": "arn:aws:signin:::devtools/same-device",
        "refreshToken": "example-refresh-token",
        "grantType": "refresh_token",
    }
    signed, _, signature = request.headers["DPoP"].rpartition(".")
    header, claims = (json.loads(_decode(part)) for part in signed.split("."))
    assert claims == {
        "htm": "POST",
        "htu": "https://signin.example.com/v1/token",
        "iat": 1_893_456_000,
        "jti": "some-id",
    }
    assert {name: header[name] for name in ("typ", "alg")} == {"typ": "dpop+jwt", "alg": "ES256"}
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}
    raw = _decode(signature)
    numbers = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    KEY.public_key().verify(
        utils.encode_dss_signature(*numbers), signed.encode(), ec.ECDSA(hashes.SHA256())
    )


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_new_cache_file_keeps_members_missing_in_the_response() -> None:
    body = {
        "accessToken": {"accessKeyId": "A", "secretAccessKey": "b", "sessionToken": "c"},
        "expiresIn": 900,
        "refreshToken": "new",
        "idToken": "ignored",
    }
    response = FetchedResponse(200, body=json.dumps(body).encode())
    assert json.loads(parse_created_token(response, "it", session(), NOW)) == FILE | {
        "accessToken": {
            "accessKeyId": "A",
            "secretAccessKey": "b",
            "sessionToken": "c",
            "accountId": "123456789012",
            "expiresAt": "2030-01-01T00:15:00Z",
        },
        "refreshToken": "new",
    }

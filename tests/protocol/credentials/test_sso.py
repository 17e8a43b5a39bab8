import json
from datetime import UTC, datetime, timedelta

import pytest

from aios3get._protocol.credentials.sso import (
    SsoSettings,
    create_token_request,
    parse_created_token,
    parse_token,
    role_credentials_request,
    sso_settings,
)
from aios3get._protocol.fetch import FetchedResponse
from aios3get._protocol.shared_config import Profile
from aios3get.errors import ConfigurationError, CredentialsError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROLE = {"sso_account_id": "123456789012", "sso_role_name": "ReadOnly"}
PORTAL = {"sso_start_url": "https://example.awsapps.com/start", "sso_region": "eu-west-1"}
SESSION = SsoSettings("p", "corp", PORTAL["sso_start_url"], "eu-west-1", "123456789012", "ReadOnly")
LEGACY = SsoSettings("p", None, PORTAL["sso_start_url"], "eu-west-1", "123456789012", "ReadOnly")
TOKEN = {
    "accessToken": "example-token",
    "expiresAt": "2030-01-01T08:00:00Z",
    "clientId": "id",
    "clientSecret": "example-secret",
    "refreshToken": "example-refresh-token",
    "registrationExpiresAt": "2030-03-01T00:00:00Z",
}


def settings(
    profile: dict[str, str], sessions: dict[str, dict[str, str]] | None = None
) -> SsoSettings | None:
    return sso_settings(Profile("p", config=profile), sessions or {})


def test_settings_of_a_session() -> None:
    assert settings({**ROLE, "sso_session": "corp"}, {"corp": PORTAL}) == SESSION
    repeated = {**ROLE, **PORTAL, "sso_session": "corp"}
    assert settings(repeated, {"corp": PORTAL}) == SESSION


def test_legacy_settings() -> None:
    assert settings({**ROLE, **PORTAL}) == LEGACY


@pytest.mark.parametrize("profile", [{}, PORTAL, {"sso_session": "missing"}])
def test_profile_without_account_and_role_is_no_source(profile: dict[str, str]) -> None:
    assert settings(profile) is None


@pytest.mark.parametrize(
    ("profile", "sessions", "text"),
    [
        ({"sso_role_name": "R", **PORTAL}, {}, "has no sso_account_id; run `aws configure sso`"),
        (ROLE, {}, "has no sso_start_url and no sso_region"),
        ({**ROLE, "sso_session": "x"}, {}, r"section \[sso-session x\], which the config file"),
        ({**ROLE, **PORTAL, "sso_session": "x"}, {"x": {}}, "no sso_start_url and no sso_region"),
        (
            {**ROLE, "sso_session": "x", "sso_region": "us-east-1"},
            {"x": PORTAL},
            r"sso_region of the profile 'p' differs from \[sso-session x\]",
        ),
        ({**ROLE, **PORTAL, "sso_region": "a.b/"}, {}, "sso_region of .* is not a region"),
    ],
)
def test_incomplete_settings_are_refused(
    profile: dict[str, str], sessions: dict[str, dict[str, str]], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        settings(profile, sessions)


def test_names_of_cache_files() -> None:
    # sha1sum of "corp" and of the start URL
    assert SESSION.cache_file_name == "ee0bfd2552fbd840c02cc48b6e823320543c450f.json"
    assert LEGACY.cache_file_name == "e8be5486177c5b5392bd9aa76563515b29358e6e.json"


def test_token_is_refreshed_within_its_last_15_minutes() -> None:
    token = parse_token(json.dumps(TOKEN).encode(), "the file")
    assert not token.needs_refresh(token.expires_at - timedelta(minutes=15))
    assert token.needs_refresh(token.expires_at - timedelta(minutes=14, seconds=59))
    assert token.needs_refresh(token.expires_at + timedelta(days=1))


@pytest.mark.parametrize(
    "missing", ["clientId", "clientSecret", "refreshToken", "registrationExpiresAt"]
)
def test_token_without_its_registration_cannot_be_refreshed(missing: str) -> None:
    members = {name: value for name, value in TOKEN.items() if name != missing}
    token = parse_token(json.dumps(members).encode(), "the file")
    assert token.why_not_refreshable(NOW) == "the token cannot be refreshed"


def test_token_is_refreshable_until_the_registration_expires() -> None:
    token = parse_token(json.dumps(TOKEN).encode(), "the file")
    assert token.why_not_refreshable(datetime(2030, 2, 28, tzinfo=UTC)) is None
    assert token.why_not_refreshable(datetime(2030, 3, 1, tzinfo=UTC)) == (
        "the client registration expired at 2030-03-01T00:00:00+00:00"
    )


def test_request_for_a_new_token() -> None:
    token = parse_token(json.dumps(TOKEN).encode(), "the file")
    request = create_token_request("https://oidc.example.com", token)
    assert (request.method, request.url) == ("POST", "https://oidc.example.com/token")
    assert json.loads(request.body) == {
        "grantType": "refresh_token",
        "clientId": "id",
        "clientSecret": "example-secret",
        "refreshToken": "example-refresh-token",
    }


def test_new_cache_file() -> None:
    old = parse_token(json.dumps(TOKEN).encode(), "the file")
    body = {"accessToken": "new", "expiresIn": 3600, "refreshToken": "newer"}
    response = FetchedResponse(200, body=json.dumps(body).encode())
    assert json.loads(parse_created_token(response, "it", SESSION, old, NOW)) == {
        "startUrl": PORTAL["sso_start_url"],
        "region": "eu-west-1",
        "accessToken": "new",
        "expiresAt": "2030-01-01T01:00:00Z",
        "clientId": "id",
        "clientSecret": "example-secret",
        "registrationExpiresAt": "2030-03-01T00:00:00Z",
        "refreshToken": "newer",
    }


@pytest.mark.parametrize(
    "body", [{"expiresIn": 1}, {"accessToken": "a b", "expiresIn": 1}, {"accessToken": "a"}]
)
def test_invalid_new_token_is_refused(body: dict[str, object]) -> None:
    old = parse_token(json.dumps(TOKEN).encode(), "the file")
    response = FetchedResponse(200, body=json.dumps(body).encode())
    with pytest.raises(CredentialsError, match="it has "):
        parse_created_token(response, "it", SESSION, old, NOW)


def test_request_for_credentials_encodes_account_and_role() -> None:
    token = parse_token(json.dumps(TOKEN).encode(), "the file")
    odd = SsoSettings("p", "corp", "u", "r", "1&2", "a/b c")
    request = role_credentials_request("https://portal.example.com", odd, token)
    assert request.url == (
        "https://portal.example.com/federation/credentials?account_id=1%262&role_name=a%2Fb%20c"
    )
    assert request.headers == {"x-amz-sso_bearer_token": "example-token"}


def test_repr_shows_no_secret() -> None:
    token = parse_token(json.dumps(TOKEN).encode(), "the file")
    assert "example-" not in repr(token)
    assert str(SESSION) == "the SSO session 'corp'"
    assert str(LEGACY) == "the SSO session of the profile 'p'"

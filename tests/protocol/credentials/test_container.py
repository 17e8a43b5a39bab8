import pytest

from aios3get._protocol.credentials.container import (
    container_settings,
    credentials_request,
    is_token,
)
from aios3get.errors import ConfigurationError

RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"


@pytest.mark.parametrize("environ", [{}, {RELATIVE: "", FULL: ""}, {TOKEN: "abc"}])
def test_nothing_is_set(environ: dict[str, str]) -> None:
    assert container_settings(environ) is None


def test_relative_uri_precedes_a_full_one() -> None:
    settings = container_settings({RELATIVE: "/v2/credentials/id", FULL: "http://[::1]/"})
    assert settings is not None
    assert settings.url == "http://169.254.170.2/v2/credentials/id"
    assert (settings.variable, settings.host) == (RELATIVE, "169.254.170.2")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080/get",
        "http://127.0.0.1/get",
        "http://127.1.2.3:80/get",
        "http://[::1]:9/get",
        "http://169.254.170.2/v2",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
        "https://vault.example.com/get?role=x",
        "HTTP://LOCALHOST/",
    ],
)
def test_hosts_that_may_get_the_token(url: str) -> None:
    settings = container_settings({FULL: url})
    assert settings is not None
    assert settings.url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/get",
        "http://169.254.169.254/get",
        "http://169.254.170.3/get",
        "http://10.0.0.1/get",
        "http://[fd00:ec2::24]/get",
        "http://0.0.0.0/get",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "http://169.254.170.2\\@example.com/",
        "https://user:password@vault.example.com/",
        "http://127.0.0.1:99999/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "//127.0.0.1/",
        "http:///get",
        "http://[::1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "secret",
    ],
)
def test_other_urls_are_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=f"environment variable {FULL}") as caught:
        container_settings({FULL: url})
    assert url not in str(caught.value)
    assert "password" not in str(caught.value)


def test_relative_uri_must_be_a_path() -> None:
    with pytest.raises(ConfigurationError, match=f"{RELATIVE} must start with a slash"):
        container_settings({RELATIVE: ".example.com/"})


def test_token_file_precedes_a_token() -> None:
    url = {FULL: "http://localhost/"}
    settings = container_settings({**url, TOKEN: "abc", TOKEN_FILE: "/run/token"})
    assert settings is not None
    assert (settings.token, settings.token_file) == (None, "/run/token")
    settings = container_settings({**url, TOKEN: "abc", TOKEN_FILE: ""})
    assert settings is not None
    assert (settings.token, settings.token_file) == ("abc", None)


@pytest.mark.parametrize("token", ["a\nb", "a\r", "\na", "a\0", "ü", " a", "a "])
def test_token_that_is_no_header_value_is_refused(token: str) -> None:
    assert not is_token(token)
    with pytest.raises(ConfigurationError, match=f"environment variable {TOKEN} contains no valid"):
        container_settings({FULL: "http://localhost/", TOKEN: token})


def test_request_has_the_token_if_there_is_one() -> None:
    settings = container_settings({FULL: "http://localhost/get?a=b"})
    assert settings is not None
    request = credentials_request(settings, "Bearer abc")
    assert (request.method, request.url) == ("GET", "http://localhost/get?a=b")
    assert request.headers == {"Accept": "application/json", "Authorization": "Bearer abc"}
    assert "Authorization" not in credentials_request(settings, None).headers


def test_repr_shows_no_secret() -> None:
    settings = container_settings({FULL: "http://localhost/secret", TOKEN: "secret"})
    assert "secret" not in repr(settings)

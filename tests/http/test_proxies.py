import os
from base64 import b64encode
from typing import Any
from unittest import mock
from urllib import request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._http.proxies import DIRECT, Proxies, is_http_url, split_login
from aios3get.errors import ConfigurationError

URL = "http://user:secret@proxy.example:3128"

names = st.sampled_from(
    [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "Https_Proxy",
        "NO_PROXY",
        "no_proxy",
        "ALL_PROXY",
        "all_proxy",
        "REQUEST_METHOD",
        "PROXY",
    ]
)
environments = st.dictionaries(names, st.sampled_from(["", URL, "other:1", "a.b,.c, D", "*"]))
by_urllib: Any = request


@given(environments)
def test_environment_is_read_as_urllib_reads_it(environ: dict[str, str]) -> None:
    with mock.patch.dict(os.environ, environ, clear=True):
        expected = by_urllib.getproxies_environment()
    ours = Proxies.from_environment(environ)
    assert ours.no_proxy == expected.pop("no", "")
    assert ours.by_scheme == expected


@pytest.mark.parametrize(
    ("host", "no_proxy", "bypasses"),
    [
        ("s3.example", "", False),
        ("s3.example", "*", True),
        ("s3.example", "other, *", False),
        ("s3.example", "example", True),
        ("s3.example", " .Example , other", True),
        ("S3.EXAMPLE:443", "s3.example", True),
        ("s3.example:443", "s3.example:443", True),
        ("s3.example:80", "s3.example:443", False),
        ("xs3.example", "s3.example", False),
        ("10.0.0.1", "10.0.0", False),
        ("[::1]:80", "[::1]", True),
        ("s3.example", " , ", False),
    ],
)
def test_no_proxy_names_suffixes_of_hosts(host: str, no_proxy: str, bypasses: bool) -> None:
    proxy = Proxies({"https": URL}, no_proxy).proxy_for("https", host)
    assert proxy == (None if bypasses else URL)


@pytest.mark.parametrize(
    ("by_scheme", "scheme", "url"),
    [
        ({}, "https", None),
        ({"http": URL}, "https", None),
        ({"all": URL}, "https", URL),
        ({"all": URL, "https": "http://b:1"}, "https", "http://b:1"),
        ({"https": "proxy.example:1"}, "https", "http://proxy.example:1"),
    ],
)
def test_proxy_of_the_scheme_is_selected(
    by_scheme: dict[str, str], scheme: str, url: str | None
) -> None:
    assert Proxies(by_scheme).proxy_for(scheme, "s3.amazonaws.com") == url


def test_repr_shows_no_password() -> None:
    assert "secret" not in repr(Proxies.from_environment({"HTTPS_PROXY": URL}))


def test_one_proxy_serves_all_requests() -> None:
    always = Proxies.always(URL)
    assert always.proxy_for("http", "a") == always.proxy_for("https", "b:1") == URL
    assert Proxies.always("") is DIRECT
    assert DIRECT.proxy_for("https", "a") is None


@pytest.mark.parametrize("url", ["proxy.example:3128", "socks5://u:secret@p", "http://secret@[::1"])
def test_invalid_proxy_argument_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy must be the URL") as caught:
        Proxies.always(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("https_proxy", "socks5://u:secret@p:1080"),
        ("ALL_PROXY", "socks5://u:secret@p"),
        ("HTTPS_PROXY", "http://u:secret@p:99999"),
        ("https_proxy", "http://u:secret@a..b:3128"),
        ("https_proxy", "u:secret@[::1"),
    ],
)
def test_invalid_proxy_of_the_environment_is_refused_where_it_is_used(
    name: str, value: str
) -> None:
    proxies = Proxies.from_environment({name: value, "NO_PROXY": "inside.example"})
    assert proxies.proxy_for("https", "inside.example") is None
    with pytest.raises(ConfigurationError, match=f"(?i){name}") as caught:
        proxies.proxy_for("https", "s3.amazonaws.com")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "without_login", "login"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("http://user:p%40ss@proxy.example:3128/", "http://proxy.example:3128/", "user:p@ss"),
        ("https://user@proxy.example", "https://proxy.example", "user:"),
        ("http://:pass@[::1]:3128", "http://[::1]:3128", ":pass"),
    ],
)
def test_login_is_split_from_the_url(url: str, without_login: str, login: str | None) -> None:
    header = None if login is None else f"Basic {b64encode(login.encode()).decode()}"
    assert split_login(url) == (without_login, header)


@pytest.mark.parametrize(
    ("url", "valid"),
    [
        ("http://127.0.0.1:9000", True),
        ("https://bücher.example", True),
        ("http://[::1]:9000/", True),
        ("http://h:99999", False),
        ("http://h:abc", False),
        ("http://a..b", False),
        (f"http://{'a' * 64}.example", False),
        ("http://a b", False),
        ("http://", False),
        ("ftp://h", False),
    ],
)
def test_http_urls_have_a_valid_host_and_port(url: str, valid: bool) -> None:
    assert is_http_url(url) is valid

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
def test_as_urllib_reads_the_environment(environ: dict[str, str]) -> None:
    with mock.patch.dict(os.environ, environ, clear=True):
        expected = by_urllib.getproxies_environment()
    ours = Proxies.from_environment(environ)
    assert ours.no_proxy == expected.pop("no", "")
    assert ours.by_scheme == expected


@given(
    st.sampled_from(["a", "b.a", "xb.a", "B.A:443", "10.0.0.1", "10.0.0.1:80", "[::1]:80", "a:"]),
    st.sampled_from(
        ["", "*", "a", ".a", "b.a", "B.a, x", "a:443,b.a:443", "10.0.0", " , ", "*, a"]
    ),
)
def test_as_urllib_passes_a_proxy_by(host: str, no_proxy: str) -> None:
    bypass = bool(no_proxy) and by_urllib.proxy_bypass_environment(host, {"no": no_proxy})
    ours = Proxies({"https": URL}, no_proxy).proxy_for("https", host)
    assert ours == (None if bypass else URL)


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
def test_which_proxy(by_scheme: dict[str, str], scheme: str, url: str | None) -> None:
    assert Proxies(by_scheme).proxy_for(scheme, "s3.amazonaws.com") == url


def test_a_proxys_password_is_not_shown() -> None:
    assert "secret" not in repr(Proxies.from_environment({"HTTPS_PROXY": URL}))


def test_one_proxy_for_everything() -> None:
    always = Proxies.always(URL)
    assert always.proxy_for("http", "a") == always.proxy_for("https", "b:1") == URL
    assert Proxies.always("") is DIRECT
    assert DIRECT.proxy_for("https", "a") is None


@pytest.mark.parametrize("url", ["proxy.example:3128", "socks5://u:secret@p", "http://secret@[::1"])
def test_what_is_no_proxy(url: str) -> None:
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
def test_what_the_environment_names_is_judged_where_it_is_used(name: str, value: str) -> None:
    proxies = Proxies.from_environment({name: value, "NO_PROXY": "inside.example"})
    assert proxies.proxy_for("https", "inside.example") is None
    with pytest.raises(ConfigurationError, match=f"(?i){name}") as caught:
        proxies.proxy_for("https", "s3.amazonaws.com")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place", "login"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("http://user:p%40ss@proxy.example:3128/", "http://proxy.example:3128/", "user:p@ss"),
        ("https://user@proxy.example", "https://proxy.example", "user:"),
        ("http://:pass@[::1]:3128", "http://[::1]:3128", ":pass"),
    ],
)
def test_a_login_is_told_apart(url: str, place: str, login: str | None) -> None:
    told = None if login is None else f"Basic {b64encode(login.encode()).decode()}"
    assert split_login(url) == (place, told)


@pytest.mark.parametrize(
    ("url", "usable"),
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
def test_which_urls_have_a_host(url: str, usable: bool) -> None:
    assert is_http_url(url) is usable

import os
from typing import Any
from unittest import mock
from urllib import request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._io.proxies import DIRECT, Proxies
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

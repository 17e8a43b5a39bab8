"""Selects the proxy of a request, from an argument or from the environment.

The environment is read as ``urllib.request`` reads it.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed

from aios3get.errors import ConfigurationError

__all__ = ["DIRECT", "Proxies", "is_http_url", "split_login"]


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxy URLs by the scheme of the request; ``repr`` hides them, as they may contain passwords.

    Attributes:
        by_scheme: such as ``{"https": "http://proxy.example:3128"}``; ``all`` is for any scheme.
        no_proxy: the value of ``NO_PROXY``: comma-separated host suffixes, or ``*``.
    """

    by_scheme: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, hash=False)
    no_proxy: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Proxies":
        """Read ``https_proxy``, ``http_proxy``, ``all_proxy`` and ``no_proxy``.

        A lower-case name takes precedence over the upper-case one, even if it is empty.
        """
        variables = _variables(environ, lower=False)
        # In a CGI script, HTTP_PROXY is the request header "Proxy": https://httpoxy.org
        if "REQUEST_METHOD" in environ:
            variables.pop("http", None)
        variables |= _variables(environ, lower=True)
        no_proxy = variables.pop("no", "")
        return cls({scheme: url for scheme, url in variables.items() if url}, no_proxy)

    @classmethod
    def always(cls, url: str) -> "Proxies":
        """Use one proxy for all requests; none if ``url`` is empty.

        Raises:
            ConfigurationError: ``url`` is not the URL of an HTTP proxy.
        """
        if not url:
            return DIRECT
        if not is_http_url(url):
            raise ConfigurationError(
                "proxy must be the URL of an HTTP proxy, such as http://proxy.example:3128"
            )
        return cls({"all": url})

    def proxy_for(self, scheme: str, host: str) -> str | None:
        """Return the URL of the proxy for a request, or None to connect directly.

        Args:
            scheme: ``"http"`` or ``"https"``.
            host: the host, with its port if the URL has one.

        Raises:
            ConfigurationError: the environment's value is not the URL of an HTTP proxy.
        """
        kind = scheme if self.by_scheme.get(scheme) else "all"
        url = self.by_scheme.get(kind)
        if url is None or proxy_bypass_environment(host, {"no": self.no_proxy}):
            return None
        url = url if "://" in url else f"http://{url}"
        if not is_http_url(url):
            # The value may contain a password.
            raise ConfigurationError(
                f"{kind.upper()}_PROXY, or {kind}_proxy, in the environment is not the URL of an"
                " HTTP proxy, such as http://proxy.example:3128; add the host to NO_PROXY, or"
                ' pass proxy="" to use none'
            )
        return url

    def route(self, scheme: str, host: str) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the headers and aiohttp's options for sending a request through its proxy.

        The proxy's password is sent in a header, because aiohttp's errors show the proxy's URL.

        Args:
            scheme: as for ``proxy_for``.
            host: as for ``proxy_for``.

        Raises:
            ConfigurationError: as for ``proxy_for``.
        """
        proxy = self.proxy_for(scheme, host)
        if proxy is None:
            return {}, {}
        url, login = split_login(proxy)
        if login is None:
            return {}, {"proxy": url}
        headers = {"Proxy-Authorization": login}
        if scheme == "https":
            return {}, {"proxy": url, "proxy_headers": headers}
        return headers, {"proxy": url}


DIRECT: Final = Proxies()


def is_http_url(text: str) -> bool:
    """Whether the text is an http or https URL with a valid host and, if any, a valid port."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        # Both raise ValueError for invalid values; the latter as the resolver would.
        _, name = parts.port, host.encode("idna")
    except ValueError:  # its text may contain the URL with its password
        return False
    return parts.scheme in ("http", "https") and bool(name) and not re.search(r"\s", host)


def split_login(url: str) -> tuple[str, str | None]:
    """Return the URL without user and password, and the value of ``Proxy-Authorization``."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    url = parts._replace(netloc=host).geturl()
    if not login:
        return url, None
    user, _, password = login.partition(":")
    return url, f"Basic {b64encode(f'{unquote(user)}:{unquote(password)}'.encode()).decode()}"


def _variables(environ: Mapping[str, str], *, lower: bool) -> dict[str, str]:
    return {
        name.lower().removesuffix("_proxy"): value
        for name, value in environ.items()
        if name.lower().endswith("_proxy") and name.endswith("_proxy") is lower
        if lower or value
    }

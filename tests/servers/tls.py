"""A certificate authority for tests, and the host names of its certificates."""

import ssl
from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from pathlib import Path

import trustme

__all__ = ["AWS_DOMAINS", "LOOPBACK_NAMES", "Authority"]

# OpenSSL accepts no wildcard before a top-level name, so these are listed.
LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost", "amzn-s3-demo-bucket.localhost")


def _regional(region: str) -> Iterable[str]:
    services = ("s3", "s3-fips", "s3-accesspoint", "s3-accesspoint-fips")
    for service, stack in product(services, ("", "dualstack.")):
        yield f"{service}.{stack}{region}.amazonaws.com"


# The domains after "bucket." or "accesspoint-account." in S3's URLs
# (https://docs.aws.amazon.com/general/latest/gr/s3.html). None is a suffix of another, because
# servers take the text before the first matching domain for the bucket.
AWS_DOMAINS = (
    "s3.amazonaws.com",
    "s3-accelerate.amazonaws.com",
    "s3-accelerate.dualstack.amazonaws.com",
    *_regional("us-east-1"),
    *_regional("eu-central-1"),
)


class Authority:
    """A certificate authority of this test run.

    ``ca_file`` has its certificate, for ``verify=`` and ``AWS_CA_BUNDLE``.
    """

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)
        self._context_for = lru_cache(maxsize=None)(self._make_context)

    def client_context(self) -> ssl.SSLContext:
        """A client-side context that trusts only this authority and reports truncations."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        # Python up to 3.11.3 sets this option by default (python/cpython#95494).
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        return context

    def server_context(self) -> ssl.SSLContext:
        """A server-side context that has a certificate for any name a client asks for."""
        context = self._make_context(*LOOPBACK_NAMES)
        context.sni_callback = self._use_certificate_of
        return context

    def server_files(self, name: str, domains: Iterable[str] = AWS_DOMAINS) -> tuple[Path, Path]:
        """Files with the chain and key of a server, for the domains and each ``*.domain``."""
        names = [*LOOPBACK_NAMES, *(n for domain in domains for n in (domain, f"*.{domain}"))]
        leaf = self._ca.issue_cert(*names)
        chain, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return chain, key

    def _use_certificate_of(
        self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> None:
        if name is not None:
            connection.context = self._context_for(name)

    def _make_context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context

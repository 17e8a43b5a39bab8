"""A provider that remembers: one fetch for many callers, ahead of the credentials' end."""

from aios3get._protocol.identity import CredentialsProvider
from aios3get.credentials.source import CredentialsSource

__all__ = ["CredentialsSource", "cached"]


def cached(provider: CredentialsProvider) -> CredentialsSource:
    """The provider's newest answer, refreshed ahead of its end.

    A client does this with whatever it is given; use ``cached`` to share one answer between
    several clients.

    Raises:
        ConfigurationError: ``provider`` is not callable.
    """
    return provider if isinstance(provider, CredentialsSource) else CredentialsSource(provider)

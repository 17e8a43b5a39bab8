"""Credentials from environment variables.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from aios3get._config.environ import without_items
from aios3get._protocol.identity import Credentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["EnvironmentCredentials"]

_ID, _SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
# The second name is older; botocore still reads it.
_TOKENS = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_EXPIRY = "AWS_CREDENTIAL_EXPIRATION"


class EnvironmentCredentials(Provider):
    """A provider of ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``.

    An empty variable counts as not set. ``AWS_CREDENTIAL_EXPIRATION`` (ISO 8601) is their expiry.

    Args:
        environ: the variables to read at each load; ``os.environ`` if None.
    """

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        self._environ = None if environ is None else without_items(environ)

    def __repr__(self) -> str:
        return "EnvironmentCredentials()"

    def __str__(self) -> str:
        return "the environment"

    async def load(self, context: ProviderContext) -> Credentials | Unavailable:  # noqa: D102
        environ = context.environ if self._environ is None else self._environ
        if not environ.get(_ID):
            secret = bool(environ.get(_SECRET))
            also = f", although {_SECRET} is" if secret else ""
            return Unavailable(f"{_ID} is not set{also}", detected=secret)
        if not environ.get(_SECRET):
            raise CredentialsError(
                f"environment variable {_ID} is set, but {_SECRET} is not; set both or neither"
            )
        return _credentials(environ)


def _credentials(environ: Mapping[str, str]) -> Credentials:
    token = next((name for name in _TOKENS if environ.get(name)), None)
    try:
        return Credentials(
            environ[_ID],
            environ[_SECRET],
            environ[token] if token else None,
            _expires_at(environ.get(_EXPIRY)),
        )
    except ConfigurationError as error:
        raise CredentialsError(f"environment variables {_ID} and others: {error}") from None


def _expires_at(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CredentialsError(
            f"environment variable {_EXPIRY} is {text!r}; write 2030-01-31T12:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

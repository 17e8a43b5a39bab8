"""Credentials of the process's environment.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from aios3get._protocol.identity import Credentials
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["EnvironmentCredentials"]

_ID, _SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
# The second is the name from before the SDKs agreed on the first; botocore still reads it.
_TOKENS = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_EXPIRY = "AWS_CREDENTIAL_EXPIRATION"


class EnvironmentCredentials:
    """A provider of ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``.

    An empty variable counts as not set. ``AWS_CREDENTIAL_EXPIRATION`` (ISO 8601) says when they
    end. Gives None where neither key is set.

    Args:
        environ: the environment to read at each call; ``os.environ`` if None.
    """

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def __repr__(self) -> str:
        return "EnvironmentCredentials()"

    def __str__(self) -> str:
        return f"the environment variables {_ID} and {_SECRET}"

    async def __call__(self) -> Credentials | None:  # noqa: D102 - the class says it
        access_key_id, secret = self._environ.get(_ID), self._environ.get(_SECRET)
        if not access_key_id and not secret:
            return None
        if not access_key_id or not secret:
            there, missing = (_ID, _SECRET) if access_key_id else (_SECRET, _ID)
            raise CredentialsError(
                f"environment variable {there} is set, but {missing} is not; set both or neither"
            )
        token = next((text for name in _TOKENS if (text := self._environ.get(name))), None)
        try:
            return Credentials(access_key_id, secret, token, self._expires_at())
        except ConfigurationError as error:
            raise CredentialsError(f"environment variables {_ID} and kin: {error}") from None

    def _expires_at(self) -> datetime | None:
        text = self._environ.get(_EXPIRY)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise CredentialsError(
                f"environment variable {_EXPIRY} is {text!r}; write 2030-01-31T12:00:00Z"
            ) from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

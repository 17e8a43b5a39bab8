"""The credentials of a role, such as another account's.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

from aios3get._protocol.credentials.sts import is_expired_token
from aios3get._protocol.identity import Credentials, CredentialsProvider, Identity
from aios3get.credentials.chain import default_chain
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import (
    Provider,
    Unavailable,
    forget,
    holds_secret,
    load_from,
    name_of,
    provider_for,
)
from aios3get.credentials.sts import AssumedRole, MFAToken
from aios3get.errors import CredentialsError

__all__ = ["AssumeRole"]


class AssumeRole(Provider):
    """A provider of the credentials of a role, assumed with other credentials.

    The request is sent to STS in the client's region, or to ``AWS_ENDPOINT_URL_STS``.

    Args:
        role_arn: the role's ARN.
        source: the credentials that assume the role: ``Credentials`` or a provider; None for the
            default chain.
        session_name: the session's name, which CloudTrail shows; None for ``aios3get`` and the
            time.
        external_id: the id that the role's trust policy requires.
        duration_seconds: how long the session lasts, from 900 up; None for STS's default, an hour.
        mfa_serial: the serial number or ARN of the MFA device that the trust policy requires.
        mfa_token: returns the device's current code, at each refresh; a sync callable runs in a
            thread, so it may prompt a person.

    Raises:
        ConfigurationError: ``role_arn`` is empty, ``source`` is neither credentials nor a
            provider, ``duration_seconds`` is not a whole number, or only one of ``mfa_serial`` and
            ``mfa_token`` is passed.
    """

    def __init__(
        self,
        role_arn: str,
        source: Identity | CredentialsProvider | None = None,
        *,
        session_name: str | None = None,
        external_id: str | None = None,
        duration_seconds: int | None = None,
        mfa_serial: str | None = None,
        mfa_token: MFAToken | None = None,
    ) -> None:
        self._source = default_chain() if source is None else provider_for(source)
        self._role = AssumedRole(
            arn=role_arn,
            session_name=session_name,
            external_id=external_id,
            duration_seconds=duration_seconds,
            mfa_serial=mfa_serial,
            mfa_token=mfa_token,
        )

    def __repr__(self) -> str:
        return f"AssumeRole({self._role.arn!r})"

    def __str__(self) -> str:
        return str(self._role)

    async def load(self, context: ProviderContext) -> Credentials:  # noqa: D102
        credentials = await self._source_credentials(context)
        response = await self._role.request(context, credentials)
        if is_expired_token(response):
            forget(self._source, credentials)
            renewed = await self._source_credentials(context)
            if renewed != credentials:
                response = await self._role.request(context, renewed)
        return self._role.parse(response)

    async def _source_credentials(self, context: ProviderContext) -> Credentials:
        loaded = await load_from(self._source, context)
        if isinstance(loaded, Unavailable):
            raise CredentialsError(
                f"no credentials found to assume {self} with. Sources tried:",
                sources=loaded.sources(name_of(self._source)),
            )
        if not isinstance(loaded, Credentials):
            raise CredentialsError(f"{self} is assumed with Credentials, not with {loaded!r}")
        return loaded

    @property
    def holds_secret(self) -> bool:
        """Whether the source of the role's credentials holds a secret."""
        return holds_secret(self._source)

    def invalidate(self, used: Identity) -> None:
        """Drop the credentials that the source caches; each load assumes the role anew."""
        forget(self._source, used)

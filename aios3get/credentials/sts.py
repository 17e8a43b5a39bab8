"""Roles assumed through AWS STS, with other credentials or with the token of a web identity.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
"""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from aios3get._config.service_endpoints import ServiceEndpoint
from aios3get._config.small_files import read_small_file
from aios3get._protocol.credentials import sts
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import Credentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider
from aios3get.errors import ConfigurationError, CredentialsError, TransportError

__all__ = ["AssumedRole", "MFAToken", "WebIdentity"]

MFAToken: TypeAlias = Callable[[], str | Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumedRole:
    """A role and the arguments of its session; ``AssumeRole`` documents them.

    Raises:
        ConfigurationError: ``arn`` is empty, ``duration_seconds`` is not a whole number, or only
            one of ``mfa_serial`` and ``mfa_token`` is passed.
    """

    arn: str
    session_name: str | None = None
    external_id: str | None = field(default=None, repr=False)
    duration_seconds: int | None = None
    mfa_serial: str | None = None
    mfa_token: MFAToken | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.arn, str) or not self.arn:
            raise ConfigurationError("role_arn is empty; pass the ARN of the role")
        duration = self.duration_seconds
        if duration is not None and (type(duration) is not int or duration < 1):
            raise ConfigurationError(
                f"duration_seconds is {duration!r}; pass a whole number of seconds, from 900 up"
            )
        if (self.mfa_serial is None) is not (self.mfa_token is None):
            raise ConfigurationError(
                f"the role {self.arn} needs mfa_serial and mfa_token together: the MFA device, and"
                " a callable that returns its current code"
            )

    def __str__(self) -> str:
        return f"the role {self.arn}"

    def parameters(self, action: str, now: float) -> dict[str, str]:
        """Return the parameters of a request, without codes and tokens."""
        parameters = {
            "Action": action,
            "RoleArn": self.arn,
            "RoleSessionName": self.session_name or f"aios3get-{int(now)}",
            "ExternalId": self.external_id,
            "DurationSeconds": None
            if self.duration_seconds is None
            else str(self.duration_seconds),
            "SerialNumber": self.mfa_serial,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    async def request(self, context: ProviderContext, credentials: Credentials) -> FetchedResponse:
        """Send AssumeRole, signed with ``credentials``, and return the response of STS.

        Raises:
            CredentialsError: STS cannot be reached.
            ConfigurationError: a setting is invalid.
        """
        request = self._signed(
            await context.endpoint("sts"), credentials, context.clock, await self._code()
        )
        response = await _fetch(context, request, self)
        offset = sts.clock_offset(response, context.clock())
        if offset is None:
            return response
        context.correct_clock(offset)
        return await _fetch(context, request, self)

    async def _code(self) -> str | None:
        if self.mfa_token is None:
            return None
        if inspect.iscoroutinefunction(self.mfa_token):
            code = await self.mfa_token()
        else:
            result = await asyncio.to_thread(self.mfa_token)
            code = await result if isinstance(result, Awaitable) else result
        return str(cast(object, code)).strip()

    def _signed(
        self,
        endpoint: ServiceEndpoint,
        credentials: Credentials,
        clock: Callable[[], float],
        code: str | None,
    ) -> Callable[[], FetchRequest]:
        # A closure keeps the parameters out of the locals of frames that raise, which error
        # reporters send.
        parameters = self.parameters("AssumeRole", clock())
        if code is not None:
            parameters["TokenCode"] = code
        return lambda: sts.signed_request(
            endpoint.url, endpoint.region, credentials, clock(), parameters
        )

    def parse(self, response: FetchedResponse) -> Credentials:
        """Return the role's credentials.

        Raises:
            CredentialsError: STS refused, or the response is incomplete.
        """
        return sts.parse_credentials(response, f"the response from STS for {self}")


class WebIdentity(Provider):
    """A provider of the credentials of a role, assumed with an OpenID Connect token.

    The token's file is read for each refresh, because its issuer replaces it before it expires.

    Args:
        role_arn: the role's ARN.
        token_file: the path of the file that contains only the token.
        session_name: the session's name, which CloudTrail shows; None for ``aios3get`` and the
            time.
        duration_seconds: how long the session lasts, from 900 up; None for STS's default, an hour.

    Raises:
        ConfigurationError: ``role_arn`` or ``token_file`` is empty, or ``duration_seconds`` is not
            a whole number.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    """

    def __init__(
        self,
        role_arn: str,
        token_file: str | os.PathLike[str],
        *,
        session_name: str | None = None,
        duration_seconds: int | None = None,
    ) -> None:
        self._role = AssumedRole(
            arn=role_arn, session_name=session_name, duration_seconds=duration_seconds
        )
        self._token_file = os.fspath(token_file)
        if not self._token_file:
            raise ConfigurationError("token_file is empty; pass the path of the token's file")

    def __repr__(self) -> str:
        return f"WebIdentity({self._role.arn!r}, {self._token_file!r})"

    def __str__(self) -> str:
        return f"{self._role} of the web identity in {self._token_file}"

    async def load(self, context: ProviderContext) -> Credentials:  # noqa: D102
        endpoint = await context.endpoint("sts")
        parameters = self._role.parameters("AssumeRoleWithWebIdentity", context.clock())
        request = await self._request(endpoint.url, parameters)
        response = await _fetch(context, lambda: request, self._role)
        if sts.is_expired_token(response):
            # The file may have been replaced meanwhile.
            renewed = await self._request(endpoint.url, parameters)
            if renewed.body != request.body:
                response = await _fetch(context, lambda: renewed, self._role)
        return self._role.parse(response)

    async def _request(self, url: str, parameters: dict[str, str]) -> FetchRequest:
        # The token is not kept in a local variable, because error reporters send those.
        return sts.unsigned_request(url, parameters | {"WebIdentityToken": await self._token()})

    async def _token(self) -> str:
        try:
            token = (await read_small_file(self._token_file)).decode().strip()
        except OSError as error:
            raise CredentialsError(f"{self} has no token: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CredentialsError(f"{self} has no token: the file is not UTF-8 text") from None
        if not token:
            raise CredentialsError(f"{self} has no token: the file is empty")
        return token


async def _fetch(
    context: ProviderContext, request: Callable[[], FetchRequest], role: AssumedRole
) -> FetchedResponse:
    try:
        return await context.fetch(request, is_retryable=sts.is_retryable)
    except TransportError as error:
        failure = CredentialsError(f"{role} cannot be assumed: {error}")
        failure.retryable = error.retryable
    raise failure

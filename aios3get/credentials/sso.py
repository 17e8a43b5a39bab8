"""Credentials from IAM Identity Center, using the session of ``aws sso login``.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html
"""

import logging
from typing import Final

from aios3get._config.shared_files import expand_path
from aios3get._config.small_files import read_small_file, replace_file
from aios3get._protocol.credentials.failure import credentials_error, failure, no_response
from aios3get._protocol.credentials.sso import (
    SsoSettings,
    SsoToken,
    create_token_request,
    parse_created_token,
    parse_role_credentials,
    parse_token,
    role_credentials_request,
    sso_settings,
)
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import Credentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable
from aios3get.errors import CredentialsError, TransportError

__all__ = ["SSO"]

_logger: Final = logging.getLogger("aios3get")


class SSO(Provider):
    """A provider of a role's credentials from IAM Identity Center, formerly AWS SSO.

    The profile names the account, role and session; ``aws sso login`` writes the session's token to
    ``~/.aws/sso/cache``. A token of an ``sso-session`` section that expires within 15 minutes is
    refreshed and written back. Tokens of the legacy settings cannot be refreshed.

    Args:
        profile: the profile's name; None for ``AWS_PROFILE``, ``AWS_DEFAULT_PROFILE`` or
            ``default``.
    """

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile
        # The latest tokens that could not be written back, by the cache file's path.
        self._unsaved: dict[str, SsoToken] = {}

    def __repr__(self) -> str:
        return f"SSO({self._profile!r})"

    def __str__(self) -> str:
        return f"SSO of the profile {self._profile!r}" if self._profile else "SSO of the profile"

    async def load(self, context: ProviderContext) -> Credentials | Unavailable:
        """Request the role's credentials.

        Raises:
            CredentialsError: there is no valid token, or the service failed.
            ConfigurationError: a setting is missing or invalid, or the profile does not exist.
        """
        shared = await context.shared()
        profile = shared.profile(self._profile or context.profile_name)
        settings = sso_settings(profile, shared.sso_sessions)
        if settings is None:
            return Unavailable(
                f"the profile {profile.name!r} has neither sso_account_id nor sso_role_name"
            )
        token = await self._valid_token(context, settings)
        endpoint = await context.endpoint("sso", settings.region)
        request = role_credentials_request(endpoint.url, settings, token)
        response = await _fetch(context, request)
        origin = (
            f"the response from {request.host} for {settings.role_name!r} in account"
            f" {settings.account_id} by {settings}"
        )
        if response.status == 401:
            # The session was ended, or its token belongs to another access portal.
            raise CredentialsError(f"{failure(response, origin)}; run `{settings.login_command}`")
        return parse_role_credentials(response, origin)

    async def _valid_token(self, context: ProviderContext, settings: SsoSettings) -> SsoToken:
        path = expand_path(f"~/.aws/sso/cache/{settings.cache_file_name}", context.environ)
        token, now = await self._latest_token(path, settings), context.now()
        if not token.needs_refresh(now):
            return token
        reason, retryable = settings.why_not_refreshable or token.why_not_refreshable(now), False
        if reason is None:
            try:
                return await self._refresh(context, settings, token, path)
            except CredentialsError as error:
                reason, retryable = str(error), error.retryable
            # Another process may have refreshed it, which invalidates this one's refresh token.
            latest = await self._latest_token(path, settings)
            if latest.access_token != token.access_token:
                return latest
        if token.expires_at > now:
            _logger.warning("%s expires at %s: %s", settings, token.expires_at.isoformat(), reason)
            return token
        raise credentials_error(
            f"{settings} expired at {token.expires_at.isoformat()}: run `{settings.login_command}`"
            f" ({reason})",
            retryable=retryable,
        )

    async def _latest_token(self, path: str, settings: SsoSettings) -> SsoToken:
        try:
            token = parse_token(await read_small_file(path), path)
        except OSError as error:
            raise CredentialsError(
                f"{settings} has no token: run `{settings.login_command}`"
                f" ({error.strerror}: {path})"
            ) from None
        unsaved = self._unsaved.get(path)
        return token if unsaved is None or unsaved.expires_at < token.expires_at else unsaved

    async def _refresh(
        self, context: ProviderContext, settings: SsoSettings, token: SsoToken, path: str
    ) -> SsoToken:
        endpoint = await context.endpoint("sso-oidc", settings.region)
        request = create_token_request(endpoint.url, token)
        response = await _fetch(context, request)
        origin = f"the response from {request.host}"
        data = parse_created_token(response, origin, settings, token, context.now())
        refreshed = parse_token(data, origin)
        try:
            await replace_file(path, data)
        except OSError as error:
            _logger.warning("the token of %s cannot be saved: %s", settings, error)
            self._unsaved[path] = refreshed
        return refreshed


async def _fetch(context: ProviderContext, request: FetchRequest) -> FetchedResponse:
    try:
        return await context.fetch(request)
    except TransportError as error:
        raise no_response(error) from None

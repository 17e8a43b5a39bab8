"""Credentials and region of an EC2 instance, from its metadata service (IMDS).

https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
"""

import logging
from dataclasses import replace
from typing import Final

from aios3get._protocol.credentials.failure import no_response
from aios3get._protocol.credentials.imds import (
    ImdsSettings,
    extend_expired,
    imds_settings,
    parse_credentials,
    parse_region,
    parse_role_name,
    parse_token,
    region_request,
    role_credentials_request,
    role_name_request,
    token_request,
)
from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import Credentials, Identity
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable
from aios3get.errors import ConnectionFailed, CredentialsError, TransportError, TransportTimeout

__all__ = ["InstanceMetadata", "load_instance_region"]

_logger: Final = logging.getLogger("aios3get")


class InstanceMetadata(Provider):
    """A provider of the credentials of an EC2 instance's role.

    It uses IMDSv2. IMDSv1 is used only if the service issues no token and
    ``AWS_EC2_METADATA_V1_DISABLED`` or ``ec2_metadata_v1_disabled`` is ``false``. Outside EC2 it
    gives up after about 2 seconds. It reads ``AWS_EC2_METADATA_DISABLED``,
    ``AWS_EC2_METADATA_SERVICE_ENDPOINT``, ``AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE``,
    ``AWS_METADATA_SERVICE_TIMEOUT`` and ``AWS_METADATA_SERVICE_NUM_ATTEMPTS``; all except the first
    can also be set in the profile, in lower case and without ``AWS_``. If no region is configured,
    the instance's region is used.

    AWS accepts expired credentials of an instance while it cannot issue new ones. They therefore
    stay in use, with a warning in the log, while the service has no new ones or is down, and are
    refreshed again some minutes later.
    """

    def __init__(self) -> None:
        self._latest: Credentials | None = None

    def __repr__(self) -> str:
        return "InstanceMetadata()"

    def __str__(self) -> str:
        return "the EC2 instance metadata service"

    async def load(self, context: ProviderContext) -> Credentials | Unavailable:
        """Request the credentials of the instance's role.

        Raises:
            CredentialsError: the service failed.
            ConfigurationError: a setting is invalid, or the profile does not exist.
        """
        settings = imds_settings(context.environ, await context.profile())
        if settings.is_disabled:
            return Unavailable("AWS_EC2_METADATA_DISABLED is true")
        try:
            loaded = self._latest = await _Service(context, settings).role_credentials()
        except _AbsentError as error:
            return self._extended(context) or Unavailable(error.reason, error.detected)
        except CredentialsError:
            extended = self._extended(context)
            if extended is None:
                raise
            return extended
        if await context.region() is None:
            region = await load_instance_region(context)
            if region is not None:
                context.set_region(region)
        return self._extended(context) or loaded

    def invalidate(self, used: Identity) -> None:
        """Do not use rejected credentials after they have expired."""
        latest = self._latest
        if latest is not None and replace(latest, expires_at=used.expires_at) == used:
            self._latest = None

    def _extended(self, context: ProviderContext) -> Credentials | None:
        latest = self._latest
        if latest is None:
            return None
        extended = extend_expired(latest, context.now(), context.random())
        if extended is not None:
            _logger.warning(
                "%s has no new credentials; those that expired at %s stay in use",
                self,
                latest.expires_at,
            )
        return extended


async def load_instance_region(context: ProviderContext) -> str | None:
    """Return the region of the EC2 instance; None outside EC2, or if the service is off or fails.

    Raises:
        ConfigurationError: a setting is invalid, or the profile does not exist.
    """
    settings = imds_settings(context.environ, await context.profile())
    if settings.is_disabled:
        return None
    try:
        return await _Service(context, settings).region()
    except (_AbsentError, CredentialsError) as error:
        _logger.debug("no region from the EC2 instance metadata service: %s", error)
        return None


class _AbsentError(Exception):
    """The service does not exist here, or has no credentials."""

    def __init__(self, reason: str, *, detected: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detected = detected


class _Service:
    """One exchange with the metadata service, with its own session token."""

    def __init__(self, context: ProviderContext, settings: ImdsSettings) -> None:
        self._context = context
        self._settings = settings
        self._origin = f"the response from {settings.host}"
        # An attribute, because error reporters send the locals of a frame that raises.
        self._token: str | None = None

    async def role_credentials(self) -> Credentials:
        await self._start_session()
        response = await self._fetch(role_name_request(self._settings, self._token))
        if response.status == 401:
            # The token expired, or the service lost it in a restart.
            await self._start_session()
            response = await self._fetch(role_name_request(self._settings, self._token))
        if response.status == 404:
            raise _AbsentError(f"{self._settings.host} has no IAM role for this instance")
        role = parse_role_name(response, self._origin)
        response = await self._fetch(role_credentials_request(self._settings, role, self._token))
        return parse_credentials(response, self._origin)

    async def region(self) -> str:
        await self._start_session()
        request = region_request(self._settings, self._token)
        return parse_region(await self._fetch(request), self._origin)

    async def _start_session(self) -> None:
        self._token = None
        try:
            response = await self._send(token_request(self._settings))
        except TransportTimeout as error:
            if error.limit == "connect":
                raise _AbsentError(str(error), detected=False) from None
            if self._settings.allows_v1:
                return
            # By default the response with the token crosses only one hop, so it does not reach a
            # container with bridged networking.
            raise _AbsentError(
                f"{error}; in a container, the instance's HttpPutResponseHopLimit must be 2 or more"
            ) from None
        except ConnectionFailed as error:
            raise _AbsentError(str(error), detected=False) from None
        except TransportError as error:
            raise no_response(error) from None
        if response.status in {403, 404, 405}:
            if self._settings.allows_v1:
                return
            raise _AbsentError(
                f"{self._settings.host} rejects the request for an IMDSv2 token with status"
                f" {response.status}"
            )
        self._token = parse_token(response, self._origin)

    async def _fetch(self, request: FetchRequest) -> FetchedResponse:
        try:
            return await self._send(request)
        except TransportError as error:
            raise no_response(error) from None

    async def _send(self, request: FetchRequest) -> FetchedResponse:
        timeout = self._settings.timeout
        return await self._context.fetch(
            request,
            timeout=2 * timeout,
            connect_timeout=timeout,
            attempts=self._settings.attempts,
            proxy=False,
        )

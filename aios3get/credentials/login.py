"""Credentials of a session of ``aws login``.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-login-credentials.html
"""

import asyncio
import logging
import os
import uuid
from typing import Final
from urllib.parse import urlsplit

from aios3get._config.shared_files import expand_path
from aios3get._config.small_files import read_small_file, replace_file
from aios3get._protocol.credentials.failure import credentials_error, no_response
from aios3get._protocol.credentials.login import (
    LoginSession,
    cache_file_name,
    create_token_request,
    load_key,
    parse_created_token,
    parse_session,
)
from aios3get._protocol.fetch import FetchRequest
from aios3get._protocol.identity import Credentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider
from aios3get.errors import CredentialsError, S3Error, TransportError

__all__ = ["Login"]

_logger: Final = logging.getLogger("aios3get")


class Login(Provider):
    """A provider of the credentials of a session of ``aws login``.

    The AWS CLI writes them to ``~/.aws/login/cache``, or to ``AWS_LOGIN_CACHE_DIRECTORY``. They
    expire after 15 minutes; in the last 5 minutes they are refreshed and written back, which
    requires the ``cryptography`` package.

    Args:
        session: the profile's ``login_session``.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        # The latest session that could not be written back.
        self._unsaved: LoginSession | None = None

    def __repr__(self) -> str:
        return f"Login({self._session!r})"

    def __str__(self) -> str:
        return f"the login session {self._session}"

    async def load(self, context: ProviderContext) -> Credentials:
        """Read the credentials, and refresh them if they expire within 5 minutes.

        Raises:
            CredentialsError: there is no session, or it has expired and cannot be refreshed.
            ConfigurationError: a setting is invalid, or the profile does not exist.
        """
        folder = context.environ.get("AWS_LOGIN_CACHE_DIRECTORY") or "~/.aws/login/cache"
        path = os.path.join(expand_path(folder, context.environ), cache_file_name(self._session))
        session, now = await self._latest(path), context.now()
        if not session.needs_refresh(now):
            return session.credentials
        try:
            return (await self._refresh(context, session, path)).credentials
        except S3Error as error:
            reason, retryable = str(error), error.retryable
        # Another process may have refreshed it, which invalidates this one's refresh token.
        session = await self._latest(path)
        if session.expires_at > now:
            _logger.warning("%s cannot be refreshed: %s", self, reason)
            return session.credentials
        raise credentials_error(
            f"{self} has ended: run `aws login` ({reason})", retryable=retryable
        )

    async def _latest(self, path: str) -> LoginSession:
        try:
            session = parse_session(await read_small_file(path), path)
        except OSError as error:
            raise CredentialsError(
                f"{self} is unknown: run `aws login` ({error.strerror}: {path})"
            ) from None
        unsaved = self._unsaved
        return session if unsaved is None or unsaved.expires_at < session.expires_at else unsaved

    async def _refresh(
        self, context: ProviderContext, session: LoginSession, path: str
    ) -> LoginSession:
        key = await asyncio.to_thread(load_key, session)
        endpoint = await context.endpoint("signin", session.sign_in_region)

        def request() -> FetchRequest:
            identifier = str(uuid.uuid4())
            return create_token_request(
                endpoint.url, session, key, identifier=identifier, now=context.now()
            )

        try:
            response = await context.fetch(request)
        except TransportError as error:
            raise no_response(error) from None
        origin = f"the response from {urlsplit(endpoint.url).netloc}"
        data = parse_created_token(response, origin, session, context.now())
        refreshed = parse_session(data, origin)
        try:
            await replace_file(path, data)
        except OSError as error:
            _logger.warning("%s cannot be saved: %s", self, error)
            self._unsaved = refreshed
        return refreshed

"""Endpoint, identity and signature of each attempt."""

import asyncio
from typing import cast

from aios3get._engine.attempt import Attempt
from aios3get._engine.call import Call
from aios3get._engine.client_state import ClientState
from aios3get._engine.express_sessions import ExpressSessions
from aios3get._protocol.endpoints.endpoint import Endpoint
from aios3get._protocol.get_object import GetObject, check_sendable
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.identity import (
    ANONYMOUS,
    Anonymous,
    BearerToken,
    Credentials,
    Identity,
)
from aios3get._protocol.object_request import ObjectRequest
from aios3get._protocol.options import CHECKSUM_MODE, REQUEST_PAYER, SSE_CUSTOMER_KEY
from aios3get._protocol.signing import sigv4a
from aios3get._protocol.signing.signed_request import signed_request
from aios3get.errors import ConfigurationError, S3Error

__all__ = ["Signer"]


class Signer:
    """Builds and signs the HTTP request of each attempt."""

    def __init__(self, state: ClientState, sessions: ExpressSessions) -> None:
        self._state = state
        self._sessions = sessions
        self._derived_for: Credentials | None = None

    def sign_nowait(self, call: Call, request: ObjectRequest) -> HttpRequest | None:
        """Set ``call.attempt`` and return the HTTP request; None if ``sign`` must be awaited.

        Raises:
            ParameterError: the request is invalid at its endpoint.
            ConfigurationError: the request would send a bearer token without encryption.
        """
        presigned = request.presigned
        if presigned is not None:
            call.attempt = Attempt(request)
            return presigned
        # A request that is not presigned is a GetObject.
        get_object = cast(GetObject, request)
        endpoint = self._resolve(call, get_object)
        identity = self._state.credentials.current()
        if identity is None or endpoint.auth != "sigv4":
            return None
        attempt = call.attempt = self._attempt(call, get_object, endpoint, identity)
        return self._sign(call.method, get_object, endpoint, identity, attempt)

    async def sign(self, call: Call, request: ObjectRequest) -> HttpRequest:
        """Set ``call.attempt`` and return the HTTP request; fetch credentials and sessions first.

        Raises:
            CredentialsError: there are no credentials.
            ServiceError: S3 refused a session of the directory bucket.
            TransportError: no response arrived about that session.
            ParameterError: as ``sign_nowait``.
            ConfigurationError: as ``sign_nowait``.
        """
        get_object = cast(GetObject, request)
        attempt, endpoint, identity = await self.prepare(call, get_object)
        return self._sign(call.method, get_object, endpoint, identity, attempt)

    async def prepare(self, call: Call, request: GetObject) -> tuple[Attempt, Endpoint, Identity]:
        """Set ``call.attempt``, and return it with the endpoint and the identity that signs.

        Raises:
            S3Error: as ``sign``.
        """
        endpoint = self._resolve(call, request)
        call.attempt = Attempt(request, endpoint)
        credentials = self._state.credentials
        identity = credentials.current()
        if identity is None:
            # An invalid request raises before a provider is called.
            self._check_sendable(request, endpoint)
            identity = await credentials.get()
            # Instance metadata provides the region along with the credentials.
            endpoint = self._resolve(call, request)
        attempt = call.attempt = self._attempt(call, request, endpoint, identity)
        if isinstance(identity, Credentials):
            if endpoint.auth == "sigv4a":
                await self._derive_key(identity)
            elif endpoint.auth == "sigv4-s3express":
                identity = await self._session(call, request, identity, attempt.clock_offset)
                attempt = call.attempt = attempt._replace(session=identity)
        return attempt, endpoint, identity

    def forget(self, attempt: Attempt) -> None:
        """Discard the credentials of the attempt, so that the next one gets newer ones."""
        if attempt.session is not None:
            self._sessions.invalidate(attempt.session)
        elif isinstance(attempt.identity, Credentials | BearerToken):
            self._state.credentials.invalidate(attempt.identity)

    def refreshable(self, attempt: Attempt) -> bool:
        """Whether there may be newer credentials than those of the attempt."""
        if attempt.session is not None:
            return True
        fixed = attempt.identity is None or isinstance(attempt.identity, Anonymous)
        return not fixed and self._state.credentials.refreshable

    def _resolve(self, call: Call, request: GetObject) -> Endpoint:
        region = call.region or self._state.regions.get(request.bucket)
        return self._state.resolver.resolve(request.bucket, region)

    def _attempt(
        self, call: Call, request: GetObject, endpoint: Endpoint, identity: Identity
    ) -> Attempt:
        if not isinstance(identity, Credentials):
            _check_confidential(identity, endpoint)
        headers = request.headers
        if request.query or SSE_CUSTOMER_KEY in headers or REQUEST_PAYER in headers:
            self._check_sendable(request, endpoint, anonymous=identity is ANONYMOUS)
        state, offset = self._state, call.clock_offset
        requests_checksum = (
            request.checksum_mode is None
            and state.validate_checksums
            and call.method == "GET"
            and endpoint.host not in state.without_checksum_mode
        )
        return Attempt(
            request,
            endpoint,
            identity,
            None,
            requests_checksum,
            state.clock_offset if offset is None else offset,
        )

    def _sign(
        self,
        method: str,
        request: GetObject,
        endpoint: Endpoint,
        identity: Identity,
        attempt: Attempt,
    ) -> HttpRequest:
        headers = request.headers
        if attempt.requests_checksum:
            headers = {**headers, CHECKSUM_MODE: "ENABLED"}
        path, now = "/" + request.path, self._state.clock() + attempt.clock_offset
        return signed_request(method, endpoint, path, request.query, headers, identity, now)

    async def _session(
        self, call: Call, request: GetObject, identity: Credentials, offset: float
    ) -> Credentials:
        try:
            return await self._sessions.get(request.bucket, identity, offset)
        except S3Error:
            call.attempts += 1
            raise

    async def _derive_key(self, identity: Credentials) -> None:
        if identity is not self._derived_for:
            # The first use imports cryptography and derives a key: about 100 ms.
            await asyncio.to_thread(
                sigv4a.signing_key, identity.access_key_id, identity.secret_access_key
            )
            self._derived_for = identity

    def _check_sendable(
        self, request: GetObject, endpoint: Endpoint, *, anonymous: bool = False
    ) -> None:
        check_sendable(
            request,
            anonymous=anonymous,
            scheme=endpoint.scheme,
            directory_bucket=endpoint.kind == "directory",
            allow_insecure_sse_customer_key=self._state.allow_insecure_sse_customer_key,
        )


def _check_confidential(identity: BearerToken | Anonymous, endpoint: Endpoint) -> None:
    # RFC 6750 section 5.3: whoever reads a bearer token can use it, so it requires TLS.
    if isinstance(identity, BearerToken) and not endpoint.is_confidential:
        raise ConfigurationError(
            f"the bearer token would be sent to {endpoint.host} without encryption;"
            " use an endpoint_url with https, or sign with HMAC keys (Credentials)"
        )

"""One request → one good answer: resolve, sign, send, judge, then wait or correct, and again.

The only place where a failed attempt becomes another one. Each attempt is built, stamped and
signed anew, with the credentials, the clock and the region known by then.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from aios3get._engine.call import Call
from aios3get._engine.client_state import ClientState
from aios3get._engine.express_sessions import ExpressSessions
from aios3get._http.limiter import Permit
from aios3get._http.transport import Response, Transport
from aios3get._protocol import error_response
from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.get_object import GetObject, check_sendable
from aios3get._protocol.http import HttpRequest
from aios3get._protocol.identity import (
    ANONYMOUS,
    Anonymous,
    BearerToken,
    Credentials,
    Identity,
)
from aios3get._protocol.options import CHECKSUM_MODE, REQUEST_PAYER, SSE_CUSTOMER_KEY
from aios3get._protocol.retry import (
    Budget,
    CorrectClock,
    DropChecksumMode,
    RefreshCredentials,
    Sent,
    SwitchRegion,
    Wait,
)
from aios3get._protocol.signing import sigv4a
from aios3get._protocol.signing.presign import PresignedUrl, presign_url
from aios3get._protocol.signing.signed_request import signed_request
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import (
    AuthorizationHeaderMalformed,
    ConfigurationError,
    ConnectionLost,
    S3Error,
    ServiceError,
    WrongRegion,
)

__all__ = ["Exchange", "taken"]

T = TypeVar("T")

_log: Final = logging.getLogger("aios3get")

_BUCKET_REGION: Final = "x-amz-bucket-region"

# Errors tell the request ids of as many answers.
_HEADS: Final = 16


class Exchange:
    """The attempts of all calls of one client on one event loop.

    Attributes:
        guard: what closes the transport once nobody holds it. Calls and bodies hold their exchange,
            so their connections outlive a client that nobody holds any more.
    """

    guard: object = None

    def __init__(self, shared: ClientState, transport: Transport) -> None:
        self.shared = shared
        self.transport = transport
        self._sessions = ExpressSessions(shared, transport)
        self._derived_for: Credentials | None = None

    async def answer(self, call: Call, made: Callable[["Exchange", Call, Response], T]) -> T:
        """What is made of a 200 or 206 answer to the call's request, whatever its deadline.

        Args:
            call: its attempts so far count.
            made: ``taken`` for the answer itself, its body unread.

        Raises:
            ServiceError: S3 refuses, and no retry or correction helps.
            TransportError: no answer came, within the retry policy.
            CredentialsError: there are none to sign with.
            ConfigurationError: the request cannot be right.
        """
        while True:
            try:
                permit = await self._acquire(call)
                # Signed once there is a permit: a signature grows old while it waits.
                try:
                    request = self._prepared(call) or await self._prepare(call)
                except BaseException:
                    permit.release()
                    raise
                call.attempts += 1
                answer = await self.transport.send(request, permit, fresh=call.fresh)
                call.heads += (answer.headers,)
                if answer.status in (200, 206):
                    if call.budget is None:
                        self.shared.quota.give()
                    else:
                        call.budget.answered()
                        self._learn(call)
                    if call.deadline is not None:
                        call.watchdog = self.transport.watchdog
                    if _log.isEnabledFor(logging.DEBUG):
                        self._log(call, answer.status)
                    break
                error: S3Error = await self._refusal(call, answer)
            except S3Error as failure:
                error = failure
            except asyncio.CancelledError:
                call.watchdog = self.transport.watchdog  # the deadline may have ended it
                raise
            self._log(call, getattr(error, "status", type(error).__name__))
            try:
                await self.recover(call, error)
            finally:
                # Its traceback holds this frame, and those of all callers with all they hold.
                del error
        return made(self, call, answer)

    async def _acquire(self, call: Call) -> Permit:
        place = call.opened_at
        return self.transport.try_acquire(place) or await self.transport.acquire(place)

    async def recover(self, call: Call, error: S3Error) -> None:
        """Wait, or correct what ``error`` shows to be wrong; raise it if neither helps."""
        call.watchdog = self.transport.watchdog
        budget = call.budget
        if budget is None:
            budget = call.budget = Budget(self.shared.retry, self.shared.quota)
        decision = budget.decide(error, self._sent(call, error), random.random())
        # A connection kept alive may have been closed by S3 meanwhile; a new one tells.
        call.fresh = True
        # A long download may be interrupted without end.
        call.heads = call.heads[-_HEADS:]
        match decision:
            case Wait(seconds):
                if seconds:
                    await self._pause(call, seconds, error)
            case SwitchRegion(region):
                call.region = region
            case RefreshCredentials():
                self._forget(call)
            case CorrectClock(offset):
                self.shared.clock_offset = offset.total_seconds()
            case DropChecksumMode():
                self.shared.without_checksum_mode.add(call.host)
            case _:
                try:
                    raise call.told(error)
                finally:
                    del error

    async def _pause(self, call: Call, seconds: float, why: S3Error) -> None:
        """Wait before the next attempt, unless the client is closed."""
        ended = await self.transport.pause(seconds)
        if ended is not None:
            raise call.told(ended) from why

    def _learn(self, call: Call) -> None:
        """The region that an answer came from is the bucket's."""
        if call.region is not None:
            self.shared.remember_region(call.request.bucket, call.region)

    async def presign(self, request: GetObject, expires_in: int | timedelta) -> PresignedUrl:
        """A link for the request, signed now.

        Raises:
            CredentialsError: there are no credentials to sign with, or they have expired.
            ConfigurationError: the request cannot be right.
            ServiceError: no session of the directory bucket can be had.
            TransportError: the same, for want of an answer.
        """
        call = Call("GET", request)
        endpoint, identity = await self._patient_signer(call)
        return presign_url(
            endpoint,
            "/" + request.path,
            request.query,
            request.headers,
            identity=identity,
            now=self.shared.now(),
            expires_in=expires_in,
        )

    async def _patient_signer(self, call: Call) -> tuple[Endpoint, Identity]:
        """As ``_signer``, tried again as requests are: it may have to ask the network."""
        while True:
            try:
                return await self._signer(call)
            except S3Error as failure:
                error = failure
            try:
                await self.recover(call, error)
            finally:
                del error  # its traceback holds this frame

    def _prepared(self, call: Call) -> HttpRequest | None:
        """The attempt's request, where nothing has to be awaited for it; else None."""
        request = call.request
        if isinstance(request, UrlRequest):
            return HttpRequest(call.method, request.url, request.headers)
        shared = self.shared
        identity = shared.credentials.current()
        if identity is None:
            return None
        region = call.region or shared.regions.get(request.bucket)
        endpoint = call.endpoint = shared.resolver.resolve(request.bucket, region)
        if endpoint.auth != "sigv4":
            return None
        self._check(call, request, endpoint, identity)
        return self._signed(call, request, endpoint, identity)

    async def _prepare(self, call: Call) -> HttpRequest:
        """The attempt's request, with what it takes from elsewhere."""
        request = call.request
        assert isinstance(request, GetObject)
        endpoint, identity = await self._signer(call)
        return self._signed(call, request, endpoint, identity)

    def _signed(
        self, call: Call, request: GetObject, endpoint: Endpoint, identity: Identity
    ) -> HttpRequest:
        headers = request.headers
        if request.checksum_mode is None:
            call.offered_checksum = self._offers_checksum_mode(call.method, endpoint)
            if call.offered_checksum:
                headers = {**headers, CHECKSUM_MODE: "ENABLED"}
        path, now = "/" + request.path, self.shared.now()
        return signed_request(call.method, endpoint, path, request.query, headers, identity, now)

    async def _signer(self, call: Call) -> tuple[Endpoint, Identity]:
        """Where the call goes and who signs it, as far as is known now."""
        request, shared = call.request, self.shared
        assert isinstance(request, GetObject)
        # What no endpoint fits, or may not go there whoever signs, is refused before a provider is
        # asked.
        region = call.region or shared.regions.get(request.bucket)
        endpoint = call.endpoint = shared.resolver.resolve(request.bucket, region)
        identity = shared.credentials.current()
        if identity is None:
            self._check_sendable(request, endpoint)
            identity = await shared.credentials.get()
        self._check(call, request, endpoint, identity)
        if endpoint.auth == "sigv4" or not isinstance(identity, Credentials):
            return endpoint, identity
        if endpoint.auth == "sigv4a":
            await self._derive_key(identity)
            return endpoint, identity
        # Until there is one, what S3 refuses is the identity.
        call.session = None
        try:
            call.session = await self._sessions.get(request.bucket, identity)
        except S3Error:
            call.attempts += 1
            raise
        return endpoint, call.session

    def _check(
        self, call: Call, request: GetObject, endpoint: Endpoint, identity: Identity
    ) -> None:
        """Take the identity for the call, if the request may go to the endpoint so signed."""
        call.identity = identity
        if not isinstance(identity, Credentials):
            _check_confidential(identity, endpoint)
        headers = request.headers
        if request.query or SSE_CUSTOMER_KEY in headers or REQUEST_PAYER in headers:
            self._check_sendable(request, endpoint, anonymous=identity is ANONYMOUS)

    def _check_sendable(
        self, request: GetObject, endpoint: Endpoint, *, anonymous: bool = False
    ) -> None:
        check_sendable(
            request,
            anonymous=anonymous,
            scheme=endpoint.scheme,
            directory_bucket=endpoint.kind == "directory",
            allow_insecure_sse_customer_key=self.shared.allow_insecure_sse_customer_key,
        )

    async def _derive_key(self, identity: Credentials) -> None:
        if identity is not self._derived_for:
            # The first use imports cryptography and derives a key: some 100 ms.
            await asyncio.to_thread(
                sigv4a.signing_key, identity.access_key_id, identity.secret_access_key
            )
            self._derived_for = identity

    def _offers_checksum_mode(self, method: str, endpoint: Endpoint) -> bool:
        # Other stores answer 501 to the header or compute it wrongly over ranges.
        shared = self.shared
        return (
            shared.validate_checksums
            and endpoint.is_aws
            and method == "GET"
            and endpoint.host not in shared.without_checksum_mode
        )

    async def _refusal(self, call: Call, answer: Response) -> ServiceError:
        request = call.request
        body, bucket_region = b"", ""
        if call.method == "HEAD":
            answer.close()
            if answer.status == 400 and _BUCKET_REGION not in answer.headers:
                bucket_region = await self._bucket_region(call)
        else:
            body = await answer.read_error_body(
                error_response.MAX_ERROR_BODY, self.shared.timeouts.idle
            )
        error = error_response.parse(
            answer.head,
            body,
            method=call.method,
            bucket=request.bucket,
            key=request.key,
            version_id=request.version_id,
            signed_region=call.endpoint.signing_region if call.endpoint else None,
            bucket_region=bucket_region,
        )
        if not isinstance(error, WrongRegion | AuthorizationHeaderMalformed):
            self._learn(call)
        return error

    async def _bucket_region(self, call: Call) -> str:
        """The bucket's region, which S3 does not name where it refuses HeadObject for it.

        HeadBucket is told it, whatever the status.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
        """
        endpoint, identity = call.endpoint, call.identity
        if endpoint is None or identity is None or not endpoint.corrects_region or call.region:
            return ""
        now = self.shared.now()
        asked = signed_request("HEAD", endpoint, "/", (), {}, identity, now)
        answer = await self.transport.send(asked, await self._acquire(call))
        answer.close()
        return answer.headers.get(_BUCKET_REGION, "")

    def _sent(self, call: Call, error: S3Error) -> Sent:
        endpoint = call.endpoint
        return Sent(
            # Somebody else's link was signed with their clock.
            now=datetime.fromtimestamp(self.shared.clock(), UTC) if endpoint else None,
            clock_offset=timedelta(seconds=self.shared.clock_offset),
            region=endpoint.signing_region if endpoint and endpoint.corrects_region else None,
            refreshable=call.session is not None
            or (
                call.identity is not None
                and not isinstance(call.identity, Anonymous)
                and self.shared.credentials.refreshable
            ),
            checksum_mode=call.offered_checksum,
            stale=isinstance(error, ConnectionLost) and error.reused,
        )

    def _forget(self, call: Call) -> None:
        """Have the next attempt signed with newer credentials."""
        if call.session is not None:
            self._sessions.invalidate(call.session)
        elif isinstance(call.identity, Credentials | BearerToken):
            self.shared.credentials.invalidate(call.identity)

    def _log(self, call: Call, outcome: object) -> None:
        _log.debug(
            "%s %r at %s: %s (attempt %d)",
            call.method,
            call.request.key,
            call.endpoint.host if call.endpoint else "a presigned URL",
            outcome,
            call.attempts,
        )


def taken(_exchange: Exchange, _call: Call, answer: Response) -> Response:
    """The answer as it is."""
    return answer


def _check_confidential(identity: BearerToken | Anonymous, endpoint: Endpoint) -> None:
    # RFC 6750 section 5.3: whoever reads a bearer token can use it, so it takes TLS.
    if isinstance(identity, BearerToken) and not endpoint.is_confidential:
        raise ConfigurationError(
            f"the bearer token would cross the network readable on its way to {endpoint.host};"
            " use an endpoint_url with https, or sign with HMAC keys (Credentials)"
        )

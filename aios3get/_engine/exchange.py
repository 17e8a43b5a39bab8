"""The attempt loop: sends one request until it has a good response."""

import asyncio
import logging
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from aios3get._engine.attempt import Observation
from aios3get._engine.bucket_region import find_bucket_region, lacks_bucket_region
from aios3get._engine.buffers import BufferPool
from aios3get._engine.call import Call
from aios3get._engine.client_state import ClientState
from aios3get._engine.express_sessions import ExpressSessions
from aios3get._engine.signer import Signer
from aios3get._http.transport import Response, Transport
from aios3get._protocol import error_response
from aios3get._protocol.object_request import ObjectRequest
from aios3get._protocol.retry import (
    Budget,
    CorrectClock,
    DropChecksumMode,
    GiveUp,
    RefreshCredentials,
    Sent,
    SwitchRegion,
    Wait,
)
from aios3get.errors import (
    AuthorizationHeaderMalformed,
    ConnectionLost,
    S3Error,
    ServiceError,
    WrongRegion,
)

__all__ = ["Exchange"]

# S3 sends these only after it has accepted the signature.
_SIGNATURE_ACCEPTED: Final = frozenset({200, 206, 304, 404, 412, 416})

_log: Final = logging.getLogger("aios3get")


class Exchange:
    """Sends the requests of one client on one event loop, with retries and corrections.

    Every attempt acquires a permit. It is signed after that, with the credentials, clock and region
    that are known by then.

    Attributes:
        state: the configuration of the client, and facts from responses.
        transport: sends the requests.
        signer: signs each attempt.
        buffers: memory of finished reads, for the next ones.
        guard: closes the transport when it is collected. Calls and bodies refer to their exchange,
            so their connections stay open after the client object is collected.
    """

    guard: object = None

    def __init__(self, state: ClientState, transport: Transport) -> None:
        self.state = state
        self.transport = transport
        self.signer = Signer(state, ExpressSessions(state, transport))
        self.buffers = BufferPool()

    async def send(self, call: Call, request: ObjectRequest) -> Response:
        """Send the request until a response has status 200 or 206, and return that response.

        Args:
            call: counts the attempts; its deadline and retry budget apply.
            request: the call's own request, or one for the rest of its body.

        Raises:
            ServiceError: S3 refused, and neither a retry nor a correction helps.
            TransportError: no response arrived within the retry policy.
            CredentialsError: there are no credentials to sign with.
            ParameterError: the request is invalid at its endpoint.
        """
        transport, signer, on_attempt = self.transport, self.signer, self.state.on_attempt
        if call.deadline is not None:
            call.watchdog = transport.watchdog
        if call.not_before is not None:
            await self.wait(call)
        while True:
            try:
                if on_attempt is not None:
                    call.observation = Observation(on_attempt, call.method)
                place = call.opened_at
                permit = transport.try_acquire(place) or await transport.acquire(place)
                # Signed after the wait for a permit, because a signature expires.
                try:
                    http = signer.sign_nowait(call, request) or await signer.sign(call, request)
                except BaseException:
                    permit.release()
                    raise
                call.sending()
                response = await transport.send(http, permit, fresh=call.fresh, take=call.take)
                call.responded(response)
                if response.status in (200, 206):
                    self._accept(call, response)
                    return response
                raise await self._error(call, response)
            except asyncio.CancelledError as error:
                call.end_attempt(error)
                raise
            except S3Error as error:
                call.end_attempt(error)
                if not self.recover(call, error):
                    raise
                await self.wait(call, error)

    def recover(self, call: Call, error: S3Error, resume_at: int | None = None) -> bool:
        """Return whether another attempt may succeed; if so, prepare the call for it.

        Args:
            call: counts the attempts; its retry budget applies.
            error: the error of the latest attempt.
            resume_at: offset in the object of the first byte that was not received; None before
                the first response.
        """
        if resume_at is None and _log.isEnabledFor(logging.DEBUG):
            _log.debug(
                "%s: %s after %d ms (attempt %d)",
                call.name,
                _describe(error),
                call.milliseconds,
                call.attempts,
            )
        budget = call.budget
        if budget is None:
            budget = call.budget = Budget(self.state.retry, self.state.quota)
        decision = budget.decide(error, self._sent(call, error), random.random())
        attempt = call.attempt
        match decision:
            case GiveUp():
                return False
            case Wait(seconds):
                call.not_before = time.monotonic() + seconds if seconds else None
            case SwitchRegion(region):
                call.region = region
            case CorrectClock(offset):
                call.clock_offset = offset.total_seconds()
            case RefreshCredentials():
                assert attempt is not None
                self.signer.forget(attempt)
            case DropChecksumMode():
                assert attempt is not None
                assert attempt.endpoint is not None
                self.state.without_checksum_mode.add(attempt.endpoint.host)
        # S3 may have closed a connection that was kept alive.
        call.fresh = True
        if _log.isEnabledFor(logging.INFO):
            due = call.not_before
            _log.info(
                "%s: %s in %d ms, because of %s after %d ms (attempt %d)",
                call.name,
                "retry" if resume_at is None else f"resume at byte {resume_at}",
                0 if due is None else max(0.0, due - time.monotonic()) * 1000,
                _describe(error),
                call.milliseconds,
                call.attempts,
            )
        return True

    async def wait(self, call: Call, cause: S3Error | None = None) -> None:
        """Wait until the next attempt of the call is due.

        If the wait is cancelled, the next one continues it.

        Raises:
            ConnectionLost: the client was closed; ``cause`` is its cause.
        """
        due = call.not_before
        if due is not None and (seconds := due - time.monotonic()) > 0:
            ended = await self.transport.pause(seconds)
            if ended is not None:
                raise ended from cause
        call.not_before = None

    def _accept(self, call: Call, response: Response) -> None:
        if call.budget is None:
            self.state.quota.refill()
        else:
            call.budget.responded()
            self._learn(call, response.status)
        if self.state.clock_offset:
            self.state.check_clock(response.headers.get("Date", ""))
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug(
                "%s: %d after %d ms (attempt %d)",
                call.name,
                response.status,
                call.milliseconds,
                call.attempts,
            )

    def _learn(self, call: Call, status: int) -> None:
        """Remember the region and the clock that a response has confirmed."""
        if call.region is not None:
            self.state.remember_region(call.request.bucket, call.region)
        if call.clock_offset is not None and status in _SIGNATURE_ACCEPTED:
            self.state.clock_offset = call.clock_offset

    async def _error(self, call: Call, response: Response) -> ServiceError:
        body = b""
        if call.method == "HEAD":
            response.close()
        else:
            body = await response.read_error_body(
                error_response.MAX_ERROR_BODY, self.state.timeouts.idle
            )
        error = _parse(call, response, body)
        if lacks_bucket_region(call, response):
            call.end_attempt(error)
            region = await find_bucket_region(self.transport, self.state, call)
            error = _parse(call, response, body, region)
        if not isinstance(error, WrongRegion | AuthorizationHeaderMalformed):
            self._learn(call, response.status)
        return error

    def _sent(self, call: Call, error: S3Error) -> Sent:
        attempt = call.attempt
        stale = isinstance(error, ConnectionLost) and error.reused
        if attempt is None or attempt.endpoint is None:
            # A presigned link was signed elsewhere, by another clock and with other credentials.
            return Sent(stale=stale)
        endpoint = attempt.endpoint
        return Sent(
            now=datetime.fromtimestamp(self.state.clock(), UTC),
            clock_offset=timedelta(seconds=attempt.clock_offset),
            region=endpoint.signing_region if endpoint.corrects_region else None,
            refreshable=self.signer.refreshable(attempt),
            checksum_mode=attempt.requests_checksum,
            stale=stale,
        )


def _describe(error: S3Error) -> str:
    kind = type(error).__name__
    return f"{kind} [{error.status}]" if isinstance(error, ServiceError) else kind


def _parse(call: Call, response: Response, body: bytes, bucket_region: str = "") -> ServiceError:
    request, endpoint = call.request, call.attempt and call.attempt.endpoint
    return error_response.parse(
        response.head,
        body,
        method=call.method,
        bucket=request.bucket,
        key=request.key,
        version_id=request.version_id,
        signed_region=endpoint.signing_region if endpoint else None,
        bucket_region=bucket_region,
    )

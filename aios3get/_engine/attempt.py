"""One attempt of a call, and the measurements for ``on_attempt``."""

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from aios3get._http.transport import Response
from aios3get._protocol.attempt_record import AttemptRecord
from aios3get._protocol.endpoints.endpoint import Endpoint
from aios3get._protocol.identity import Credentials, Identity
from aios3get._protocol.object_request import ObjectRequest

__all__ = ["Attempt", "Observation"]

_log: Final = logging.getLogger("aios3get")


class Attempt(NamedTuple):
    """How one attempt is sent.

    A tuple, because every call makes one: a frozen dataclass takes four times as long.

    Attributes:
        request: the request of the attempt.
        endpoint: the endpoint that it is sent to; None for a presigned link.
        identity: the client's identity; None for a presigned link, or until it is known.
        session: the directory-bucket session that signs instead of the identity.
        requests_checksum: whether the client requests stored checksums by default.
        clock_offset: seconds added to the local clock for the signature.
    """

    request: ObjectRequest
    endpoint: Endpoint | None = None
    identity: Identity | None = None
    session: Credentials | None = None
    requests_checksum: bool = False
    clock_offset: float = 0.0


class Observation:
    """Measures one attempt, from the wait for its permit to the end of its body.

    Args:
        hook: the client's ``on_attempt``.
        method: the HTTP method.
    """

    def __init__(self, hook: Callable[[AttemptRecord], object], method: str) -> None:
        self._hook = hook
        self._method = method
        self._begun = time.monotonic()
        self._sent: float | None = None
        self._number = 0
        self._attempt: Attempt | None = None
        self._responded: float | None = None
        self._response: Response | None = None

    def sent(self, attempt: Attempt | None, number: int) -> None:
        """Record that the attempt is being sent; ``number`` counts the attempts of the call."""
        self._attempt, self._number = attempt, number
        self._sent = time.monotonic()

    def responded(self, response: Response) -> None:
        """Record that the head of the response has arrived."""
        self._response = response
        self._responded = time.monotonic()

    def end(self, error: BaseException | None = None, bytes_received: int = 0) -> None:
        """Call the hook with a record of the attempt: once, and only if it was sent."""
        sent, attempt, response = self._sent, self._attempt, self._response
        if sent is None or attempt is None:
            return
        self._sent = None
        endpoint = attempt.endpoint
        record = AttemptRecord(
            method=self._method,
            bucket=attempt.request.bucket,
            key=attempt.request.key,
            attempt=self._number,
            host=endpoint.host if endpoint else "",
            region=endpoint.signing_region if endpoint else None,
            status=response.status if response else None,
            error=type(error).__name__ if error else None,
            request_id=response.headers.get("x-amz-request-id") if response else None,
            bytes_received=bytes_received,
            queued=sent - self._begun,
            response_time=self._responded - sent if self._responded else None,
            elapsed=time.monotonic() - sent,
        )
        try:
            self._hook(record)
        except Exception:
            _log.exception("on_attempt raised an exception; the call ignores it")

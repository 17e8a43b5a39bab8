"""``AttemptRecord``: the argument of a client's ``on_attempt`` hook."""

from dataclasses import dataclass

__all__ = ["AttemptRecord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One request of a call and its response, with the body if one was read.

    A call makes one attempt, and further ones where it is retried, corrected or resumed.

    Attributes:
        method: ``GET`` or ``HEAD``.
        bucket: the bucket as the caller wrote it; empty for a presigned link.
        key: the key as the caller wrote it, or the path of a presigned link.
        attempt: the number of the attempt within its call, from 1; where a call makes several
            requests at once, each of them counts its own.
        host: the host that the request went to; empty for a presigned link.
        region: the region of the signature; None for a presigned link.
        status: the HTTP status; None if no response arrived.
        error: the name of the exception's class, such as ``ConnectionLost``; None if the attempt
            succeeded.
        request_id: ``x-amz-request-id`` of the response.
        bytes_received: the number of bytes of the body that were received.
        queued: seconds until the attempt had a ``max_concurrency`` permit and was signed.
        response_time: seconds from then to the head of the response; None if no response arrived.
        elapsed: seconds from then to the end of the attempt.
    """

    method: str
    bucket: str
    key: str
    attempt: int
    host: str
    region: str | None
    status: int | None
    error: str | None
    request_id: str | None
    bytes_received: int
    queued: float
    response_time: float | None
    elapsed: float

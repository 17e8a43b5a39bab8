"""Presigned URLs, signed with what the client knows at the time."""

from datetime import timedelta

from aios3get._engine.call import Call
from aios3get._engine.exchange import Exchange
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.signing.presign import PresignedUrl, presign_url
from aios3get.errors import S3Error

__all__ = ["presign"]


async def presign(
    exchange: Exchange, call: Call, request: GetObject, expires_in: int | timedelta
) -> PresignedUrl:
    """A presigned URL for the request.

    Credentials, and a session where the bucket is a directory bucket, may come from the network;
    that is retried as requests are.

    Raises:
        CredentialsError: there are no credentials, or they have expired.
        ParameterError: the request or ``expires_in`` is invalid.
        ServiceError: S3 refused a session of the directory bucket.
        TransportError: no response arrived about that session.
    """
    while True:
        try:
            attempt, endpoint, identity = await exchange.signer.prepare(call, request)
            break
        except S3Error as error:
            if not exchange.recover(call, error):
                raise
            await exchange.wait(call, error)
    return presign_url(
        endpoint,
        "/" + request.path,
        request.query,
        request.headers,
        identity=identity,
        now=exchange.state.clock() + attempt.clock_offset,
        expires_in=expires_in,
    )

"""Creates presigned URLs."""

from datetime import timedelta

from aios3get._engine.call import Call
from aios3get._engine.exchange import Exchange
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.presigned_url import PresignedUrl
from aios3get._protocol.signing.presign import presign_url
from aios3get.errors import S3Error

__all__ = ["presign"]


async def presign(
    exchange: Exchange, call: Call, request: GetObject, expires_in: int | timedelta
) -> PresignedUrl:
    """Return a presigned URL for the request.

    If credentials or a directory-bucket session have to be fetched, the retry policy applies.

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

"""The region of a bucket that S3 does not name where it refuses a HEAD.

HeadBucket names the region whatever its own status is:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
"""

from typing import Final

from aios3get._engine.call import Call
from aios3get._http.transport import Response, Transport
from aios3get._protocol.signing.signed_request import signed_request

__all__ = ["BUCKET_REGION", "find_bucket_region"]

BUCKET_REGION: Final = "x-amz-bucket-region"


async def find_bucket_region(
    transport: Transport, call: Call, response: Response, clock: float
) -> str:
    """The region of the call's bucket, or an empty text if it is known or cannot be found.

    The HeadBucket request counts as an attempt of the call.

    Args:
        transport: where to send it.
        call: a HEAD call.
        response: the response that refuses it; its permit has been released.
        clock: seconds since the epoch by the local clock.

    Raises:
        TransportError: no response arrived.
    """
    attempt = call.attempt
    if response.status != 400 or BUCKET_REGION in response.headers or call.region:
        return ""
    if attempt is None or attempt.endpoint is None or attempt.identity is None:
        return ""
    if not attempt.endpoint.corrects_region:
        return ""
    permit = transport.try_acquire(call.opened_at) or await transport.acquire(call.opened_at)
    now = clock + attempt.clock_offset
    request = signed_request("HEAD", attempt.endpoint, "/", (), {}, attempt.identity, now)
    call.attempts += 1
    found = await transport.send(request, permit)
    call.record(found.headers)
    found.close()
    return found.headers.get(BUCKET_REGION, "")

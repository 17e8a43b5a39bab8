"""Finds the region of a bucket when the response to a HEAD does not name it.

HeadBucket returns the region with every status:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
"""

from typing import Final

from aios3get._engine.attempt import Observation
from aios3get._engine.call import Call
from aios3get._engine.client_state import ClientState
from aios3get._http.transport import Response, Transport
from aios3get._protocol.signing.signed_request import signed_request

__all__ = ["find_bucket_region", "lacks_bucket_region"]

_BUCKET_REGION: Final = "x-amz-bucket-region"


def lacks_bucket_region(call: Call, response: Response) -> bool:
    """Whether the bucket may be in another region that the response to a HEAD does not name."""
    endpoint = call.attempt and call.attempt.endpoint
    return (
        call.method == "HEAD"
        and response.status == 400
        and _BUCKET_REGION not in response.headers
        and call.region is None
        and endpoint is not None
        and endpoint.corrects_region
    )


async def find_bucket_region(transport: Transport, state: ClientState, call: Call) -> str:
    """Return the region of the call's bucket; an empty string if S3 does not name it.

    The HeadBucket request counts as an attempt of the call.

    Raises:
        TransportError: no response arrived.
    """
    attempt = call.attempt
    assert attempt is not None
    assert attempt.endpoint is not None
    assert attempt.identity is not None
    if state.on_attempt is not None:
        call.observation = Observation(state.on_attempt, "HEAD")
    permit = transport.try_acquire(call.opened_at) or await transport.acquire(call.opened_at)
    now = state.clock() + attempt.clock_offset
    request = signed_request("HEAD", attempt.endpoint, "/", (), {}, attempt.identity, now)
    call.sending()
    response = await transport.send(request, permit)
    call.responded(response)
    response.close()
    if call.observation is not None:
        call.observation.end()
    return response.headers.get(_BUCKET_REGION, "")

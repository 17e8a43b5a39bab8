"""An object opened: its answer taken, held against the request, and made readable."""

from typing import Final

from aios3get import errors
from aios3get._engine.call import Call
from aios3get._engine.exchange import Exchange
from aios3get._engine.s3_object import S3Object
from aios3get._http.transport import Response
from aios3get._protocol.checksum import Unverified, Verifier, plan
from aios3get._protocol.extent import extent_of

__all__ = ["opened"]

_TRANSFORMED: Final = Unverified("an Object Lambda function wrote the answer")
_SLICED: Final = Unverified("the server ignored the range and sent everything")


def opened(exchange: Exchange, call: Call, answer: Response) -> S3Object:
    """The object that the call asked for, its body unread.

    Raises:
        RangeMismatch: the answer holds other bytes.
    """
    request, status, headers = call.request, answer.status, answer.headers
    try:
        extent = extent_of(status, headers, request.range, request.part_number)
    except errors.RangeMismatch as error:
        answer.close()
        raise call.told(error) from None
    if not extent.delimited and not answer.from_wire:
        # A double has no framing, so whatever it holds is whole.
        extent = extent._replace(delimited=True)
    verifier: Verifier | Unverified
    if call.endpoint is not None and call.endpoint.is_transformed:
        verifier = _TRANSFORMED
    elif extent.sliced or extent.skip:
        verifier = _SLICED
    else:
        asked = call.offered_checksum or request.checksum_mode
        verifier = plan(headers, status, request.part_number is not None, asked)
    return S3Object(exchange, call, answer, extent, verifier)

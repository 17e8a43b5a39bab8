"""Lists the keys of a bucket page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable

from aios3get._engine.call import Call
from aios3get._engine.exchange import Exchange
from aios3get._engine.s3_object import S3Object
from aios3get._engine.stream import ByteStream
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.list_objects import ListPage, list_query, parse_page
from aios3get._protocol.options import REQUEST_PAYER

__all__ = ["list_pages"]


async def list_pages(
    get_exchange: Callable[[], Awaitable[Exchange]],
    bucket: str,
    prefix: str,
    *,
    delimiter: str = "",
    max_keys: int | None = None,
    request_payer: str | None = None,
) -> AsyncIterator[ListPage]:
    """Iterate over the pages of a listing, in the order of the keys.

    Args:
        get_exchange: returns the exchange of the running event loop.
        bucket: as for ``get_object``.
        prefix: the prefix of the keys to list; empty for all keys.
        delimiter: groups the keys that share the text up to its next occurrence.
        max_keys: the most entries in a page.
        request_payer: ``"requester"`` to pay for the requests.

    Raises:
        IntegrityError: a response is not a listing.
        S3Error: as for ``get_object``.
    """
    headers = {} if request_payer is None else {REQUEST_PAYER: request_payer}
    token: str | None = None
    while True:
        query = list_query(prefix, delimiter=delimiter, token=token, max_keys=max_keys)
        # A listing is a GET of the bucket itself, so the key is empty.
        request = GetObject(bucket, "", "", headers, query, checksum_mode=False)
        call = Call("GET", request)
        page = await call.run(_get_page(get_exchange, call))
        yield page
        token = page.next_token
        if token is None:
            return


async def _get_page(get_exchange: Callable[[], Awaitable[Exchange]], call: Call) -> ListPage:
    exchange = await get_exchange()
    response = await exchange.send(call, call.request)
    stream = ByteStream.of_response(exchange, call, response)
    async with S3Object(call, response, stream) as document:
        return parse_page(await document.read())

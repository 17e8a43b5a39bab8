"""Reads many small objects and returns them as they complete."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

from aios3get._engine.parallel.closing import AsyncCloseable
from aios3get._engine.s3_object import S3Object
from aios3get._protocol.checksum import Verified
from aios3get._protocol.get_object import GetObjectOptions
from aios3get._protocol.object_info import ObjectInfo
from aios3get.errors import ParameterError, S3Error, UsageError

__all__ = ["FailedResult", "ObjectResult", "ObjectResults", "ReadResult", "Request", "Requests"]

Request: TypeAlias = tuple[str, str] | tuple[str, str, GetObjectOptions]
_NOT_YET: Final[Request] = ("", "")
Requests: TypeAlias = Iterable[Request] | AsyncIterable[Request]


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object that was read, or the error that it raised.

    It is a ``ReadResult`` or a ``FailedResult``, which type checkers tell apart by ``error``.

    Attributes:
        request: the element of ``requests``.
        index: its position, from 0.
        body: the bytes; None if there is an error.
        info: the metadata; None if there is an error.
        verified: whether the bytes were compared with a checksum; None if there is an error.
        error: why the object could not be read; None if it was.
    """

    request: Request
    index: int
    body: bytes | None
    info: ObjectInfo | None
    verified: Verified | None
    error: S3Error | None

    @property
    def bucket(self) -> str:
        """The bucket of the request."""
        return self.request[0]

    @property
    def key(self) -> str:
        """The key of the request."""
        return self.request[1]


class ReadResult(ObjectResult):
    """An object that was read."""

    __slots__ = ()
    body: bytes
    info: ObjectInfo
    verified: Verified
    error: None


class FailedResult(ObjectResult):
    """An object that could not be read."""

    __slots__ = ()
    body: None
    info: None
    verified: None
    error: S3Error


_Result: TypeAlias = ReadResult | FailedResult
Open: TypeAlias = Callable[[str, str, GetObjectOptions], Awaitable[S3Object]]


class ObjectResults(AsyncCloseable):
    """Iterates over the results of many requests.

    Requests are sent only while results are awaited, so at most ``concurrency`` results wait to be
    taken. To end the iteration early, leave ``async with`` or ``await aclose()``.

    Args:
        open: opens one object.
        requests: the objects to read.
        concurrency: how many objects are read at once.
    """

    def __init__(self, open: Open, requests: Requests, concurrency: int) -> None:
        self._open = open
        self._requests: Iterator[Request] | None = None
        self._async_requests: AsyncIterator[Request] | None = None
        if isinstance(requests, AsyncIterable):
            self._async_requests = aiter(requests)
        else:
            self._requests = iter(requests)
        self._concurrency = concurrency
        self._index = 0
        self._exhausted = False
        self._taking = False
        self._tasks: set[asyncio.Task[_Result]] = set()
        self._done: deque[asyncio.Task[_Result]] = deque()
        # Waits for the next request of an asynchronous iterable.
        self._next: asyncio.Future[Request] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReadResult | FailedResult:
        if self._taking:
            raise UsageError("two tasks iterate over the results at once; use one task")
        self._taking = True
        try:
            self._send()
            while not self._done:
                if self._exhausted and not self._tasks:
                    raise StopAsyncIteration
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
                self._send()
            return self._done.popleft().result()
        finally:
            self._taking = False

    def _send(self) -> None:
        """Start reading the next objects, up to the concurrency."""
        while not self._exhausted and len(self._tasks) + len(self._done) < self._concurrency:
            try:
                request = self._next_request()
            except (StopIteration, StopAsyncIteration):
                self._exhausted = True
                return
            if request is _NOT_YET:
                return
            task = asyncio.create_task(_read(self._open, request, self._index))
            self._index += 1
            self._tasks.add(task)
            task.add_done_callback(self._finish)

    def _next_request(self) -> Request:
        """Return the next request; ``_NOT_YET`` if an asynchronous iterable has none ready."""
        if self._requests is not None:
            return next(self._requests)
        if self._next is None:
            assert self._async_requests is not None
            self._next = asyncio.ensure_future(anext(self._async_requests))
            self._next.add_done_callback(self._wake)
        if not self._next.done():
            return _NOT_YET
        request, self._next = self._next, None
        return request.result()

    def _finish(self, task: asyncio.Task[_Result]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._done.append(task)
        self._wake()

    def _wake(self, _: object = None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def __aenter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """Cancel the requests, and discard the results that were not taken."""
        self._exhausted = True
        pending: list[asyncio.Future[Any]] = [*self._tasks]
        if self._next is not None:
            pending.append(self._next)
        for each in pending:
            each.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        self._done.clear()


async def _read(open: Open, request: Request, index: int) -> _Result:
    try:
        bucket, key, options = _parse(request)
        obj = await open(bucket, key, options)
        body = await obj.read()
    except S3Error as error:
        return FailedResult(request, index, None, None, None, error)
    return ReadResult(request, index, body, obj.info, obj.verified, None)


def _parse(request: Request) -> tuple[str, str, GetObjectOptions]:
    if isinstance(request, tuple):
        if len(request) == 2:
            return request[0], request[1], {}
        if len(request) == 3:
            return request
    raise ParameterError(
        f"a request must be (bucket, key) or (bucket, key, options), got {type(request).__name__}"
    )

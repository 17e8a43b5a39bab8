"""Sockets and connections: aiohttp's low-level server, which does not change paths."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.response_writer import ResponseWriter

__all__ = ["Listener", "loop_thread"]

# Keys of 1,024 bytes and long session tokens in a URL exceed aiohttp's default of 8,190 bytes.
_limit = 1 << 16

Run = Callable[[Coroutine[Any, Any, None]], None]
Handle = Callable[[RecordedRequest, ResponseWriter], Coroutine[Any, Any, None]]


class _CountingServer(web.Server):
    """Numbers its connections."""

    def __init__(self, handler: Any, accepted: Callable[[], None], **options: Any) -> None:
        super().__init__(handler, handler_cancellation=True, **options)
        self.connected: dict[RequestHandler, tuple[int, asyncio.Transport]] = {}
        self._accepted = accepted
        self._count = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._count += 1
        self.connected[handler] = (self._count, transport)
        self._accepted()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.connected.pop(handler, None)


class _AlreadySent(web.StreamResponse):
    """Makes aiohttp send nothing, because the response has been written."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        if not keep_alive:
            self.force_close()

    @property
    def keep_alive(self) -> bool | None:
        # The base class sets it in prepare().
        return super().keep_alive is not False

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: Any = b"") -> None:
        return None


class Listener:
    """A port whose requests are passed to ``handle``."""

    def __init__(
        self, handle: Handle, accepted: Callable[[], None], tls: ssl.SSLContext | None
    ) -> None:
        self._handle = handle
        self._tls = tls
        self._stopping = asyncio.get_running_loop().create_future()
        self._server = _CountingServer(
            self._receive,
            accepted,
            access_log=None,
            auto_decompress=False,
            max_line_size=_limit,
            max_field_size=_limit,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.05)

    async def start(self, host: str, port: int) -> None:
        """Listen; sets ``self.port``."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        self.port: int = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and all connections at once."""
        self._stopping.set_result(None)
        for site in self._runner.sites:
            await site.stop()
        for _, transport in self._server.connected.values():
            # A client that reads nothing would keep a closed one waiting. To abort a TLS transport
            # that was closed twice is an AttributeError up to Python 3.11.3.
            with suppress(AttributeError):
                transport.abort()
        await self._runner.cleanup()
        await asyncio.sleep(0)

    @property
    def connections_open(self) -> int:
        """The number of open connections."""
        return len(self._server.connected)

    async def _receive(self, request: web.BaseRequest) -> web.StreamResponse:
        number, transport = self._server.connected[request.protocol]
        received = RecordedRequest(
            method=request.method,
            raw_path=request.raw_path,
            headers=request.headers,
            body=await request.content.read(),
            secure=self._tls is not None,
            connection=number,
            keep_alive=request.keep_alive,
        )
        writer = ResponseWriter(request.writer, transport, received, self._stopping)
        try:
            await self._handle(received, writer)
        except ConnectionError:
            # The client has disconnected.
            writer.close()
        return _AlreadySent(writer.keep_alive)


@contextmanager
def loop_thread() -> Generator[Run, None, None]:
    """Start an event loop in a thread; yields a function that runs a coroutine there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="S3Server", daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

"""A client on one event loop: its connections, its calls, and the loading of its configuration."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta

import aiohttp

from aios3get._config.certificates import load_certificates
from aios3get._config.client_config import ClientConfig
from aios3get._config.loaded_config import load_config
from aios3get._engine.call import Call
from aios3get._engine.client_state import ClientState
from aios3get._engine.exchange import Exchange
from aios3get._engine.presigning import presign
from aios3get._engine.s3_object import S3Object
from aios3get._engine.stream import ByteStream
from aios3get._http.proxies import Proxies
from aios3get._http.transport import Response, Transport
from aios3get._protocol.endpoints.resolver import EndpointResolver
from aios3get._protocol.get_object import GetObject
from aios3get._protocol.object_info import ObjectInfo
from aios3get._protocol.pin import check_identity
from aios3get._protocol.presigned_url import PresignedUrl
from aios3get._protocol.retry import RetryQuota
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.credentials import CredentialsSource, default_chain
from aios3get.credentials.context import ClientContexts

__all__ = ["Running", "load_state"]


class Running:
    """A client on one event loop.

    Args:
        state: the state of the client.
        session: the user's session; None for connections of the client's own.

    Attributes:
        exchange: sends the client's requests on this loop.
    """

    def __init__(self, state: ClientState, session: aiohttp.ClientSession | None) -> None:
        transport = Transport(
            timeouts=state.timeouts,
            max_concurrency=state.max_concurrency,
            session=session,
            verify=state.verify,
            proxies=state.proxies,
        )
        self.exchange = Exchange(state, transport)
        self._guard = self.exchange.guard = _closed_with_loop(transport, state)
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Have the connections closed when the event loop ends."""
        # An event loop closes its asynchronous generators when it ends, and when they are
        # collected; this one then closes the connections.
        await anext(self._guard)

    def open(self, call: Call, response: Response) -> S3Object:
        """Return the object of the first response to a call.

        Raises:
            IntegrityError: the response is not of the requested bytes, version or SSE-C key.
        """
        return S3Object(call, response, ByteStream.of_response(self.exchange, call, response))

    async def head(self, call: Call) -> ObjectInfo:
        """Send the HEAD of a call and return the metadata.

        Raises:
            S3Error: as ``Exchange.send``.
            IntegrityError: the response is not of the requested version or SSE-C key.
        """
        response = await self.exchange.send(call, call.request)
        response.close()
        call.end_attempt()
        request = call.request
        check_identity(request, response.headers)
        return ObjectInfo(response.status, response.headers, bucket=request.bucket, key=request.key)

    async def presign(
        self, call: Call, request: GetObject, expires_in: int | timedelta
    ) -> PresignedUrl:
        """Return a presigned URL; see ``presign``."""
        return await presign(self.exchange, call, request, expires_in)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._guard.aclose()

    def close_soon(self) -> None:
        """Close the connections in a task of the running loop, which must be this one."""
        self._closing = asyncio.get_running_loop().create_task(self.aclose())


async def _closed_with_loop(transport: Transport, state: ClientState) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(transport.aclose)
            stack.push_async_callback(state.contexts.aclose)
            stack.push_async_callback(state.credentials.aclose)


async def load_state(config: ClientConfig) -> ClientState:
    """Load the configuration; files and certificates are read in threads."""
    loaded = await load_config(config)
    settings, credentials = loaded.settings, config.credentials
    if credentials is None:
        credentials = default_chain(config.profile)
    verify = await load_certificates(config.verify, settings.ca_bundle)
    proxies = settings.proxies if config.proxy is None else Proxies.always(config.proxy)

    def now() -> float:
        return state.now()

    def correct_clock(seconds: float) -> None:
        state.clock_offset += seconds

    def set_region(region: str) -> None:
        # Called if no region is configured. Servers at an endpoint_url keep the default region.
        if settings.endpoint.endpoint_url is None:
            state.resolver = EndpointResolver(settings.endpoint._replace(region=region))

    contexts = ClientContexts(
        config,
        loaded,
        verify=verify,
        proxies=proxies,
        clock=now,
        correct_clock=correct_clock,
        on_region=set_region,
    )
    state = ClientState(
        resolver=EndpointResolver(settings.endpoint),
        credentials=CredentialsSource(credentials, clock=now, contexts=contexts),
        contexts=contexts,
        retry=config.retry or RetryPolicy(),
        quota=RetryQuota(config.max_concurrency),
        timeouts=config.timeouts or Timeouts(),
        validate_checksums=settings.response_checksum_validation == "when_supported",
        allow_insecure_sse_customer_key=config.allow_insecure_sse_customer_key,
        max_concurrency=config.max_concurrency,
        verify=verify,
        proxies=proxies,
        on_attempt=config.on_attempt,
    )
    return state

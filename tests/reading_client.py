"""Helpers for tests of bodies and retries: a quick client, ways to read, and a leak check."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aios3get import errors
from aios3get._engine.s3_object import S3Object
from aios3get._http.connections import OwnSessions
from aios3get._http.transport import Transport
from aios3get._protocol.identity import Credentials
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, ServerCredentials
from tests.servers.resolver import LoopbackResolver
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import Authority

BUCKET = "examplebucket"
KEY = "photos/2006/February/sample.jpg"
QUICK = RetryPolicy(wait_initial=0.001, wait_max=0.002)
IDLE = 0.25

Reader = Callable[[S3Object], Awaitable[bytes]]
Connect = Callable[..., S3Client]


def credentials_of(known: ServerCredentials) -> Credentials:
    return Credentials(
        known.access_key_id, known.secret_access_key, known.session_token, known.expires_at
    )


def quick_client(server: S3Server, **options: Any) -> S3Client:
    """A client of the server with short waits."""
    given = {
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "credentials": credentials_of(server.credentials),
        "retry": QUICK,
        "timeouts": Timeouts(idle=IDLE),
        **options,
    }
    return S3Client(**given)


def transport_of(client: S3Client) -> Transport:
    """The client's transport on the running loop."""
    return client._loops[asyncio.get_running_loop()].exchange.transport


def own_sessions(transport: Transport) -> OwnSessions:
    """The transport's aiohttp sessions, which are not the user's."""
    assert isinstance(transport.sessions, OwnSessions)
    return transport.sessions


def acquired(transport: Transport) -> int:
    """How many connections are in use by aiohttp's count."""
    sessions = transport.sessions
    return sum(
        len(session.connector._acquired)
        for session in (
            (sessions.pooled, sessions.fresh)
            if isinstance(sessions, OwnSessions)
            else (sessions.session,)
        )
        if session is not None and session.connector is not None
    )


@contextmanager
def nothing_leaks(client: S3Client) -> Iterator[None]:
    """Check that no permit and no connection is in use after the block."""
    yield
    if asyncio.get_running_loop() not in client._loops:
        return
    transport = transport_of(client)
    assert transport.limiter.in_use == 0
    assert acquired(transport) == 0


async def until(condition: Callable[[], bool]) -> None:
    """Poll until the condition is true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)


async def _whole(obj: S3Object) -> bytes:
    return await obj.read()


async def _iterated(obj: S3Object) -> bytes:
    return b"".join([chunk async for chunk in obj])


async def _into(obj: S3Object) -> bytes:
    got, buffer = bytearray(), bytearray(300)
    while count := await obj.readinto(buffer):
        got += buffer[:count]
    return bytes(got)


async def _sized(obj: S3Object) -> bytes:
    got = bytearray()
    while piece := await obj.read(130):
        got += piece
    return bytes(got)


async def _in_chunks(obj: S3Object) -> bytes:
    chunks = [chunk async for chunk in obj.iter_chunks(64)]
    assert all(len(chunk) == 64 for chunk in chunks[:-1])
    return b"".join(chunks)


async def _in_lines(obj: S3Object) -> bytes:
    lines = [line async for line in obj.iter_lines(keepends=True)]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines[:-1])
    return b"".join(lines)


READERS: Mapping[str, Reader] = {
    "read()": _whole,
    "async for": _iterated,
    "readinto": _into,
    "read(n)": _sized,
    "iter_chunks": _in_chunks,
    "iter_lines": _in_lines,
}


def loopback_client(server: S3Server, authority: Authority, **options: Any) -> S3Client:
    """A client of AWS's own host names, which end at the server."""
    client = quick_client(
        server, endpoint_url=None, verify=authority.client_context(), region="us-east-1", **options
    )
    return _Loopback(client, server.port)  # type: ignore[return-value]


class _Loopback:
    def __init__(self, client: S3Client, port: int) -> None:
        self._client = client
        self._port = port

    async def __aenter__(self) -> S3Client:
        transport = (await self._client._start_exchange()).transport
        own_sessions(transport).resolver.source = LoopbackResolver({443: self._port})
        return self._client

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.aclose()


def scripted_client(server: ScriptedServer, **options: Any) -> S3Client:
    """A client of the server that retries once, and waits for nothing long."""
    given = {
        "endpoint_url": server.url,
        "region": "us-east-1",
        "credentials": Credentials(
            "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
        ),
        "retry": RetryPolicy(attempts=2, wait_initial=0.001, wait_max=0.002),
        "timeouts": Timeouts(idle=0.3),
        **options,
    }
    return S3Client(**given)


async def body_or_error(
    client: S3Client, reader: str = "read()", **options: Any
) -> bytes | errors.S3Error:
    """The body of the object, or the error of reading it."""
    asyncio.get_running_loop().set_debug(False)
    try:
        # Idle time is counted in beats of the loop, which a flood makes slow.
        async with asyncio.timeout(60), client.get_object(BUCKET, KEY, **options) as obj:
            return await READERS[reader](obj)
    except errors.S3Error as error:
        return error

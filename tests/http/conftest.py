"""Fixtures for the tests of ``_http``."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest

from aios3get._http.transport import Transport
from tests.http.sending import QUICK, OpenTransport

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests marked ``every_loop`` run on each event loop."""
    return LOOPS if item.get_closest_marker("every_loop") else {"asyncio": LOOPS["asyncio"]}


@pytest.fixture
async def open_transport() -> AsyncIterator[OpenTransport]:
    """Open transports; after the test they are closed and must have released everything."""
    transports: list[Transport] = []

    def make(**options: Any) -> Transport:
        transports.append(Transport(**{"timeouts": QUICK, "max_concurrency": 4, **options}))
        return transports[-1]

    yield make
    for transport in transports:
        await transport.aclose()
        assert transport.limiter.in_use == 0
        assert not transport.responses


@pytest.fixture
async def transport(open_transport: OpenTransport) -> Transport:
    """A transport with short time limits."""
    return open_transport()


@pytest.fixture
def url_without_connection() -> Iterator[str]:
    """The URL of a port whose queue is full, so that connecting to it never completes."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/?X-Amz-Signature=SECRET"
        for other in others:
            other.close()

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest

from aios3get import errors
from aios3get._protocol.identity import Credentials
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.testing import S3Server, ServerCredentials, faults
from tests.reading_client import BUCKET, KEY, credentials_of, quick_client

SSE_KEY = b"0123456789abcdef0123456789abcdef"
CONTENT = bytes(5000)


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    async with S3Server(credentials=ServerCredentials.temporary()) as running:
        running.put_object(BUCKET, KEY, CONTENT, sse_customer_key=SSE_KEY)
        running.put_object(BUCKET, "plain", CONTENT)
        yield running


async def _read(client: S3Client) -> None:
    async with client.get_object(BUCKET, KEY, sse_customer_key=SSE_KEY) as obj:
        await obj.read()


async def _link(client: S3Client) -> None:
    link = await client.presign_get_object(BUCKET, "plain")
    async with client.get_url(link) as obj:
        await obj.read()


async def _link_in_pieces(client: S3Client) -> None:
    link = await client.presign_get_object(BUCKET, "plain")
    async with client.get_url(link.url) as obj:
        repr(obj)
        async for _ in obj:
            pass


FAULTS = [
    faults.close_before_head(),
    faults.reset_before_head(),
    faults.garbage_head(),
    faults.cut_head(30),
    faults.stall_before_head(),
    faults.stall_after(0),
    faults.reset_after(0),
    faults.truncated_chunked(0),
    faults.no_length(until_close=True),
    faults.set_headers({"Content-Range": "bytes 0-9/100"}),
    faults.set_headers({"x-bad": "a\x00b"}),
    faults.status(400, "InvalidToken"),
    faults.status(403, "SignatureDoesNotMatch"),
    faults.status(403),
    faults.status(500),
    faults.status(301, "PermanentRedirect"),
    faults.expired_token(),
]


@pytest.mark.parametrize("call", [_read, _link, _link_in_pieces])
async def test_no_error_repr_or_log_shows_a_secret(
    server: S3Server,
    caplog: pytest.LogCaptureFixture,
    call: Callable[[S3Client], Awaitable[None]],
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(False)
    shown: list[str] = []
    requests: list[str] = []
    for fault in [*FAULTS, None]:
        server.faults.clear()
        if fault is not None:
            server.faults.add(fault, times=None)
        options: dict[str, Any] = {}
        if fault is None:
            # The secret is wrong, and S3 says at length what it has computed.
            options["credentials"] = Credentials(
                server.credentials.access_key_id,
                server.credentials.secret_access_key[::-1],
                server.credentials.session_token,
            )
        async with quick_client(
            server,
            retry=RetryPolicy(attempts=2, wait_initial=0.001, wait_max=0.001),
            timeouts=Timeouts(idle=0.1),
            allow_insecure_sse_customer_key=True,
            **options,
        ) as client:
            try:
                await call(client)
            except errors.S3Error as error:
                shown += _texts(error)
            shown += [repr(client), repr(client._state), str(client._loops)]
        requests += [request.raw_path for request in server.requests]
    shown += [repr(record.__dict__) + record.getMessage() for record in caplog.records]
    assert len(shown) > 60
    secrets = secrets_of(server) | {
        pair.partition("=")[2]
        for path in requests
        for pair in path.partition("?")[2].split("&")
        if pair.startswith(("X-Amz-Signature", "X-Amz-Security-Token"))
    }
    for text in shown:
        found = [secret for secret in secrets if secret in text]
        assert not found, text
    if call is not _read:
        assert not [text for text in shown if "X-Amz-Signature" in text]


def secrets_of(server: S3Server) -> set[str]:
    known = server.credentials
    assert known.session_token is not None
    return {
        known.secret_access_key,
        known.secret_access_key[::-1],
        known.session_token,
        "0123456789abcdef",
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    }


def _texts(error: BaseException) -> list[str]:
    """Everything that a program may print of an error and its causes."""
    texts = ["".join(traceback.format_exception(error))]
    chain: BaseException | None = error
    while chain is not None:
        texts += [str(chain), repr(chain), repr(chain.args), repr(chain.__dict__)]
        # An invalid argument is a variable of the caller as well.
        texts += [] if isinstance(chain, errors.ParameterError) else _variables(chain)
        chain = chain.__cause__ or chain.__context__
    return texts


def _variables(error: BaseException) -> list[str]:
    """The variables that error reporters such as Sentry send, without those of the tests."""
    return [
        text
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "/tests/" not in frame.f_code.co_filename
        for value in frame.f_locals.values()
        for text in _items(value, depth=4)
    ]


def _items(value: object, depth: int) -> list[str]:
    # They print the items of containers, whatever their repr shows.
    if depth and isinstance(value, Mapping):
        return [text for pair in value.items() for each in pair for text in _items(each, depth - 1)]
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [text for each in value for text in _items(each, depth - 1)]
    return [repr(value)]


@pytest.mark.parametrize("fault", [faults.stall_before_head(), faults.stall_after(100)])
@pytest.mark.parametrize("call", [_read, _link, _link_in_pieces])
async def test_timeout_of_the_caller_shows_no_secret(
    server: S3Server, call: Callable[[S3Client], Awaitable[None]], fault: faults.Fault
) -> None:
    server.faults.add(fault)
    async with quick_client(
        server, timeouts=Timeouts(idle=30), allow_insecure_sse_customer_key=True
    ) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.2):
                await call(client)
    shown = _texts(caught.value)
    # Up to Python 3.11.3 the cancellation is the context only.
    error = caught.value
    assert isinstance(error.__cause__ or error.__context__, asyncio.CancelledError)
    for text in shown:
        assert not [secret for secret in secrets_of(server) if secret in text], text
        assert "X-Amz-Signature" not in text
        assert "AWS4-HMAC" not in text


async def test_connection_error_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    known = ServerCredentials.temporary()
    async with S3Client(
        endpoint_url="http://127.0.0.1:1",
        region="us-east-1",
        credentials=credentials_of(known),
        retry=RetryPolicy(attempts=1),
    ) as client:
        link = await client.presign_get_object(BUCKET, "plain")
        assert "X-Amz-Signature" in str(link)
        assert "X-Amz-Signature" not in repr(link)
        shown: list[str] = []
        for call in (_read_plain(client), _url(client, str(link)), _url(client, f"{link}#x")):
            try:
                await call
            except errors.S3Error as error:
                shown += _texts(error)
        with suppress(errors.S3Error):
            await asyncio.wait_for(_url(client, str(link)), 5)
    shown += [repr(record.__dict__) + record.getMessage() for record in caplog.records]
    assert len(shown) > 12
    assert known.session_token is not None
    for text in shown:
        assert known.secret_access_key not in text
        assert known.session_token not in text
        assert "X-Amz-Signature" not in text


async def _read_plain(client: S3Client) -> None:
    await client.get_object(BUCKET, "plain")


async def _url(client: S3Client, url: str) -> None:
    await client.get_url(url)

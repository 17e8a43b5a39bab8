import asyncio
from typing import Any

import pytest

from aios3get.client import S3Client
from aios3get.testing import S3Server, faults
from tests.reading_client import (
    BUCKET,
    KEY,
    nothing_leaks,
    quick_client,
)

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    s3_server.put_object(BUCKET, KEY, CONTENT)
    return s3_server


async def test_call_is_a_coroutine_for_tasks_groups_gather_and_wait_for(client: S3Client) -> None:
    opened = [await asyncio.create_task(client.get_object(BUCKET, KEY))]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.get_object(BUCKET, KEY))
    opened.append(task.result())
    loop = asyncio.get_running_loop()
    future = asyncio.run_coroutine_threadsafe(client.get_object(BUCKET, KEY), loop)
    opened.append(await asyncio.wrap_future(future))
    opened += await asyncio.gather(*(client.get_object(BUCKET, KEY) for _ in range(2)))
    opened.append(await asyncio.wait_for(client.get_object(BUCKET, KEY), 10))
    for each in opened:
        assert await each.read() == CONTENT


async def test_attribute_of_the_object_hints_at_the_forgotten_await(client: S3Client) -> None:
    call: Any = client.get_object(BUCKET, KEY)
    for name in ("info", "read", "verified"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; await the call"):
            getattr(call, name)
    with pytest.raises(AttributeError, match=r"no attribute 'body'$"):
        call.body  # noqa: B018 - the look is what is tested
    await (await call).aclose()


async def test_repr_of_a_task_shows_the_method(client: S3Client) -> None:
    task = asyncio.create_task(client.get_object(BUCKET, KEY))
    link = asyncio.create_task(client.get_url("http://127.0.0.1/"))
    link.cancel()
    assert "coro=<S3Client.get_object()" in repr(task)
    assert "coro=<S3Client.get_url()" in repr(link)
    await (await task).aclose()


def test_asyncio_run_takes_a_call(server: S3Server) -> None:
    obj = asyncio.run(quick_client(server).get_object(BUCKET, KEY))
    assert obj.info.content_length == len(CONTENT)
    asyncio.run(obj.aclose())


async def test_task_of_a_call_can_be_cancelled(client: S3Client, server: S3Server) -> None:
    await client.head_object(BUCKET, KEY)
    server.faults.add(faults.stall_before_head(), times=None)
    for pause in (None, 0.0, 0.05):
        with nothing_leaks(client):
            task = asyncio.create_task(client.get_object(BUCKET, KEY))
            if pause is not None:
                await asyncio.sleep(pause)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_call_can_be_closed_at_any_point(client: S3Client, server: S3Server) -> None:
    await client.head_object(BUCKET, KEY)
    server.faults.add(faults.stall_before_head())
    client.get_object(BUCKET, KEY).close()
    with nothing_leaks(client):
        begun = client.get_object(BUCKET, KEY)
        begun.send(None)
        begun.close()
    with pytest.raises(KeyError):
        client.get_object(BUCKET, KEY).throw(KeyError("thrown"))


@pytest.mark.parametrize("verb", ["get_object", "get_url"])
async def test_call_that_is_never_awaited_warns_as_a_coroutine_does(
    client: S3Client, verb: str
) -> None:
    call = client.get_object(BUCKET, KEY) if verb == "get_object" else client.get_url("http://x/")
    with pytest.warns(RuntimeWarning, match=f"coroutine 'S3Client.{verb}' was never awaited"):
        del call

import asyncio
import weakref

import pytest

from aios3get import S3Client, errors
from aios3get._engine.parallel.tasks import TaskGroup, run_together
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT
from tests.reading_client import BUCKET, KEY


async def fail() -> None:
    await asyncio.sleep(0.01)
    raise LookupError("a failure")


def cancellations() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_failure_cancels_the_other_tasks_and_is_raised() -> None:
    started: list[asyncio.Task[None]] = []

    async def run() -> None:
        async with TaskGroup() as tasks:
            tasks.create_task(fail())
            started.append(tasks.create_task(asyncio.sleep(60)))

    with pytest.raises(LookupError, match="a failure"):
        await run()
    assert started[0].cancelled()
    assert cancellations() == 0


async def test_cancellation_waits_for_the_tasks_and_is_raised() -> None:
    ended = False

    async def end_slowly() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended = True

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), TaskGroup() as tasks:
            tasks.create_task(end_slowly())
    assert ended


async def test_error_of_the_body_cancels_the_tasks() -> None:
    started: list[asyncio.Task[None]] = []

    async def run() -> None:
        async with TaskGroup() as tasks:
            started.append(tasks.create_task(asyncio.sleep(60)))
            raise KeyError

    with pytest.raises(KeyError):
        await run()
    assert started[0].cancelled()


async def test_no_task_is_created_once_the_others_are_cancelled() -> None:
    late = asyncio.sleep(0)

    async def create_late(tasks: TaskGroup) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            with pytest.raises(RuntimeError, match="being cancelled"):
                tasks.create_task(late)

    async def run() -> None:
        async with TaskGroup() as tasks:
            tasks.create_task(create_late(tasks))
            tasks.create_task(fail())

    with pytest.raises(LookupError):
        await run()
    late.close()


async def test_background_task_ends_with_the_main_one() -> None:
    async def main() -> int:
        await asyncio.sleep(0.01)
        return 1

    assert await run_together(main(), asyncio.sleep(60)) == 1
    with pytest.raises(LookupError):
        await run_together(asyncio.sleep(60), fail())


async def test_timeout_of_the_caller_expires_after_a_failed_read(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.status(403, "AccessDenied"), after=1, times=None, method="GET")

    async def run() -> None:
        async with asyncio.timeout(0.5):
            with pytest.raises(errors.AccessDenied):
                await client.read_into(BUCKET, KEY, bytearray(len(CONTENT)))
            assert cancellations() == 0
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await run()


@pytest.mark.lifetime
@pytest.mark.usefixtures("no_collection")
async def test_cancelled_task_is_freed_even_if_its_frames_refer_to_it() -> None:
    started: list[weakref.ref[asyncio.Task[None]]] = []

    async def wait() -> None:
        task = asyncio.current_task()
        await asyncio.sleep(60)
        assert task is not None

    async def run() -> None:
        async with TaskGroup() as tasks:
            started.append(weakref.ref(tasks.create_task(wait())))
            tasks.create_task(fail())

    with pytest.raises(LookupError):
        await run()
    assert started[0]() is None

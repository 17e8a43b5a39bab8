import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aios3get import FailedResult, ReadResult, S3Client, errors
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT
from tests.reading_client import BUCKET

COUNT = 60


@pytest.fixture(autouse=True)
def stored(server: S3Server) -> None:
    for number in range(COUNT):
        server.put_object(BUCKET, f"{number}", CONTENT[number * 100 : (number + 1) * 100])


def requests() -> list[tuple[str, str]]:
    return [(BUCKET, f"{number}") for number in range(COUNT)]


async def test_every_object_has_its_result(client: S3Client) -> None:
    seen = set[int]()
    async for result in client.get_objects(requests()):
        assert result.error is None
        assert result.body == CONTENT[result.index * 100 : (result.index + 1) * 100]
        assert result.request == (result.bucket, result.key) == (BUCKET, f"{result.index}")
        assert result.info.content_length == 100
        seen.add(result.index)
    assert seen == set(range(COUNT))


async def test_errors_are_results(server: S3Server, client: S3Client) -> None:
    wanted: list[Any] = [
        (BUCKET, "0"),
        (BUCKET, "no"),
        (BUCKET, ""),
        ("only one",),
        "text",
        None,
    ]
    results = [result async for result in client.get_objects(wanted)]
    found = {result.index: type(result.error) for result in results}
    assert found == {
        0: type(None),
        1: errors.NoSuchKey,
        2: errors.ParameterError,
        3: errors.ParameterError,
        4: errors.ParameterError,
        5: errors.ParameterError,
    }
    assert all((result.body is None) == (result.error is not None) for result in results)
    for result in results:
        assert isinstance(result, ReadResult if result.error is None else FailedResult)


async def test_options_are_sent_with_each_request(client: S3Client) -> None:
    wanted = [(BUCKET, f"{number}", {"range": f"bytes={number}-{number}"}) for number in range(9)]
    async for result in client.get_objects(wanted):  # type: ignore[arg-type]
        assert result.body == CONTENT[result.index * 101 :][:1]


async def test_results_come_as_they_complete(server: S3Server, client: S3Client) -> None:
    server.faults.add(faults.slow(500), key="0")
    order = [result.index async for result in client.get_objects(requests(), concurrency=4)]
    assert order.index(0) > 0
    assert sorted(order) == list(range(COUNT))


async def test_no_more_than_concurrency_are_requested_or_held(
    server: S3Server, client: S3Client
) -> None:
    taken = 0

    def counted() -> Iterator[tuple[str, str]]:
        nonlocal taken
        for request in requests():
            taken += 1
            yield request

    results = client.get_objects(counted(), concurrency=5)
    for number in range(1, 20):
        await anext(results)
        await asyncio.sleep(0.002)
        assert taken <= number + 4
        assert len(server.requests) <= number + 4
    await results.aclose()


async def test_slow_asynchronous_iterable_does_not_delay_results(client: S3Client) -> None:
    received = asyncio.Event()

    async def wanted() -> AsyncIterator[tuple[str, str]]:
        yield BUCKET, "0"
        await received.wait()
        yield BUCKET, "1"

    async with asyncio.timeout(5):
        found = []
        async for result in client.get_objects(wanted()):
            found.append(result.index)
            received.set()
    assert found == [0, 1]


async def test_leaving_early_cancels_pending_requests(server: S3Server, client: S3Client) -> None:
    server.faults.add(faults.stall_before_head(), key="3", times=None)

    async def endless() -> AsyncIterator[tuple[str, str]]:
        for request in requests():
            yield request
        await asyncio.sleep(3600)

    async with client.get_objects(endless(), concurrency=8) as results:
        async for result in results:
            if result.index == 20:
                break
    with pytest.raises(StopAsyncIteration):
        await anext(results)


async def test_cancelled_wait_loses_no_result(server: S3Server, client: S3Client) -> None:
    server.faults.add(faults.slow(2000), times=None)
    results = client.get_objects(requests()[:10], concurrency=3)
    found = []
    while True:
        try:
            found.append((await asyncio.wait_for(anext(results), 0.01)).index)
        except TimeoutError:
            continue
        except StopAsyncIteration:
            break
    assert sorted(found) == list(range(10))


async def test_second_iterating_task_gets_a_usage_error(client: S3Client) -> None:
    async with client.get_objects(requests()) as results:
        found = await asyncio.gather(anext(results), anext(results), return_exceptions=True)
        assert [type(each).__name__ for each in found] == ["ReadResult", "UsageError"]


@pytest.mark.parametrize(
    "arguments", [{"concurrency": 0}, {"concurrency": None}, {"deadline": 0}], ids=str
)
def test_invalid_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.ParameterError):
        S3Client().get_objects([], **arguments)


async def test_failing_iterable_is_raised(client: S3Client) -> None:
    def failing() -> Iterator[tuple[str, str]]:
        yield BUCKET, "0"
        raise ZeroDivisionError

    results = client.get_objects(failing(), concurrency=1)
    assert (await anext(results)).index == 0
    with pytest.raises(ZeroDivisionError):
        await anext(results)

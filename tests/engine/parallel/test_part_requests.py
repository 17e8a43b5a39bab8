import asyncio
from pathlib import Path
from typing import Any

import pytest

from aios3get import S3Client, errors
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get._engine.parallel.read_ahead import ReadAhead
from aios3get._engine.parallel.scheduler import Scheduler
from aios3get._protocol.retry import RetryQuota
from aios3get._protocol.timeouts import Timeouts
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, covering
from tests.engine.parallel.test_fault_matrix import FRONTS
from tests.reading_client import BUCKET, Connect

KEY = "sample.jpg"
SIZE = len(CONTENT)


async def test_parts_have_separate_retry_budgets(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    for start in range(0, 7000, 1000):
        server.faults.add(faults.status(500), where=covering(start), times=4)
    buffer = bytearray(SIZE)
    await client.read_into(BUCKET, KEY, buffer)
    assert buffer == CONTENT


async def test_progress_of_other_parts_does_not_hide_a_failing_part(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.status(500), where=covering(3000), times=None)
    with pytest.raises(errors.InternalError):
        await client.read_into(BUCKET, KEY, bytearray(SIZE), connections=2)


PUSHING_BACK = [
    faults.status(503),
    faults.status(503, "ServiceUnavailable"),
    faults.status(429),
    faults.stall_before_head(),
    faults.stall_after(300),
]
OTHERS = [faults.status(500), faults.drop_after(300), faults.reset_before_head()]


@pytest.mark.parametrize("fault", PUSHING_BACK + OTHERS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("front", ["read_into", "stream"])
async def test_fewer_requests_run_after_throttling_timeouts_and_stalls(
    server: S3Server,
    client: S3Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    front: str,
    fault: faults.Fault,
) -> None:
    pushed: list[object] = []

    def count(controller: type[Scheduler | ReadAhead]) -> None:
        push_back = controller.push_back

        def counting(self: Any) -> None:
            pushed.append(self)
            push_back(self)

        monkeypatch.setattr(controller, "push_back", counting)

    count(Scheduler)
    count(ReadAhead)
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(fault, where=covering(2500))
    assert await FRONTS[front](client, KEY, tmp_path) == CONTENT
    assert len(pushed) == (fault in PUSHING_BACK)


@pytest.mark.parametrize("front", FRONTS)
async def test_parts_share_the_quota_of_retries(
    server: S3Server, connect: Connect, tmp_path: Path, front: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.status(500), where=covering(2500), times=None)
    client = connect()
    await client.head_object(BUCKET, KEY)
    monkeypatch.setattr(RetryQuota, "take", lambda self, tokens: False)
    with pytest.raises(errors.InternalError):
        await FRONTS[front](client, KEY, tmp_path)
    assert len([request for request in server.requests if request.status == 500]) == 1


@pytest.mark.parametrize("front", FRONTS)
async def test_parts_share_the_deadline(
    server: S3Server, connect: Connect, tmp_path: Path, front: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = ObjectRead.__init__

    def with_deadline(self: ObjectRead, *arguments: Any, **options: Any) -> None:
        create(self, *arguments, **options)
        self.call.deadline = 0.3

    monkeypatch.setattr(ObjectRead, "__init__", with_deadline)
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.stall_before_head(), where=covering(2500), times=None)
    with pytest.raises(errors.TransportTimeout) as caught:
        async with asyncio.timeout(10):
            await FRONTS[front](connect(timeouts=Timeouts(idle=20)), KEY, tmp_path)
    assert caught.value.limit == "deadline"

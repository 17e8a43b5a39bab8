import asyncio
import errno
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aios3get import S3Client, errors
from aios3get._engine.parallel import part_file
from aios3get._engine.parallel.part_file import PartFile
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.reading_client import BUCKET, KEY

SIZE = len(CONTENT)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "sample.jpg"


def beside(target: Path) -> list[str]:
    return sorted(name for name in os.listdir(target.parent) if name != target.name)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, SIZE])
@pytest.mark.parametrize("resume", [True, False])
async def test_objects_of_every_size_are_downloaded(
    server: S3Server, client: S3Client, target: Path, size: int, resume: bool
) -> None:
    server.put_object(BUCKET, KEY, CONTENT[:size], checksum_algorithm="CRC64NVME")
    done = await client.download_object(BUCKET, KEY, target, resume=resume, fsync=resume)
    assert target.read_bytes() == CONTENT[:size]
    assert (done.path, done.size, done.resumed) == (str(target), size, 0)
    assert done.verified
    assert done.attempts == len(server.requests)
    assert not beside(target)


@pytest.mark.parametrize("range_", ["bytes=1500-5499", "bytes=-3500", "bytes=2500-", "bytes=5-9"])
async def test_ranges_are_downloaded(
    server: S3Server, client: S3Client, target: Path, range_: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    await client.download_object(BUCKET, KEY, target, range=range_)
    expected = await (await client.get_object(BUCKET, KEY, range=range_)).read()
    assert target.read_bytes() == expected


async def test_file_is_replaced_atomically(
    server: S3Server, client: S3Client, target: Path
) -> None:
    target.write_bytes(b"x" * 2 * SIZE)
    server.put_object(BUCKET, KEY, CONTENT)
    await client.download_object(BUCKET, KEY, target)
    assert target.read_bytes() == CONTENT


async def test_body_without_a_length_is_downloaded(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.no_length(), times=None)
    # Something longer was there before.
    PartFile(str(target), resume=True).allocate(2 * SIZE)
    await client.download_object(BUCKET, KEY, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.status(403), errors.AccessDenied),
        (faults.status(500), errors.InternalError),
        (faults.flip_byte(5), errors.ChecksumMismatch),
        (faults.change_etag(), errors.ObjectChanged),
        (faults.wrong_range(), errors.RangeMismatch),
        (faults.reset_before_head(), errors.ConnectionLost),
        (faults.stall_before_head(), errors.TransportTimeout),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("resume", [True, False])
async def test_failed_download_leaves_the_target_untouched(
    server: S3Server,
    client: S3Client,
    target: Path,
    fault: faults.Fault,
    expected: type[errors.S3Error],
    resume: bool,
) -> None:
    target.write_bytes(b"before")
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    server.faults.add(fault, where=covering(5500), times=None)
    with pytest.raises(expected):
        await client.download_object(BUCKET, KEY, target, resume=resume)
    assert target.read_bytes() == b"before"
    keeps = resume and not issubclass(expected, errors.IntegrityError)
    assert len(beside(target)) == (2 if keeps else 0)


async def test_missing_object_leaves_nothing(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.create_bucket(BUCKET)
    with pytest.raises(errors.NoSuchKey, match=f"GET {BUCKET}/{KEY}: "):
        await client.download_object(BUCKET, KEY, target)
    assert not target.exists()
    assert not beside(target)


async def interrupt(
    server: S3Server, client: S3Client, target: Path, offset: int = 5500, **options: Any
) -> None:
    """Download until the part with the byte at ``offset`` fails."""
    server.faults.add(faults.status(403), where=covering(offset), times=None)
    with pytest.raises(errors.AccessDenied):
        await client.download_object(BUCKET, KEY, target, connections=1, **options)
    server.faults.clear()
    server.requests.clear()


async def test_interrupted_download_is_resumed(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    await interrupt(server, client, target, part_size=PART)
    reports: list[tuple[int, int | None]] = []
    done = await client.download_object(
        BUCKET, KEY, target, on_progress=lambda *report: reports.append(report)
    )
    assert target.read_bytes() == CONTENT
    assert done.resumed == 5 * PART
    assert done.verified
    assert done.size == SIZE
    assert server.requests[0].headers["Range"] == "bytes=5000-5999"
    assert reports[0] == (5 * PART, SIZE)
    assert reports[-1] == (SIZE, SIZE)
    assert not beside(target)


async def test_interrupted_download_of_a_range_is_resumed(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    for range_ in ("bytes=1500-6499", "bytes=1000-"):
        await interrupt(server, client, target, part_size=PART, range=range_)
        done = await client.download_object(BUCKET, KEY, target, range=range_)
        assert done.resumed >= 3 * PART
        assert (
            target.read_bytes() == await (await client.get_object(BUCKET, KEY, range=range_)).read()
        )


async def test_cancelled_download_is_resumed(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.stall_after(10), where=covering(5500), times=None)
    task = asyncio.create_task(
        client.download_object(BUCKET, KEY, target, part_size=PART, connections=1)
    )
    await until(lambda: any(covering(5500)(request) for request in server.requests))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.faults.clear()
    done = await client.download_object(BUCKET, KEY, target)
    assert done.resumed == 5 * PART
    assert target.read_bytes() == CONTENT


async def test_download_that_is_cancelled_twice_closes_its_file(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(faults.stall_after(10), where=covering(5500), times=None)
    with ThreadPoolExecutor(1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        task = asyncio.create_task(
            client.download_object(BUCKET, KEY, target, part_size=PART, connections=1)
        )
        await until(lambda: any(covering(5500)(request) for request in server.requests))
        busy = threading.Event()
        executor.submit(busy.wait)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0.01)
        busy.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
    server.faults.clear()
    done = await client.download_object(BUCKET, KEY, target)
    assert done.resumed == 5 * PART


async def cancel_during(
    download: "asyncio.Task[object]", monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Cancel a download twice while the function runs in a thread, and wait for its end."""
    function = getattr(owner, name)
    entered, released = threading.Event(), threading.Event()

    def blocked(*args: object) -> object:
        entered.set()
        released.wait()
        return function(*args)

    monkeypatch.setattr(owner, name, blocked)
    await until(entered.is_set)
    for _ in range(2):
        download.cancel()
        await asyncio.sleep(0.01)
    monkeypatch.undo()
    asyncio.get_running_loop().call_later(0.05, released.set)
    with pytest.raises(asyncio.CancelledError):
        await download


async def test_cancelled_download_keeps_its_file_open_until_the_space_is_allocated(
    server: S3Server,
    client: S3Client,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    download = asyncio.create_task(client.download_object(BUCKET, KEY, target))
    await cancel_during(download, monkeypatch, part_file, "_allocate")
    with open(tmp_path / "another", "wb"):  # gets the descriptor of the download's file
        await asyncio.sleep(0.06)
    assert (tmp_path / "another").stat().st_size == 0


async def test_download_that_is_cancelled_while_its_file_is_renamed_is_complete(
    server: S3Server, client: S3Client, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    download = asyncio.create_task(client.download_object(BUCKET, KEY, target, resume=False))
    await cancel_during(download, monkeypatch, os, "replace")
    assert target.read_bytes() == CONTENT
    assert not beside(target)


async def test_changed_object_restarts_the_download(
    server: S3Server, client: S3Client, target: Path
) -> None:
    for replacement in (CONTENT[::-1], CONTENT[:100], b"", CONTENT * 2):
        server.put_object(BUCKET, KEY, CONTENT)
        await interrupt(server, client, target, part_size=PART)
        server.put_object(BUCKET, KEY, replacement)
        done = await client.download_object(BUCKET, KEY, target)
        assert done.resumed == 0
        assert target.read_bytes() == replacement
        assert not beside(target)


async def test_bytes_that_changed_on_disk_are_read_again(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC64NVME")
    await interrupt(server, client, target, part_size=PART)
    part = next(target.parent / name for name in beside(target) if name.endswith("-part"))
    content = bytearray(part.read_bytes())
    content[2345] ^= 1
    part.write_bytes(content)
    done = await client.download_object(BUCKET, KEY, target)
    assert done.resumed == 4 * PART
    assert done.verified
    assert target.read_bytes() == CONTENT


async def test_truncated_temporary_file_is_filled_again(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    await interrupt(server, client, target, part_size=PART)
    part = next(target.parent / name for name in beside(target) if name.endswith("-part"))
    os.truncate(part, 1500)
    done = await client.download_object(BUCKET, KEY, target)
    assert done.resumed == PART
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("suffix", ["-part", ".journal"])
async def test_deleted_temporary_file_restarts_the_download(
    server: S3Server, client: S3Client, target: Path, suffix: str
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    await interrupt(server, client, target, part_size=PART)
    for name in beside(target):
        if name.endswith(suffix):
            (target.parent / name).unlink()
    done = await client.download_object(BUCKET, KEY, target)
    assert done.resumed == 0
    assert target.read_bytes() == CONTENT
    assert not beside(target)


async def test_download_of_another_object_is_not_resumed(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.put_object(BUCKET, "other", CONTENT)
    await interrupt(server, client, target, part_size=PART)
    done = await client.download_object(BUCKET, "other", target)
    assert done.resumed == 0
    assert not beside(target)


async def test_download_with_resume_false_starts_from_the_beginning(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    await interrupt(server, client, target, part_size=PART)
    done = await client.download_object(BUCKET, KEY, target, resume=False)
    assert done.resumed == 0
    assert target.read_bytes() == CONTENT


async def test_complete_download_that_was_not_renamed_is_finished(
    server: S3Server, client: S3Client, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put_object(BUCKET, KEY, CONTENT, checksum_algorithm="CRC32")

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda a, b: fail() if b == str(target) else os.rename(a, b))
        with pytest.raises(PermissionError):
            await client.download_object(BUCKET, KEY, target)
    server.requests.clear()
    done = await client.download_object(BUCKET, KEY, target)
    assert done.resumed >= SIZE - PART
    assert done.verified
    assert target.read_bytes() == CONTENT


async def test_concurrent_downloads_to_one_file_do_not_mix(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.put_object(BUCKET, "other", CONTENT[::-1])
    await asyncio.gather(
        client.download_object(BUCKET, KEY, target),
        client.download_object(BUCKET, "other", target),
    )
    assert target.read_bytes() in (CONTENT, CONTENT[::-1])
    assert not beside(target)


async def test_folder_is_refused_before_any_request(
    server: S3Server, client: S3Client, target: Path
) -> None:
    target.mkdir()
    with pytest.raises(IsADirectoryError, match=r"sample\.jpg"):
        await client.download_object(BUCKET, KEY, target)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        await client.download_object(BUCKET, KEY, target / "nowhere" / "file")
    assert not server.requests


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder where even root cannot write")
async def test_read_only_folder_is_refused_before_any_request(
    server: S3Server, client: S3Client
) -> None:
    with pytest.raises(PermissionError, match=r"sample\.jpg"):
        await client.download_object(BUCKET, KEY, "/sys/sample.jpg")
    assert not server.requests


@pytest.mark.parametrize("method", ["allocate", "write"])
async def test_full_disk_raises_os_error(
    server: S3Server,
    client: S3Client,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PartFile, method, full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        await client.download_object(BUCKET, KEY, target)
    assert not isinstance(caught.value, errors.S3Error)
    assert not target.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": ""},
        {"path": b"bytes"},
        {"part_size": 0},
        {"part_size": 1.5},
        {"connections": 0},
        {"deadline": -1},
        {"no_such_option": 1},
    ],
    ids=str,
)
async def test_invalid_arguments_are_refused_before_any_io(
    server: S3Server, client: S3Client, target: Path, arguments: dict[str, Any]
) -> None:
    with pytest.raises(errors.ParameterError):
        await client.download_object(BUCKET, KEY, **{"path": target, **arguments})
    assert not server.requests
    assert not beside(target)


async def test_failing_progress_callback_ends_the_download(
    server: S3Server, client: S3Client, target: Path
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)

    def fail(done: int, total: int | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.download_object(BUCKET, KEY, target, on_progress=fail)
    assert not target.exists()


async def test_progress_never_decreases(server: S3Server, client: S3Client, target: Path) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    for offset in range(0, SIZE, PART):
        server.faults.add(faults.reset_after(400), where=covering(offset))
    server.faults.add(faults.slow(4000), times=None)
    reports: list[tuple[float, int]] = []
    await client.download_object(
        BUCKET, KEY, target, on_progress=lambda done, _: reports.append((time.monotonic(), done))
    )
    assert len(reports) > 2
    assert [done for _, done in reports] == sorted({done for _, done in reports})
    assert reports[-1][1] == SIZE
    times = [moment for moment, _ in reports[:-1]]
    assert all(after - before > 0.095 for before, after in pairwise(times))


BODY = random.Random(5).randbytes(4 << 20)
KILLED = f"""
import asyncio, sys
from aios3get import Credentials, RetryPolicy, S3Client
async def main():
    async with S3Client(endpoint_url=sys.argv[1], region="us-east-1",
                        credentials=Credentials(sys.argv[3], sys.argv[4])) as s3:
        await s3.download_object("{BUCKET}", "{KEY}", sys.argv[2], connections=8, part_size=1 << 16)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "times", [2, pytest.param(50, marks=pytest.mark.deep)], ids=["few", "fifty"]
)
async def test_download_of_a_killed_process_is_resumed(
    server: S3Server, client: S3Client, target: Path, times: int
) -> None:
    server.put_object(BUCKET, KEY, BODY, checksum_algorithm="CRC64NVME")
    # The server sends 60,000 bytes every 0.1 s, so a part takes 0.1 s and the object 0.8 s.
    server.faults.add(faults.slow(600_000), method="GET", times=None)
    keys = server.credentials.access_key_id, server.credentials.secret_access_key
    arguments = [sys.executable, "-c", KILLED, server.endpoint_url, str(target), *keys]
    moments = random.Random(8)

    def run_and_kill(requests: int) -> None:
        requests += len(server.requests)
        with subprocess.Popen(arguments) as process:
            while len(server.requests) < requests and process.poll() is None:
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.03))
            process.kill()

    for _ in range(times):
        run_and_kill(moments.randint(1, 64))
        if target.exists():
            assert target.read_bytes() == BODY
            target.unlink()
    for name in beside(target):
        (target.parent / name).unlink()
    run_and_kill(20)
    assert not target.exists()
    server.faults.clear()
    done = await client.download_object(BUCKET, KEY, target, part_size=1 << 16)
    assert done.resumed > 0
    assert target.read_bytes() == BODY
    assert done.verified
    assert not beside(target)

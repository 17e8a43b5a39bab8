"""The memory of a process that reads, measured from another one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aios3get.testing import S3Server
from tests.reading_client import BUCKET, KEY

MIB = 1 << 20
SIZE = 160 * MIB
CONNECTIONS = 8
# A process that waits before and after a read, so that its peak of resident memory can be seen.
PROGRAM = f"""
import asyncio, sys
from pathlib import Path
from aios3get import Credentials, S3Client
from aios3get._engine.parallel import limits

# However long the server takes to respond.
limits._MAX_WINDOW = 16 << 20

def peak():
    print("have a look", flush=True)
    sys.stdin.readline()

async def main():
    _, endpoint, access_key_id, secret_access_key, path = sys.argv
    async with S3Client(endpoint_url=endpoint, region="us-east-1",
                        credentials=Credentials(access_key_id, secret_access_key)) as s3:
        await s3.download_object("{BUCKET}", "small", path)
        {{prepare}}
        Path("/proc/self/clear_refs").write_text("5")
        peak()
        {{read}}
        peak()

asyncio.run(main())
"""
OBJECT = f'"{BUCKET}", "{KEY}"'
READS = {
    "download_object": ("pass", f"await s3.download_object({OBJECT}, path, connections=8)"),
    "download_object to a slow disk": (
        """
        from aios3get._engine.parallel import part_file
        import time
        pwrite, writes = part_file._pwrite, []

        def slow(*arguments):
            writes.append(None)
            # Becomes slow while the windows are large.
            time.sleep(0.01 if len(writes) > 20 else 0)
            return pwrite(*arguments)

        part_file._pwrite = slow
""",
        f"await s3.download_object({OBJECT}, path, connections=8)",
    ),
    "read_into": (
        f"memory = bytearray(b'x') * {SIZE}",
        f"await s3.read_into({OBJECT}, memory, connections=8)",
    ),
    "stream_object": (
        "pass",
        f"""
        async with s3.stream_object({OBJECT}, connections=8) as stream:
            async for chunk in stream: pass
""",
    ),
    "open_object": (
        "pass",
        f"""
        async with s3.open_object({OBJECT}, connections=8) as f:
            while await f.read(65536): pass
""",
    ),
}
# Ranges of 64 KiB with 160 KiB between them: 40 MiB are kept, and 160 MiB may be read.
RANGES = "[ByteRange(at, at + 65536) for at in range(0, 160 << 20, 229376)]"
READS["get_ranges"] = (
    "from aios3get import ByteRange",
    f"views = await s3.get_ranges({OBJECT}, {RANGES}, connections=8, gap=1 << 20)",
)
KEPT = 46 * MIB
LIMITS = {
    "get_ranges": KEPT + 16 * MIB + CONNECTIONS * MIB,
    "download_object": 16 * MIB + CONNECTIONS * MIB,
    "download_object to a slow disk": 16 * MIB + CONNECTIONS * MIB,
    "read_into": 16 * MIB + CONNECTIONS * MIB,
    # The window, the first part beside it, and what aiohttp and malloc hold on a busy machine.
    "stream_object": 16 * MIB + CONNECTIONS * MIB + 16 * MIB,
    "open_object": 16 * MIB + CONNECTIONS * MIB + 16 * MIB,
}


@pytest.fixture(scope="module")
def large() -> Iterator[S3Server]:
    with S3Server.in_thread() as server:
        server.put_object(BUCKET, KEY, bytes(SIZE))
        server.put_object(BUCKET, "small", bytes(MIB))
        yield server


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name", READS)
def test_peak_of_memory_stays_within_its_limit(large: S3Server, name: str, tmp_path: Path) -> None:
    prepare, read = READS[name]
    keys = large.credentials.access_key_id, large.credentials.secret_access_key
    program = PROGRAM.format(prepare=prepare, read=read)
    command = [sys.executable, "-c", program, large.endpoint_url, *keys, str(tmp_path / "file")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def peak() -> int:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline()
            status = Path(f"/proc/{process.pid}/status").read_text()
            process.stdin.write("\n")
            process.stdin.flush()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024

        before, after = peak(), peak()
    assert process.returncode == 0
    assert after - before < LIMITS[name]

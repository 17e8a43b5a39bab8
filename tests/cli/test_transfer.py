import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aios3get.testing import S3Server

BUCKET, KEY = "amzn-s3-demo-bucket", "backup.tar"
COMMAND = [sys.executable, "-m", "aios3get", "get", f"s3://{BUCKET}/{KEY}", "--connections", "2"]
SIZE = 48 << 20


class Terminal:
    """A process whose errors go to a pseudo-terminal."""

    def __init__(self, process: subprocess.Popen[bytes], controller: int) -> None:
        self.process = process
        self._controller = controller
        self.text = ""

    def read_until(self, pattern: str) -> None:
        deadline = time.monotonic() + 30
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            try:
                data = os.read(self._controller, 65536)
            except OSError:  # Linux says so when the other side is closed
                data = b""
            assert data, self.text
            self.text += data.decode()

    def finish(self) -> int:
        while True:
            try:
                data = os.read(self._controller, 65536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode()
        return self.process.wait(30)


@contextmanager
def terminal(server: S3Server, folder: Path) -> Iterator[Terminal]:
    controller, own = pty.openpty()
    environ = server.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(COMMAND, cwd=folder, env=environ, stderr=own, start_new_session=True)
    os.close(own)
    try:
        yield Terminal(process, controller)
    finally:
        process.kill()
        process.wait()
        os.close(controller)


@pytest.fixture(scope="module")
def body() -> bytes:
    return random.Random(2006).randbytes(SIZE)


def test_download_shows_progress_and_continues_after_ctrl_c(tmp_path: Path, body: bytes) -> None:
    with S3Server.in_thread(bytes_per_second=12e6) as server:
        server.put_object(BUCKET, KEY, body, checksum_algorithm="CRC64NVME")
        with terminal(server, tmp_path) as first:
            first.read_until(r"(?:2[0-9]|3[0-9])\.\d/50\.3\s+MB.*MB/s")
            os.kill(first.process.pid, signal.SIGINT)
            assert first.finish() == 130
    assert "the same command resumes it" in first.text
    assert "Traceback" not in first.text
    assert not (tmp_path / KEY).exists()

    with S3Server.in_thread() as server:
        server.put_object(BUCKET, KEY, body, checksum_algorithm="CRC64NVME")
        with terminal(server, tmp_path) as second:
            assert second.finish() == 0
    assert re.search(r"MB from an earlier download; verified", second.text)
    assert (tmp_path / KEY).read_bytes() == body
    assert os.listdir(tmp_path) == [KEY]


@pytest.mark.parametrize("ending", ["the reader closes the pipe", "Ctrl-C"])
def test_cat_of_a_large_object_ends_early_without_a_traceback(body: bytes, ending: str) -> None:
    with S3Server.in_thread(bytes_per_second=12e6) as server:
        server.put_object(BUCKET, KEY, body, checksum_algorithm="CRC64NVME")
        command = [sys.executable, "-m", "aios3get", "cat", f"s3://{BUCKET}/{KEY}"]
        with subprocess.Popen(
            command, env=server.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(1000) == body[:1000]
            if ending == "Ctrl-C":
                process.send_signal(signal.SIGINT)
            process.stdout.close()
            assert process.stderr.read().strip() == b""
        assert process.returncode == (130 if ending == "Ctrl-C" else 1)


def test_pipe_gets_no_progress_bar(tmp_path: Path) -> None:
    with S3Server.in_thread() as server:
        server.put_object(BUCKET, KEY, b"body")
        done = subprocess.run(
            COMMAND, cwd=tmp_path, env=server.environ, capture_output=True, check=True
        )
    assert done.stdout == b""
    assert done.stderr.decode().startswith(f"{KEY}: 4 bytes")
    assert b"\x1b" not in done.stderr

import asyncio
import errno
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from aios3get import S3Client, __version__, cli, errors

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"
SIZE = 3 * 2**20

# The line typed, and what the tour must show below it.
SHOWN = [
    (
        """obj.info.content_type, obj.info.content_length, obj.info.metadata["camera"]""",
        f"('image/jpeg', {SIZE}, 'Contax T2')",
    ),
    ("print(obj.verified)", "verified: the bytes have the CRC64NVME that the answer announced"),
    (
        "print(await obj.read(), obj.info.content_range)",
        rf"b'\xff\xd8\xff\xe0' ContentRange(start=0, stop=4, size={SIZE})",
    ),
    (
        "await s3.get_object(bucket, key, if_none_match=obj.info.etag)",
        f"NotModified: GET {BUCKET}/{KEY}: Not Modified [304]",
    ),
    (
        'await s3.head_object(bucket, "photos/2006/February/missing.jpg")',
        f"NoSuchKey: HEAD {BUCKET}/photos/2006/February/missing.jpg: Not Found [404]",
    ),
    ("body == original", "True"),
    (
        '[(request.status, request.headers.get("Range")) for request in server.requests[-2:]]',
        f"[(200, None), (206, 'bytes=1000000-{SIZE - 1}')]",
    ),
    ("answer.status, answer.read() == original", "(200, True)"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def fileno(self) -> int:
        return self._file.fileno()


def test_the_tour_shows_what_its_lines_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert not err
    for line, result in SHOWN:
        _, typed, below = out.partition(f" {line}\n")
        assert typed, line
        assert " ".join(below.split()).startswith(result)
    assert re.search(rf"{SIZE:,} bytes in \d+ chunks", out)
    assert "\033" not in out


def test_a_terminal_gets_colours_and_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert cli.main(["demo"]) == 0
    assert isinstance(sys.stdout, Terminal)
    shown = sys.stdout.getvalue()
    assert "\033[1m" in shown
    assert ">>> body == original" in re.sub(r"\033\[\d+m", "", shown)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_declined(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert cli.main(["demo"]) == 0
    assert isinstance(sys.stdout, Terminal)
    assert "\033" not in sys.stdout.getvalue()


def test_the_users_own_settings_neither_reach_the_tour_nor_are_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = {
        "AWS_PROFILE": "no-such-profile",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert cli.main(["demo"]) == 0
    assert "(200, True)" in capsys.readouterr().out
    assert dict(os.environ) == before


def test_an_error_that_the_tour_does_not_expect_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = cli._Step("Missing", 'await s3.get_object(bucket, "missing")', errors.NotModified)
    monkeypatch.setattr(cli, "_TOUR", (step,))
    with pytest.raises(errors.NoSuchKey):
        cli.main(["demo"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"aios3get {__version__}\n"


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["65536", "-1", "http", "٨٠"])
def test_what_is_no_port_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["demo", f"--port={text}"])
    assert stopped.value.code == 2
    assert f"{text!r} is no port" in capsys.readouterr().err


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["demo", "--port", str(port)]) == 1
    told = capsys.readouterr().err
    assert re.fullmatch(f"aios3get: port {port} cannot be used: .*in use.*\n", told)


def test_other_errors_of_the_system_are_not_laid_to_the_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli, "_TOUR", (cli._Step("A failure", "raise OSError(5, 'any')"),))
    with pytest.raises(OSError, match="any"):
        cli.main(["demo"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_is_full_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "aios3get", "demo"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stderr == f"aios3get: standard output takes no more: {os.strerror(errno.ENOSPC)}\n"
    assert done.returncode == 1


def test_ctrl_c_ends_the_tour_in_good_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_TOUR", (cli._Step("Enough", "raise KeyboardInterrupt"),))
    assert cli.main(["demo"]) == 0
    assert not capsys.readouterr().err


def test_a_pipe_without_a_reader_ends_the_tour(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("wb") as file:
        monkeypatch.setattr(sys, "stdout", Gone(file))
        assert cli.main(["demo"]) == 1


async def test_serve_prints_an_environment_and_waits() -> None:
    out = io.StringIO()
    task = asyncio.create_task(cli._demo(cli._Screen(out), 0, serve=True))
    while f"{BUCKET} holds {KEY}" not in out.getvalue():
        await asyncio.sleep(0.01)
        assert not task.done()
    names = re.findall(r"^export (AWS_\w+)=\S+$", out.getvalue(), re.MULTILINE)
    assert {"AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(names)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_reader_that_goes_away_is_no_error_to_speak_of() -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "aios3get", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1


@contextmanager
def serving() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "aios3get", "demo", "--serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def exported(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = {}
    for line in process.stdout:
        if line.startswith(f"{BUCKET} holds"):
            return found
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            found[name] = value
    raise AssertionError(f"the server said no more than {found}")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serve_leaves_a_server_for_the_printed_environment_until_it_is_ended(
    ending: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> int | None:
        async with S3Client() as s3:
            return (await s3.head_object(BUCKET, KEY)).content_length

    with serving() as process:
        environment = exported(process)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert asyncio.run(read()) == SIZE
        process.send_signal(ending)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aios3get import __version__
from aios3get.cli import demo, main


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"aios3get {__version__}\n"


def test_help_is_printed_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Download an object" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["click", "rich"])
def test_command_without_the_extra_names_it(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("aios3get.cli.find_spec", lambda name: None if name == package else name)
    assert main(["get", "s3://amzn-s3-demo-bucket/key"]) == 2
    assert 'pip install "aios3get[cli]"' in capsys.readouterr().err


@pytest.mark.parametrize("text", ["65536", "-1", "http", "٨٠"])
def test_invalid_port_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", f"--port={text}"])
    assert stopped.value.code == 2
    assert f"{text!r} is not a port" in capsys.readouterr().err


def test_port_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("aios3get: [Errno")
    assert f"('127.0.0.1', {port}): address already in use" in error


def test_ctrl_c_ends_the_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", interrupted)
    assert main(["demo"]) == 0
    assert not capsys.readouterr().err


def _run(stdout: int) -> subprocess.CompletedProcess[str]:
    # The command alone, without the server and the client of the demo.
    program = (
        "import sys; from aios3get import cli; import aios3get.cli.demo\n"
        "cli.demo.run = lambda **_: print('x' * 100_000, flush=True)\n"
        "sys.exit(cli.main(['demo']))"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_of_standard_output_is_reported() -> None:
    with Path("/dev/full").open("w") as full:
        done = _run(full.fileno())
    message = f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}"
    assert done.stderr.startswith(f"aios3get: {message}\n")
    assert done.returncode


def test_pipe_without_a_reader_ends_the_command_silently() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = _run(writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_module_runs_the_command() -> None:
    command = [sys.executable, "-m", "aios3get", "--version"]
    assert subprocess.check_output(command, text=True) == f"aios3get {__version__}\n"

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aios3get.cli import demo, main
from aios3get.cli.demo import BUCKET, KEY
from aios3get.testing import S3Server

SIZE = 2**20

# A line of the demo's code, and how the results below it begin.
SHOWN = [
    ("show(info.content_type, info.content_length,", [f"image/jpeg {SIZE} "]),
    ('show(f"{size:,} bytes, {obj.verified}")', [f"{SIZE:,} bytes, verified: "]),
    ("show(await obj.read(), obj.info.content_range)", [r"b'\xff\xd8\xff\xe0' ContentRange("]),
    ('show(f"NotModified: {error}")', [f"NotModified: GET {BUCKET}/{KEY}: "]),
    ('show(f"NoSuchKey: {error}")', [f"NoSuchKey: HEAD {BUCKET}/missing.jpg: "]),
    (
        'show(request.status, request.headers.get("Range"),',
        [
            f"{SIZE:,} bytes",
            "200 None 500,000 bytes sent",
            f"206 bytes=500000-{SIZE - 1} {SIZE - 500_000:,} bytes sent",
        ],
    ),
    ("show(response.status, response.read(),", [r"200 b'hello, world\n' until "]),
]


def test_demo_shows_its_code_and_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    demo.run()
    out, err = capsys.readouterr()
    assert not err
    assert "\033" not in out
    for code, results in SHOWN:
        _, found, below = out.partition(f" {code}")
        assert found, code
        arrows = [line.strip() for line in below.splitlines() if "→" in line]
        for arrow, result in zip(arrows, results, strict=False):
            assert arrow.startswith(f"→ {result}")


def test_demo_ignores_and_restores_the_users_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "AWS_PROFILE": "no-such-profile",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    demo.run()
    assert "200 b'hello, world" in capsys.readouterr().out
    assert dict(os.environ) == before


@contextmanager
def serving() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-m", "aios3get", "demo", "--serve"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def printed_commands(process: subprocess.Popen[str]) -> list[str]:
    """The ``unset`` and ``export`` lines that the demo prints; an empty line follows them."""
    assert process.stdout is not None
    commands: list[str] = []
    for line in process.stdout:
        if line.startswith(("unset ", "export ")):
            commands.append(line.strip())
        elif commands:
            return commands
    raise AssertionError(f"the demo ended after printing {commands}")


READ = f"""
import asyncio
from aios3get import S3Client

async def main():
    async with S3Client() as s3:
        print((await s3.head_object({BUCKET!r}, {KEY!r})).content_length)

asyncio.run(main())
"""


def test_printed_commands_make_a_shell_use_the_server_until_sigint() -> None:
    leftovers = {
        "AWS_PROFILE": "no-such-profile",
        "AWS_SESSION_TOKEN": "of-somebody-else",
        "AWS_USE_FIPS_ENDPOINT": "true",
    }
    with serving() as process:
        script = "\n".join([*printed_commands(process), 'exec "$@"'])
        printed = subprocess.check_output(
            ["sh", "-c", script, "sh", sys.executable, "-c", READ],
            env=os.environ | leftovers,
            text=True,
        )
        assert printed == f"{SIZE}\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")


def test_sigterm_ends_the_server_while_it_serves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_environment = demo._print_environment

    def print_and_terminate(server: S3Server) -> None:
        print_environment(server)
        os.kill(os.getpid(), signal.SIGTERM)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(demo, "_print_environment", print_and_terminate)
    try:
        assert main(["demo", "--serve"]) == 0
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    out, err = capsys.readouterr()
    assert not err
    assert "unset AWS_PROFILE" in out
    assert "export AWS_ENDPOINT_URL_S3=http://127.0.0.1:" in out


def test_terminal_gets_bold_headings_unless_declined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert demo._bold("text") == "\033[1mtext\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert demo._bold("text") == "text"


def test_every_step_of_the_demo_has_code_to_show() -> None:
    for step in demo._STEPS:
        assert re.match(r"(info|async with|try|server|link)\b", demo._code(step))

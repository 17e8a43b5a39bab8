import asyncio
import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import botocore.session
import pytest

from aios3get._protocol.identity import Credentials
from aios3get.credentials import CredentialsSource, Process
from aios3get.credentials.context import ProviderContext
from aios3get.errors import ConfigurationError, CredentialsError
from tests.credentials.conftest import first_calls_of_a_thousand_tasks, load

T = TypeVar("T")
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
OUTPUT: dict[str, Any] = {
    "Version": 1,
    "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
    "SecretAccessKey": SECRET,
    "SessionToken": "session/token+EXAMPLE==",
    "Expiration": "2100-01-01T00:00:00Z",
    "AccountId": "123456789012",
}
EXPECTED = Credentials(
    "ASIAIOSFODNN7EXAMPLE", SECRET, "session/token+EXAMPLE==", datetime(2100, 1, 1, tzinfo=UTC)
)


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-c", code, *arguments]


def writing(output: object = OUTPUT, then: str = "") -> list[str]:
    return python(f"import sys; print({json.dumps(output)!r}, flush=True); {then}")


async def test_output_of_the_process() -> None:
    assert await load(Process(writing()), os.environ) == EXPECTED


async def test_provider_can_be_called_directly() -> None:
    assert await Process(writing())() == EXPECTED


async def test_words_of_a_command_line_are_arguments_and_no_shell_expands_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "credential helper.py"
    script.write_text(
        "import json, sys\n"
        f"print(json.dumps({OUTPUT!r} | {{'SessionToken': '|'.join(sys.argv[1:])}}))"
    )
    command = f"""{sys.executable} -S '{script}' "$HOME" a\\ b '*' --x="y" """
    loaded = await load(Process(command.replace("a\\ b", "a\\_b")), os.environ)
    assert isinstance(loaded, Credentials)
    assert loaded.session_token == "$HOME|a_b|*|--x=y"
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {command}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    theirs = botocore.session.Session().get_credentials().get_frozen_credentials()
    assert theirs.token == "$HOME|a b|*|--x=y"


async def test_process_gets_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ROLE", "reader")
    code = "import json, os; print(json.dumps({**%r, 'SessionToken': os.environ['VAULT_ROLE']}))"
    loaded = await Process(python(code % OUTPUT))()
    assert isinstance(loaded, Credentials)
    assert loaded.session_token == "reader"


async def test_credentials_without_an_end_and_without_a_token() -> None:
    keys = {name: OUTPUT[name] for name in ("Version", "AccessKeyId", "SecretAccessKey")}
    loaded = await load(Process(writing(keys)), os.environ)
    assert loaded == Credentials("ASIAIOSFODNN7EXAMPLE", SECRET)


async def test_failure_quotes_the_error_output_without_secrets() -> None:
    message = f"cannot log in to https://me:hunter2@vault.example.com/v1?code=abc with {SECRET}"
    process = Process(writing(then=f"sys.exit({message!r})"))
    with pytest.raises(CredentialsError) as caught:
        await load(process, os.environ)
    assert str(caught.value) == (
        f"the process {sys.executable} returned no credentials: it exited with status 1: cannot log"
        " in to https://***@vault.example.com/v1?*** with ***"
    )


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("", "is not a JSON object"),
        ([OUTPUT], "is not a JSON object"),
        ({**OUTPUT, "Version": 2}, '"Version": 1'),
        ({**OUTPUT, "Version": "1"}, '"Version": 1'),
        ({**OUTPUT, "SecretAccessKey": None}, "has no SecretAccessKey"),
        ({**OUTPUT, "SecretAccessKey": [SECRET]}, "SecretAccessKey that is not a string"),
        ({**OUTPUT, "Expiration": "tomorrow"}, "Expiration that is not a time"),
        ({**OUTPUT, "Expiration": "2100-01-01T00:00:00"}, "Expiration that is not a time"),
        ({**OUTPUT, "SessionToken": "two words"}, "session_token must be printable"),
    ],
)
async def test_invalid_output_is_an_error_that_does_not_show_it(output: object, text: str) -> None:
    with pytest.raises(CredentialsError, match=text) as caught:
        await load(Process(writing(output)), os.environ)
    assert f"the output of the process {sys.executable}" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_output_beyond_the_limit_is_an_error_and_not_kept() -> None:
    code = "import sys; sys.stderr.write('e' * 1_000_000); sys.stdout.write('x' * 1_000_000)"
    with pytest.raises(CredentialsError, match="wrote more than 65,536 bytes"):
        await load(Process(python(code)), os.environ)


SLOW = ["sh", "-c", 'echo $$ > "$1"; exec sleep 60', "sh"]


async def test_process_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(CredentialsError, match=r"did not end within 0\.5 s"):
        await load(Process([*SLOW, str(pid_file)], timeout=0.5), os.environ)
    assert time.monotonic() - started < 5
    await _assert_ends(int(pid_file.read_text()))


async def test_cancelled_load_kills_the_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(load(Process([*SLOW, str(pid_file)]), os.environ))
    pid = await _eventually(lambda: pid_file.exists() and pid_file.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _assert_ends(int(pid))


async def _assert_ends(pid: int) -> None:
    def has_ended() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            # asyncio learns of the exit from a thread of this name, and warns of a process whose
            # exit it does not know.
            return not any("waitpid" in thread.name for thread in threading.enumerate())
        return False

    await _eventually(has_ended)
    await asyncio.sleep(0.01)


async def _eventually(condition: Callable[[], T]) -> T:
    async with asyncio.timeout(5):
        while not (result := condition()):  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.01)
    return result


async def test_child_that_keeps_the_pipes_open_does_not_exceed_the_timeout() -> None:
    with pytest.raises(CredentialsError, match=r"did not end within 0\.5 s"):
        await load(Process(["sh", "-c", "sleep 2 &"], timeout=0.5), os.environ)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["/nowhere/helper", SECRET], "No such file or directory"),
        (["/dev/null", SECRET], "Permission denied"),
    ],
)
async def test_process_that_cannot_be_started(command: list[str], text: str) -> None:
    with pytest.raises(CredentialsError, match=f"cannot be started: .*{text}") as caught:
        await load(Process(command), os.environ)
    assert SECRET not in str(caught.value)


async def test_event_loop_without_subprocesses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def subprocess_exec(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "subprocess_exec", subprocess_exec)
    with pytest.raises(CredentialsError, match="EventLoop cannot start processes"):
        await load(Process(["helper"]), os.environ)


@pytest.mark.parametrize("command", ["", "  ", [], [""]])
def test_empty_command_is_refused(command: str | list[str]) -> None:
    with pytest.raises(ConfigurationError, match="is empty"):
        Process(command)


def test_null_character_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="null character"):
        Process(["helper", "\0"])


def test_unclosed_quotation_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError, match="unclosed quotation") as caught:
        Process(f"helper '{SECRET}")
    assert caught.value.__suppress_context__
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_timeout_must_be_positive(timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout is"):
        Process("helper", timeout=timeout)


async def test_first_calls_of_a_thousand_tasks_start_one_process(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"import sys; open(sys.argv[1], 'a').write('x'); print({json.dumps(OUTPUT)!r})"
    source = CredentialsSource(Process(shlex.join(python(code, str(count)))))
    got = await first_calls_of_a_thousand_tasks(source)
    assert got == {EXPECTED}
    assert count.read_text() == "x"


def test_repr_and_str_show_the_program_and_no_argument() -> None:
    process = Process("/opt/bin/helper --password hunter2")
    assert repr(process) == "<Process '/opt/bin/helper'>"
    assert str(process) == "the process /opt/bin/helper"


async def test_shared_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("nonsense")
    environ = {**os.environ, "AWS_CONFIG_FILE": str(tmp_path / "config")}
    async with ProviderContext(environ=environ) as context:
        assert await Process(writing()).load(context) == EXPECTED

"""A pytest plugin that runs the linters and type checkers of the repository beside the tests.

It runs with ``uv run pytest`` alone: paths, ``-k``, ``-m``, ``--lf`` and ``--no-checks`` leave it
out. Each check counts as one test, ``checks::mypy`` for instance, and shows its output if it fails.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

__all__ = ["COMMANDS"]

COMMANDS: Mapping[str, Sequence[str]] = {
    "ruff-format": ("ruff", "format", "--check", "."),
    "ruff-check": ("ruff", "check", "."),
    "mypy": ("mypy",),
    "pyright": ("pyright",),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-checks", action="store_true", help="leave out the linters and type checkers"
    )


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if not is_worker and _runs_everything(config):
        config.pluginmanager.register(_Checks(config.rootpath), "repository-checks")


def _runs_everything(config: pytest.Config) -> bool:
    narrowing = ("no_checks", "keyword", "markexpr", "lf", "collectonly")
    everywhere = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return everywhere and not any(config.getoption(name, False) for name in narrowing)


class _Checks:
    """Runs one command after another, so that the tests keep most of the machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._reports: list[pytest.TestReport] = []
        self._process: subprocess.Popen[str] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run_all, daemon=True)

    def pytest_sessionstart(self) -> None:
        self._thread.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        finished = yield
        self._thread.join()
        for report in self._reports:
            # The session counts it, the terminal and a JUnit file show it.
            session.config.hook.pytest_runtest_logreport(report=report)
        return finished

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        done = [f"{r.nodeid} {r.outcome} in {r.duration:.1f} s" for r in self._reports]
        if done:
            terminalreporter.section("linters and type checkers")
            terminalreporter.write_line("\n".join(done))

    def pytest_unconfigure(self) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.kill()

    def _run_all(self) -> None:
        for name, command in COMMANDS.items():
            if not self._stopping:
                self._reports.append(self._run(name, command))

    def _run(self, name: str, command: Sequence[str]) -> pytest.TestReport:
        start = time.time()
        with subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self._root,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            self._process = process
            _give_way(process)
            output, _ = process.communicate()
        stop = time.time()
        return pytest.TestReport(
            nodeid=f"checks::{name}",
            location=("checks", None, name),
            keywords={},
            outcome="failed" if process.returncode else "passed",
            longrepr=output[-8000:] if process.returncode else None,
            when="call",
            duration=stop - start,
            start=start,
            stop=stop,
        )


def _give_way(process: subprocess.Popen[str]) -> None:
    # Tests of time limits need the processor before the checks do.
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)


def _environment() -> dict[str, str]:
    # pyright's package carries pyright; these variables could make it download another.
    kept = {n: value for n, value in os.environ.items() if not n.startswith("PYRIGHT_PYTHON_")}
    return kept | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"}

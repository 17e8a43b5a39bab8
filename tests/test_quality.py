import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checks import COMMANDS

_root = Path(__file__).parents[1]

# A project with one test and two checks, the second of which fails.
_conftest = f"""
import sys
sys.path.insert(0, {str(_root)!r})
from tests import checks
checks.COMMANDS = {{
    "good": ["timeit", "-n1", "pass"],
    "bad": ["no_such_linter"],
}}
pytest_plugins = ["tests.checks"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (tmp_path / "conftest.py").write_text(_conftest)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("def test_it(): pass\n")
    return tmp_path


# Several sessions in one process: importing pytest takes longer than each of them.
_program = """
import sys, pytest
for arguments in sys.argv[1:]:
    print("exit status", int(pytest.main(["-p", "xdist", *arguments.split()])), flush=True)
"""


def _pytest(project: Path, *sessions: str) -> list[str]:
    """The output of a pytest session for each of these command lines."""
    output = subprocess.check_output(
        [sys.executable, "-c", _program, *sessions],
        cwd=project,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"},
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    parts = re.split(r"(?<=exit status \d)\n", output)
    return parts[: len(sessions)]


def test_every_tool_of_the_project_is_checked() -> None:
    assert set(COMMANDS) == {"ruff-format", "ruff-check", "mypy", "pyright"}


def test_failing_check_fails_the_run_and_is_shown_apart(project: Path) -> None:
    for output in _pytest(project, "-n0", "-n1"):
        assert output.endswith("exit status 1")
        assert "1 failed, 2 passed" in output
        assert "FAILED checks::bad" in output
        assert "No module named no_such_linter" in output
        assert "checks::good passed in" in output


def test_checks_that_pass_leave_the_run_passing(project: Path) -> None:
    conftest = project / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"bad": ["no_such_linter"],', ""))
    (output,) = _pytest(project, "-q")
    assert output.endswith("exit status 0")
    assert "2 passed" in output


def test_narrowed_run_leaves_the_checks_out(project: Path) -> None:
    for output in _pytest(project, "--no-checks", "-k=it", "--lf", "tests/test_it.py"):
        assert output.endswith("exit status 0")
        assert "1 passed" in output
        assert "checks::" not in output

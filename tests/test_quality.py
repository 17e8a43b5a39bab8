import os
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


def _pytest(project: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", *arguments],
        cwd=project,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


def test_every_tool_of_the_project_is_checked() -> None:
    assert set(COMMANDS) == {"ruff-format", "ruff-check", "mypy", "pyright"}


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_failing_check_fails_the_run_and_is_shown_apart(project: Path, workers: str) -> None:
    status, output = _pytest(project, workers)
    assert status == 1
    assert "1 failed, 2 passed" in output
    assert "FAILED checks::bad" in output
    assert "No module named no_such_linter" in output
    assert "checks::good passed in" in output


def test_checks_that_pass_leave_the_run_passing(project: Path) -> None:
    conftest = project / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"bad": ["no_such_linter"],', ""))
    status, output = _pytest(project)
    assert status == 0
    assert "2 passed" in output


@pytest.mark.parametrize("narrowing", ["--no-checks", "-k=it", "tests/test_it.py"])
def test_a_narrowed_run_leaves_the_checks_out(project: Path, narrowing: str) -> None:
    status, output = _pytest(project, narrowing)
    assert status == 0
    assert "1 passed" in output
    assert "checks::" not in output

import os
import subprocess
import sys
from pathlib import Path

import pytest

_root = Path(__file__).parents[1]

CHECKS = {
    "format": ("ruff", "format", "--check", "."),
    "lint": ("ruff", "check", "."),
    "mypy": ("mypy",),
    "pyright": ("pyright",),
}


def _offline() -> dict[str, str]:
    # pyright's wheel carries pyright; these variables could make its wrapper download another.
    kept = {n: value for n, value in os.environ.items() if not n.startswith("PYRIGHT_PYTHON_")}
    return kept | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "NO_COLOR": "1"}


# Groups are how xdist gives the two long ones to different workers.
@pytest.mark.parametrize(
    "check", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in CHECKS]
)
def test_the_repository_passes(check: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *CHECKS[check]],
        cwd=_root,
        env=_offline(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]

"""The tests marked ``lifetime``, run by the newest Python on this machine.

From 3.12 on, exceptions keep frames alive in more cases than before. By hand, with downloads::

    uv run --isolated --python 3.13 pytest -m lifetime
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_root = Path(__file__).parents[1]


def _candidates(version: str) -> Iterator[Path]:
    for folder in os.environ["PATH"].split(os.pathsep):
        yield Path(folder) / f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted((pyenv / "versions").glob(f"{version}.*/bin/python"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    yield from sorted(uv.glob(f"cpython-{version}.*/bin/python"))


def _find_python(version: str) -> Path | None:
    """An interpreter of that version on PATH, of pyenv or of uv."""
    program = "import sys; print(*sys.version_info[:2], sep='.')"
    for path in _candidates(version):
        if path.exists():
            # A shim of pyenv exists for versions that it does not run.
            done = subprocess.run(
                [path, "-c", program], capture_output=True, text=True, check=False, timeout=60
            )
            if done.stdout.strip() == version:
                return path
    return None


def _lifetime_files() -> list[Path]:
    files = [path for path in (_root / "tests").rglob("test_*.py") if path != Path(__file__)]
    return sorted(path for path in files if "mark.lifetime" in path.read_text())


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="all tests run in such a Python")
def test_lifetime_tests_pass(pytestconfig: pytest.Config) -> None:
    uv = shutil.which("uv")
    found = ((version, _find_python(version)) for version in ("3.14", "3.13", "3.12"))
    version, python = next((each for each in found if each[1]), ("", None))
    if uv is None or python is None:
        pytest.skip("this machine has no uv, or no Python 3.12 or later")
    folder = pytestconfig.rootpath / ".pytest_cache" / f"python{version}"
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "VIRTUAL_ENV"))}
    environ = kept | {"UV_PROJECT_ENVIRONMENT": str(folder)}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [uv, *command],
            cwd=_root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )

    synced = run("sync", "--python", python, "--offline", "--quiet")
    if synced.returncode:
        pytest.skip(f"uv's cache has no packages for Python {version}: {synced.stdout.strip()}")
    tested = run("run", "--no-sync", "pytest", "-q", "-n0", "-mlifetime", *_lifetime_files())
    assert tested.returncode == 0, tested.stdout[-8000:]

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

_root = Path(__file__).parents[1]


def test_wheel_and_sdist_hold_what_they_should(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(command, cwd=_root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    sources = {
        path.relative_to(_root).as_posix()
        for path in (_root / "aios3get").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"aios3get/py.typed", "aios3get/client.py"} <= sources
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "aios3get = aios3get.cli:main" in archive.read(entry_points).decode()
    installed = {name for name in names if ".dist-info/" not in name}
    assert installed == sources | {"_aios3get_pytest.py"}
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert sources <= files
    assert {"README.md", "LICENSE", "mkdocs.yml", "docs/hooks.py", "tests/conftest.py"} <= files
    assert {name.partition("/")[0] for name in files} <= {
        *("aios3get", "tests", "docs", "examples", "benchmarks", ".ci", ".gitignore"),
        *("README.md", "CHANGELOG.md", "LICENSE", "PKG-INFO", "pyproject.toml", "mkdocs.yml"),
        "_aios3get_pytest.py",
    }

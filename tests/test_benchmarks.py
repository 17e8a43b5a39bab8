"""Every benchmark runs at a tiny size; its speed is not tested."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="they pin processes and read /proc"),
    pytest.mark.xdist_group("benchmarks"),
]

_root = Path(__file__).parents[1]
_folder = _root / "benchmarks"
_size = 9 << 20  # more than one part

sys.path.insert(0, str(_folder))
compare: Any = import_module("compare")
compare_peers: Any = import_module("compare_peers")
compare_servers: Any = import_module("compare_servers")
sys.path.remove(str(_folder))

needs_nginx = pytest.mark.skipif(compare_servers.NGINX is None, reason="nginx is not installed")
_installed = {"aios3get", "aios3get verified", "aiohttp", "kernel"}


@pytest.fixture(scope="module")
def endpoints() -> Iterator[Any]:
    works = compare.WORKS.values()
    with compare_servers.nginx({compare.key_of(work): size(work) for work in works}) as endpoints:
        yield endpoints


@pytest.fixture(scope="module")
def slow_endpoint() -> Iterator[str]:
    with compare_servers.throttled(_size, latency=0) as endpoint:
        yield endpoint


def size(work: Any) -> int:
    return int(compare.size_of(work, _size))


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, str(_folder / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def do(work: Any, endpoint: str, ca: str, path: Path) -> None:
    """Run the work with each client that is always installed."""
    is_slow = work.server == "throttled"
    length = _size if is_slow else size(work)
    job = compare_peers.Job(endpoint, ca, compare.key_of(work), length, 2, 5, str(path))
    for name in _installed.intersection(work.peers):
        client = compare_peers.PEERS[name]()
        async with client.open(job):
            await getattr(client, work.method)()


@needs_nginx
@pytest.mark.parametrize(
    "name", [name for name, work in compare.WORKS.items() if work.server != "throttled"]
)
async def test_benchmark_against_nginx_runs(name: str, endpoints: Any, tmp_path: Path) -> None:
    work = compare.WORKS[name]
    is_tls = work.server == "tls"
    endpoint, ca = (endpoints.tls, endpoints.ca) if is_tls else (endpoints.plain, "")
    await do(work, endpoint, ca, tmp_path / "file")


@pytest.mark.parametrize(
    "name", [name for name, work in compare.WORKS.items() if work.server == "throttled"]
)
async def test_benchmark_against_slow_server_runs(
    name: str, slow_endpoint: str, tmp_path: Path
) -> None:
    await do(compare.WORKS[name], slow_endpoint, "", tmp_path / "file")


@needs_nginx
def test_results_become_tables_and_a_plot(tmp_path: Path) -> None:
    results, docs, readme = tmp_path / "results.json", tmp_path / "docs", tmp_path / "README.md"
    page, image = docs / "performance.md", docs / "performance.svg"
    docs.mkdir()
    for each in (readme, page):
        each.write_text("Before.\n<!-- measured -->\nold\n<!-- /measured -->\nBehind.\n")
    output = run(
        *("compare.py", "memory", "starting", "--mib=9", "--rounds=1", "--loop=asyncio"),
        *("--peer=aios3get", "--peer=obstore", "--json", results),
    )
    installed = "obstore, asyncio" in json.loads(results.read_text())["works"]["memory"]["peers"]
    assert installed or "left out: ModuleNotFoundError: No module named 'obstore'" in output
    run("compare_report.py", results, tmp_path)
    before, _, behind = page.read_text().partition("| work | against | bar | asyncio | uvloop |")
    assert before.startswith("Before.\n<!-- measured -->\n\nMeasured on ")
    assert "| import | aiohttp imported | ≤ 30 ms |" in behind
    assert "| parallel into memory, peak memory | the destination | ≤ 24 MiB | " in behind
    assert "| aios3get, asyncio |" in behind
    assert "old" not in behind
    assert behind.endswith("<!-- /measured -->\nBehind.\n")
    summary = readme.read_text()
    assert summary.startswith("Before.\n<!-- measured -->\n\nMeasured on ")
    assert "| 1 GiB into memory, 8 connections | " in summary
    assert "Into memory" in image.read_text()


def test_unknown_work_is_rejected() -> None:
    command = [sys.executable, str(_folder / "compare.py"), "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown work: nothing" in done.stderr


@pytest.mark.parametrize("program", ["checksum.py", "resolve_endpoint.py", "sign.py"])
def test_small_benchmarks_run(program: str) -> None:
    assert run(program, "1" if program == "sign.py" else "0.001")


def test_file_systems_are_compared() -> None:
    reason = "the group frameworks is not installed: uv run --group frameworks pytest"
    pytest.importorskip("pandas", reason=reason)
    pytest.importorskip("zarr", reason=reason)
    table = run("fsspec_compare.py", "--mib=1", "--rounds=1", "--latency=0").splitlines()
    works = [line for line in table if line.startswith("| ") and "work" not in line]
    assert len(works) == 8
    assert "| `cat` of 16 keys of 10 kB | 16 | 0.2 | " in "\n".join(works)

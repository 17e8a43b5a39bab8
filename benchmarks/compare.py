"""Compare aios3get with other clients, side by side in one run, against nginx and a slow server.

    uv run --group bench --no-group dev python benchmarks/compare.py [work …]

Every client is a process of its own on one core; the server runs on another one. Each does the work
once before it counts. Then they take turns, every round beginning with another one. The figures are
medians. Clients that are not installed are left out by name.

It takes Linux, nginx (``apt-get install nginx``), 20 GB of memory for all works, and an hour.
``--json`` adds the results to a file, which ``compare_report.py`` makes tables and a plot of.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from compare_peers import Job
from compare_servers import nginx, start, throttled

MIB = 1 << 20
SMALL = {"1k": 1024, "64k": 65_536}


class Work(NamedTuple):
    """What the clients do.

    Attributes:
        title: what it is called.
        method: of the clients.
        peers: who can do it.
        server: ``plain``, ``tls`` or ``throttled``.
        object: ``large``, a fraction or a multiple of it, or a key of ``SMALL``.
        connections: requests at once.
        times: how many objects or ranges.
        disk: download to a disk rather than to memory.
        rounds: how many times as many as usual.
    """

    title: str
    method: str
    peers: tuple[str, ...]
    server: str = "plain"
    object: float | str = 1
    connections: int = 8
    times: int = 1
    disk: bool = False
    rounds: int = 1


def _small(key: str, in_flight: int) -> Work:
    title = f"{key.upper()}iB GET, {in_flight} in flight"
    peers = ("aios3get", "aiohttp", "obstore", "aiobotocore")
    return Work(title, "small", peers, "plain", key, in_flight, times=1000, rounds=3)


_MEMORY = ("aios3get", "aios3get verified", "obstore", "aiohttp")
_FILE = ("aios3get", "aios3get verified", "obstore", "boto3", "awscrt", "s3fs", "s5cmd", "kernel")
_RANGES = ("aios3get", "obstore", "aiohttp")
_FILES = ("aios3get", "obstore", "pyarrow", "smart_open")
WORKS = {
    **{f"small-{key}-{n}": _small(key, n) for key in SMALL for n in (1, 16, 64)},
    "chunks": Work("one stream, chunks", "chunks", _MEMORY),
    "readinto": Work("one stream, readinto", "readinto", (*_MEMORY[:2], "aiohttp", "kernel")),
    "chunks-tls": Work("one stream, chunks, TLS", "chunks", ("aios3get", "aiohttp"), "tls"),
    "readinto-tls": Work("one stream, readinto, TLS", "readinto", ("aios3get", "aiohttp"), "tls"),
    "memory": Work(
        "parallel into memory",
        "into_memory",
        (*_MEMORY, "aiobotocore", "awscrt", "s3fs", "kernel"),
    ),
    "memory-tls": Work("parallel into memory, TLS", "into_memory", _MEMORY, "tls"),
    "tmpfs": Work("parallel to a file in memory", "to_file", _FILE),
    "disk": Work("parallel to a file on disk", "to_file", _FILE, disk=True),
    "scattered": Work("1,000 ranges of 64 KiB", "scattered", _RANGES, times=1000),
    "tiny": Work("10,000 ranges in 100 MiB", "tiny", _RANGES[:2], times=10_000),
    "file-like": Work("in order, 64 KiB a read", "file_like", _RANGES, object=1 / 4),
    "parquet": Work("footer and columns", "parquet", _FILES, object=1 / 4),
    "slow-memory": Work(
        "parallel into memory, slow server",
        "into_memory",
        ("aios3get", "obstore"),
        "throttled",
        object=2,
    ),
    "slow-file-like": Work(
        "in order, slow server", "file_like", ("aios3get", "aiohttp"), "throttled", object=1 / 4
    ),
    "slow-scattered": Work(
        "1,000 ranges, slow server", "scattered", _RANGES, "throttled", times=1000
    ),
    "slow-tiny": Work("10,000 ranges, slow server", "tiny", _RANGES[:2], "throttled", times=10_000),
    "slow-parquet": Work(
        "footer and columns, slow server", "parquet", _FILES, "throttled", object=1 / 4
    ),
}

# The other clients have no event loop, or one of their own, or are the same on both.
_BOTH_LOOPS = ("aios3get", "aios3get verified", "aiohttp", "obstore")

_PROGRAMS = {
    "import aiohttp": "import aiohttp; b = t()",
    # In one process, because two differ by more than this takes.
    "import aios3get after aiohttp": "import aiohttp; a = t(); import aios3get; b = t()",
    "first call imports": "import aios3get; a = t(); import aios3get._engine.running; b = t()",
    "S3Client()": "from aios3get import S3Client; S3Client(); a = t(); S3Client(); b = t()",
}

_PACKAGES = ("aios3get", "aiohttp", "uvloop", "obstore", "aiobotocore", "boto3", "awscrt", "s3fs")


class Peer:
    """A process that does one work, round by round.

    Attributes:
        name: the client and its event loop.
        rounds: the figures of each round.
        missing: why there are none.
    """

    def __init__(self, client: str, loop: str, work: Work, job: Job, core: int | None) -> None:
        self.name = f"{client}, {loop}" if client in _BOTH_LOOPS else client
        self.rounds: list[dict[str, float]] = []
        self._process = start(
            [
                *(sys.executable, Path(__file__).with_name("compare_peers.py")),
                *(loop, client, work.method, "" if core is None else str(core)),
                json.dumps(job._asdict()),
            ],
            core,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.missing: str | None = self._read().get("missing")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        figures: dict[str, Any] = json.loads(line) if line else {"missing": "the process ended"}
        return figures

    def run(self) -> None:
        if self.missing is None:
            assert self._process.stdin is not None
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            figures = self._read()
            self.missing = figures.get("missing")
            if self.missing is None:
                self.rounds.append(figures)

    def close(self) -> None:
        self._process.communicate()


def compare(work: Work, job: Job, rounds: int, loops: list[str], core: int | None) -> list[Peer]:
    """Have all clients do the work in turns."""
    with ExitStack() as stack:
        peers: list[Peer] = []
        for client in work.peers:
            for loop in loops if client in _BOTH_LOOPS else loops[:1]:
                peer = Peer(client, loop, work, job, core)
                stack.callback(peer.close)
                peers.append(peer)
        order = deque(peers)
        for _ in range(rounds * work.rounds):
            for peer in order:
                peer.run()
            order.rotate(-1)
    return peers


def show(work: Work, peers: list[Peer]) -> None:
    print(f"\n{work.title:28} {'wall s':>8} {'CPU s':>8} {'MiB':>6}", flush=True)
    for peer in peers:
        if peer.missing is not None:
            print(f"{peer.name:28} left out: {peer.missing}")
            continue
        wall, cpu, memory = (
            statistics.median(each[figure] for each in peer.rounds)
            for figure in ("wall", "cpu", "memory")
        )
        print(f"{peer.name:28} {wall:8.3f} {cpu:8.3f} {memory:6.0f}", flush=True)


def jobs(works: list[str], large: int, core: int | None) -> Iterator[tuple[str, Job]]:
    """Each work, with its server running."""
    with ExitStack() as stack:
        path = [
            str(Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)), "downloaded"))
            for folder in ("/dev/shm", "/var/tmp")
        ]

        def job(work: Work, endpoint: str, ca: str, key: str, size: int) -> Job:
            times = min(work.times, large // 1000)
            return Job(endpoint, ca, key, size, work.connections, times, path[work.disk])

        near = [name for name in works if WORKS[name].server != "throttled"]
        if near:
            sizes = {key_of(WORKS[name]): size_of(WORKS[name], large) for name in near}
            with nginx(sizes, core) as endpoints:
                for name in near:
                    work = WORKS[name]
                    is_tls = work.server == "tls"
                    endpoint, ca = (endpoints.tls, endpoints.ca) if is_tls else (endpoints[0], "")
                    yield name, job(work, endpoint, ca, key_of(work), size_of(work, large))
        for name in works:
            if name not in near:
                size = size_of(WORKS[name], large)
                with throttled(size, core) as endpoint:
                    yield name, job(WORKS[name], endpoint, "", "large", size)


def key_of(work: Work) -> str:
    return work.object if isinstance(work.object, str) else f"large-{work.object}"


def size_of(work: Work, large: int) -> int:
    return SMALL[work.object] if isinstance(work.object, str) else int(work.object * large)


def starting(rounds: int) -> dict[str, list[dict[str, float]]]:
    """CPU seconds of imports and of creating a client."""
    results: dict[str, list[dict[str, float]]] = {title: [] for title in _PROGRAMS}
    # As installed: with bytecode, which a first process writes.
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.check_call([sys.executable, "-c", "import aiohttp, aios3get"], env=environ)
    for _ in range(rounds):
        for title, program in _PROGRAMS.items():
            timed = f"from time import process_time as t; a = t(); {program}; print(b - a)"
            output = subprocess.check_output([sys.executable, "-c", timed], env=environ)
            results[title].append({"cpu": float(output)})
    return results


def environment() -> dict[str, str]:
    """The machine, and the versions that run on it."""
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    cpu = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{cpu}, {os.cpu_count()} cores, Linux {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        **versions,
    }


def save(path: Path, name: str, result: dict[str, Any]) -> None:
    """Add a result to the file, in place of the same work's before."""
    results = json.loads(path.read_text()) if path.exists() else {"works": {}}
    results["environment"] = environment()
    results["works"][name] = result
    path.write_text(json.dumps(results, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("works", nargs="*", metavar="work", help=f"starting, {', '.join(WORKS)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mib", type=int, default=1024, help="size of the large object")
    parser.add_argument("--loop", action="append", choices=["asyncio", "uvloop"])
    parser.add_argument("--peer", action="append", help="leave out all clients but these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the results to FILE")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that temporary files are deleted
    unknown = set(arguments.works) - set(WORKS) - {"starting"}
    if unknown:
        parser.error(f"unknown work: {', '.join(sorted(unknown))}")
    chosen = arguments.works or ["starting", *WORKS]
    if "starting" in chosen:
        print(f"{'':28} {'CPU ms':>8}")
        results = starting(arguments.rounds)
        for title, rounds in results.items():
            print(f"{title:28} {statistics.median(each['cpu'] for each in rounds) * 1000:8.3f}")
        if arguments.json:
            save(arguments.json, "starting", {"title": "starting", "peers": results})
        chosen.remove("starting")
    cores = sorted(os.sched_getaffinity(0))
    client_core, server_core = (cores[0], cores[-1]) if len(cores) > 1 else (None, None)
    for name, job in jobs(chosen, arguments.mib * MIB, server_core):
        work = WORKS[name]
        if arguments.peer:
            work = work._replace(peers=tuple(each for each in work.peers if each in arguments.peer))
        loops = arguments.loop or ["asyncio", "uvloop"]
        peers = compare(work, job, arguments.rounds, loops, client_core)
        show(work, peers)
        if arguments.json:
            result = {
                "title": work.title,
                "size": job.size,
                "times": job.times,
                "connections": job.connections,
                "peers": {peer.name: peer.rounds for peer in peers if peer.rounds},
                "missing": {peer.name: peer.missing for peer in peers if peer.missing is not None},
            }
            save(arguments.json, name, result)


if __name__ == "__main__":
    main()

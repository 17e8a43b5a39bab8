"""Compare the file system of aios3get with s3fs: requests, bytes and seconds of usual work.

    uv run --group bench --group frameworks --no-group dev python benchmarks/fsspec_compare.py

The server is aios3get's own for tests, on another core, with a latency of 30 ms. Each file system
is a process of its own, which does the work once before it counts. Seconds are medians of rounds,
in which the file systems take turns. It takes Linux, 1 GB of memory and three minutes.
"""

import argparse
import io
import os
import platform
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

from aios3get.testing import S3Server

BUCKET = "amzn-s3-demo-bucket"
URL = f"{BUCKET}/"
MIB = 1 << 20

# Functions of the protocol, the storage options and the size in MiB.
Run = Callable[[str, dict[str, Any], int], Any]


class Work(NamedTuple):
    """What a program does with a file system.

    Attributes:
        title: what it is called.
        fill: stores what it reads; the second argument is the size in MiB.
        run: does it, and returns something to compare.
    """

    title: str
    fill: Callable[[S3Server, int], None]
    run: Run


def _random(size: int) -> bytes:
    block = os.urandom(MIB)
    return (block * (size // MIB + 1))[:size]


def _open(protocol: str, options: dict[str, Any]) -> Any:
    import fsspec

    return fsspec.filesystem(protocol, **options)


def _fill_parquet(server: S3Server, mib: int) -> None:
    import numpy as np
    import pandas as pd

    rows = max(mib * MIB // (40 * 8), 1000)
    numbers = np.random.default_rng(1)
    frame = pd.DataFrame({f"c{column:02}": numbers.random(rows) for column in range(40)})
    target = io.BytesIO()
    frame.to_parquet(target, row_group_size=rows // 4)
    server.put_object(BUCKET, "table.parquet", target.getvalue())


def _parquet(protocol: str, options: dict[str, Any], mib: int) -> Any:
    import pandas as pd

    columns = ["c07", "c23"]
    frame = pd.read_parquet(
        f"{protocol}://{URL}table.parquet", columns=columns, storage_options=options
    )
    return frame.shape[1], float(frame["c07"].sum())


def _fill_zarr(server: S3Server, mib: int) -> None:
    import numpy as np
    import zarr
    from zarr.storage import MemoryStore

    stored: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(stored))
    side = 256  # chunks of 0.5 MiB
    array = group.create_array("a", shape=(2 * mib * side, side), chunks=(side, side), dtype="f8")
    array[:] = np.random.default_rng(1).random(array.shape)
    for name, buffer in stored.items():
        server.put_object(BUCKET, f"example.zarr/{name}", buffer.to_bytes())


def _zarr(protocol: str, options: dict[str, Any], mib: int) -> Any:
    import zarr
    from zarr.storage import FsspecStore

    store = FsspecStore.from_url(
        f"{protocol}://{URL}example.zarr",
        storage_options={**options, "asynchronous": True},
        read_only=True,
    )
    array: Any = zarr.open_group(store, mode="r")["a"]
    return float(array[:].sum())


def _fill_large(server: S3Server, mib: int) -> None:
    server.put_object(BUCKET, "large.bin", _random(mib * MIB))


def _read(protocol: str, options: dict[str, Any], mib: int) -> Any:
    with _open(protocol, options).open(f"{URL}large.bin") as file:
        return len(file.read())


def _fill_csv(server: S3Server, mib: int) -> None:
    line = "1234567,2026-11-20,photos/2006/February/sample.jpg,0.125\n"
    server.put_object(BUCKET, "table.csv", "a,b,c,d\n" + line * (mib * MIB // len(line)))


def _csv(protocol: str, options: dict[str, Any], mib: int) -> Any:
    import pandas as pd

    return len(pd.read_csv(f"{protocol}://{URL}table.csv", storage_options=options))


def _ranges(protocol: str, options: dict[str, Any], mib: int) -> Any:
    starts = list(range(0, mib * MIB // 4, 16_384))
    ends = [start + 1024 for start in starts]
    contents = _open(protocol, options).cat_ranges([f"{URL}large.bin"] * len(starts), starts, ends)
    return len(b"".join(contents))


def _fill_small(server: S3Server, mib: int) -> None:
    for number in range(mib * 16):
        server.put_object(BUCKET, f"small/{number:06}", bytes(10_000))


def _cat(protocol: str, options: dict[str, Any], mib: int) -> Any:
    paths = [f"{URL}small/{number:06}" for number in range(mib * 16)]
    return sum(map(len, _open(protocol, options).cat(paths).values()))


def _fill_tree(server: S3Server, mib: int) -> None:
    for number in range(mib * 80):
        server.put_object(BUCKET, f"tree/{number % 50:02}/{number:06}", b"")


def _find(protocol: str, options: dict[str, Any], mib: int) -> Any:
    fs = _open(protocol, options)
    fs.invalidate_cache()
    return len(fs.find(f"{URL}tree"))


def _fill_zip(server: S3Server, mib: int) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(mib):
            archive.writestr(f"{number:04}.bin", _random(MIB))
    server.put_object(BUCKET, "archive.zip", target.getvalue())


def _zip(protocol: str, options: dict[str, Any], mib: int) -> Any:
    with (
        _open(protocol, options).open(f"{URL}archive.zip") as file,
        zipfile.ZipFile(file) as archive,
    ):
        return len(archive.read(f"{mib // 2:04}.bin"))


WORKS = {
    "parquet": Work("pandas: 2 of 40 columns of a Parquet file of {} MB", _fill_parquet, _parquet),
    "zarr": Work("zarr: an array of {} MB in chunks of 0.5 MB", _fill_zarr, _zarr),
    "cat": Work("`cat` of {:,.0f} keys of 10 kB", _fill_small, _cat),
    "find": Work("`find` of {:,.0f} keys", _fill_tree, _find),
    "read": Work("`open().read()` of {} MB", _fill_large, _read),
    "csv": Work("pandas: a CSV file of {} MB", _fill_csv, _csv),
    "ranges": Work("`cat_ranges`: {:,.0f} ranges of 1 kB, 16 kB apart", _fill_large, _ranges),
    "zip": Work("zipfile: 1 MB of an archive of {} MB", _fill_zip, _zip),
}
_COUNTS = {"cat": 16, "find": 80, "ranges": MIB // 4 / 16_384}
PEERS = {"aios3get": "aios3get", "s3fs": "s3"}


class Result(NamedTuple):
    """What a work took."""

    requests: int
    bytes: int
    seconds: float


def _peer(peer: str, work: str, endpoint: str, mib: int) -> None:
    """Do the work whenever a line comes in; write what it took and what it returned."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    options = {
        "key": "AKIAIOSFODNN7EXAMPLE",
        "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "endpoint_url": endpoint,
        "client_kwargs": {"region_name": "us-east-1"},
    }
    for _ in sys.stdin:
        start = time.perf_counter()
        returned = WORKS[work].run(PEERS[peer], options, mib)
        print(time.perf_counter() - start, repr(returned), flush=True)


def compare(
    work: str, mib: int, rounds: int, latency: float, peers: list[str]
) -> dict[str, Result]:
    """What the work took each of the file systems.

    Raises:
        RuntimeError: two of them returned something else.
    """
    results: dict[str, list[Result]] = {peer: [] for peer in peers}
    returned = set()
    with S3Server.in_thread() as server:
        WORKS[work].fill(server, mib)
        server.latency = latency
        processes = {
            peer: subprocess.Popen(
                [sys.executable, __file__, "--process", peer, work, server.endpoint_url, str(mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for peer in peers
        }
        for number in range(rounds + 1):
            for peer, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                server.requests.clear()
                process.stdin.write("\n")
                process.stdin.flush()
                seconds, _, value = process.stdout.readline().partition(" ")
                returned.add(value)
                sent = sum(each.bytes_sent for each in server.requests)
                if number:
                    results[peer].append(Result(len(server.requests), sent, float(seconds)))
        for process in processes.values():
            process.communicate()
    if len(returned) != 1:
        raise RuntimeError(f"{work}: the file systems returned {returned}")
    return {
        peer: Result(*(statistics.median(figures) for figures in zip(*each, strict=True)))
        for peer, each in results.items()
    }


def _cells(result: Result) -> str:
    return f"{result.requests:,.0f} | {result.bytes / 1e6:,.1f} | {result.seconds:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("works", nargs="*", help=", ".join(WORKS))
    parser.add_argument("--mib", type=int, default=64, help="size of the objects; 64 by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds; 0.03 by default")
    arguments = parser.parse_args()
    # The server stays off the core of the file systems.
    cores = sorted(os.sched_getaffinity(0))
    peers = [peer for peer in PEERS if find_spec(peer)]
    print("| work |", " | ".join(f"{p} requests | MB | s" for p in peers), "|")
    print("|---|", "---:|" * 3 * len(peers), sep="")
    for name in arguments.works or WORKS:
        os.sched_setaffinity(0, cores)
        results = compare(name, arguments.mib, arguments.rounds, arguments.latency, peers)
        cells = [
            f"{r.requests:,.0f} | {r.bytes / 1e6:,.1f} | {r.seconds:.2f}" for r in results.values()
        ]
        count = arguments.mib * _COUNTS.get(name, 1)
        print("|", WORKS[name].title.format(count), "|", " | ".join(cells), "|", flush=True)
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        _peer(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        main()

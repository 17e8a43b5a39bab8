"""The code of ``docs/distributed.md`` and ``examples/pytorch_dataset.py``, in worker processes."""

import importlib.util
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from aios3get import S3Client
from aios3get.cli import demo
from aios3get.testing import S3Server
from tests.reading_client import BUCKET

_root = Path(__file__).parents[2]
_reason = "the group frameworks is not installed: uv run --group frameworks pytest tests/docs"
START_METHODS = sorted({"fork", "spawn"} & set(multiprocessing.get_all_start_methods()))
SIZES = {f"small/{number:04}": number % 100 for number in range(2000)}


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server.in_thread() as server:
        for key, size in SIZES.items():
            server.put_object(BUCKET, key, bytes(size))
        demo.fill(server)
        yield server


@pytest.fixture
def server(running: S3Server) -> S3Server:
    running.requests.clear()
    return running


@pytest.fixture
def environ(server: S3Server) -> Iterator[None]:
    """Settings of the server, which worker processes inherit."""
    with mock.patch.dict(os.environ, server.environ):
        yield


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The code of the page as a module that worker processes can import, too."""
    blocks = re.findall(
        r"^```python\n(.*?)^```",
        (_root / "docs" / "distributed.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    (tmp_path / "distributed_page.py").write_text("".join(blocks))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sys.modules.pop("distributed_page", None)
    return importlib.import_module("distributed_page")


@pytest.fixture(scope="module")
def dask_client(running: S3Server) -> Iterator[Any]:
    """A client of Dask with three worker processes."""
    distributed = pytest.importorskip("distributed", reason=_reason)
    with (
        mock.patch.dict(os.environ, running.environ),
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def connections(server: S3Server) -> int:
    return len({request.connection for request in server.requests})


@pytest.mark.usefixtures("environ")
def test_dask_workers_read_with_pickled_clients(
    page: ModuleType, dask_client: Any, server: S3Server
) -> None:
    dask_client.upload_file(page.__file__)
    assert page.sizes_with_dask(dask_client, S3Client(), BUCKET, list(SIZES), batch=100) == SIZES
    assert len(server.requests) == len(SIZES)
    assert connections(server) > 3


@pytest.mark.usefixtures("environ")
def test_dask_workers_keep_the_connections_of_a_file_system(
    page: ModuleType, dask_client: Any, server: S3Server
) -> None:
    fsspec = pytest.importorskip("fsspec", reason=_reason)
    dask_client.upload_file(page.__file__)
    fs = fsspec.filesystem("aios3get", max_concurrency=None)
    expected = {f"{BUCKET}/{key}": size for key, size in SIZES.items()}
    assert page.sizes_with_fsspec(dask_client, fs, list(expected), batch=100) == expected
    processes = set(dask_client.run(os.getpid).values())
    assert len(processes) == 3
    # 20 tasks, each with up to 64 requests at a time
    assert connections(server) <= 3 * 64


@pytest.mark.usefixtures("environ")
def test_dask_collections_read_through_fsspec(dask_client: Any) -> None:
    bag = pytest.importorskip("dask.bag", reason=_reason)
    lines = bag.read_text(f"aios3get://{demo.BUCKET}/logs/2026/11/*.jsonl")
    assert lines.count().compute(scheduler=dask_client) == 1000


POOL = """
import multiprocessing, sys
from aios3get import S3Client
from distributed_page import sizes_with_processes

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    keys = [f"small/{number:04}" for number in range(2000)]
    sizes = sizes_with_processes(S3Client(), "examplebucket", keys, 2)
    assert sizes == {key: number % 100 for number, key in enumerate(keys)}
"""


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.usefixtures("page")
def test_processes_read_with_pickled_clients(
    server: S3Server, tmp_path: Path, start_method: str
) -> None:
    assert run(tmp_path, POOL, start_method, server) == ""
    assert connections(server) > 1


def run(folder: Path, program: str, start_method: str, server: S3Server) -> str:
    """The output of a program that imports modules of the folder and of the examples."""
    (folder / "program.py").write_text(program)
    path = os.pathsep.join([str(_root / "examples"), str(folder)])
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", folder / "program.py", start_method],
        env=os.environ | server.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


@pytest.mark.usefixtures("environ")
def test_ray_actors_read(page: ModuleType) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: 250 MB")
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        assert page.sizes_with_ray(S3Client(), BUCKET, list(SIZES)) == SIZES
    finally:
        ray.shutdown()


@pytest.mark.usefixtures("environ")
def test_spark_partitions_read(page: ModuleType) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed: 450 MB, and Java")
    spark = sql.SparkSession.builder.master("local[2]").getOrCreate()
    try:
        assert page.sizes_with_spark(spark, BUCKET, list(SIZES), 2) == SIZES
    finally:
        spark.stop()


# What the example uses of torch.utils.data, with processes of multiprocessing. PyTorch itself has
# 200 MB at least; where it is installed, the example runs with it.
TORCH = """
import multiprocessing
from typing import Generic, TypeVar

T = TypeVar("T")
info = None

class IterableDataset(Generic[T]):
    pass

def get_worker_info():
    return info

class Info:
    def __init__(self, id, num_workers):
        self.id, self.num_workers = id, num_workers

def work(dataset, queue, worker):
    global info
    info = worker
    for each in dataset:
        queue.put(each)
    queue.put(None)

class DataLoader:
    def __init__(self, dataset, batch_size, num_workers, multiprocessing_context):
        self.context = multiprocessing.get_context(multiprocessing_context)
        self.dataset, self.count = dataset, num_workers

    def __iter__(self):
        queue = self.context.Queue()
        workers = [
            self.context.Process(target=work, args=(self.dataset, queue, Info(n, self.count)))
            for n in range(self.count)
        ]
        for each in workers:
            each.start()
        for _ in workers:
            yield from iter(queue.get, None)
        for each in workers:
            each.join()
            assert each.exitcode == 0
"""

PROGRAM = """
import sys
import pytorch_dataset as example
from aios3get import S3Client

if __name__ == "__main__":
    keys = [f"small/{number:04}" for number in range(600)]
    dataset = example.S3Objects(S3Client(), "examplebucket", keys)
    here = sorted(map(len, dataset))
    loader = example.DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context=sys.argv[1]
    )
    assert sorted(map(len, loader)) == here == sorted(number % 100 for number in range(600))
    example.main(sys.argv[1])
"""


@pytest.mark.parametrize("start_method", START_METHODS)
def test_pytorch_workers_divide_the_keys(
    server: S3Server, tmp_path: Path, start_method: str
) -> None:
    if importlib.util.find_spec("torch") is None:
        (tmp_path / "torch" / "utils").mkdir(parents=True)
        (tmp_path / "torch" / "utils" / "data.py").write_text(TORCH)
    output = run(tmp_path, PROGRAM, start_method, server)
    assert output == "1002 objects, 30,903 bytes\n"
    assert connections(server) > 3

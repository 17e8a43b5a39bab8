"""Libraries that read files through fsspec, each a file of its own format."""

import asyncio
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from aios3get.fsspec import S3FileSystem
from aios3get.testing import S3Server
from tests.fsspec.conftest import Options
from tests.reading_client import BUCKET
from tests.servers.foreign import botocore_client
from tests.servers.process import RealServer

_reason = "the group frameworks is not installed: uv run --group frameworks pytest tests/fsspec"
h5py = pytest.importorskip("h5py", reason=_reason)
np = pytest.importorskip("numpy", reason=_reason)
pd = pytest.importorskip("pandas", reason=_reason)
pl = pytest.importorskip("polars", reason=_reason)
ds = pytest.importorskip("pyarrow.dataset", reason=_reason)
pq = pytest.importorskip("pyarrow.parquet", reason=_reason)
zarr = pytest.importorskip("zarr", reason=_reason)
zarr_storage = pytest.importorskip("zarr.storage", reason=_reason)

pytestmark = pytest.mark.usefixtures("shared_instances")

FRAME = pd.DataFrame({"number": range(5000), "square": [n * n for n in range(5000)]})


def parquet(frame: Any) -> bytes:
    target = io.BytesIO()
    frame.to_parquet(target, index=False)
    return target.getvalue()


def zarr_group(numbers: Any) -> dict[str, bytes]:
    """The objects of a group with an array of a hundred columns."""
    stored: dict[str, Any] = {}
    group = zarr.create_group(zarr_storage.MemoryStore(stored))
    array = group.create_array("numbers", shape=numbers.shape, chunks=(10, 100), dtype="int64")
    array[:] = numbers
    return {name: buffer.to_bytes() for name, buffer in stored.items()}


def hdf5(numbers: Any) -> bytes:
    target = io.BytesIO()
    with h5py.File(target, "w") as file:
        file.create_dataset("numbers", data=numbers, chunks=(100, 1000))
    return target.getvalue()


def zipped(noise: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("noise.bin", noise)
        archive.writestr("hello.txt", "Hello")
    return target.getvalue()


def bytes_sent(server: S3Server) -> int:
    return sum(each.bytes_sent for each in server.requests)


def test_pandas_reads_csv_and_parquet(server: S3Server, storage_options: Options) -> None:
    server.put_object(BUCKET, "frame.csv", FRAME.to_csv(index=False))
    server.put_object(BUCKET, "frame.parquet", parquet(FRAME))
    url = f"aios3get://{BUCKET}/frame"
    read = pd.read_csv(f"{url}.csv", storage_options=storage_options)
    pd.testing.assert_frame_equal(read, FRAME)
    read = pd.read_parquet(f"{url}.parquet", storage_options=storage_options)
    pd.testing.assert_frame_equal(read, FRAME)


def test_pyarrow_reads_a_partitioned_dataset(server: S3Server, fs: S3FileSystem) -> None:
    for year in (2025, 2026):
        for number in range(2):
            server.put_object(BUCKET, f"sales/year={year}/{number}.parquet", parquet(FRAME))
    dataset = ds.dataset(f"{BUCKET}/sales", filesystem=fs, partitioning="hive")
    wanted = (ds.field("year") == 2026) & (ds.field("number") < 10)
    table = dataset.to_table(filter=wanted)
    assert table.num_rows == 20
    assert set(table["year"].to_pylist()) == {2026}
    # One file of the other partition is opened for the schema.
    opened = {each.key for each in server.requests if "year=2025" in (each.key or "")}
    assert len(opened) <= 1


def test_pyarrow_reads_one_column_of_a_file(server: S3Server, fs: S3FileSystem) -> None:
    random = np.random.default_rng(1)
    wide = pd.DataFrame({f"c{n}": random.random(20_000) for n in range(40)})
    body = parquet(wide)
    server.put_object(BUCKET, "wide.parquet", body)
    with fs.open(f"{BUCKET}/wide.parquet") as file:
        table = pq.ParquetFile(file, pre_buffer=True).read(columns=["c20"])
    assert np.array_equal(table["c20"].to_numpy(), wide["c20"].to_numpy())
    assert bytes_sent(server) < len(body) // 2


def test_polars_reads_csv_and_parquet(server: S3Server, fs: S3FileSystem) -> None:
    server.put_object(BUCKET, "frame.csv", FRAME.to_csv(index=False))
    server.put_object(BUCKET, "frame.parquet", parquet(FRAME))
    with fs.open(f"{BUCKET}/frame.parquet") as file:
        assert pl.read_parquet(file)["square"].to_list() == list(FRAME.square)
    with fs.open(f"{BUCKET}/frame.csv") as file:
        assert pl.read_csv(file)["square"].to_list() == list(FRAME.square)
    dataset = ds.dataset(f"{BUCKET}/frame.parquet", filesystem=fs)
    few: Any = pl.scan_pyarrow_dataset(dataset).filter(pl.col("number") < 3).collect()
    assert few["square"].to_list() == [0, 1, 4]


def test_zarr_reads_part_of_an_array(server: S3Server, storage_options: Options) -> None:
    numbers = np.arange(10_000).reshape(100, 100)
    for name, body in zarr_group(numbers).items():
        server.put_object(BUCKET, f"example.zarr/{name}", body)
    store = zarr_storage.FsspecStore.from_url(
        f"aios3get://{BUCKET}/example.zarr",
        storage_options={**storage_options, "asynchronous": True},
        read_only=True,
    )
    read: Any = zarr.open_group(store, mode="r")["numbers"]
    assert np.array_equal(read[5:25, 3], numbers[5:25, 3])
    assert not any("/c/5" in (each.key or "") for each in server.requests)


def test_h5py_reads_part_of_a_dataset(server: S3Server, fs: S3FileSystem) -> None:
    numbers = np.arange(1_000_000).reshape(1000, 1000)
    body = hdf5(numbers)
    server.put_object(BUCKET, "numbers.h5", body)
    with fs.open(f"{BUCKET}/numbers.h5") as opened, h5py.File(opened, "r") as file:
        assert np.array_equal(file["numbers"][500:510, :7], numbers[500:510, :7])
    assert bytes_sent(server) < len(body) // 2


def test_zipfile_reads_one_member(server: S3Server, fs: S3FileSystem) -> None:
    noise = np.random.default_rng(1).bytes(3 << 20)
    server.put_object(BUCKET, "archive.zip", zipped(noise))
    with fs.open(f"{BUCKET}/archive.zip") as opened, zipfile.ZipFile(opened) as archive:
        assert archive.namelist() == ["noise.bin", "hello.txt"]
        assert archive.read("hello.txt") == b"Hello"
        assert archive.read("noise.bin") == noise


@pytest.fixture
def foreign(rclone: RealServer) -> Iterator[tuple[Any, Options]]:
    """rclone's server: a client that puts objects there, and options to read them."""
    s3 = botocore_client(rclone)
    yield (
        s3,
        {
            "key": rclone.access_key_id,
            "secret": rclone.secret_access_key,
            "endpoint_url": rclone.endpoint_url,
            "region": rclone.region,
        },
    )
    s3.close()


def test_data_frames_of_another_server(foreign: tuple[Any, Options]) -> None:
    s3, options = foreign
    s3.create_bucket(Bucket="frames")
    names = [f"frames/logs/{number}.parquet" for number in range(3)]
    for name in names:
        s3.put_object(Bucket="frames", Key=name.removeprefix("frames/"), Body=parquet(FRAME))
    fs = fsspec.filesystem("aios3get", **options)
    assert fs.find("frames/logs") == fs.glob("frames/*/*.parquet") == names
    assert ds.dataset("frames/logs", filesystem=fs).to_table().num_rows == 3 * len(FRAME)
    read = pd.read_parquet(f"aios3get://{names[0]}", storage_options=options)
    pd.testing.assert_frame_equal(read, FRAME)
    with fs.open(names[1]) as file:
        assert pl.read_parquet(file)["square"].to_list() == list(FRAME.square)
    assert asyncio.run(fs._exists(names[1]))


def test_arrays_and_archives_of_another_server(foreign: tuple[Any, Options]) -> None:
    s3, options = foreign
    s3.create_bucket(Bucket="arrays")
    numbers = np.arange(100_000).reshape(1000, 100)
    bodies = {f"example.zarr/{name}": body for name, body in zarr_group(numbers).items()}
    bodies["numbers.h5"] = hdf5(np.arange(1_000_000).reshape(1000, 1000))
    bodies["archive.zip"] = zipped(b"noise" * 100_000)
    for key, body in bodies.items():
        s3.put_object(Bucket="arrays", Key=key, Body=body)
    store = zarr_storage.FsspecStore.from_url(
        "aios3get://arrays/example.zarr",
        storage_options={**options, "asynchronous": True},
        read_only=True,
    )
    read: Any = zarr.open_group(store, mode="r")["numbers"]
    assert np.array_equal(read[5:25, 3], numbers[5:25, 3])
    fs = fsspec.filesystem("aios3get", **options)
    with fs.open("arrays/numbers.h5") as opened, h5py.File(opened, "r") as file:
        assert file["numbers"][500, :3].tolist() == [500_000, 500_001, 500_002]
    with fs.open("arrays/archive.zip") as opened, zipfile.ZipFile(opened) as archive:
        assert archive.read("hello.txt") == b"Hello"

"""Read tables with polars and pyarrow, through fsspec or on an event loop of yours.

python examples/dataframes.py
"""

import asyncio
from typing import Any

import fsspec
import polars as pl
import pyarrow.dataset as ds

from aios3get import S3Client

BUCKET = "amzn-s3-demo-bucket"


def read_one(fs: Any, path: str) -> pl.DataFrame:
    with fs.open(path) as file:  # pl.read_parquet(file, columns=[…]) reads those columns only
        return pl.read_ndjson(file)


def read_folder(fs: Any, path: str) -> pl.DataFrame:
    """Let pyarrow list the files, choose among them by a filter, and read them at once."""
    dataset = ds.dataset(path, filesystem=fs, format="json")  # or "parquet", partitioning="hive"
    return pl.DataFrame(dataset.to_table(filter=ds.field("line") < 10))


async def read_many(s3: S3Client, keys: list[str]) -> pl.DataFrame:
    """Without fsspec: many objects at once, each parsed when it is complete."""
    frames = list[pl.DataFrame]()
    async for result in s3.get_objects([(BUCKET, key) for key in keys]):
        if result.error is not None:
            raise result.error
        frames.append(await asyncio.to_thread(pl.read_ndjson, result.body))
    return pl.concat(frames)


async def main() -> None:
    fs = fsspec.filesystem("aios3get")
    print(await asyncio.to_thread(read_one, fs, f"{BUCKET}/logs/2026/11/20.jsonl"))
    print(await asyncio.to_thread(read_folder, fs, f"{BUCKET}/logs"))
    async with S3Client() as s3:
        print(await read_many(s3, ["logs/2026/11/20.jsonl"] * 3))


if __name__ == "__main__":
    asyncio.run(main())

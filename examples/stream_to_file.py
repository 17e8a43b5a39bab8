"""Stream an object into a file: bounded memory, verified where S3 has a checksum, no half files.

python examples/stream_to_file.py
"""

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

from aios3get import S3Client

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"


async def stream(s3: S3Client, bucket: str, key: str, file: BinaryIO) -> None:
    async with s3.get_object(bucket, key) as obj:
        async for chunk in obj.iter_chunks(1 << 20):
            await asyncio.to_thread(file.write, chunk)
        print(f"{obj.info.object_size:,} bytes, {obj.verified}")


async def main(file: BinaryIO) -> None:
    async with S3Client() as s3:
        await stream(s3, BUCKET, KEY, file)


if __name__ == "__main__":
    target = Path(KEY).name
    unfinished = f"{target}.part"
    with open(unfinished, "wb") as out:
        asyncio.run(main(out))
    os.replace(unfinished, target)

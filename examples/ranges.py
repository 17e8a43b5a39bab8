"""Read the first and the last bytes of an object side by side, without the middle.

python examples/ranges.py
"""

import asyncio

from aios3get import ByteRange, S3Client

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"


async def read_range(s3: S3Client, wanted: ByteRange) -> bytes:
    async with s3.get_object(BUCKET, KEY, range=wanted) as obj:
        found = obj.info.content_range
        print(f"{wanted}: {found}")
        return await obj.read()


async def main() -> None:
    async with S3Client() as s3, asyncio.TaskGroup() as group:
        head = group.create_task(read_range(s3, ByteRange(0, 16)))
        tail = group.create_task(read_range(s3, ByteRange.last(16)))
    print(head.result().hex(" "))
    print(tail.result().hex(" "))


if __name__ == "__main__":
    asyncio.run(main())

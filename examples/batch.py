"""Read many small objects at once, with progress; failures are collected, not raised.

python examples/batch.py
"""

import asyncio
import sys
from collections.abc import Iterable

from aios3get import S3Client, errors

BUCKET = "amzn-s3-demo-bucket"


async def total_size(keys: Iterable[str]) -> tuple[int, dict[str, errors.S3Error]]:
    size, failed = 0, dict[str, errors.S3Error]()
    async with S3Client() as s3:
        results = s3.get_objects(((BUCKET, key) for key in keys), concurrency=32)
        number = 0
        async for result in results:
            number += 1
            if result.error is None:
                size += len(result.body)
            else:
                failed[result.key] = result.error
            print(f"\r{number} read, {len(failed)} failed", end="", file=sys.stderr)
    print(file=sys.stderr)
    return size, failed


async def main() -> None:
    keys = ["hello.txt", "logs/2026/11/20.jsonl", "missing.txt", *["empty"] * 100]
    size, failed = await total_size(keys)
    print(f"{size:,} bytes")
    for key, error in failed.items():
        print(f"{'try again' if error.retryable else 'give up'}: {key}: {type(error).__name__}")


if __name__ == "__main__":
    asyncio.run(main())

"""Download an object to a file, with progress. Interrupted, it continues at the next run.

python examples/download.py [key [target]]
"""

import asyncio
import sys
from pathlib import Path

from aios3get import S3Client, errors

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"


def show(done: int, total: int | None) -> None:
    share = f"{done / total:4.0%} of " if total else ""
    print(f"\r{share}{(total or done) / 1e6:,.1f} MB", end="", file=sys.stderr, flush=True)


async def main(key: str, target: str) -> None:
    async with S3Client() as s3:
        try:
            done = await s3.download_object(BUCKET, key, target, on_progress=show)
        except errors.S3Error as error:
            again = "; run this again to continue" if error.retryable else ""
            sys.exit(f"{error}{again}")
    print(file=sys.stderr)
    print(
        f"{done.path}: {done.size:,} bytes, {done.resumed:,} of them from before; {done.verified}"
    )


if __name__ == "__main__":
    key = sys.argv[1] if sys.argv[1:] else KEY
    asyncio.run(main(key, sys.argv[2] if sys.argv[2:] else Path(key).name))

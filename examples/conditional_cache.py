"""Keep objects in memory, and let S3 say whether they are still current: a 304 has no body.

python examples/conditional_cache.py
"""

import asyncio
from dataclasses import dataclass, field

from aios3get import S3Client, errors

BUCKET, KEY = "amzn-s3-demo-bucket", "hello.txt"


@dataclass
class Cache:
    s3: S3Client
    bucket: str
    kept: dict[str, tuple[str | None, bytes]] = field(
        default_factory=dict[str, tuple[str | None, bytes]]
    )

    async def get(self, key: str) -> bytes:
        etag, body = self.kept.get(key, (None, b""))
        try:
            async with self.s3.get_object(self.bucket, key, if_none_match=etag) as obj:
                body = await obj.read()
                self.kept[key] = (obj.info.etag, body)
                print(f"{key}: read {len(body)} bytes")
        except errors.NotModified:
            print(f"{key}: still current")
        return body


async def main() -> None:
    async with S3Client() as s3:
        cache = Cache(s3, BUCKET)
        first = await cache.get(KEY)
        again = await cache.get(KEY)
        assert again == first


if __name__ == "__main__":
    asyncio.run(main())

"""Make a link that downloads under a chosen name, and open it as any program would.

python examples/presign.py
"""

import asyncio
import urllib.request
from datetime import timedelta

from aios3get import S3Client, content_disposition

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"


def open_anywhere(url: str) -> None:
    with urllib.request.urlopen(url) as answer:
        print(answer.status, answer.headers["Content-Disposition"], len(answer.read()))


async def main() -> None:
    async with S3Client() as s3:
        link = await s3.presign_get_object(
            BUCKET,
            KEY,
            expires_in=timedelta(minutes=10),
            response_content_disposition=content_disposition("Zürich in February.jpg"),
        )
    # repr() leaves out the query, which is as good as a key; str() is the link itself.
    print(repr(link))
    assert not link.headers, "the holder of such a link would have to send these"
    await asyncio.to_thread(open_anywhere, link.url)


if __name__ == "__main__":
    asyncio.run(main())

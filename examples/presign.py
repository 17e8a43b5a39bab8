"""Presign a download with a file name, and open the URL without credentials.

python examples/presign.py
"""

import asyncio
import urllib.request
from datetime import timedelta

from aios3get import PresignedUrl, S3Client, content_disposition

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"


def download(link: PresignedUrl) -> None:
    # Requester Pays and the bucket's owner are in the URL; conditions, ranges and SSE-C are in
    # link.headers, which a browser cannot send.
    request = urllib.request.Request(link.url, headers=dict(link.headers))
    with urllib.request.urlopen(request) as response:
        print(response.status, response.headers["Content-Disposition"], len(response.read()))


async def main() -> None:
    async with S3Client() as s3:
        link = await s3.presign_get_object(
            BUCKET,
            KEY,
            expires_in=timedelta(minutes=10),
            response_content_disposition=content_disposition("Zürich in February.jpg"),
        )
    # repr() hides the query, which is a credential; str() is the URL.
    print(repr(link))
    await asyncio.to_thread(download, link)


if __name__ == "__main__":
    asyncio.run(main())

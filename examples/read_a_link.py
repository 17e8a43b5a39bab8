"""Read from somebody's presigned link: ranges, resume and checks, but no credentials of ours.

python examples/read_a_link.py ["https://…"]
"""

import asyncio
import sys

from aios3get import ANONYMOUS, S3Client, errors


async def lines_of(url: str, first: int) -> list[bytes]:
    async with S3Client(credentials=ANONYMOUS) as s3, s3.get_url(url) as obj:
        found: list[bytes] = []
        async for line in obj.iter_lines():
            found.append(line)
            if len(found) == first:
                break
        return found


async def link_of_a_friend() -> str:
    async with S3Client() as theirs:
        link = await theirs.presign_get_object("amzn-s3-demo-bucket", "logs/2026/11/20.jsonl")
        return link.url


async def main(arguments: list[str]) -> None:
    url = arguments[0] if arguments else await link_of_a_friend()
    try:
        for line in await lines_of(url, 3):
            print(line.decode())
    except errors.PresignedUrlExpired:
        print("the link's time is over; ask for another one")
    except errors.AccessDenied as error:
        print(f"the link does not open: {error.code}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

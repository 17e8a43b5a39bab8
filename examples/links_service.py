"""A web service whose users download from S3 themselves, by presigned links.

python examples/links_service.py 8080, then open http://localhost:8080/ in a browser
"""

import html
import sys
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from urllib.parse import quote

from aiohttp import web
from yarl import URL

from aios3get import S3Client, content_disposition, errors

BUCKET = "amzn-s3-demo-bucket"
KEYS = ("hello.txt", "photos/2006/February/sample.jpg", "missing.txt")
S3 = web.AppKey("S3", S3Client)


async def index(request: web.Request) -> web.Response:
    items = (f'<li><a href="/get/{quote(key)}">{html.escape(key)}</a></li>' for key in KEYS)
    page = f"<!doctype html><title>Downloads</title><ul>{''.join(items)}</ul>"
    return web.Response(text=page, content_type="text/html")


async def get(request: web.Request) -> web.Response:
    # Check here whether this user may read the object: whoever has the link can.
    s3, key = request.app[S3], request.match_info["key"]
    try:
        await s3.head_object(BUCKET, key)
    except errors.NotFound:
        raise web.HTTPNotFound from None
    name = content_disposition(PurePosixPath(key).name, inline=True)
    link = await s3.presign_get_object(
        BUCKET, key, expires_in=60, response_content_disposition=name
    )
    # The signature is of this very text, so it must not be encoded again.
    raise web.HTTPFound(URL(link.url, encoded=True), headers={"Cache-Control": "no-store"})


async def client(app: web.Application) -> AsyncIterator[None]:
    async with S3Client() as app[S3]:
        yield


def application() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_get("/", index)
    app.router.add_get("/get/{key:.+}", get)
    return app


if __name__ == "__main__":
    web.run_app(application(), port=int(sys.argv[1]))

"""A web service that passes objects through: streaming, ranges, conditions, HEAD, and disconnects.

python examples/service.py 8080     # serves until Ctrl-C: curl -r 0-15 localhost:8080/hello.txt
python examples/service.py          # asks itself a few things
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from aios3get import GetObjectOptions, ObjectInfo, S3Client, errors

BUCKET = "amzn-s3-demo-bucket"
S3 = web.AppKey("S3", S3Client)
PASSED_ON = (
    *("Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding"),
    *("Content-Language", "Content-Length", "Content-Range", "Content-Type", "ETag", "Expires"),
    "Last-Modified",
)


async def get(request: web.Request) -> web.StreamResponse:
    s3, key = request.app[S3], request.match_info["key"]
    if request.method == "HEAD":
        info = await s3.head_object(BUCKET, key, **asked(request))
        return web.Response(status=info.status, headers=passed_on(info))
    async with s3.get_object(BUCKET, key, **asked(request)) as obj:
        response = web.StreamResponse(status=obj.info.status, headers=passed_on(obj.info))
        await response.prepare(request)
        # write() waits while the reader is slow, and raises when it has gone; both ends are then
        # closed by async with, in the middle of the body if need be.
        async for chunk in obj:
            await response.write(chunk)
        await response.write_eof()
        return response


def asked(request: web.Request) -> GetObjectOptions:
    options: GetObjectOptions = {
        "if_none_match": request.headers.get("If-None-Match"),
        "if_modified_since": request.if_modified_since,
    }
    wanted = request.headers.get("Range", "")
    # RFC 9110 section 14.2 lets a server ignore Range; several ranges at once S3 does not have.
    if wanted.startswith("bytes=") and "," not in wanted and "If-Range" not in request.headers:
        options["range"] = wanted
    return options


def passed_on(info: ObjectInfo) -> dict[str, str]:
    return {name: info.headers[name] for name in PASSED_ON if name in info.headers}


@web.middleware
async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """S3's refusals, in the words of this service."""
    try:
        return await handler(request)
    except errors.NotModified as answer:
        etag = answer.headers.get("ETag")
        return web.Response(status=304, headers={"ETag": etag} if etag else {})
    except errors.NotFound:
        raise web.HTTPNotFound from None
    except errors.InvalidRange as error:
        size = error.actual_object_size
        span = {"Content-Range": f"bytes */{size}"} if size is not None else {}
        return web.Response(status=416, headers=span)
    except errors.ParameterError:
        raise web.HTTPBadRequest from None
    except errors.ServiceError as error:
        raise (web.HTTPServiceUnavailable if error.retryable else web.HTTPBadGateway) from error


async def client(app: web.Application) -> AsyncIterator[None]:
    async with S3Client() as s3:
        app[S3] = s3
        yield


def application() -> web.Application:
    app = web.Application(middlewares=[told])
    app.cleanup_ctx.append(client)
    app.router.add_get("/{key:.+}", get)
    return app


async def ask_itself() -> None:
    runner = web.AppRunner(application())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            for method, path, headers in (
                ("GET", "/hello.txt", {}),
                ("GET", "/hello.txt", {"Range": "bytes=0-4"}),
                ("GET", "/hello.txt", {"Range": "bytes=1000-"}),
                ("HEAD", "/photos/2006/February/sample.jpg", {}),
                ("GET", "/missing.txt", {}),
            ):
                async with session.request(method, path, headers=headers) as answer:
                    size = len(await answer.read())
                    print(method, path, headers, "→", answer.status, answer.content_type, size)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    if sys.argv[1:]:
        web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]))
    else:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(ask_itself())

"""A web service with aiohttp that streams objects: ranges, conditions, HEAD and disconnects.

python examples/aiohttp_service.py 8080, then: curl -r 0-4 localhost:8080/hello.txt
"""

import sys
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from aios3get import GetObjectOptions, S3Client, errors

BUCKET = "amzn-s3-demo-bucket"
S3 = web.AppKey("S3", S3Client)
FORWARDED = (
    *("Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding"),
    *("Content-Language", "Content-Length", "Content-Range", "Content-Type", "ETag", "Expires"),
    "Last-Modified",
)


async def get(request: web.Request) -> web.StreamResponse:
    s3, key = request.app[S3], request.match_info["key"]
    options: GetObjectOptions = {
        "if_match": request.headers.get("If-Match"),
        "if_none_match": request.headers.get("If-None-Match"),
        "if_modified_since": request.if_modified_since,
        "if_unmodified_since": request.if_unmodified_since,
    }
    if request.method == "HEAD":
        try:
            info = await s3.head_object(BUCKET, key, **options)
        except errors.S3Error as error:
            return error_response(error)
        return web.Response(headers=forwarded(info.headers))
    # RFC 9110 section 14.2: a server ignores units that it does not know, and may ignore any Range.
    # S3 supports neither several ranges nor If-Range.
    wanted = request.headers.get("Range", "")
    usable = wanted.lower().startswith("bytes=") and "," not in wanted
    if usable and "If-Range" not in request.headers:
        options["range"] = wanted
    try:
        obj = await s3.get_object(BUCKET, key, **options)
    except errors.S3Error as error:
        return error_response(error)
    async with obj:
        response = web.StreamResponse(status=obj.info.status, headers=forwarded(obj.info.headers))
        await response.prepare(request)
        # An error from here on closes the connection, so that the reader sees a truncated body.
        async for chunk in obj:
            await response.write(chunk)  # waits for a slow reader
        await response.write_eof()
    return response


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in FORWARDED if name in headers}


def error_response(error: errors.S3Error) -> web.Response:
    match error:
        case errors.NotModified():
            return web.Response(status=304, headers=forwarded(error.headers))
        case errors.InvalidRange():
            size = "*" if error.actual_object_size is None else error.actual_object_size
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        case errors.ParameterError():
            return web.Response(status=400, text=str(error))
        case _:
            return web.Response(status=status_of(error))


def status_of(error: errors.S3Error) -> int:
    match error:
        case errors.NotFound():
            return 404
        case errors.PreconditionFailed():
            return 412
        case errors.TransportTimeout():
            return 504
        case _:
            # The cause, such as AccessDenied, is this service's and not its user's.
            return 503 if error.retryable else 502


async def client(app: web.Application) -> AsyncIterator[None]:
    async with S3Client() as app[S3]:
        yield


def application() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_get("/{key:.+}", get)
    return app


if __name__ == "__main__":
    # Without handler_cancellation, a handler that waits for S3 does not notice a disconnect.
    web.run_app(application(), port=int(sys.argv[1]), handler_cancellation=True)

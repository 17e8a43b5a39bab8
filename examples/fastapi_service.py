"""A web service with FastAPI that streams objects: ranges, conditions, HEAD and disconnects.

uvicorn --app-dir examples fastapi_service:app, then: curl -r 0-4 localhost:8000/hello.txt
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from aios3get import GetObjectOptions, S3Client, S3Object, errors

BUCKET = "amzn-s3-demo-bucket"
FORWARDED = (
    *("Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding"),
    *("Content-Language", "Content-Length", "Content-Range", "Content-Type", "ETag", "Expires"),
    "Last-Modified",
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with S3Client() as app.state.s3:  # one client for all requests
        yield


app = FastAPI(lifespan=lifespan)


class ObjectResponse(StreamingResponse):
    """Streams an object and closes it when the response ends, or its reader disconnects."""

    def __init__(self, obj: S3Object) -> None:
        super().__init__(obj, status_code=obj.info.status, headers=forwarded(obj.info.headers))
        self.obj = obj

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.obj:
            await super().__call__(scope, receive, send)


@app.api_route("/{key:path}", methods=["GET", "HEAD"])
async def get(key: str, request: Request) -> Response:
    s3: S3Client = request.app.state.s3
    options: GetObjectOptions = {
        "if_match": request.headers.get("If-Match"),
        "if_none_match": request.headers.get("If-None-Match"),
        "if_modified_since": http_date(request.headers.get("If-Modified-Since")),
        "if_unmodified_since": http_date(request.headers.get("If-Unmodified-Since")),
    }
    if request.method == "HEAD":
        info = await s3.head_object(BUCKET, key, **options)
        return Response(headers=forwarded(info.headers))
    # RFC 9110 section 14.2: a server ignores units that it does not know, and may ignore any Range.
    # S3 supports neither several ranges nor If-Range.
    wanted = request.headers.get("Range", "")
    usable = wanted.lower().startswith("bytes=") and "," not in wanted
    if usable and "If-Range" not in request.headers:
        options["range"] = wanted
    return ObjectResponse(await s3.get_object(BUCKET, key, **options))


def http_date(text: str | None) -> datetime | None:
    # RFC 9110 section 13.1.3: a server ignores an invalid date.
    try:
        date = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date.replace(tzinfo=date.tzinfo or UTC)


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in FORWARDED if name in headers}


@app.exception_handler(errors.S3Error)
async def error_response(request: Request, error: errors.S3Error) -> Response:
    match error:
        case errors.NotModified():
            return Response(status_code=304, headers=forwarded(error.headers))
        case errors.InvalidRange():
            size = "*" if error.actual_object_size is None else error.actual_object_size
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        case errors.ParameterError():
            return Response(str(error), status_code=400)
        case _:
            return Response(status_code=status_of(error))


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

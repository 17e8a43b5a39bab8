"""aios3get: an asyncio client for Amazon S3's GetObject.

from aios3get import S3Client

async with S3Client() as s3:
    async with s3.get_object("amzn-s3-demo-bucket", "photos/2006/February/sample.jpg") as obj:
        async for chunk in obj:
            ...
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from aios3get import errors
from aios3get._engine.get_object_call import GetObjectCall
from aios3get._protocol.get_object import GetObjectOptions
from aios3get._protocol.identity import ANONYMOUS, Credentials
from aios3get._protocol.presigned_url import PresignedUrl
from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get._version import __version__
from aios3get.client import S3Client

if _TYPE_CHECKING:
    from aios3get._engine.parallel.download import Download
    from aios3get._engine.parallel.memory import BytesRead
    from aios3get._engine.parallel.objects import (
        FailedResult,
        ObjectResult,
        ObjectResults,
        ReadResult,
    )
    from aios3get._engine.parallel.ordered import ObjectStream
    from aios3get._engine.parallel.reader import ObjectReader
    from aios3get._engine.parallel.sync_reader import SyncObjectReader
    from aios3get._engine.s3_object import S3Object
    from aios3get._protocol.attempt_record import AttemptRecord
    from aios3get._protocol.checksum import Verified
    from aios3get._protocol.content_disposition import content_disposition
    from aios3get._protocol.object_info import Expiration, ObjectInfo, Restore

__all__ = [
    "ANONYMOUS",
    "AttemptRecord",
    "ByteRange",
    "BytesRead",
    "ContentRange",
    "Credentials",
    "Download",
    "Expiration",
    "FailedResult",
    "GetObjectCall",
    "GetObjectOptions",
    "ObjectInfo",
    "ObjectReader",
    "ObjectResult",
    "ObjectResults",
    "ObjectStream",
    "PresignedUrl",
    "ReadResult",
    "Restore",
    "RetryPolicy",
    "S3Client",
    "S3Object",
    "SyncObjectReader",
    "Timeouts",
    "Verified",
    "__version__",
    "content_disposition",
    "errors",
]

# Imported when they are first used.
_MODULES = {
    "AttemptRecord": "_protocol.attempt_record",
    "BytesRead": "_engine.parallel.memory",
    "Download": "_engine.parallel.download",
    "Expiration": "_protocol.object_info",
    "FailedResult": "_engine.parallel.objects",
    "ObjectInfo": "_protocol.object_info",
    "ObjectReader": "_engine.parallel.reader",
    "ObjectResult": "_engine.parallel.objects",
    "ObjectResults": "_engine.parallel.objects",
    "ObjectStream": "_engine.parallel.ordered",
    "ReadResult": "_engine.parallel.objects",
    "Restore": "_protocol.object_info",
    "S3Object": "_engine.s3_object",
    "SyncObjectReader": "_engine.parallel.sync_reader",
    "Verified": "_protocol.checksum",
    "content_disposition": "_protocol.content_disposition",
}


def __getattr__(name: str) -> _Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

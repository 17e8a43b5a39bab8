"""aios3get: an asyncio client for Amazon S3's GetObject.

from aios3get import S3Client

async with S3Client() as s3:
    async with s3.get_object("amzn-s3-demo-bucket", "photos/2006/February/sample.jpg") as obj:
        async for chunk in obj:
            ...
"""

from aios3get import errors
from aios3get._engine.get_object_call import GetObjectCall
from aios3get._engine.parallel.download import Download
from aios3get._engine.parallel.memory import BytesRead
from aios3get._engine.s3_object import S3Object
from aios3get._protocol.attempt_record import AttemptRecord
from aios3get._protocol.checksum import Verified
from aios3get._protocol.content_disposition import content_disposition
from aios3get._protocol.get_object import GetObjectOptions
from aios3get._protocol.identity import ANONYMOUS, Credentials
from aios3get._protocol.object_info import Expiration, ObjectInfo, Restore
from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get._protocol.retry import RetryPolicy
from aios3get._protocol.signing.presign import PresignedUrl
from aios3get._protocol.timeouts import Timeouts
from aios3get._version import __version__
from aios3get.client import S3Client

__all__ = [
    "ANONYMOUS",
    "AttemptRecord",
    "ByteRange",
    "BytesRead",
    "ContentRange",
    "Credentials",
    "Download",
    "Expiration",
    "GetObjectCall",
    "GetObjectOptions",
    "ObjectInfo",
    "PresignedUrl",
    "Restore",
    "RetryPolicy",
    "S3Client",
    "S3Object",
    "Timeouts",
    "Verified",
    "__version__",
    "content_disposition",
    "errors",
]

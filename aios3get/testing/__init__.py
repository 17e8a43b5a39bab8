"""An S3 server for tests: ``S3Server`` on loopback, with faults on demand."""

from aios3get.testing import faults
from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse
from aios3get.testing.server import ClientOptions, S3Server, S3ServerOptions
from aios3get.testing.store import Bucket
from aios3get.testing.stored_object import ObjectOptions, StoredObject

__all__ = [
    "S3Server",
    "S3ServerOptions",
    "Bucket",
    "ClientOptions",
    "ErrorResponse",
    "ObjectOptions",
    "RecordedRequest",
    "ServerCredentials",
    "StoredObject",
    "faults",
]

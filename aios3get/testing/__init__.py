"""An S3 for tests: ``S3Server`` on loopback, with faults on demand."""

from aios3get.testing import faults
from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse
from aios3get.testing.server import S3Server
from aios3get.testing.store import StoredObject

__all__ = [
    "S3Server",
    "ServerCredentials",
    "StoredObject",
    "RecordedRequest",
    "ErrorResponse",
    "faults",
]

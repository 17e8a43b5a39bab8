"""Parts of a thousand bytes, so that small objects have many of them."""

import random
from collections.abc import Callable

import pytest

from aios3get._engine.parallel.object_read import ObjectRead
from aios3get.testing import RecordedRequest, S3Server

PART = 1000
CONTENT = random.Random(12).randbytes(7 * PART + 123)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectRead, "least_part", PART)


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    """An embedded server in a thread of its own, because some of these tests block the loop."""
    return s3_server


def covering(offset: int) -> Callable[[RecordedRequest], bool]:
    """For faults of the requests whose ``Range`` has that byte."""

    def covers(request: RecordedRequest) -> bool:
        first, _, last = request.headers.get("Range", "").removeprefix("bytes=").partition("-")
        return first != "" and int(first) <= offset <= int(last or offset)

    return covers

"""The pytest fixture ``s3_server``, which pytest loads by an entry point.

pytest imports this module in every run of every project that has aios3get installed. It stands
beside the package, so that aios3get and aiohttp are imported only when a test uses the fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aios3get.testing import S3Server


@pytest.fixture
def s3_server() -> "Iterator[S3Server]":
    """A new ``S3Server`` in a thread of its own, for tests with and without an event loop."""
    from aios3get.testing import S3Server  # noqa: PLC0415 - imported only when used

    with S3Server.in_thread() as server:
        yield server

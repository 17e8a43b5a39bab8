"""The pytest fixture ``s3_server``; pytest finds it by the package's entry point.

A module of its own beside the package: pytest loads it in every run of every project that has
aios3get installed, and the package with its aiohttp is imported when a test asks.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aios3get.testing import S3Server


@pytest.fixture
def s3_server() -> "Iterator[S3Server]":
    """A fresh ``S3Server`` in a thread of its own, for async and plain tests alike."""
    from aios3get.testing import S3Server  # noqa: PLC0415 - this import is the cost to avoid

    with S3Server.in_thread() as server:
        yield server

"""A file system of the embedded server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fsspec.asyn import sync

from aios3get import Timeouts
from aios3get.fsspec import S3FileSystem
from aios3get.testing import S3Server
from tests.reading_client import QUICK

Options = dict[str, Any]
MakeFileSystem = Callable[..., S3FileSystem]


@pytest.fixture
def storage_options(server: S3Server) -> Options:
    """Options of s3fs that lead to ``server``."""
    known = server.credentials
    return {
        "key": known.access_key_id,
        "secret": known.secret_access_key,
        "endpoint_url": server.endpoint_url,
        "client_kwargs": {"region_name": server.region},
    }


@pytest.fixture
def make_fs(storage_options: Options) -> Iterator[MakeFileSystem]:
    """Makes file systems of ``server``, which are closed after the test."""
    made: list[S3FileSystem] = []

    def make(**options: Any) -> S3FileSystem:
        quick = {"retry": QUICK, "timeouts": Timeouts(idle=5), "skip_instance_cache": True}
        made.append(S3FileSystem(**storage_options | quick | options))
        return made[-1]

    yield make
    for each in made:
        if each.loop is not None:
            sync(each.loop, each.aclose)


@pytest.fixture
def fs(make_fs: MakeFileSystem) -> S3FileSystem:
    """A file system of ``server``."""
    return make_fs()


@pytest.fixture
def shared_instances() -> Iterator[None]:
    """Closes the file systems that fsspec keeps for their options."""
    yield
    for each in list(S3FileSystem._cache.values()):
        if each.loop is not None:
            sync(each.loop, each.aclose)
    S3FileSystem.clear_instance_cache()

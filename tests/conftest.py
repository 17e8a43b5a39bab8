"""Fixtures for all tests: servers, clients, certificates, an environment without AWS settings."""

import gc
import linecache
import logging
import os
import sys
import traceback
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from aios3get import S3Client
from aios3get._http import connections, direct
from aios3get.testing import S3Server
from tests.http.sending import take_or_make_connection
from tests.reading_client import Connect, nothing_leaks, quick_client
from tests.servers.process import RealServer, tail
from tests.servers.radosgw import find_ceph, radosgw_server
from tests.servers.rclone import rclone_server
from tests.servers.swift import folder_with_xattrs, swift_server
from tests.servers.tls import Authority

pytest_plugins = ["tests.checks"]

# The same examples in every run.
settings.register_profile("repository", derandomize=True, deadline=None, database=None)
settings.load_profile("repository")


def pytest_configure(config: pytest.Config) -> None:
    # Without bytecode, each worker and each process that a test starts compiles all that it
    # imports, a seventh of the CPU time of a run. It is kept out of the source folders.
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(config.rootpath / ".pytest_cache" / "bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    deep = [item for item in items if item.get_closest_marker("deep")]
    if deep:
        config.hook.pytest_deselected(items=deep)
        items[:] = [item for item in items if item not in deep]


def pytest_collection_finish() -> None:
    # A full collection takes 0.1 s with all modules and tests loaded, and hundreds of tests end
    # with one.
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the servers' logs with a failed test."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, RealServer):
                report.sections.append((f"{value.name} log", tail(value.log)))
    return report


@pytest.fixture(scope="session", autouse=True)
def short_debug_stacks() -> Iterator[None]:
    """Shorten the stacks that asyncio and aiohttp note with each object in debug mode.

    Whole ones, 40 frames of pytest and asyncio, take a third of the tests' CPU time.
    """
    walk_stack = traceback.walk_stack
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traceback, "walk_stack", lambda frame: islice(walk_stack(frame), 1))
        # extract_stack() checks for changes of the source files each time.
        patch.setattr(linecache, "checkcache", lambda filename=None: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove the machine's own AWS and proxy settings."""
    nothing = tmp_path_factory.getbasetemp() / "no-such-file"
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("AWS_", "IBM_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(nothing))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nothing))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


def _is_no_slow_callback(record: logging.LogRecord) -> bool:
    return not (record.name == "asyncio" and str(record.msg).startswith("Executing "))


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Log records without the slow callbacks that asyncio's debug mode reports."""
    caplog.handler.addFilter(_is_no_slow_callback)
    yield caplog
    caplog.handler.removeFilter(_is_no_slow_callback)


@pytest.fixture(params=["session", "direct"])
def request_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send all requests through aiohttp's session, or all GETs directly, even the first."""
    if request.param == "session":
        monkeypatch.setattr(connections, "SUPPORTED", False)
    else:
        monkeypatch.setattr(direct, "take_idle_connection", take_or_make_connection)
    return str(request.param)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    """An embedded server in a thread of its own; nothing is stored in it."""
    return s3_server


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[S3Server]:
    """The same over TLS; clients need ``verify=str(authority.ca_file)``."""
    with S3Server.in_thread(tls=authority.server_context()) as server:
        yield server


@pytest.fixture
async def connect(server: S3Server) -> AsyncIterator[Connect]:
    """Makes quick clients of ``server``, which are closed after the test."""
    async with AsyncExitStack() as stack:

        def make(**options: object) -> S3Client:
            client = quick_client(server, **options)
            stack.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[S3Client]:
    """A quick client of ``server`` that must have released everything by the end of the test."""
    client = connect()
    with nothing_leaks(client):
        yield client


@pytest.fixture(scope="session")
def swift(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, pytestconfig: pytest.Config
) -> Iterator[RealServer]:
    usual = tmp_path_factory.mktemp("swift")
    beside = pytestconfig.rootpath / ".pytest_cache"
    parent = folder_with_xattrs([usual, Path("/dev/shm"), Path("/var/tmp"), beside])
    if parent is None:
        pytest.skip("Swift keeps metadata in user xattrs, and no folder here has them")
    with TemporaryDirectory(dir=parent) as folder, swift_server(Path(folder), authority) as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RealServer]:
    with rclone_server(tmp_path_factory.mktemp("rclone"), authority) as server:
        yield server


@pytest.fixture(params=["swift", "rclone", pytest.param("radosgw", marks=pytest.mark.deep)])
def real_server(request: pytest.FixtureRequest) -> RealServer:
    """Each of the servers that this project did not write."""
    server: RealServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RealServer]:
    """A Ceph gateway; for tests marked ``deep``."""
    ceph = find_ceph()
    if isinstance(ceph, str):
        pytest.skip(ceph)
    with radosgw_server(tmp_path_factory.mktemp("ceph"), authority, ceph) as server:
        yield server

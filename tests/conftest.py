"""What every test may ask for: servers, certificates, an environment without AWS settings."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.servers.process import RealServer, tail
from tests.servers.radosgw import find_ceph, radosgw_server
from tests.servers.rclone import rclone_server
from tests.servers.swift import folder_with_xattrs, swift_server
from tests.servers.tls import Authority

# The same examples in every run.
settings.register_profile("repository", derandomize=True, deadline=None, database=None)
settings.load_profile("repository")

# Checks of the whole repository take longest: begun first, they end beside the others.
_begun_first = "test_quality.py"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != _begun_first)
    if config.option.markexpr:
        return
    deep = [item for item in items if item.get_closest_marker("deep")]
    if deep:
        config.hook.pytest_deselected(items=deep)
        items[:] = [item for item in items if item not in deep]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its servers said last."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, RealServer):
                report.sections.append((f"{value.name} log", tail(value.log)))
    return report


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The machine's own AWS and proxy settings do not reach a test."""
    nothing = tmp_path_factory.getbasetemp() / "no-such-file"
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("AWS_", "IBM_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(nothing))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nothing))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


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


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RealServer]:
    """A Ceph gateway; for tests marked ``deep``."""
    ceph = find_ceph()
    if isinstance(ceph, str):
        pytest.skip(ceph)
    with radosgw_server(tmp_path_factory.mktemp("ceph"), authority, ceph) as server:
        yield server

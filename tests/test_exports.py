import importlib
import inspect
import json
import os
import subprocess
import sys
from types import ModuleType

import pytest

import aios3get

CONTRACT = {
    *("S3Client", "S3Object", "ObjectInfo", "GetObjectOptions", "ByteRange", "Credentials"),
    *("ANONYMOUS", "RetryPolicy", "Timeouts", "PresignedUrl", "errors"),
}
MORE = {
    *("AttemptRecord", "ContentRange", "Expiration", "GetObjectCall", "Restore", "Verified"),
    *("__version__", "content_disposition"),
    *("BytesRead", "Download", "ObjectReader", "ObjectResult", "ObjectResults", "ObjectStream"),
    *("FailedResult", "ReadResult", "SyncObjectReader"),
}
VERBS = {
    *("get_object", "head_object", "presign_get_object", "get_url", "aclose"),
    *("read_into", "download_object", "stream_object", "get_ranges", "open_object", "get_objects"),
    *("__aenter__", "__aexit__"),
}
PUBLIC_MODULES = (
    *("aios3get", "aios3get.errors", "aios3get.credentials", "aios3get.testing"),
    *("aios3get.fsspec", "aios3get.obspec"),
)
# CPU time of the import as a share of what aiohttp takes in the same process; a busy machine slows
# both alike.
IMPORT_BUDGET = 0.2


def test_package_exports_its_contract_and_nothing_else() -> None:
    assert set(aios3get.__all__) == CONTRACT | MORE


def test_exports_are_listed_once_and_in_order() -> None:
    assert list(aios3get.__all__) == sorted(set(aios3get.__all__))


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_export_exists_and_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    for exported in module.__all__:
        value = getattr(module, exported)
        if inspect.isclass(value) or inspect.isfunction(value) or isinstance(value, ModuleType):
            assert inspect.getdoc(value), f"{name}.{exported} has no docstring"


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_public_method_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    undocumented = [
        f"{exported}.{method}"
        for exported in module.__all__
        if inspect.isclass(getattr(module, exported))
        for method, value in vars(getattr(module, exported)).items()
        if inspect.isfunction(value) and not method.startswith("_") and not inspect.getdoc(value)
    ]
    assert not undocumented


def test_public_names_are_listed_in_all() -> None:
    names = {name for name in dir(aios3get) if not name.startswith("_")}
    modules = {name for name in names if isinstance(getattr(aios3get, name), ModuleType)}
    assert names - modules == set(aios3get.__all__) - {"__version__", "errors"}


def test_every_exception_is_exported() -> None:
    classes = {
        name
        for name, value in vars(aios3get.errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException)
    }
    assert classes <= set(aios3get.errors.__all__)


def test_client_has_the_methods_of_the_contract() -> None:
    assert set(dir(aios3get.S3Client)) >= VERBS


def test_import_costs_little_beyond_aiohttp() -> None:
    program = (
        "from time import process_time as now; a = now(); import aiohttp; b = now();"
        "import aios3get; print((now() - b) / (b - a))"
    )
    # As installed: with bytecode, which the first of these processes writes.
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    shares = [float(subprocess.check_output(command, env=environ)) for _ in range(6)]
    assert min(shares) < IMPORT_BUDGET


def test_import_loads_no_heavy_modules() -> None:
    program = "import sys, json, aios3get; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", program])))
    assert not loaded & {"botocore", "boto3", "awscrt", "cryptography", "aiohttp.web", "pytest"}

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

_package = Path(__file__).parents[1] / "aios3get"
_sources = sorted(_package.rglob("*.py"))

# A package or module may import what stands further down, never what stands above.
FLOORS = (
    ("cli", "fsspec", "obspec", "__main__"),
    ("__init__", "testing"),
    ("client",),
    ("_engine",),
    ("credentials",),
    ("_config",),
    ("_http",),
    ("_protocol",),
    ("errors", "_version"),
)
# What of the outside the core may use, and where.
CORE_LIBRARIES = {
    "*": {"multidict"},
    "hashing": {"anycrc", "xxhash"},
    "login": {"cryptography"},
    "sigv4a": {"cryptography"},
}
# Standard library that does I/O, reads clocks or speaks to the environment.
IMPURE = {
    *("asyncio", "http", "logging", "os", "pathlib", "random", "secrets", "select", "selectors"),
    *("shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time"),
}
HTTP_LIBRARIES = {"aiohttp", "yarl"}
KNOW_THEM = {
    *("_http/transport.py", "_http/connections.py", "_http/user_session.py"),
    *("_http/exception_mapping.py", "_http/fetcher.py", "_http/receive.py", "_http/direct.py"),
    *("_http/aiohttp_private.py", "_http/resolver.py"),
}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _name(path: Path) -> str:
    return path.relative_to(_package).as_posix()


def _module(path: Path) -> str:
    parts = path.relative_to(_package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


_modules = {_module(path): path for path in _sources}


def _imports(path: Path) -> Iterator[str]:
    """Every module imported, lazily or not; ``from package import module`` names the module."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(path, node)
            below = [f"{base}.{alias.name}" for alias in node.names]
            inside = [name for name in below if name in _modules]
            yield from inside
            if len(inside) < len(below):
                yield base


def _base(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = path.relative_to(_package.parent).parts[: -node.level]
    return ".".join((*package, node.module) if node.module else package)


def _own_imports(path: Path) -> set[str]:
    return {name for name in _imports(path) if name.split(".")[0] == "aios3get"}


def _floor(module: str) -> int:
    room = [*module.split("."), "__init__"][1]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def _ids(path: Path) -> str:
    return _name(path)


@pytest.mark.parametrize("path", _sources, ids=_ids)
def test_imports_point_down(path: Path) -> None:
    here = _floor(_module(path))
    upward = {name for name in _own_imports(path) if _floor(name) < here}
    assert not upward


def test_imports_have_no_cycles() -> None:
    graph = {name: _own_imports(path) - {name} for name, path in _modules.items()}
    # raises CycleError, which names the circle
    assert set(TopologicalSorter(graph).static_order()) >= set(_modules)


# Modules beside the drivers that use them, and as pure as the core.
PURE = {
    f"_engine/parallel/{name}.py"
    for name in ("concurrency", "digests", "limits", "part_sizes", "parts")
}
_core = [path for path in _sources if _name(path).startswith("_protocol/") or _name(path) in PURE]


def test_every_pure_module_exists() -> None:
    assert {_name(path) for path in _core} >= PURE


_single_requests = [
    path for path in _sources if _name(path).startswith("_engine/") and "parallel" not in path.parts
]


@pytest.mark.parametrize("path", _single_requests, ids=_ids)
def test_single_requests_do_not_depend_on_the_parallel_engine(path: Path) -> None:
    assert not any(name.startswith("aios3get._engine.parallel") for name in _own_imports(path))


@pytest.mark.parametrize("path", _core, ids=_ids)
def test_protocol_imports_no_io_modules(path: Path) -> None:
    allowed = CORE_LIBRARIES["*"] | CORE_LIBRARIES.get(path.stem, set())
    roots = {name.split(".")[0] for name in _imports(path)} - {"aios3get"}
    assert roots <= (sys.stdlib_module_names - IMPURE) | allowed


@pytest.mark.parametrize("path", _core, ids=_ids)
def test_protocol_awaits_nothing_and_opens_nothing(path: Path) -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    clocks = {"now", "today", "utcnow"}
    for node in ast.walk(_tree(path)):
        assert not isinstance(node, waiting), f"line {node.lineno}"
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                assert called.id not in {"open", "print", "input"}, f"line {node.lineno}"
            if isinstance(called, ast.Attribute):
                assert called.attr not in clocks, f"line {node.lineno}: time is a parameter"


@pytest.mark.parametrize("path", _sources, ids=_ids)
def test_only_the_http_layer_uses_aiohttp(path: Path) -> None:
    name = _name(path)
    if name in KNOW_THEM or name.startswith(("testing/", "cli")):
        return
    used = {module.split(".")[0] for module in _imports(path)} & HTTP_LIBRARIES
    if name in ("client.py", "_config/client_config.py", "_engine/running.py"):
        # the session= argument is typed
        attributes = {
            node.attr
            for node in ast.walk(_tree(path))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in HTTP_LIBRARIES
        }
        assert attributes <= {"ClientSession"}
    else:
        assert not used


@pytest.mark.parametrize("path", _sources, ids=_ids)
def test_only_the_uri_module_percent_encodes(path: Path) -> None:
    encoders = {"quote", "quote_plus", "quote_from_bytes", "urlencode"}
    named = {
        name
        for node in ast.walk(_tree(path))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        )
        + ([node.attr] if isinstance(node, ast.Attribute) else [])
    }
    # the embedded server checks what the client encodes, so it has its own encoder
    if _name(path) != "_protocol/signing/uri.py" and not _name(path).startswith("testing/"):
        assert not named & encoders


@pytest.mark.parametrize("path", _sources, ids=_ids)
def test_only_the_configuration_reads_the_environment(path: Path) -> None:
    if _name(path).startswith(("_config/", "credentials/", "cli/", "testing/")):
        return
    attributes = {node.attr for node in ast.walk(_tree(path)) if isinstance(node, ast.Attribute)}
    assert not attributes & {"environ", "environb", "getenv"}


@pytest.mark.parametrize("path", _sources, ids=_ids)
def test_only_the_command_prints(path: Path) -> None:
    if _name(path).startswith("cli"):
        return
    called = {
        node.func.id
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"print", "pprint", "breakpoint"}


def test_testing_server_imports_no_client_code() -> None:
    testing = [path for path in _sources if _name(path).startswith("testing/")]
    borrowed = {
        f"{_name(path)}: {name}"
        for path in testing
        for name in _own_imports(path)
        if not name.startswith("aios3get.testing")
        # its credentials are handed to clients as values of theirs
        and name != "aios3get._protocol.identity"
    }
    assert not borrowed

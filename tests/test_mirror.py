import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_root = Path(__file__).parents[1]
_package = _root / "aios3get"
_tests = _root / "tests"

# Where the tests of a folder's modules are.
ROOMS = {
    "aios3get": "client",
    "aios3get/cli": "cli",
    "aios3get/_config": "config",
    "aios3get/_engine": "engine",
    "aios3get/_engine/parallel": "engine/parallel",
    "aios3get/_http": "http",
    "aios3get/_protocol": "protocol",
    "aios3get/_protocol/credentials": "protocol/credentials",
    "aios3get/_protocol/endpoints": "protocol/endpoints",
    "aios3get/_protocol/signing": "protocol/signing",
    "aios3get/credentials": "credentials",
    "aios3get/fsspec": "fsspec",
    "aios3get/testing": "testing",
}
# Modules that are tested through what uses them.
SHOWN_BY: dict[str, str] = {
    "aios3get/testing/checksums.py": "tests/testing/test_stored_object.py",
    "aios3get/testing/credentials.py": "tests/testing/test_server.py",
    "aios3get/testing/listener.py": "tests/testing/test_server.py",
    "aios3get/testing/recorded_request.py": "tests/testing/test_verify.py",
    "aios3get/testing/response_writer.py": "tests/testing/test_faults.py",
    "aios3get/testing/responses.py": "tests/testing/test_faults.py",
    "aios3get/testing/store.py": "tests/testing/test_get_object.py",
    "aios3get/testing/validation.py": "tests/testing/test_stored_object.py",
    "aios3get/testing/verify_ecdsa.py": "tests/testing/test_verify.py",
    "aios3get/__main__.py": "tests/cli/test_main.py",
    "aios3get/cli/connection.py": "tests/cli/test_commands.py",
    "aios3get/errors.py": "tests/protocol/test_errors.py",
    "aios3get/credentials/assume_role.py": "tests/credentials/test_sts.py",
    "aios3get/_protocol/hashing.py": "tests/protocol/test_checksum.py",
    "aios3get/_protocol/attempt_record.py": "tests/engine/test_attempt.py",
    "aios3get/_protocol/object_request.py": "tests/protocol/test_pin.py",
    "aios3get/_protocol/correction.py": "tests/protocol/test_retry.py",
    "aios3get/_protocol/presigned_url.py": "tests/protocol/signing/test_presign.py",
    "aios3get/_protocol/retry_policy.py": "tests/protocol/test_retry.py",
    "aios3get/_engine/parallel/closing.py": "tests/engine/parallel/test_ordered.py",
    "aios3get/_engine/parallel/methods.py": "tests/engine/parallel/test_memory.py",
    "aios3get/_engine/parallel/hedged_stream.py": "tests/engine/parallel/test_hedging.py",
    "aios3get/_engine/parallel/part_reader.py": "tests/engine/parallel/test_part_requests.py",
    "aios3get/_engine/parallel/part_stream.py": "tests/engine/parallel/test_part_requests.py",
    "aios3get/_engine/parallel/read_ahead.py": "tests/engine/parallel/test_ordered.py",
    "aios3get/_engine/parallel/transfer.py": "tests/engine/parallel/test_memory.py",
}
# Tests of a behaviour that many modules make together.
JOURNEYS = {
    "cli": {"main"},
    "client": {
        *("aioresponses", "blocking", "credentials", "endpoints", "get_url", "ibm", "key_corpus"),
        *("real_servers", "secrets"),
    },
    "credentials": {"frames"},
    "fsspec": {"frameworks"},
    "engine": {"fault_matrix", "lifetime", "soak"},
    "engine/parallel": {"fault_matrix", "lifetime", "memory_limit"},
    "protocol": {"linear_time", "samples"},
}

# In pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of one machine": r"/(?:root|farm|work)/[a-z.]|/home/[a-z]+/|/Users/[a-z]+/",
    "a package index": (
        r"index[-_]url|/sim" r"ple/?[\"'\s]|(?:pythonhosted|pypi|npmjs)\.(?:org|com)"
    ),
    "an unfinished place": r"\b(?:TODO|FIXME|XXX|HACK)\b",
    "a merge's leftover": r"^(?:<{7}|>{7}) ",
    "a private key": r"BEGIN (?:[A-Z]+ )?PRIVATE KEY",
}
_skipped = {".git", "uv.lock", Path(__file__).name}
_folders = ("aios3get", "tests", "docs", "examples", "benchmarks", ".ci")


def _files() -> Iterator[Path]:
    yield from (path for path in _root.iterdir() if path.is_file())
    for folder in _folders:
        yield from (path for path in (_root / folder).rglob("*") if path.is_file())


def _texts() -> list[Path]:
    return [
        path
        for path in sorted(_files())
        if "__pycache__" not in path.parts
        and path.name not in _skipped
        and not path.name.startswith(".coverage")
    ]


_modules = [
    path.relative_to(_root).as_posix()
    for path in sorted(_package.rglob("*.py"))
    if path.name not in {"__init__.py", "_version.py"}
]


def _mirror(module: str) -> str:
    path = Path(module)
    return f"tests/{ROOMS[path.parent.as_posix()]}/test_{path.name}"


@pytest.mark.parametrize("module", _modules)
def test_every_module_has_its_tests(module: str) -> None:
    assert (_root / SHOWN_BY.get(module, _mirror(module))).exists()


def test_exceptions_to_the_mirror_are_current() -> None:
    assert set(SHOWN_BY) <= set(_modules)


@pytest.mark.parametrize("room", sorted(ROOMS.values()))
def test_every_test_module_is_of_a_module(room: str) -> None:
    known = {SHOWN_BY.get(module, _mirror(module)) for module in _modules}
    known |= {f"tests/{room}/test_{name}.py" for name in JOURNEYS.get(room, ())}
    found = {path.relative_to(_root).as_posix() for path in (_tests / room).glob("test_*.py")}
    assert found <= known


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_contains(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in _texts()}
    assert len(texts) > 50
    found = {
        f"{path.relative_to(_root)}: {match[0].strip()}"
        for path, text in texts.items()
        for match in pattern.finditer(text)
    }
    assert not found


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    script = (_root / ".ci" / "run").read_text().splitlines()
    assert script[0].startswith("#!")
    command = script[-1]
    assert command == "pip install uv && uv run pytest"
    assert re.search(
        rf"^(?:\$ )?{re.escape(command)}$", (_root / "README.md").read_text(), re.MULTILINE
    )


def test_every_folder_of_tests_is_a_package() -> None:
    # modules of the same name in two folders would otherwise hide each other
    folders = {path.parent for path in _tests.rglob("test_*.py")}
    assert all((folder / "__init__.py").exists() for folder in folders)

import ast
import asyncio
import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from unittest import mock

import pytest

from aios3get.cli import demo
from aios3get.testing import S3Server

_root = Path(__file__).parents[1]
DOCUMENTS = [_root / "README.md", *sorted((_root / "docs").glob("*.md"))]
# Web services do not end; tests/docs/test_services.py calls them. Two examples need the group
# frameworks; tests/docs/test_distributed.py and test_dataframes.py run them.
_ELSEWHERE = {"aiohttp_service", "fastapi_service", "links_service"}
_ELSEWHERE |= {"dataframes", "pytorch_dataset"}
EXAMPLES = sorted(p for p in (_root / "examples").glob("*.py") if p.stem not in _ELSEWHERE)
# The commands with uv that the README tells a reader to type.
COMMANDS = {"pip install uv && uv run pytest", "pip install uv && uv run aios3get demo"}

_block = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_link = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def _name(path: Path) -> str:
    return path.relative_to(_root).as_posix()


def _blocks(document: Path, language: str) -> list[str]:
    """The blocks of that language, each at its own line, so that tracebacks point into the file."""
    text = document.read_text()
    return [
        "\n" * text.count("\n", 0, match.start(2)) + match[2]
        for match in _block.finditer(text)
        if match[1] == language
    ]


def _python(document: Path) -> str:
    """All Python of a document, whose blocks build on each other, at the lines of the file."""
    lines = [""] * (document.read_text().count("\n") + 1)
    for block in _blocks(document, "python"):
        for number, line in enumerate(block.splitlines()):
            lines[number] = line or lines[number]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def filled_server() -> Iterator[S3Server]:
    with S3Server.in_thread() as server:
        demo.fill(server)
        yield server


Run = Callable[[str, str], ModuleType]


@pytest.fixture
def run(filled_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs code as a program whose AWS is a server with the demo's objects.

    The code may ``await`` at its top level.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program"])
    environ = filled_server.environ | {"PYTHONASYNCIODEBUG": "1"}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def run(code: str, filename: str) -> ModuleType:
        module = ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", module)
        compiled = compile(code, filename, "exec", flags, dont_inherit=True)
        program: Callable[[], Any] = FunctionType(compiled, module.__dict__)
        try:
            if compiled.co_flags & inspect.CO_COROUTINE:
                asyncio.run(program())
            else:
                program()
        except SystemExit as ended:
            if ended.code:
                raise
        return module

    with mock.patch.dict(os.environ, environ, clear=True):
        yield run
    # Whatever was left open warns now, in the test that left it.
    gc.collect()


@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if _blocks(each, "python")], ids=_name
)
def test_python_of_a_document_runs(document: Path, run: Run) -> None:
    module = run(_python(document), _name(document))
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("test_"):
            with S3Server.in_thread() as server:
                result = function(s3_server=server)
                if inspect.iscoroutine(result):
                    asyncio.run(result)


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_example_runs(example: Path, run: Run) -> None:
    run(example.read_text(), str(example))


def test_readme_shows_code() -> None:
    assert _blocks(DOCUMENTS[0], "python")


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_block_names_its_language(document: Path) -> None:
    assert all(match[1] for match in _block.finditer(document.read_text()))


def test_readme_gives_the_two_commands() -> None:
    typed = {line for block in _blocks(DOCUMENTS[0], "console") for line in _typed(block)}
    assert {line for line in typed if "uv run" in line} == COMMANDS


def _typed(block: str) -> list[str]:
    return [line.removeprefix("$ ").strip() for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_link_has_a_target(document: Path) -> None:
    text = _block.sub("", document.read_text())
    for target in _link.findall(text):
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        file, _, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path), target


def _anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives headings."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aios3get.testing import S3Server

_root = Path(__file__).parents[1]
DOCUMENTS = [_root / "README.md", *sorted((_root / "docs").glob("*.md"))]
EXAMPLES = sorted((_root / "examples").glob("*.py"))
BUCKET = "amzn-s3-demo-bucket"
# What documents may tell a reader to type.
COMMANDS = {"pip install uv && uv run pytest", "pip install uv && uv run aios3get demo"}

_block = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_link = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def _of(path: Path) -> str:
    return path.relative_to(_root).as_posix()


def _blocks(document: Path, language: str) -> list[str]:
    """The blocks of that language, each at its own line, so that tracebacks point into the file."""
    text = document.read_text()
    return [
        "\n" * text.count("\n", 0, match.start(2)) + match[2]
        for match in _block.finditer(text)
        if match[1] == language
    ]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The environment of a reader whose AWS is a server here, with the objects of the documents."""
    with S3Server.in_thread() as server:
        fill(server)
        mine = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        yield mine | {
            "AWS_ENDPOINT_URL_S3": server.endpoint_url,
            "AWS_ACCESS_KEY_ID": server.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": server.credentials.secret_access_key,
            "AWS_REGION": server.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PYTHONDEVMODE": "1",
            "PYTHONWARNINGS": "error",
        }


def fill(server: S3Server) -> None:
    server.put_object(
        BUCKET,
        "photos/2006/February/sample.jpg",
        bytes(range(256)) * 4096,
        content_type="image/jpeg",
        metadata={"camera": "Example 1"},
    )
    server.put_object(
        BUCKET,
        "logs/2026/11/20.jsonl",
        b"".join(b'{"line": %d, "level": "info"}\n' % number for number in range(1000)),
        content_type="application/jsonlines",
    )
    server.put_object(BUCKET, "hello.txt", b"hello, world\n", content_type="text/plain")
    server.put_object(BUCKET, "empty", b"")


def _run(code: str, name: str, environment: dict[str, str], folder: Path) -> None:
    """The code as ``name``, ``await`` allowed at its top level, in a folder of its own."""
    program = (
        "import ast, asyncio, inspect, sys, types\n"
        "code = compile(sys.stdin.read(), sys.argv[1], 'exec', ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)\n"
        "main = types.ModuleType('__main__'); sys.modules['__main__'] = main\n"
        "run = types.FunctionType(code, main.__dict__)\n"
        "async def reader():\n"
        "    result = run()\n"
        "    if inspect.iscoroutine(result): await result\n"
        "asyncio.run(reader()) if code.co_flags & inspect.CO_COROUTINE else run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, name],
        input=code,
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=_of)
def test_the_python_of_a_document_runs(
    document: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    blocks = _blocks(document, "python")
    if blocks:
        # blocks of one document build on each other; each keeps the lines of the file
        lines = [""] * (document.read_text().count("\n") + 1)
        for block in blocks:
            for number, line in enumerate(block.splitlines()):
                lines[number] = line or lines[number]
        _run("\n".join(lines), _of(document), environment, tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=_of)
def test_an_example_runs(example: Path, environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Warning" not in done.stderr


def test_the_readme_shows_code() -> None:
    assert _blocks(DOCUMENTS[0], "python")


@pytest.mark.parametrize("document", DOCUMENTS, ids=_of)
def test_blocks_say_their_language(document: Path) -> None:
    assert all(match[1] for match in _block.finditer(document.read_text()))


@pytest.mark.parametrize("document", DOCUMENTS[:1], ids=_of)
def test_the_readme_gives_the_two_commands(document: Path) -> None:
    typed = {line for block in _blocks(document, "console") for line in _typed(block)}
    assert {line for line in typed if "uv run" in line} == COMMANDS


def _typed(block: str) -> list[str]:
    return [line.removeprefix("$ ").strip() for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=_of)
def test_links_lead_somewhere(document: Path) -> None:
    text = _block.sub("", document.read_text())
    for target in _link.findall(text):
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        file, _, anchor = target.partition("#")
        found = (document.parent / file).resolve() if file else document
        assert found.exists(), target
        if anchor:
            assert anchor in _anchors(found), target


def _anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives headings."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}

import json
import os
import sys
from itertools import product
from pathlib import Path

import pytest

from aios3get._engine.parallel.journal import Identification, Journal, Piece
from aios3get._engine.parallel.parts import Span

OBJECT = Identification(
    bucket="amzn-s3-demo-bucket",
    key="photos/2006/February/sample.jpg\n☃",
    etag='"fba9dede5f27731c9771645a39863328"',
    version_id=None,
    size=100,
    start=0,
    stop=100,
)
PIECES = [
    Piece(Span(0, 10), "CRC64NVME", bytes(range(8))),
    Piece(Span(50, 60), "CRC32C", b"\xff\x00\xff\x00"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def written(path: Path) -> Journal:
    journal = Journal(str(path))
    journal.begin(OBJECT)
    for piece in PIECES:
        journal.append(piece)
    return journal


def test_pieces_are_read_as_they_were_written(path: Path) -> None:
    written(path).close()
    assert Journal(str(path)).read() == (OBJECT, PIECES)


def test_pieces_are_written_before_close(path: Path) -> None:
    journal = written(path)
    assert Journal(str(path)).read() == (OBJECT, PIECES)
    journal.close()


def test_resumed_journal_keeps_its_pieces(path: Path) -> None:
    written(path).close()
    journal = Journal(str(path))
    journal.begin(OBJECT, PIECES[:1])
    journal.append(PIECES[1])
    journal.close()
    assert journal.read() == (OBJECT, PIECES)
    assert os.listdir(path.parent) == [path.name]


def test_truncated_journal_has_whole_pieces_or_is_ignored(path: Path) -> None:
    written(path).close()
    content = path.read_bytes()
    head = content.index(b"\n")
    for size in range(len(content)):
        path.write_bytes(content[:size])
        found = Journal(str(path)).read()
        if size < head:
            assert found is None
        else:
            assert found is not None
            assert found[0] == OBJECT
            assert found[1] == PIECES[: content[head + 1 : size].count(b"\n")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]\n",
        b"null\n",
        b'"text"\n',
        b"{}\n",
        b'{"format": 1}\n',
        b'{"format": 2}\n',
        b'{"format": 1, "bucket": "b", "unknown": 1}\n',
        b"[" * 100_000,
    ],
)
def test_other_files_are_ignored(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert Journal(str(path)).read() is None


def test_journal_of_another_format_is_ignored(path: Path) -> None:
    written(path).close()
    head, _, rest = path.read_text().partition("\n")
    path.write_text(json.dumps({**json.loads(head), "format": 2}) + "\n" + rest)
    assert Journal(str(path)).read() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(["size", "start", "stop"], ["0", None, [1], -1, 0.5, True]),
        ("start", 1 << 70),
        ("stop", 1 << 70),
    ],
    ids=str,
)
def test_journal_with_impossible_offsets_is_ignored(path: Path, name: str, value: object) -> None:
    written(path).close()
    head, _, rest = path.read_text().partition("\n")
    path.write_text(json.dumps({**json.loads(head), name: value}) + "\n" + rest)
    assert Journal(str(path)).read() is None


@pytest.mark.parametrize("line", ["x 10 CRC32 00\n", "0 10 CRC32 0\n", "0 10 CRC32\n", "\n"])
def test_invalid_line_ends_the_journal(path: Path, line: str) -> None:
    written(path).close()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1], line, lines[2]]))
    assert Journal(str(path)).read() == (OBJECT, PIECES[:1])


def test_missing_journal_can_be_read_and_deleted(path: Path) -> None:
    journal = Journal(str(path))
    assert journal.read() is None
    journal.delete()
    written(path).delete()
    assert not path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links take a privilege there")
def test_journal_is_not_written_through_a_symbolic_link(path: Path) -> None:
    other = path.parent / "other"
    other.write_text("kept")
    os.symlink(other, str(path) + "~")
    with pytest.raises(OSError, match="journal"):
        Journal(str(path)).begin(OBJECT)
    assert other.read_text() == "kept"

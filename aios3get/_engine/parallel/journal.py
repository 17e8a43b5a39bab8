"""The journal of a download: records which bytes of which object the temporary file contains."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

from aios3get._engine.parallel.parts import Span

__all__ = ["Identification", "Journal", "Piece"]

_FORMAT: Final = 1
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class Identification:
    """Identifies an object version and range; a download resumes only one with the same."""

    bucket: str
    key: str
    etag: str
    version_id: str | None
    size: int
    start: int
    stop: int

    @property
    def is_possible(self) -> bool:
        """Whether the offsets are integers within the object; a damaged file may have others."""
        offsets = self.start, self.stop, self.size
        whole = all(type(offset) is int for offset in offsets)
        return whole and 0 <= self.start < self.stop <= self.size


class Piece(NamedTuple):
    """A range of written bytes, and its digest.

    Attributes:
        span: the bytes, as offsets in the object.
        algorithm: S3's name of the digest's algorithm.
        digest: the digest of the bytes.
    """

    span: Span
    algorithm: str
    digest: bytes


class Journal:
    """An append-only text file: a line of JSON for the object, then a line for each piece.

    A line that a crash truncated, and all lines after it, are ignored.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def read(self) -> tuple[Identification, list[Piece]] | None:
        """Return what an earlier download recorded; None if there is no valid journal."""
        try:
            with open(self._path, encoding="utf-8") as file:
                first, *lines = file.read().splitlines(keepends=True)
            fields = json.loads(first)
            if fields.pop("format") != _FORMAT:
                return None
            identification = Identification(**fields)
            if not identification.is_possible:
                return None
        except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return None
        pieces: list[Piece] = []
        for line in lines:
            piece = _parse(line)
            if piece is None:
                break
            pieces.append(piece)
        return identification, pieces

    def begin(self, identification: Identification, pieces: Iterable[Piece] = ()) -> None:
        """Replace the journal with a new one that contains ``pieces``.

        Raises:
            OSError: it cannot be written.
        """
        self.close()
        fields = {"format": _FORMAT, **asdict(identification)}
        lines = [json.dumps(fields) + "\n", *map(_line, pieces)]
        temporary = self._path + "~"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _NO_FOLLOW
        self._fd = os.open(temporary, flags, 0o666)
        os.write(self._fd, "".join(lines).encode())
        os.replace(temporary, self._path)

    def append(self, piece: Piece) -> None:
        """Record a piece that was written.

        Raises:
            OSError: it cannot be written.
        """
        assert self._fd is not None
        os.write(self._fd, _line(piece).encode())

    def close(self) -> None:
        """Close the file, if it is open."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def delete(self) -> None:
        """Close and delete the file, if there is one."""
        self.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)


def _line(piece: Piece) -> str:
    (start, stop), algorithm, digest = piece
    return f"{start} {stop} {algorithm} {digest.hex()}\n"


def _parse(line: str) -> Piece | None:
    try:
        start, stop, algorithm, digest = line.split(" ")
        if line.endswith("\n"):
            return Piece(Span(int(start), int(stop)), algorithm, bytes.fromhex(digest))
    except ValueError:
        pass
    return None

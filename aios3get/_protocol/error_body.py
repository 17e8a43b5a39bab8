"""What an error answer's body says, whatever its format: XML, JSON, or nothing that can be read."""

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import suppress
from typing import cast
from xml.parsers import expat

from aios3get._protocol.header_values import printable

__all__ = ["fields"]


def fields(body: bytes) -> dict[str, str]:
    """The elements of an error's body by name, cleaned for people's eyes; empty ones left out."""
    start = body.lstrip()
    told = _json_fields(start) if start.startswith(b"{") else _xml_fields(start)
    return {name: cleaned for name, text in told.items() if (cleaned := printable(text))}


class _RefusedError(Exception):
    """The document is, or has, what no error answer needs."""


class _Leaves:
    """Collects the text of an XML document's innermost elements; the first of a name wins."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._text: list[str] = []

    def start(self, name: str, attributes: object) -> None:
        if not self.found and name.lower() == "html":
            raise _RefusedError
        self._text.clear()

    def text(self, data: str) -> None:
        self._text.append(data)

    def end(self, name: str) -> None:
        # Servers differ in their namespaces, and in how they bind them.
        self.found.setdefault(name.rpartition(":")[2], "".join(self._text))
        self._text.clear()

    def refuse(self, *declaration: object) -> None:
        raise _RefusedError


_says_latin_1 = re.compile(
    rb"<\?xml[^>]{0,80}encoding=.(?:iso-8859-1|latin-?1|us-ascii)\b", re.IGNORECASE
).match


def _encoding(body: bytes) -> str:
    # Left alone, the parser would look up any codec of Python's that a document names.
    if body.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
        return "utf-16"
    return "iso-8859-1" if _says_latin_1(body) else "utf-8"


def _xml_fields(body: bytes) -> dict[str, str]:
    leaves = _Leaves()
    parser = expat.ParserCreate(_encoding(body))
    parser.StartElementHandler = leaves.start
    parser.EndElementHandler = leaves.end
    parser.CharacterDataHandler = leaves.text
    # Entities can only be declared in a DTD: without one there is nothing to expand or to fetch.
    parser.StartDoctypeDeclHandler = leaves.refuse
    # Cut off or malformed: what was complete by then counts.
    with suppress(expat.ExpatError, _RefusedError):
        parser.Parse(body, True)
    return leaves.found


_JSON_NAMES = {"code": "Code", "message": "Message", "requestid": "RequestId"}


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    told = cast("dict[str, object]", document)
    for name in ("Error", "error"):
        inner = told.get(name)
        if isinstance(inner, dict):
            told = cast("dict[str, object]", inner)
    return {
        _JSON_NAMES.get(name.lower(), name): value
        for name, value in told.items()
        if isinstance(value, str)
    }

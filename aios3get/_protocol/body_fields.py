"""Parses the elements of a small XML or JSON response body, such as that of an error."""

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import suppress
from typing import cast
from xml.parsers import expat

from aios3get._protocol.header_values import printable

__all__ = ["parse_fields"]


def parse_fields(body: bytes) -> dict[str, str]:
    """Return the non-empty innermost elements of the body by name, with printable values.

    Never raises: an unknown format has no fields, and a malformed body has those before its error.
    """
    start = body.lstrip()
    fields = _json_fields(start) if start.startswith(b"{") else _xml_fields(start)
    return {name: value for name, text in fields.items() if (value := printable(text))}


class _UnsupportedDocumentError(Exception):
    """The document is HTML or declares a DTD."""


class _LeafCollector:
    """Collects the text of an XML document's innermost elements; the first of each name counts."""

    def __init__(self) -> None:
        self.leaves: dict[str, str] = {}
        self._text: list[str] = []

    def start_element(self, name: str, attributes: object) -> None:
        if not self.leaves and name.lower() == "html":
            raise _UnsupportedDocumentError
        self._text.clear()

    def character_data(self, data: str) -> None:
        self._text.append(data)

    def end_element(self, name: str) -> None:
        # Servers use different namespaces and prefixes.
        self.leaves.setdefault(name.rpartition(":")[2], "".join(self._text))
        self._text.clear()

    def start_doctype(self, *declaration: object) -> None:
        # Only a DTD can declare entities: without one there is nothing to expand or to fetch.
        raise _UnsupportedDocumentError


_declares_latin_1 = re.compile(
    rb"<\?xml[^>]{0,80}encoding=.(?:iso-8859-1|latin-?1|us-ascii)\b", re.IGNORECASE
).match


def _encoding(body: bytes) -> str:
    # By default expat looks up any Python codec that the document names.
    if body.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
        return "utf-16"
    return "iso-8859-1" if _declares_latin_1(body) else "utf-8"


def _xml_fields(body: bytes) -> dict[str, str]:
    collector = _LeafCollector()
    parser = expat.ParserCreate(_encoding(body))
    parser.StartElementHandler = collector.start_element
    parser.EndElementHandler = collector.end_element
    parser.CharacterDataHandler = collector.character_data
    parser.StartDoctypeDeclHandler = collector.start_doctype
    # The elements that precede a syntax error or the end of a truncated body count.
    with suppress(expat.ExpatError, _UnsupportedDocumentError):
        parser.Parse(body, True)
    return collector.leaves


_JSON_NAMES = {"code": "Code", "message": "Message", "requestid": "RequestId"}


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    fields = cast("dict[str, object]", document)
    for name in ("Error", "error"):
        inner = fields.get(name)
        if isinstance(inner, dict):
            fields = cast("dict[str, object]", inner)
    return {
        _JSON_NAMES.get(name.lower(), name): value
        for name, value in fields.items()
        if isinstance(value, str)
    }

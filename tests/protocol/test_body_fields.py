import encodings
import json
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.body_fields import parse_fields

NOT_FOUND = {"Code": "NoSuchKey", "Message": "The key does not exist.", "Key": "a b"}
XML = b"<Code>NoSuchKey</Code><Message>The key does not exist.</Message><Key>a b</Key>"
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@pytest.mark.parametrize(
    "body",
    [
        HEAD + b"<Error>" + XML + b"</Error>",
        b"<Error>" + XML + b"</Error>",
        b"\r\n \n" + HEAD + b"<Error>" + XML + b"</Error>\n",
        b'<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + XML + b"</Error>",
        b'<s3:Error xmlns:s3="urn:s3">' + XML.replace(b"<", b"<s3:").replace(b"s3:/", b"/s3:")
        + b"</s3:Error>",
        b"<unbound:Error>" + XML + b"</unbound:Error>",
        b"<ErrorResponse><Error>" + XML + b"</Error></ErrorResponse>",
        b"<Error>\n  " + XML.replace(b"><", b">\n  <").replace(b"</Key>", b"\n</Key>")
        + b"\n</Error>",
        b"<Error>" + XML + b"<Details><HostId>",
        b"<Error>" + XML + b"</Wrong>",
        b"<Error>" + XML + b"<Bad>\x00</Bad></Error>",
        b"<Error>" + XML + b"<Bad>\xff\xfe</Bad></Error>",
        b"<Error>" + XML + b"<Code>Other</Code></Error>",
        b"<Error>" + XML + b"</Error>trailing text",
        b"<Error>" + XML.replace(b"a b", b"<![CDATA[a b]]>") + b"</Error>",
        b"<Error>" + XML.replace(b"a b", b"a&#32;b") + b"</Error>",
        b"\xef\xbb\xbf<Error>" + XML + b"</Error>",
        ("<Error>" + XML.decode() + "</Error>").encode("utf-16"),
        b'<?xml version="1.0" encoding="iso-8859-1"?><Error>' + XML + b"</Error>",
        json.dumps(NOT_FOUND).encode(),
        json.dumps({"Error": NOT_FOUND}).encode(),
        json.dumps({"error": {**NOT_FOUND, "count": 3, "list": []}}, indent=2).encode(),
        b'\n{"code": "NoSuchKey", "message": "The key does not exist.\\n", "Key": "a b"}',
    ],
)  # fmt: skip
def test_fields_of_one_error_in_many_formats(body: bytes) -> None:
    assert parse_fields(body) == NOT_FOUND


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<Error><Code>SlowDown</Code><Message>Please red", {"Code": "SlowDown"}),
        (b"<Error><Code>Slow", {}),
        (b"<Error><Code></Code><Message/></Error>", {}),
        (b"<Error><Message>5 &lt; 6 &amp; 7</Message></Error>", {"Message": "5 < 6 & 7"}),
        (b"<Error><Message>a&#x1b;b</Message></Error>", {}),
        (b"<Error><Message>a\nb</Message></Error>", {"Message": "a b"}),
        ("<Error><Key>café</Key></Error>".encode(), {"Key": "café"}),
        (
            '<?xml version="1.0" encoding="latin1"?><Error><Key>café</Key></Error>'.encode(
                "latin1"
            ),
            {"Key": "café"},
        ),
        (b'{"Code": "A\\u001b[31m", "Message": "\\ud800x"}', {"Code": "A [31m", "Message": "?x"}),
        (b'{"code": 404, "message": "gone"}', {"Message": "gone"}),
        (b'{"code": "A"', {}),
        (b'{"code": "\xff"}', {}),
        (b"[" * 60_000, {}),
        (b'{"a":' * 12_000, {}),
        (b"<a>" * 20_000, {}),
        (b"", {}),
        (b" \n", {}),
        (b"Bad Gateway", {}),
        (b"<html><head><title>503 Busy</title></head><body>Busy</body></html>", {}),
        (b"<HTML><Code>x</Code></HTML>", {}),
        (b"<!DOCTYPE html><html><head><title>503 Busy</title></head></html>", {}),
        (b'<?xml version="1.0" encoding="x-none"?><Error><Code>A</Code></Error>', {"Code": "A"}),
    ],
)
def test_fields_of_malformed_and_foreign_bodies(body: bytes, expected: dict[str, str]) -> None:
    assert parse_fields(body) == expected


@pytest.mark.parametrize(
    "declaration",
    [
        b'<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">',
        b'<!ENTITY a SYSTEM "file:///etc/hostname">',
        b'<!ENTITY % p SYSTEM "http://127.0.0.1:1/x"> %p;',
        b"<!ELEMENT Error ANY>",
    ],
)
def test_document_with_declarations_has_no_fields(declaration: bytes) -> None:
    body = b"<!DOCTYPE Error [" + declaration + b"]><Error><Code>&a;&b;</Code></Error>"
    assert parse_fields(body) == {}


def test_external_dtd_is_not_fetched() -> None:
    assert (
        parse_fields(b'<!DOCTYPE Error SYSTEM "http://127.0.0.1:1/x"><Error><Code>A</Code></Error>')
        == {}
    )


def test_undeclared_entity_ends_the_parsing() -> None:
    assert parse_fields(b"<Error><Code>A</Code><Message>&a;</Message></Error>") == {"Code": "A"}


@pytest.mark.parametrize(
    "encoding",
    # XML requires that the name of an encoding begins with a letter.
    sorted(each.name for each in pkgutil.iter_modules(encodings.__path__) if each.name[0] != "_"),
)
def test_declared_encoding_does_not_select_a_codec(encoding: str) -> None:
    name = encoding.replace("_", "-").encode()
    body = b'<?xml version="1.0" encoding="%b"?><Error><Code>A</Code><Message>\xe9' % name
    assert parse_fields(body) == {"Code": "A"}


@given(st.binary() | st.text('<>/&;!?[]{}":=Error Code\x00é').map(str.encode))
def test_any_bytes_give_printable_fields(body: bytes) -> None:
    assert all(text and text.isprintable() for text in parse_fields(body).values())


@given(st.integers(0, 400))
def test_truncated_body_gives_its_complete_elements(cut: int) -> None:
    whole = HEAD + b"<Error>" + XML + b"<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    fields = parse_fields(whole[:cut])
    assert fields.items() <= parse_fields(whole).items()
    assert ("Code" in fields) == (b"</Code>" in whole[:cut])

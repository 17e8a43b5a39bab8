"""Each parser of what a server sends takes time in proportion to its input.

For 64 KiB the cheapest quadratic regular expression takes 4 s, and each of these parsers less than
0.1 s. The limit is on CPU time, so other processes do not count.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol import error_response, header_values
from aios3get._protocol.body_fields import parse_fields
from aios3get._protocol.checksum import select_verifier
from aios3get._protocol.create_session import parse_session
from aios3get._protocol.credentials import container, imds, process, sts
from aios3get._protocol.credentials.failure import failure
from aios3get._protocol.credentials.redaction import redact
from aios3get._protocol.endpoints.hosts import is_authority
from aios3get._protocol.extent import parse_extent
from aios3get._protocol.fetch import FetchedResponse
from aios3get._protocol.http import HttpHead
from aios3get._protocol.list_objects import parse_page
from aios3get._protocol.object_info import Expiration, ObjectInfo, Restore
from aios3get._protocol.ranges import ByteRange, ContentRange
from aios3get._protocol.signing.uri import encode_path
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import S3Error

SIZE = 64 * 1024
LIMIT = 1.0  # seconds of CPU time


def _head(headers: Mapping[str, str]) -> HttpHead:
    return HttpHead(400, CIMultiDictProxy(CIMultiDict(headers)))


def _error(body: bytes, **headers: str) -> None:
    head = _head({name.replace("_", "-"): text for name, text in headers.items()})
    str(error_response.parse(head, body, method="GET", bucket="b", key="k"))


def _in_error(element: str) -> Callable[[str], object]:
    """The text as one element of an error body that names an illegal location."""

    def parse(text: str) -> None:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;")
        code = "<Code>IllegalLocationConstraintException</Code>"
        _error(f"<Error>{code}<{element}>{escaped}</{element}></Error>".encode())

    return parse


def _every_member(text: str) -> None:
    names = [value.name for value in vars(ObjectInfo).values() if hasattr(value, "parse")]
    share = text[: SIZE // len(names)]
    repr(ObjectInfo(200, _head(dict.fromkeys(names, share)).headers, bucket="b", key="k"))


def _repeated_metadata(text: str) -> None:
    values = [text[at : at + 8] for at in range(0, len(text), 8)]
    headers = CIMultiDictProxy(CIMultiDict(("x-amz-meta-a", value) for value in values))
    assert len(ObjectInfo(200, headers, bucket="b", key="k").metadata) == 1


def _fetched(parse: Callable[[FetchedResponse, str], object]) -> Callable[[str], object]:
    """A parser of a response from a service that gives credentials, with the text as its body."""
    return lambda text: parse(FetchedResponse(200, body=text.encode("utf-8", "replace")), "source")


def _failure(text: str) -> None:
    body = text.encode("utf-8", "replace")
    for start in (b"", b"<Error><Message>", b'{"message": "'):
        str(failure(FetchedResponse(400, body=start + body), "source"))


def _extent(text: str) -> None:
    headers = {"ETag": text, "Content-Length": text, "Content-Range": text}
    parse_extent(206, _head(headers).headers, None, part_number=1)


PARSERS: dict[str, Callable[[str], object]] = {
    "boolean": header_values.boolean,
    "checksum": lambda text: select_verifier({"x-amz-checksum-crc32": text}, 200),
    "content range": ContentRange.parse,
    "credentials failure": _failure,
    "credentials from a container": _fetched(container.parse_credentials),
    "credentials from a process": lambda text: process.parse_output(text.encode(), "source"),
    "credentials from IMDS": _fetched(imds.parse_credentials),
    "credentials from STS": _fetched(sts.parse_credentials),
    "decoded words": header_values.decode_words,
    "error body": lambda text: parse_fields(text.encode()),
    "error body in JSON": lambda text: parse_fields(b'{"Message":"' + text.encode()),
    "error endpoint": _in_error("Endpoint"),
    "error message": _in_error("Message"),
    "error region": _in_error("Region"),
    "error headers": lambda text: _error(b"", Retry_After=text, Date=text, Content_Range=text),
    "expiration": Expiration.parse,
    "extent": _extent,
    "header value": header_values.is_sendable,
    "host": is_authority,
    "integer": header_values.integer,
    "key": encode_path,
    "listing": lambda text: parse_page(b"<ListBucketResult>" + text.encode()),
    "members": _every_member,
    "metadata": _repeated_metadata,
    "parameters": header_values.parameters,
    "printable": header_values.printable,
    "range": ByteRange.parse,
    "redaction": redact,
    "readable": header_values.readable,
    "restore": Restore.parse,
    "session": lambda text: parse_session(b"<AccessKeyId>" + text.encode()),
    "timestamp": header_values.timestamp,
    "url": lambda text: UrlRequest.create(f"https://h/{text}", None, {}),
    "url query": lambda text: UrlRequest.create(f"https://h/k?{text}", None, {}),
}


def seconds(parse: Callable[[str], object], text: str) -> float:
    begun = process_time()
    with suppress(S3Error, UnicodeEncodeError):
        parse(text)
    return process_time() - begun


def test_quadratic_parser_exceeds_the_limit() -> None:
    half = seconds(re.compile("a*b").search, "a" * (SIZE // 2))
    assert half * 4 > LIMIT


UNITS = (
    *("a", "0", "-", " ", "\t", "%", "=", '"', "<", "&", "[", "\\", "é", "\udcff", "aa-", "a-1 "),
    *('a="', 'a = "', "a: ", "a, ", "s3.aa-", ".s3.", "=?utf-8?q?", "=?utf-8?q?=41?= ", "&#"),
    *("<a>", "<a></a>", "<a b='", "]]>", '{"a":', "<SessionToken>", "&amp;", "aws-chunked,"),
)  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
def test_repetitions_are_parsed_in_linear_time(name: str) -> None:
    texts = {unit: unit * (SIZE // len(unit)) for unit in UNITS}
    slow = {unit for unit, text in texts.items() if seconds(PARSERS[name], text) > LIMIT}
    assert not slow


pieces = st.sampled_from(
    ["a", "aa-", "-", "1", " ", "  ", "=", '="', '"', "'", ",", ";", ":", "?", "=?utf-8?b?", "?=",
     "%", "%41", "&", "&#65;", "<", "</", "<a>", "</a>", "/>", "<!--", "<![CDATA[", "{", "[", "]",
     "\\", "\\u0041", ".", "s3.", "s3-", " location", "unspecified", "bytes ", "bytes=", "GMT", "+",
     "request ", "expired", "*", "/", "é", "X-Amz-SignedHeaders=", "partNumber=", "rule-id="]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(pieces, max_size=4), st.lists(pieces, min_size=1, max_size=4), st.lists(pieces))
def test_prefix_repetition_and_suffix_are_parsed_in_linear_time(
    before: list[str], repeated: list[str], after: list[str]
) -> None:
    unit = "".join(repeated)
    text = "".join(before) + unit * (SIZE // len(unit)) + "".join(after)
    slow = {name for name, parse in PARSERS.items() if seconds(parse, text) > LIMIT}
    assert not slow

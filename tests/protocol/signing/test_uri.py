from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3get._protocol.signing.uri import encode_path, encode_query, encode_query_value

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
texts = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("photos/2006/February/sample.jpg", "photos/2006/February/sample.jpg"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("/lead", "/lead"),
        ("trail/", "trail/"),
        ("a//b", "a//b"),
        ("a/../b/./c", "a/../b/./c"),
        ("?#[]@!$&'()*,;=:", "%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2C%3B%3D%3A"),
        ("é", "%C3%A9"),
        ("e\u0301", "e%CC%81"),
        ("🦄", "%F0%9F%A6%84"),
        ("\x00\n\x7f", "%00%0A%7F"),
        ("line\n", "line%0A"),
    ],
)
def test_key_is_encoded_once_and_never_normalized(key: str, path: str) -> None:
    assert encode_path(key) == path


def test_only_unreserved_characters_and_the_slash_are_not_encoded() -> None:
    everything = "".join(map(chr, range(128)))
    kept = {text for text in everything if encode_path(text) == text}
    assert kept == {*UNRESERVED, "/"}
    assert {text for text in everything if encode_query_value(text) == text} == {*UNRESERVED}


@settings(derandomize=True, deadline=None, max_examples=200)
@given(texts)
def test_any_text_survives_its_encoding(text: str) -> None:
    for encoded in (encode_path(text), encode_query_value(text)):
        assert encoded.isascii()
        assert unquote_to_bytes(encoded) == text.encode()


@pytest.mark.parametrize("encode", [encode_path, encode_query_value])
def test_lone_surrogates_are_a_unicode_encode_error(encode: object) -> None:
    assert callable(encode)
    with pytest.raises(UnicodeEncodeError):
        encode("\ud800")


@pytest.mark.parametrize(
    ("pairs", "query"),
    [
        ([], ""),
        ([("versionId", "null")], "versionId=null"),
        ([("lifecycle", "")], "lifecycle="),
        ([("prefix", "J"), ("max-keys", "2")], "max-keys=2&prefix=J"),
        ([("a", "2"), ("a", "1")], "a=1&a=2"),
        ([("b", "a/b c"), ("A", "=&")], "A=%3D%26&b=a%2Fb%20c"),
        # Encoded names are compared: "%" precedes letters, digits and "-".
        ([("a-", "1"), ("a/", "2")], "a%2F=2&a-=1"),
        # Names are compared before values: "=" does not affect the order of "a" and "a-".
        ([("a-", ""), ("a", "1")], "a=1&a-="),
    ],
)
def test_canonical_query_is_encoded_then_sorted(pairs: list[tuple[str, str]], query: str) -> None:
    assert encode_query(pairs) == query

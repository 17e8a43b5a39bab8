import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3get._protocol.content_disposition import content_disposition
from aios3get.errors import ParameterError

# RFC 6266 section 4.1 with the quoted-string of RFC 9110 and the ext-value of RFC 8187, limited to
# what every browser parses alike.
match_header = re.compile(
    r'(?P<kind>attachment|inline); filename="(?P<plain>[ !#$&-\[\]-~]+)"'
    r"(?:; filename\*=UTF-8''(?P<exact>(?:[A-Za-z0-9\-._~]|%[0-9A-F]{2})+))?"
).fullmatch

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\x7f", min_codepoint=32),
    min_size=1,
)


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("annual report; final.pdf", 'attachment; filename="annual report; final.pdf"'),
        ("it's (1).txt", 'attachment; filename="it\'s (1).txt"'),
        (
            "résumé.pdf",
            "attachment; filename=\"r_sum_.pdf\"; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf",
        ),
        ("日本.txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt"),
        ('a"b', "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
        ("a\\b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%5Cb"),
        ("50%41", "attachment; filename=\"50_41\"; filename*=UTF-8''50%2541"),
        ("é*'!", "attachment; filename=\"_*'!\"; filename*=UTF-8''%C3%A9%2A%27%21"),
    ],
)
def test_header_of_a_file_name(filename: str, header: str) -> None:
    assert content_disposition(filename) == header


def test_inline() -> None:
    assert content_disposition("a.png", inline=True) == 'inline; filename="a.png"'


@settings(derandomize=True, deadline=None, max_examples=300)
@given(names)
def test_any_file_name_survives_the_header(filename: str) -> None:
    match = match_header(content_disposition(filename))
    assert match is not None
    exact = match["exact"]
    assert (unquote(exact) if exact else match["plain"]) == filename


@pytest.mark.parametrize(
    ("filename", "message"),
    [
        ("", "filename is empty"),
        (None, "filename must be text, not NoneType"),
        ("photos/2006/sample.jpg", "after the last one"),
        ("a\r\nSet-Cookie: b", "control characters"),
        ("a\x7f", "control characters"),
        ("a\ud800", "lone surrogates"),
    ],
)
def test_invalid_file_name_is_a_parameter_error(filename: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        content_disposition(filename)

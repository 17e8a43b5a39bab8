"""Keys that clients get wrong: every byte of UTF-8, and text that URLs treat specially."""

import unicodedata
from collections.abc import Iterator

__all__ = ["KEYS", "rclone_refuses"]


def _characters() -> str:
    """ASCII without NUL, every continuation byte, and a character of every lead byte."""
    one = "".join(map(chr, range(1, 0x80)))
    continuations = "".join(map(chr, range(0x80, 0xC0)))
    two = "".join(chr(lead << 6) for lead in range(2, 32))
    # U+D000 begins the lead byte ED, whose upper half are surrogates.
    three = "\u0800" + "".join(chr(lead << 12) for lead in range(1, 16))
    four = "".join(chr(max(lead << 18, 0x10000)) for lead in range(5))
    return one + continuations + two + three + four


def _every_byte() -> Iterator[str]:
    characters = _characters()
    for start in range(0, len(characters), 48):
        yield f"bytes/{start}/x{characters[start : start + 48]}y"


_plain = (
    *("photos/2006/February/sample.jpg", "a b", " leading", "trailing ", "a+b", "a b+c d%20e"),
    *("100%", "%41", "%2F", "%2f", "%zz", "%", "%%", "%C3%A9", "a%00b", "a\\b", "~tilde"),
    *("a?b", "?", "a#b", "#", "a&b=c", "a=b", "a:b", "a@b", "a*b", "a'b", "a(b)c", 'a"b'),
    *("a;b", "a,b", "a!b", "a$b", "a[b]{c}|d^e`f<g>h", "-_.", "a.b.", "...", ".hidden", "..x"),
    *("soap", "favicon.ico", "?versionId=null", "x?list-type=2", "é", "日本", "😀", "👩‍👩‍👧", "ß"),
    *(unicodedata.normalize(form, "Ünïcödé") for form in ("NFC", "NFD")),
    *("\u200b\u200e\ufeff", "\u2028", "\x7f", "tab\there", "line\nfeed", "carriage\rreturn"),
)
_slashes = (
    *("/leading", "//two", "/", "//", "dir/", "a//b", "a///b", "trailing//", "https://h/p?q#f"),
    *(".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a/../../b", "%2E%2E/a"),
)
# The longest keys of S3 have 1,024 bytes of UTF-8.
_long = ("k" * 1024, "é" * 512, "/".join("d" * 127 for _ in range(8)) + "/")

KEYS = (*_every_byte(), *_plain, *_slashes, *_long)


def rclone_refuses(key: str) -> bool:
    """Whether rclone refuses the key: no path of a file system, or a name beyond 255 bytes."""
    segments = key.split("/")
    impossible = {"", ".", ".."} & set(segments)
    return bool(impossible) or any(len(segment.encode()) > 255 for segment in segments)

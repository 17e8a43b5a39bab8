"""The name under which a browser saves what it downloads.

RFC 6266 (https://www.rfc-editor.org/rfc/rfc6266) with the encoding of RFC 8187, formerly 5987.
"""

import re

from aios3get._protocol.signing.uri import encode_query_value
from aios3get.errors import ConfigurationError

__all__ = ["content_disposition"]

# RFC 6266 appendix D: a quoted name works everywhere if it is ASCII and holds no quote, no
# backslash and no percent sign, which some browsers unescape and others do not.
_not_quotable = re.compile(r'[^ -~]|["\\%]')
_never_a_name = re.compile(r"[\x00-\x1f\x7f/\ud800-\udfff]")


def content_disposition(filename: str, *, inline: bool = False) -> str:
    """A ``Content-Disposition`` header for any file name, for ``response_content_disposition``.

    A name that not every browser takes as it stands is given twice: exactly, as UTF-8, and with
    ``_`` for each odd character for readers that do not know the first form.

    Args:
        filename: the name alone, without folders; any language.
        inline: show in the browser where it can, instead of saving; the name is for saving later.

    Raises:
        ConfigurationError: the name is empty, or holds a slash, a control character or half of a
            surrogate pair.
    """
    _check(filename)
    kind = "inline" if inline else "attachment"
    fallback = _not_quotable.sub("_", filename)
    if fallback == filename:
        return f'{kind}; filename="{filename}"'
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{encode_query_value(filename)}"


def _check(filename: str) -> None:
    if not isinstance(filename, str):
        raise ConfigurationError(f"filename is text, not {type(filename).__name__}: {filename!r}")
    if not filename:
        raise ConfigurationError("filename is empty; leave out content_disposition for no name")
    bad = _never_a_name.search(filename)
    if bad is None:
        return
    way_out = (
        "pass the part after the last slash"
        if bad.group() == "/"
        else "control characters and lone surrogates cannot be part of one"
    )
    raise ConfigurationError(f"filename {filename!r} is not a plain file name: {way_out}")

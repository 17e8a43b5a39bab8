"""The ``Content-Disposition`` header, which sets the file name of a download.

RFC 6266 (https://www.rfc-editor.org/rfc/rfc6266) with the encoding of RFC 8187.
"""

import re

from aios3get._protocol.signing.uri import encode_query_value
from aios3get.errors import ParameterError

__all__ = ["content_disposition"]

# RFC 6266 appendix D: a quoted name is understood everywhere if it is ASCII without quotes,
# backslashes and percent signs, which some browsers decode.
_not_quotable = re.compile(r'[^ -~]|["\\%]')
_not_in_file_names = re.compile(r"[\x00-\x1f\x7f/\ud800-\udfff]")


def content_disposition(filename: str, *, inline: bool = False) -> str:
    """Return a ``Content-Disposition`` header for ``response_content_disposition``.

    A name that is not plain ASCII is sent twice: exactly, in UTF-8, and with ``_`` for each other
    character, for clients that do not support the first form.

    Args:
        filename: the file name without folders.
        inline: show the content in the browser instead of saving it.

    Raises:
        ParameterError: the name is empty or contains a slash, a control character or a lone
            surrogate.
    """
    _check(filename)
    kind = "inline" if inline else "attachment"
    fallback = _not_quotable.sub("_", filename)
    if fallback == filename:
        return f'{kind}; filename="{filename}"'
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{encode_query_value(filename)}"


def _check(filename: str) -> None:
    if not isinstance(filename, str):
        raise ParameterError(f"filename must be text, not {type(filename).__name__}: {filename!r}")
    if not filename:
        raise ParameterError("filename is empty; leave out content_disposition for no name")
    match = _not_in_file_names.search(filename)
    if match is None:
        return
    if match.group() == "/":
        raise ParameterError(
            f"filename {filename!r} contains '/'; pass the part after the last one"
        )
    raise ParameterError(
        f"filename {filename!r} contains the character {match.group()!r}; control characters and "
        "lone surrogates are not allowed"
    )

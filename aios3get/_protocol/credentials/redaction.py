"""Redacts text of other programs, so that errors can quote it."""

import re
from typing import Final

__all__ = ["redact"]

_MAX_READ: Final = 4_096
_MAX_QUOTED: Final = 300

# Every repetition is bounded or cannot match in two ways: the text may be crafted to take long.
_NAME = r"[\w-]{0,40}(?:pass(?:word|wd|phrase)?|pwd|secret|token|key|authorization|credentials?)"
_VALUE = r"(?:\"[^\"]*\"?|'[^']*'?|\S+)"
_labelled = re.compile(
    rf"(\b{_NAME}[\"']?[=:] ?(?:(?:bearer|basic) )?|--{_NAME} |\b(?:bearer|basic) ){_VALUE}",
    re.IGNORECASE,
)
_url_login = re.compile(r"//[^/\s@]+@")
_url_query = re.compile(r"\?[^\s\"']+")
_token_like = re.compile(r"[\w+/.~%-]{16,}=*")

# Ordinary names: words with lower-case letters, possibly capitalized or with a small number.
_WORD = r"(?:[a-z]{2,})?(?:[A-Z][a-z]{2,})*[0-9]{0,2}|[a-z][0-9]{1,2}"
_words = re.compile(rf"(?:{_WORD})(?:[._/~-](?:{_WORD}))*|AWS_[A-Z_]+").fullmatch


def redact(text: str) -> str:
    """Return the end of the text on one line, with ``***`` in place of possible secrets.

    Possible secrets are the value after a name like ``password`` or ``token``, a URL's user
    information and query, and every run of 16 or more token characters that is not made of words.
    """
    if len(text) > _MAX_READ:
        # The cut may be in the middle of a secret.
        text = "".join(text[-_MAX_READ:].split(maxsplit=1)[1:])
    text = " ".join(text.split())
    text = _labelled.sub(r"\1***", text)
    text = _url_login.sub("//***@", text)
    text = _url_query.sub("?***", text)
    text = _token_like.sub(lambda run: run[0] if _words(run[0].rstrip("=")) else "***", text)
    return text[-_MAX_QUOTED:]

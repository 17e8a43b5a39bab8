"""The command line of a credential process, and its output.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

import re
import shlex

from aios3get._protocol.credentials.document import Document
from aios3get._protocol.identity import Credentials
from aios3get.errors import CredentialsError

__all__ = ["parse_output", "split_command"]

# Backslashes are literal except before a quote, where each pair is one and an odd one makes the
# quote literal; other quotes hide spaces and tabs.
# https://learn.microsoft.com/en-us/cpp/c-language/parsing-c-command-line-arguments
_windows_part = re.compile(r'(?P<slashes>\\*)(?P<quote>")|(?P<space>[ \t]+)|\\+|[^\\" \t]+')


def split_command(command: str, *, windows: bool = False) -> list[str]:
    """Split a command line into words, without expanding variables or wildcards.

    Args:
        command: the command line.
        windows: split as Microsoft's C runtime does, not as a POSIX shell.

    Raises:
        ValueError: a quotation is not closed.
    """
    return _split_windows(command) if windows else shlex.split(command)


def _split_windows(command: str) -> list[str]:
    words: list[str] = []
    word: str | None = None
    quoted = False
    for part in _windows_part.finditer(command):
        if part["space"] and not quoted:
            if word is not None:
                words.append(word)
            word = None
        elif part["quote"]:
            slashes = len(part["slashes"])
            word = (word or "") + "\\" * (slashes // 2)
            if slashes % 2:
                word += '"'
            else:
                quoted = not quoted
        else:
            word = (word or "") + part[0]
    if quoted:
        raise ValueError("No closing quotation")
    return words if word is None else [*words, word]


def parse_output(output: bytes, origin: str) -> Credentials:
    """Parse the standard output of a credential process.

    Args:
        output: the bytes.
        origin: their name in errors, such as ``"the output of /opt/bin/helper"``.

    Raises:
        CredentialsError: they are not a JSON object of version 1 with credentials.
    """
    document = Document.parse(output, origin)
    if document.members.get("Version") != 1:
        raise CredentialsError(f'{origin} does not have "Version": 1, the only supported version')
    expires_at = None
    if document.members.get("Expiration") is not None:
        expires_at = document.timestamp("Expiration")
    token = document.optional_text("SessionToken")
    return document.credentials("AccessKeyId", "SecretAccessKey", token, expires_at)

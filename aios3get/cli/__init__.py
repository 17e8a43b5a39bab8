"""The ``aios3get`` command."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from aios3get._version import __version__

__all__ = ["main"]

_MISSING = (
    "aios3get: the commands get, cat, head, presign and doctor need the extra cli:\n"
    '    pip install "aios3get[cli]"\n'
    "aios3get demo works without it."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: the arguments of the command line; ``sys.argv`` by default.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["demo"]:
        from aios3get.cli import demo  # noqa: PLC0415 - imported by the command that needs it

        return demo.main(arguments[1:])
    if arguments == ["--version"]:
        print(f"aios3get {__version__}")
        return 0
    if find_spec("click") is None or find_spec("rich") is None:
        print(_MISSING, file=sys.stderr)
        return 2
    from aios3get.cli import commands  # noqa: PLC0415 - needs the extra

    return commands.run(arguments)

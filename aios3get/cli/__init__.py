"""The ``aios3get`` command."""

import argparse
import os
import sys
from collections.abc import Sequence

from aios3get import __version__
from aios3get.cli import demo

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: those of the command line; ``sys.argv`` by default.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        demo.run(port=options.port, serve=options.serve)
    except KeyboardInterrupt:
        print()
    except BrokenPipeError:
        # The reader has gone, as "head" does. The interpreter would complain once more at exit:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"aios3get: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aios3get", description="An asyncio client for Amazon S3's GetObject."
    )
    parser.add_argument("--version", action="version", version=f"aios3get {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands")
    command = commands.add_parser(
        "demo",
        help="show what the library does, on an S3 server of its own",
        description="Start an S3 server on 127.0.0.1, read from it and show the code that does.",
    )
    command.add_argument(
        "--serve",
        action="store_true",
        help="keep the server running, and print the environment that uses it",
    )
    command.add_argument(
        "--port", type=_port, default=0, help="the port of the server; a free one by default"
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)

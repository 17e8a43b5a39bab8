"""The ``aios3get`` command: a tour against an S3 of its own.

The tour's lines are compiled from the very text that is shown, as in an asyncio REPL, so what
stands on the screen is what ran and what came of it.
"""

import argparse
import ast
import asyncio
import inspect
import os
import random
import signal
import sys
import textwrap
import urllib.request
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TextIO

from aios3get import ByteRange, Credentials, S3Client, __version__, errors
from aios3get.testing import S3Server, faults

__all__ = ["main"]

_BUCKET: Final = "amzn-s3-demo-bucket"
_KEY: Final = "photos/2006/February/sample.jpg"


@dataclass(frozen=True, slots=True)
class _Step:
    """A title and what is typed below it, one input a paragraph.

    The last input of a step with ``raises`` ends in that exception.
    """

    title: str
    typed: str
    raises: type[errors.S3Error] | None = None

    def inputs(self) -> list[str]:
        return textwrap.dedent(self.typed).strip().split("\n\n")


_TOUR: Final = (
    _Step(
        "Metadata is there at once, typed",
        """
        obj = await s3.get_object(bucket, key, checksum_mode=True)

        obj.info.content_type, obj.info.content_length, obj.info.metadata["camera"]

        print(obj.info.last_modified)
        """,
    ),
    _Step(
        "The body streams as the network delivers it",
        """
        sizes = []

        async for chunk in obj:
            sizes.append(len(chunk))

        print(f"{sum(sizes):,} bytes in {len(sizes)} chunks")
        """,
    ),
    _Step(
        "Its checksum was compared before the last chunk was handed out",
        """
        print(obj.verified)

        obj.info.checksums["CRC64NVME"]
        """,
    ),
    _Step(
        "A range, half-open like a slice",
        """
        async with s3.get_object(bucket, key, range=ByteRange(0, 4)) as obj:
            print(await obj.read(), obj.info.content_range)
        """,
    ),
    _Step(
        "A condition: 304 says that your copy is current",
        """
        await s3.get_object(bucket, key, if_none_match=obj.info.etag)
        """,
        raises=errors.NotModified,
    ),
    _Step(
        "Every refusal is an exception of its own, the same for GET and HEAD",
        """
        await s3.head_object(bucket, "photos/2006/February/missing.jpg")
        """,
        raises=errors.NoSuchKey,
    ),
    _Step(
        "The connection drops after a million bytes; the body goes on where it broke",
        """
        server.faults.add(faults.drop_after(1_000_000))

        async with s3.get_object(bucket, key) as obj:
            body = await obj.read()

        body == original

        [(request.status, request.headers.get("Range")) for request in server.requests[-2:]]
        """,
    ),
    _Step(
        "A presigned link, opened by urllib: no credentials, no aios3get",
        """
        link = await s3.presign_get_object(bucket, key, expires_in=60)

        print(link.expires_at)

        answer = await asyncio.to_thread(urlopen, link.url)

        answer.status, answer.read() == original
        """,
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit status.

    Args:
        arguments: those of the command line; ``sys.argv`` if None.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return 0
    if given.serve:
        # Shells without job control start background jobs with SIGINT ignored.
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.default_int_handler)
    try:
        asyncio.run(_demo(_Screen(sys.stdout), given.port, given.serve))
    except KeyboardInterrupt:
        print()
    except _PortError as error:
        return _failed(f"port {given.port} cannot be used: {error}")
    except _ScreenError as error:
        # The interpreter would complain once more at exit:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error.__cause__, BrokenPipeError):
            # Whoever read has gone, as "head" does.
            return 1
        return _failed(f"standard output takes no more: {error}")
    return 0


class _PortError(Exception):
    """The server cannot listen."""


class _ScreenError(Exception):
    """Standard output takes no more."""


def _failed(why: str) -> int:
    print(f"aios3get: {why}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aios3get", description="An asyncio client for Amazon S3's GetObject."
    )
    parser.add_argument("--version", action="version", version=f"aios3get {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands")
    demo = commands.add_parser(
        "demo",
        help="a tour on an S3 server of its own; nothing leaves this machine",
        description="Start an S3 server on loopback and read from it, line by line.",
    )
    demo.add_argument(
        "--serve",
        action="store_true",
        help="leave the server running afterwards, and print the environment to use it",
    )
    demo.add_argument(
        "--port", type=_port, default=0, help="the server's port; a free one without it"
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number from 1 to 65535")
    return int(text)


class _Screen:
    """Where the tour is shown: with colours on a terminal that wants them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        # https://no-color.org
        self._colours = (
            out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def line(self, text: str = "") -> None:
        try:
            print(text, file=self._out, flush=True)
        except OSError as error:
            raise _ScreenError(error.strerror) from error

    def bold(self, text: str) -> str:
        return self._painted("1", text)

    def code(self, text: str) -> str:
        return self._painted("36", text)

    def typed(self, text: str) -> None:
        for prompt, line in zip(_prompts(), text.splitlines(), strict=False):
            self.line(f"   {self._painted('2', prompt)} {self.code(line)}")

    def result(self, *values: object) -> None:
        text = " ".join(map(str, values))
        for line in textwrap.wrap(text, 92, break_on_hyphens=False):
            self.line(f"   {self._painted('32', line)}")

    def _painted(self, colour: str, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._colours else text


def _prompts() -> Iterator[str]:
    yield ">>>"
    while True:
        yield "..."


async def _demo(screen: _Screen, port: int, serve: bool) -> None:
    server = S3Server(port=port)
    with _no_aws_settings():
        try:
            await server.start()
        except OSError as error:
            raise _PortError(error.strerror) from error
        try:
            await _tour(screen, server)
            if serve:
                _tell_environment(screen, server)
                await asyncio.Event().wait()
        finally:
            await server.stop()


async def _tour(screen: _Screen, server: S3Server) -> None:
    screen.line(f"{screen.bold('aios3get ' + __version__)}, with an S3 of its own at")
    screen.line(f"{server.endpoint_url}, which checks every signature")
    async with _stage(server) as names:
        names["print"] = screen.result
        for number, step in enumerate(_TOUR, 1):
            screen.line()
            screen.line(screen.bold(f"{number}  {step.title}"))
            await _play(screen, step, names)


async def _play(screen: _Screen, step: _Step, names: dict[str, Any]) -> None:
    for typed in step.inputs():
        screen.typed(typed)
        try:
            value = await _run(typed, names)
        except errors.S3Error as error:
            if type(error) is not step.raises:
                raise
            screen.result(f"{type(error).__name__}: {error}")
        else:
            if value is not None:
                screen.result(repr(value))


async def _run(typed: str, names: dict[str, Any]) -> object:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        code = compile(typed, "<demo>", "eval", flags)
    except SyntaxError:
        code = compile(typed, "<demo>", "exec", flags)
    value: Any = eval(code, names)
    return await value if code.co_flags & inspect.CO_COROUTINE else value


@asynccontextmanager
async def _stage(server: S3Server) -> AsyncGenerator[dict[str, Any], None]:
    """The names that the tour's lines use, and the object they read."""
    original = b"\xff\xd8\xff\xe0" + random.Random(2006).randbytes(3 * 2**20 - 4)
    server.put_object(
        _BUCKET,
        _KEY,
        original,
        content_type="image/jpeg",
        metadata={"camera": "Contax T2"},
        checksum_algorithm="CRC64NVME",
    )
    server.put_object(_BUCKET, "hello.txt", "hello, world\n", content_type="text/plain")
    lines = "".join(f'{{"line": {number}, "level": "info"}}\n' for number in range(1000))
    server.put_object(_BUCKET, "logs/2026/11/20.jsonl", lines)
    keys = server.credentials
    async with S3Client(
        endpoint_url=server.endpoint_url,
        region=server.region,
        credentials=Credentials(keys.access_key_id, keys.secret_access_key),
        proxy="",
    ) as s3:
        yield {
            "asyncio": asyncio,
            "bucket": _BUCKET,
            "ByteRange": ByteRange,
            "faults": faults,
            "key": _KEY,
            "original": original,
            "s3": s3,
            "server": server,
            "urlopen": urllib.request.build_opener(urllib.request.ProxyHandler({})).open,
        }


@contextmanager
def _no_aws_settings() -> Generator[None, None, None]:
    """Whatever profile and switches the user has, the tour goes to its own server."""
    theirs = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    os.environ.update(nowhere)
    try:
        yield
    finally:
        for name in nowhere:
            del os.environ[name]
        os.environ.update(theirs)


def _tell_environment(screen: _Screen, server: S3Server) -> None:
    screen.line()
    screen.line(screen.bold("The server runs until Ctrl-C. In another shell:"))
    screen.line()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": server.endpoint_url,
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        "AWS_ACCESS_KEY_ID": server.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.credentials.secret_access_key,
    }.items():
        screen.line(screen.code(f"export {name}={value}"))
    screen.line()
    screen.line(f"{_BUCKET} holds {_KEY}, hello.txt and logs/2026/11/20.jsonl.")

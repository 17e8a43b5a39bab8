"""``aios3get demo``: shows the client's features on an embedded S3 server."""

import argparse
import asyncio
import inspect
import os
import random
import signal
import sys
import textwrap
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.request import urlopen

from aios3get import ByteRange, S3Client, __version__, errors
from aios3get.testing import S3Server, faults

__all__ = ["BUCKET", "KEY", "fill", "main", "run"]

BUCKET: Final = "amzn-s3-demo-bucket"
KEY: Final = "photos/2006/February/sample.jpg"

# Settings that would make other clients ignore the server, beside those that are exported.
_UNSET: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)


def fill(server: S3Server) -> None:
    """Store the objects that the demo and the documentation read."""
    server.put_object(
        BUCKET,
        KEY,
        b"\xff\xd8\xff\xe0" + random.Random(2006).randbytes(2**20 - 4),
        content_type="image/jpeg",
        metadata={"camera": "Example 1"},
        checksum_algorithm="CRC64NVME",
    )
    lines = (f'{{"line": {number}, "level": "info"}}\n' for number in range(1000))
    server.put_object(
        BUCKET, "logs/2026/11/20.jsonl", "".join(lines), content_type="application/jsonlines"
    )
    server.put_object(BUCKET, "hello.txt", "hello, world\n", content_type="text/plain")
    server.put_object(BUCKET, "empty")


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status. It needs no package of the extra ``cli``."""
    options = _parser().parse_args(arguments)
    try:
        run(port=options.port, serve=options.serve)
    except KeyboardInterrupt:
        print()
    except BrokenPipeError:
        # The reader has closed the pipe, as "head" does. Otherwise the interpreter would fail again
        # when it flushes standard output at exit:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"aios3get: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aios3get demo",
        description="Start an S3 server on 127.0.0.1, read from it and show the code that does.",
    )
    parser.add_argument(
        "--serve",
        action="store_true",
        help="keep the server running, and print the environment that uses it",
    )
    parser.add_argument(
        "--port", type=_port, default=0, help="the port of the server; a free one by default"
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def run(*, port: int = 0, serve: bool = False) -> None:
    """Show the demo on standard output.

    Args:
        port: the port of the server; a free one by default.
        serve: whether to keep the server running until SIGINT or SIGTERM.

    Raises:
        OSError: the port is in use, or standard output cannot be written.
    """
    if serve:
        # Shells without job control start background jobs with SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
    asyncio.run(_run(port, serve))


async def _run(port: int, serve: bool) -> None:
    async with S3Server(port=port) as server:
        fill(server)
        _print(f"aios3get {__version__}, with an S3 server at {server.endpoint_url}")
        with _environment(server.environ):
            async with S3Client() as s3:
                for number, step in enumerate(_STEPS, 1):
                    _print()
                    _print(_bold(f"{number}. {inspect.getdoc(step)}"))
                    _print(textwrap.indent(_code(step), "   "))
                    await step(s3, server)
        if serve:
            _print_environment(server)
            await asyncio.Event().wait()


async def _metadata(s3: S3Client, _: S3Server) -> None:
    """Metadata is typed and available before the body."""
    info = await s3.head_object(BUCKET, KEY)
    show(info.content_type, info.content_length, info.last_modified, info.metadata["camera"])


async def _stream(s3: S3Client, _: S3Server) -> None:
    """The body is streamed, and its checksum verified."""
    async with s3.get_object(BUCKET, KEY, checksum_mode=True) as obj:
        size = 0
        async for chunk in obj:
            size += len(chunk)
    show(f"{size:,} bytes, {obj.verified}")


async def _range(s3: S3Client, _: S3Server) -> None:
    """A range is half-open, like a slice."""
    async with s3.get_object(BUCKET, KEY, range=ByteRange(0, 4)) as obj:
        show(await obj.read(), obj.info.content_range)


async def _condition(s3: S3Client, _: S3Server) -> None:
    """A condition that does not hold raises an exception."""
    info = await s3.head_object(BUCKET, KEY)
    try:
        await s3.get_object(BUCKET, KEY, if_none_match=info.etag)
    except errors.NotModified as error:
        show(f"NotModified: {error}")


async def _missing(s3: S3Client, _: S3Server) -> None:
    """Each error code of S3 has its exception, the same for GET and HEAD."""
    try:
        await s3.head_object(BUCKET, "missing.jpg")
    except errors.NoSuchKey as error:
        show(f"NoSuchKey: {error}")


async def _resume(s3: S3Client, server: S3Server) -> None:
    """A body is resumed at the next byte if its connection breaks."""
    server.faults.add(faults.drop_after(500_000))
    async with s3.get_object(BUCKET, KEY) as obj:
        show(f"{len(await obj.read()):,} bytes")
    for request in server.requests[-2:]:
        show(request.status, request.headers.get("Range"), f"{request.bytes_sent:,} bytes sent")


async def _presign(s3: S3Client, _: S3Server) -> None:
    """A presigned URL is read by any HTTP client, without credentials."""
    link = await s3.presign_get_object(BUCKET, "hello.txt", expires_in=60)
    response = await asyncio.to_thread(urlopen, link.url)
    show(response.status, response.read(), f"until {link.expires_at}")


_STEPS: Final[tuple[Callable[[S3Client, S3Server], Awaitable[None]], ...]] = (
    _metadata,
    _stream,
    _range,
    _condition,
    _missing,
    _resume,
    _presign,
)


def _code(step: Callable[..., object]) -> str:
    """Return the lines of a step below its docstring."""
    _, _, body = inspect.getsource(step).partition('."""\n')
    return textwrap.dedent(body).rstrip()


def show(*values: object) -> None:
    """Print a result of the demo."""
    _print("   →", *values)


def _print(*values: object) -> None:
    print(*values, flush=True)


def _bold(text: str) -> str:
    # https://no-color.org
    styled = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\033[1m{text}\033[0m" if styled else text


@contextmanager
def _environment(environ: dict[str, str]) -> Generator[None, None, None]:
    """Replace ``os.environ`` temporarily."""
    saved = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _print_environment(server: S3Server) -> None:
    _print()
    _print(_bold("The server runs until Ctrl-C. In another shell:"))
    _print()
    _print("unset", *_UNSET)
    for name, value in server.environ.items():
        if name.startswith("AWS_"):
            _print(f"export {name}={value}")
    _print()
    _print(f"{BUCKET} contains {KEY}, logs/2026/11/20.jsonl, hello.txt and empty.")

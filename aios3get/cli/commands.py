"""The commands ``get``, ``cat``, ``head``, ``presign`` and ``doctor``."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final, NoReturn, ParamSpec, cast

import click
from rich.console import Console
from rich.table import Table

from aios3get import PresignedUrl, __version__, errors
from aios3get.cli import demo as demo_command
from aios3get.cli.connection import connection_options, make_client
from aios3get.cli.doctor import examine
from aios3get.cli.failures import EXIT_STATUSES, INTERRUPTED, describe, exit_status
from aios3get.cli.locations import LinkLocation, Location, ObjectLocation, parse_location
from aios3get.cli.transfer import copy_to_file, copy_to_stdout, download, progress_bar

__all__ = ["command", "run"]

P = ParamSpec("P")

_WEEK: Final = 604_800


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    try:
        # Commands return None; help and ``ctx.exit`` return a status.
        status = command.main(args=list(arguments), prog_name="aios3get", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe, as "head" does. Otherwise the interpreter would fail again
        # when it flushes standard output at exit:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (errors.S3Error, OSError) as error:
        click.echo(f"aios3get: {describe(error)}", err=True)
        return exit_status(error)
    return status or 0


def _location(ctx: click.Context, param: click.Parameter, text: str | None) -> Location | None:
    if text is None:
        return None
    try:
        return parse_location(text)
    except ValueError as error:
        # A link's query may be a credential.
        raise click.BadParameter(f"{text.partition('?')[0]!r}: {error}") from None


def _locations(
    ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]
) -> list[Location | None]:
    return [_location(ctx, param, text) for text in texts]


def _object(ctx: click.Context, param: click.Parameter, text: str | None) -> Location | None:
    location = _location(ctx, param, text)
    if isinstance(location, LinkLocation):
        raise click.BadParameter("a link is already presigned; write s3://bucket/key or an ARN")
    return location


def _duration(ctx: click.Context, param: click.Parameter, text: str) -> int:
    match = re.fullmatch(r"(\d{1,7})([smhd]?)", text, re.ASCII)
    seconds = int(match[1]) * {"m": 60, "h": 3600, "d": 86_400}.get(match[2], 1) if match else 0
    if not 1 <= seconds <= _WEEK:
        raise click.BadParameter(
            f"{text!r} is not a duration of 1s to 7d; write seconds, or such as 15m, 12h, 7d"
        )
    return seconds


def _size(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,12})([KMG]?)(?:i?B)?", text, re.ASCII | re.IGNORECASE)
    size = int(match[1]) << {"K": 10, "M": 20, "G": 30}.get(match[2].upper(), 0) if match else 0
    if not size:
        raise click.BadParameter(f"{text!r} is not a size; write bytes, or such as 512K, 16M, 1G")
    return size


def _asynchronous(function: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await function(*args, **kwargs)

        asyncio.run(main())

    return wrapper


def _exit_statuses() -> str:
    named = ((status, kind.__name__) for kind, status in EXIT_STATUSES.items())
    lines = [f"  {status:>3}  {name}" for status, name in sorted(named)]
    return "\b\nExit statuses, by the class of the error:\n" + "\n".join(
        [*lines, f"  {INTERRUPTED}  interrupted by Ctrl-C"]
    )


@click.group(epilog=_exit_statuses(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aios3get", message="%(prog)s %(version)s")
def command() -> None:
    """Read objects from Amazon S3 and S3-compatible services.

    A LOCATION is s3://bucket/key, the ARN of an access point or bucket followed by a slash and the
    key, or a presigned link (quote it). Region, credentials and endpoint come from the environment
    and the profile unless options name them.
    """


@command.command(short_help="Download an object to a file.")
@click.argument("location", callback=_location)
@click.argument("target", required=False, metavar="[TARGET|-]")
@click.option("--range", "byte_range", metavar="RANGE", help='Bytes, such as "bytes=0-99".')
@click.option("--part", "part_number", type=click.IntRange(1, 10_000), help="One stored part.")
@click.option("--version-id", help="One version of the object.")
@click.option("--connections", type=click.IntRange(1), metavar="N", help="Requests at once.")
@click.option("--part-size", callback=_size, metavar="SIZE", help="Bytes in a request.")
@click.option("--resume/--no-resume", default=True, help="Resume an interrupted download.")
@click.option(
    "--require-verified",
    is_flag=True,
    help="Fail if S3 has no checksum to compare the bytes with.",
)
@click.option("--fsync", is_flag=True, help="Wait until the file is on the disk.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@connection_options
@_asynchronous
async def get(  # noqa: PLR0917 - click passes the options by name
    location: Location,
    target: str | None,
    byte_range: str | None,
    part_number: int | None,
    version_id: str | None,
    connections: int | None,
    part_size: int | None,
    resume: bool,
    require_verified: bool,
    fsync: bool,
    as_json: bool,
    quiet: bool,
    connection: Mapping[str, Any],
) -> None:
    """Download an object to TARGET, a file or folder, or to standard output ("-").

    Without TARGET, the file has the name of the object, in the current folder. It appears when it
    is complete. The same command resumes an interrupted download.
    """
    options = _given(range=byte_range, part_number=part_number, version_id=version_id)
    to_stdout = target == "-"
    path = Path() if to_stdout else _target_path(location, target)
    _check_link_options(location, options)
    async with make_client(connection) as s3:
        with progress_bar(location.name, quiet or as_json) as on_progress:
            if to_stdout:
                summary = await copy_to_stdout(s3, location, options, connections)
            elif isinstance(location, LinkLocation):
                summary = await copy_to_file(s3, location, path, options, on_progress, fsync=fsync)
            else:
                summary = await download(
                    s3,
                    location,
                    path,
                    {"resume": resume, "connections": connections, "part_size": part_size,
                     "fsync": fsync, "on_progress": on_progress, **options},
                )  # fmt: skip
    if as_json:
        _print_json(summary.to_dict(), err=to_stdout)
    elif not quiet and not to_stdout:
        click.echo(str(summary), err=True)
    if require_verified and not summary.verified:
        raise errors.IntegrityError(f"the bytes were received, but {summary.verified}")


@command.command()
@click.argument("locations", callback=_locations, nargs=-1, required=True)
@connection_options
@_asynchronous
async def cat(locations: tuple[Location, ...], connection: Mapping[str, Any]) -> None:
    """Write objects to standard output, one after the other."""
    async with make_client(connection) as s3:
        for location in locations:
            await copy_to_stdout(s3, location, {}, None)


@command.command()
@click.argument("location", callback=_location)
@click.option("--part", "part_number", type=click.IntRange(1, 10_000), help="One stored part.")
@click.option("--version-id", help="One version of the object.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@connection_options
@_asynchronous
async def head(
    location: Location,
    part_number: int | None,
    version_id: str | None,
    as_json: bool,
    connection: Mapping[str, Any],
) -> None:
    """Show an object's metadata."""
    options = _given(part_number=part_number, version_id=version_id)
    _check_link_options(location, options)
    async with make_client(connection) as s3:
        if isinstance(location, LinkLocation):
            # A link is signed for GET only.
            async with s3.get_url(location.url) as obj:
                info = obj.info
        else:
            info = await s3.head_object(
                location.bucket, location.key, checksum_mode=True, **options
            )
    members = {name: value for name, value in info.to_dict().items() if value not in (None, {})}
    if as_json:
        _print_json(members)
        return
    table = Table("member", "value", box=None, show_header=False)
    for name, value in members.items():
        if isinstance(value, dict):
            for inner, text in cast("dict[str, object]", value).items():
                table.add_row(f"{name}.{inner}", str(text))
        else:
            table.add_row(name, str(value))
    Console(highlight=False, markup=False, soft_wrap=True).print(table)


@command.command()
@click.argument("location", callback=_object)
@click.option(
    "--expires-in",
    callback=_duration,
    metavar="DURATION",
    default="1h",
    show_default=True,
    help="How long the link is valid: seconds, or such as 15m, 12h, 7d.",
)
@click.option("--version-id", help="One version of the object.")
@click.option("--content-type", help="The Content-Type of the response.")
@click.option("--content-disposition", help="The Content-Disposition of the response.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@connection_options
@_asynchronous
async def presign(
    location: ObjectLocation,
    expires_in: int,
    version_id: str | None,
    content_type: str | None,
    content_disposition: str | None,
    as_json: bool,
    connection: Mapping[str, Any],
) -> None:
    """Print a link that gets an object without credentials."""
    options = _given(
        version_id=version_id,
        response_content_type=content_type,
        response_content_disposition=content_disposition,
    )
    async with make_client(connection) as s3:
        link: PresignedUrl = await s3.presign_get_object(
            location.bucket, location.key, expires_in=expires_in, **options
        )
    if as_json:
        _print_json(link.to_dict())
        return
    click.echo(link.url)
    for name, value in link.headers.items():
        click.echo(f"send with it: {name}: {value}", err=True)


@command.command(short_help="Check the requirements of a request, step by step.")
@click.argument("location", callback=_location, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each step.")
@connection_options
@_asynchronous
async def doctor(location: Location | None, as_json: bool, connection: Mapping[str, Any]) -> None:
    """Check the requirements of a request step by step, and give advice if a step fails.

    With a LOCATION, its endpoint is checked and the object is requested once.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    failed = False
    async with make_client(connection) as s3:
        async for finding in examine(s3, location):
            failed = failed or finding.failed
            if as_json:
                _print_json(asdict(finding))
                continue
            console.print(f"{finding.mark} {finding.step}: {finding.text}")
            if finding.advice:
                console.print(f"       → {finding.advice}")
    if failed:
        raise click.exceptions.Exit(1)


@command.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    short_help="Show what the library does, on an S3 server of its own.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> NoReturn:
    """Show what the library does, on an S3 server of its own."""
    raise click.exceptions.Exit(demo_command.main(arguments))


def _check_link_options(location: Location, options: Mapping[str, Any]) -> None:
    if isinstance(location, LinkLocation) and options.keys() - {"range"}:
        raise click.UsageError("--part and --version-id are part of a link's signature")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _target_path(location: Location, target: str | None) -> Path:
    path = Path(target or "")
    if target and not path.is_dir() and not target.endswith(("/", os.sep)):
        return path
    # A key may contain anything: "..", a drive, a separator of this system.
    name = re.sub(r"[\\/:\0]", "_", location.name)
    if name in ("", ".", ".."):
        raise click.UsageError(f"{location} does not end in a file name; pass the TARGET file")
    return path / name


def _print_json(members: Mapping[str, Any], *, err: bool = False) -> None:
    def convert(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    click.echo(json.dumps(members, default=convert, ensure_ascii=False), err=err)

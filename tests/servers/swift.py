"""OpenStack Swift with its s3api: the default judge of signatures, ranges, conditions and versions.

It verifies header and presigned signatures, region and service of the scope, clock and expiry, and
its SignatureDoesNotMatch answer shows the string to sign. What it does otherwise than S3: unknown
access keys are SignatureDoesNotMatch, unsigned requests get 400 with HTML, SSE-C headers are
ignored, checksums never returned, delete markers are plain 404s, multiple ranges are answered.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import RealServer, running, wait_until
from tests.servers.tls import AWS_DOMAINS, Authority

__all__ = ["folder_with_xattrs", "swift_server"]

_root = Path(__file__).parents[2]

# Everything else is imported after the patching.
_program = (
    "import eventlet; eventlet.monkey_patch();from tests.servers.swift_program import main; main()"
)


def _env() -> dict[str, str]:
    # Development modes of the test run make eventlet's patching last for minutes.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONPATH": str(_root)}


def folder_with_xattrs(candidates: Iterable[Path]) -> Path | None:
    """The first folder whose file system keeps user xattrs, where Swift stores metadata."""
    for folder in candidates:
        try:
            os.setxattr(folder, "user.swift.probe", b"1")
            os.removexattr(folder, "user.swift.probe")
        except (AttributeError, OSError):
            continue
        return folder
    return None


@contextmanager
def swift_server(
    folder: Path, authority: Authority, region: str = "us-east-1"
) -> Iterator[RealServer]:
    """A whole Swift in one process, its data below ``folder``."""
    log, ready = folder / "swift.log", folder / "swift-ports.json"
    chain, key = authority.server_files("swift")
    settings = {
        "folder": str(folder),
        "ready": str(ready),
        "region": region,
        "certificate": [str(chain), str(key)],
        "domains": ["localhost", *AWS_DOMAINS],
    }

    def ports() -> dict[str, int] | None:
        return json.loads(ready.read_text()) if ready.exists() else None

    with running([sys.executable, "-c", _program, json.dumps(settings)], log, _env()) as process:
        port = wait_until(ports, process, log)
        yield RealServer(
            "swift",
            f"http://127.0.0.1:{port['http']}",
            f"https://127.0.0.1:{port['https']}",
            authority.ca_file,
            log,
            region=region,
        )

"""OpenStack Swift with its s3api.

It verifies signatures in headers and URLs, region and service of the scope, clock and expiry; its
SignatureDoesNotMatch response has the string to sign. Unlike S3, it sends SignatureDoesNotMatch for
unknown access keys, 400 with HTML for unsigned requests and plain 404s for delete markers, ignores
SSE-C headers, returns no checksums, and serves multiple ranges.
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

# eventlet must patch the standard library before anything else is imported.
_program = (
    "import eventlet; eventlet.monkey_patch();from tests.servers.swift_program import main; main()"
)


def _env() -> dict[str, str]:
    # Under Python's development mode eventlet's patching takes minutes.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONPATH": str(_root)}


def folder_with_xattrs(candidates: Iterable[Path]) -> Path | None:
    """The first folder whose file system has user xattrs, which Swift needs for metadata."""
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
    """Run all services of Swift in one process, with data below ``folder``."""
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

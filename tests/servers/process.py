"""Servers in processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aios3get import Credentials

__all__ = ["RealServer", "ServerStartError", "running", "tail", "wait_until"]

# Example credentials of AWS's documentation; both secrets have slashes.
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
OTHER_ACCESS_KEY_ID = "AKIAI44QH8DHBEXAMPLE"
OTHER_SECRET_ACCESS_KEY = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"

# Seconds from SIGTERM to SIGKILL.
PATIENCE = 5.0

_leash = Path(__file__).with_name("leash.py")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RealServer:
    """A running S3 server on loopback."""

    name: str
    endpoint_url: str
    tls_endpoint_url: str
    ca_file: Path
    log: Path
    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = field(default=SECRET_ACCESS_KEY, repr=False)
    region: str = "us-east-1"

    @property
    def client_options(self) -> dict[str, Any]:
        """The arguments of an ``S3Client`` of this server."""
        keys = Credentials(self.access_key_id, self.secret_access_key)
        return {"endpoint_url": self.endpoint_url, "region": self.region, "credentials": keys}

    @property
    def port(self) -> int:
        return int(self.endpoint_url.rpartition(":")[2])

    @property
    def tls_port(self) -> int:
        return int(self.tls_endpoint_url.rpartition(":")[2])


class ServerStartError(Exception):
    """The process ended or was not ready in time; the message has the end of its log."""


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until the end of the block, or of this process if it is killed.

    Its output goes to the file ``log``.
    """
    leashed = [sys.executable, "-I", "-S", str(_leash), str(os.getpid()), *map(str, command)]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            leashed,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            # Ctrl-C goes to pytest alone, whose fixtures then end the server.
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def wait_until(
    probe: Callable[[], _T | None],
    process: subprocess.Popen[bytes],
    log: Path,
    limit: float = 60.0,
) -> _T:
    """Poll ``probe`` until it returns something other than None, and return that.

    Raises:
        ServerStartError: the process ended first, or ``limit`` seconds passed.
    """
    deadline = time.monotonic() + limit
    while (found := probe()) is None:
        if process.poll() is not None:
            raise ServerStartError(f"ended with status {process.returncode}\n{tail(log)}")
        if time.monotonic() > deadline:
            raise ServerStartError(f"not ready after {limit:.0f} s\n{tail(log)}")
        time.sleep(0.01)
    return found


def tail(log: Path, size: int = 4000) -> str:
    """The end of a log file."""
    return log.read_text(errors="replace")[-size:] if log.exists() else ""

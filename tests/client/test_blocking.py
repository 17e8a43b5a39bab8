# asyncio and ssl import these at their first use, some milliseconds once in a process.
import asyncio
import concurrent.futures.thread  # noqa: F401
import encodings.idna  # noqa: F401
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aios3get.client import S3Client
from aios3get.testing import S3Server
from tests.reading_client import BUCKET, KEY
from tests.servers.tls import Authority

CONTENT = bytes(1000)
# What reaches the disk, the resolver or another process; see https://docs.python.org/3/library/audit_events.html
BLOCKING = (
    "open",
    "os.listdir",
    "os.scandir",
    "os.walk",
    "glob.glob",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "subprocess.Popen",
    "os.system",
    "time.sleep",
    "import",
)


class Detector:
    """Records blocking calls on the thread that created it, while it is on."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in BLOCKING and threading.get_ident() == self._thread:
            if event == "open" and isinstance(arguments[0], int):
                return  # a file descriptor: nothing is looked up
            self.seen.append(f"{event} {arguments[0]!r:.100}")


_detector: list[Detector] = []


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Detector]:
    # An audit hook stays for good, so there is one for all tests.
    if not _detector:
        _detector.append(Detector())
    found = _detector[0]
    found.seen.clear()
    real = ssl.SSLContext.load_verify_locations
    real_default = ssl.SSLContext.load_default_certs
    thread = threading.get_ident()

    def locations(self: ssl.SSLContext, *arguments: Any, **options: Any) -> None:
        if found.on and threading.get_ident() == thread:
            found.seen.append("load_verify_locations")
        real(self, *arguments, **options)

    def defaults(self: ssl.SSLContext, *arguments: Any, **options: Any) -> None:
        if found.on and threading.get_ident() == thread:
            found.seen.append("load_default_certs")
        real_default(self, *arguments, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", locations)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", defaults)
    yield found
    found.on = False


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[S3Server]:
    with S3Server.in_thread(tls=authority.server_context()) as running:
        running.put_object(BUCKET, KEY, CONTENT)
        yield running


@pytest.fixture
def profile(
    tls_server: S3Server, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the configuration in the shared files."""
    known = tls_server.credentials
    (tmp_path / "config").write_text(
        "[profile reader]\n"
        f"region = us-east-1\nca_bundle = {authority.ca_file}\n"
        f"endpoint_url = {tls_server.endpoint_url}\n"
    )
    (tmp_path / "credentials").write_text(
        f"[reader]\naws_access_key_id = {known.access_key_id}\n"
        f"aws_secret_access_key = {known.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def first_request(detector: Detector) -> float:
    """Create a client, get and close; the most CPU this thread took between two beats."""
    longest, last = 0.0, time.thread_time()
    loop = asyncio.get_running_loop()
    loop.set_debug(False)

    def beat() -> None:
        nonlocal longest, last
        now = time.thread_time()
        longest, last = max(longest, now - last), now
        if detector.on:
            loop.call_soon(beat)

    detector.on = True
    last = time.thread_time()
    beat()
    client = S3Client(profile="reader")
    async with client, client.get_object(BUCKET, KEY) as obj:
        assert await obj.read() == CONTENT
    detector.on = False
    return longest


@pytest.mark.usefixtures("profile")
async def test_first_request_does_not_block_the_event_loop(
    detector: Detector,
) -> None:
    # The beats count CPU of this thread, for another process on the machine blocks no loop.
    longest = [await first_request(detector) for _ in range(3)]
    assert not detector.seen
    assert min(longest) < 0.010


def test_creating_a_client_does_no_io(detector: Detector) -> None:
    detector.on = True
    S3Client(profile="reader", verify="/no/such/file")
    detector.on = False
    assert not detector.seen


async def test_detector_sees_blocking_calls(detector: Detector, tmp_path: Path) -> None:
    detector.on = True
    (tmp_path / "file").write_text("x")
    ssl.create_default_context()
    detector.on = False
    assert [seen.split()[0] for seen in detector.seen][:2] == ["open", "load_default_certs"]

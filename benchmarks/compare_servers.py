"""The servers of ``compare.py``: nginx, with and without TLS, and one that is as far away as S3."""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

BUCKET = "amzn-s3-demo-bucket"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
LATENCY = 0.1
RATE = 90_000_000

# A connection that sent late may send so much faster afterwards: threads do not wake up in time.
_CATCH_UP_SECONDS = 0.02
_BLOCK = 262_144

# Where distributions install nginx is not always on the path of users.
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_CONFIGURATION = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  # S3 sends a checksum if it is asked for one, and not with a range.
  map "$http_x_amz_checksum_mode $http_range" $checksum_type {{ "ENABLED " FULL_OBJECT; }}
  map "$http_x_amz_checksum_mode $http_range$uri" $checksum {{ {checksums} }}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; root {folder}/www;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    default_type binary/octet-stream;
    add_header x-amz-id-2 eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran;
    add_header x-amz-request-id 318BC8BC148832E5;
    add_header x-amz-server-side-encryption AES256;
    add_header x-amz-checksum-crc64nvme $checksum;
    add_header x-amz-checksum-type $checksum_type;
    # Over loopback, tcp_nopush would hold back the end of a response of 64 KiB until the client's
    # delayed ACK, after 40 ms, whichever client it is.
    location /{bucket}/large {{ tcp_nopush off; }}
  }}
}}
"""


class Endpoints(NamedTuple):
    """Where nginx listens.

    Attributes:
        plain: URL without TLS.
        tls: URL with TLS.
        ca: file with the certificate to trust.
    """

    plain: str
    tls: str
    ca: str


def start(command: list[Any], core: int | None, **options: Any) -> subprocess.Popen[str]:
    """Start a process on one core."""

    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    # The program that starts it has no threads.
    return subprocess.Popen(command, text=True, preexec_fn=pin, **options)  # noqa: PLW1509


@contextmanager
def nginx(sizes: dict[str, int], core: int | None = None) -> Generator[Endpoints, None, None]:
    """Serve objects of some sizes, by their keys, from memory."""
    if NGINX is None:
        raise FileNotFoundError("nginx is not installed")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        folder.chmod(0o755)  # for nginx's worker, which is another user
        stored = folder / "www" / BUCKET
        stored.mkdir(parents=True)
        checksums = [
            f'"ENABLED /{BUCKET}/{key}" {_store(stored / key, size)};'
            for key, size in sizes.items()
        ]
        _make_certificate(folder)
        ports = {"plain": free_port(), "tls": free_port()}
        (folder / "nginx.conf").write_text(
            _CONFIGURATION.format(
                folder=folder, bucket=BUCKET, checksums=" ".join(checksums), **ports
            )
        )
        command = [NGINX, "-c", folder / "nginx.conf"]
        with start(command, core, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(ports["plain"], process)
                plain, tls = (
                    f"http://127.0.0.1:{ports['plain']}",
                    f"https://localhost:{ports['tls']}",
                )
                yield Endpoints(plain, tls, str(folder / "cert.pem"))
            finally:
                process.terminate()


def _store(path: Path, size: int) -> str:
    """Write an object; return its CRC64NVME."""
    from aios3get._protocol.hashing import ALGORITHMS, encode_digest

    block = random.Random(1).randbytes(1 << 20)
    hasher = ALGORITHMS["CRC64NVME"].new()
    with path.open("wb") as file:
        for at in range(0, size, len(block)):
            data = block[: size - at]
            file.write(data)
            hasher.update(data)
    return encode_digest(hasher.digest())


def _make_certificate(folder: Path) -> None:
    command: list[str | Path] = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    ]
    subprocess.run(command, check=True, capture_output=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise ChildProcessError(f"the server ended with status {process.returncode}")


@contextmanager
def throttled(
    size: int, core: int | None = None, latency: float = LATENCY
) -> Generator[str, None, None]:
    """Serve an object ``latency`` seconds away, with 90 MB/s on each connection."""
    port = free_port()
    with start([sys.executable, __file__, str(port), str(size), str(latency)], core) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _serve(port: int, size: int, latency: float) -> None:
    with tempfile.TemporaryFile() as file, socket.create_server(("127.0.0.1", port)) as listening:
        file.truncate(size)
        listening.listen(256)
        while True:
            connection, _ = listening.accept()
            arguments = connection, file.fileno(), size, latency
            threading.Thread(target=_serve_connection, args=arguments, daemon=True).start()


def _serve_connection(connection: socket.socket, file: int, size: int, latency: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pending = b""
    with connection, suppress(ConnectionError):
        while True:
            while b"\r\n\r\n" not in pending:
                data = connection.recv(65_536)
                if not data:
                    return
                pending += data
            due = time.perf_counter() + latency
            head, _, pending = pending.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            start, stop, status = _selected(lines, size)
            response = (
                f'HTTP/1.1 {status}\r\nContent-Length: {stop - start}\r\nETag: "0"\r\n'
                "Last-Modified: Mon, 12 Oct 2009 17:50:00 GMT\r\nAccept-Ranges: bytes\r\n\r\n"
            )
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.sendall(response.encode())
            if lines[0].startswith("get"):
                _send(connection, file, start, stop)


def _selected(lines: list[str], size: int) -> tuple[int, int, str]:
    """The bytes that a request asks for, and the status of the response."""
    for line in lines:
        if line.startswith("range: bytes="):
            first, _, last = line.removeprefix("range: bytes=").partition("-")
            start = int(first) if first else max(0, size - int(last))
            stop = min(size, int(last) + 1) if first and last else size
            content_range = f"Content-Range: bytes {start}-{stop - 1}/{size}"
            return start, stop, f"206 Partial Content\r\n{content_range}"
    return 0, size, "200 OK"


def _send(connection: socket.socket, file: int, at: int, stop: int) -> None:
    due = time.perf_counter()
    while at < stop:
        sent = os.sendfile(connection.fileno(), file, at, min(_BLOCK, stop - at))
        at += sent
        now = time.perf_counter()
        due = max(due, now - _CATCH_UP_SECONDS) + sent / RATE
        if due > now:
            time.sleep(due - now)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))

"""A server that plays scripts of raw bytes, pauses and resets, with threads and no HTTP library.

A script is a sequence of steps for one connection::

    script = [read_request(), send(b"HTTP/1.1 200 OK\\r\\n\\r\\nhalf"), reset()]
    with ScriptedServer(script) as server:
        ...  # server.url, server.requests

Connection *n* plays script *n*, further ones the last. At a script's end the connection closes.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = [
    "ScriptedServer",
    "Script",
    "Step",
    "http_response",
    "close",
    "drip",
    "flood",
    "hang",
    "read_request",
    "reset",
    "send",
    "truncate",
    "wait",
]


@dataclass(slots=True)
class Connection:
    """An accepted connection, for the steps of its script."""

    socket: socket.socket
    stopping: threading.Event
    requests: list[bytes] = field(default_factory=list)
    _buffer: bytes = b""

    def read_request(self) -> None:
        """Read one head; the body of a GET is empty."""
        while b"\r\n\r\n" not in self._buffer:
            received = self.socket.recv(65536)
            if not received:
                raise ConnectionEnded
            self._buffer += received
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.requests.append(head + b"\r\n\r\n")

    def wait(self, seconds: float | None) -> None:
        if self.stopping.wait(seconds):
            raise ConnectionEnded


class ConnectionEnded(Exception):  # noqa: N818 - no failure
    """The client has gone, or the server is being stopped."""


Step = Callable[[Connection], None]
Script = Sequence[Step]


def read_request() -> Step:
    """Read a request and record it."""
    return Connection.read_request


def send(data: bytes) -> Step:
    """Send these bytes."""
    return lambda connection: connection.socket.sendall(data)


def drip(data: bytes, pause: float, size: int = 1) -> Step:
    """Send pieces of ``size`` bytes with ``pause`` seconds after each."""

    def step(connection: Connection) -> None:
        for start in range(0, len(data), size):
            connection.socket.sendall(data[start : start + size])
            connection.wait(pause)

    return step


def flood(data: bytes, times: int | None = None) -> Step:
    """Send the same bytes ``times`` times; for ever by default."""

    def step(connection: Connection) -> None:
        sent = 0
        while (times is None or sent < times) and not connection.stopping.is_set():
            connection.socket.sendall(data)
            sent += 1

    return step


def wait(seconds: float) -> Step:
    """Pause."""
    return lambda connection: connection.wait(seconds)


def hang() -> Step:
    """Send nothing until the client leaves or the server is stopped."""

    def step(connection: Connection) -> None:
        with suppress(OSError):
            while connection.socket.recv(65536):
                pass

    return step


def close() -> Step:
    """Close the connection in order: over TLS with a close_notify."""

    def step(connection: Connection) -> None:
        if isinstance(connection.socket, ssl.SSLSocket):
            connection.socket = connection.socket.unwrap()
        connection.socket.shutdown(socket.SHUT_WR)
        raise ConnectionEnded

    return step


def truncate() -> Step:
    """End the TCP stream with a FIN; over TLS that is a truncation, without close_notify."""

    def step(connection: Connection) -> None:
        # SSLSocket.shutdown() shuts the TCP socket without ending the TLS session.
        connection.socket.shutdown(socket.SHUT_WR)
        raise ConnectionEnded

    return step


def reset() -> Step:
    """Reset the connection: the client gets ECONNRESET."""

    def step(connection: Connection) -> None:
        # SO_LINGER with a time of 0 makes close() send RST (socket(7)).
        linger = struct.pack("ii", 1, 0)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise ConnectionEnded

    return step


def http_response(
    body: bytes = b"",
    *headers: str,
    status: str = "200 OK",
    length: int | str | None = None,
    version: str = "1.1",
) -> bytes:
    """The bytes of a response.

    ``length`` replaces the ``Content-Length`` of the body; ``""`` leaves the header out.
    """
    content_length = len(body) if length is None else length
    lines = [f"HTTP/{version} {status}", *headers]
    if content_length != "":
        lines.append(f"Content-Length: {content_length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class ScriptedServer:
    """Plays a script on each connection. ``with`` starts it and joins its threads at the end.

    Args:
        scripts: the scripts of connection 0, 1, …; further connections play the last one.
        tls: a server-side context for HTTPS.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[Connection] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[list[bytes]] = []

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[bytes]:
        """Every request head received, connection by connection."""
        return [request for connection in self.connections for request in connection]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        # close() alone would leave accept() and recv() waiting.
        for one in (self._listener, *(connection.socket for connection in self._open)):
            with suppress(OSError):
                # SSLSocket.shutdown() would take the TLS session from a thread that uses it
                socket.socket.shutdown(one, socket.SHUT_RDWR)
        # The first thread is the one that would still start others.
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            number = len(self.connections)
            connection = Connection(accepted, self._stopping)
            self.connections.append(connection.requests)
            self._open.append(connection)
            if self._stopping.is_set():
                accepted.close()
                return
            script = self._scripts[min(number, len(self._scripts) - 1)]
            self._start(self._play, connection, script)

    def _play(self, connection: Connection, script: Iterable[Step]) -> None:
        with suppress(OSError, ConnectionEnded):
            if self._tls:
                connection.socket = self._tls.wrap_socket(connection.socket, server_side=True)
            for step in script:
                step(connection)
            close()(connection)
        connection.socket.close()

"""Credentials that a process writes to its standard output.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from aios3get._protocol.credentials.process import parse_output, split_command
from aios3get._protocol.credentials.redaction import redact
from aios3get._protocol.identity import Credentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["Process"]

# Credentials take about 2 kB.
_MAX_OUTPUT: Final = 65_536
_MAX_ERROR_OUTPUT: Final = 8_192


class Process(Provider):
    """A provider that runs a command and parses the credentials that it writes.

    The process inherits the environment, the standard input and the working directory. It runs
    without a shell: variables and wildcards in the command are not expanded.

    Args:
        command: the list of arguments; or a command line, split like a POSIX shell does, on Windows
            like Microsoft's C runtime does.
        timeout: seconds that the process may run.

    Raises:
        ConfigurationError: ``command`` is empty, or has an unclosed quotation or a null character,
            or ``timeout`` is not positive.
    """

    def __init__(self, command: str | Sequence[str], *, timeout: float = 60.0) -> None:
        self._words = _split(command) if isinstance(command, str) else list(command)
        if not self._words or not self._words[0]:
            raise ConfigurationError("the command of a credential process is empty")
        if any("\0" in word for word in self._words):
            raise ConfigurationError("the command of a credential process has a null character")
        if not timeout > 0:
            raise ConfigurationError(f"timeout is {timeout!r}; pass a number of seconds above 0")
        self._timeout = timeout

    def __repr__(self) -> str:
        # The arguments may contain a secret.
        return f"<Process {self._words[0]!r}>"

    def __str__(self) -> str:
        return f"the process {self._words[0]}"

    async def load(self, context: ProviderContext) -> Credentials:
        """Run the process.

        Raises:
            CredentialsError: the process cannot be started, fails, takes too long, or does not
                write credentials. The text quotes the end of its error output, with ``***`` in
                place of possible secrets.
        """
        run = await self._run(context)
        if run.exit_status != 0:
            reason = redact(run.error_output.decode("utf-8", "replace"))
            raise self._failure(
                f"it exited with status {run.exit_status}{reason and f': {reason}'}"
            )
        if len(run.output) > _MAX_OUTPUT:
            raise self._failure(f"it wrote more than {_MAX_OUTPUT:,} bytes")
        return parse_output(bytes(run.output), f"the output of {self}")

    async def _run(self, context: ProviderContext) -> "_Run":
        loop = asyncio.get_running_loop()
        try:
            transport, run = await loop.subprocess_exec(
                _Run, *self._words, stdin=None, env=dict(context.environ)
            )
        except NotImplementedError:
            raise self._failure(f"{type(loop).__name__} cannot start processes") from None
        except OSError as error:
            raise self._failure(f"it cannot be started: {error.strerror}") from None
        try:
            async with asyncio.timeout(self._timeout):
                await run.ended
        except TimeoutError:
            raise self._failure(f"it did not end within {self._timeout:g} s") from None
        finally:
            # This kills the process if it still runs.
            transport.close()
        run.exit_status = transport.get_returncode()
        return run

    def _failure(self, reason: str) -> CredentialsError:
        return CredentialsError(f"{self} returned no credentials: {reason}")


def _split(command: str) -> list[str]:
    try:
        return split_command(command, windows=sys.platform == "win32")
    except ValueError:
        # Its cause would show the command.
        raise ConfigurationError(
            "the command of a credential process has an unclosed quotation"
        ) from None


class _Run(asyncio.SubprocessProtocol):
    """Collects the bounded output of a process until it has exited and closed its pipes."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.error_output = b""
        self.exit_status: int | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self.output += data[: _MAX_OUTPUT + 1 - len(self.output)]
        else:
            self.error_output = (self.error_output + data)[-_MAX_ERROR_OUTPUT:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

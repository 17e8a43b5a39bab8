"""Exit statuses and one-line descriptions of errors."""

from collections.abc import Mapping
from typing import Final

from aios3get import errors

__all__ = ["EXIT_STATUSES", "INTERRUPTED", "describe", "exit_status"]

# The first class that an error is an instance of.
EXIT_STATUSES: Final[Mapping[type[BaseException], int]] = {
    errors.ParameterError: 2,
    errors.ConfigurationError: 2,
    errors.NotFound: 3,
    errors.AccessDenied: 4,
    errors.CredentialsError: 4,
    errors.TransportError: 5,
    errors.IntegrityError: 6,
    errors.NotModified: 7,
    errors.PreconditionFailed: 7,
    errors.Throttled: 8,
    errors.ServerError: 8,
    errors.S3Error: 1,
    OSError: 9,
}

# 128 plus the number of SIGINT, as in shells.
INTERRUPTED: Final = 130


def exit_status(error: BaseException) -> int:
    """Return the exit status for an error."""
    return next((status for kind, status in EXIT_STATUSES.items() if isinstance(error, kind)), 1)


def describe(error: BaseException) -> str:
    """Return the error on one line, beginning with its class."""
    name, text = type(error).__name__, str(error)
    # S3's own code is in the text already.
    if isinstance(error, errors.S3Error) and f" {name}: " not in text:
        return f"{name}: {text}"
    return text or name

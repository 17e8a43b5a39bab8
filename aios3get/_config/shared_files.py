"""Reads the shared AWS files off the event loop.

https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
"""

import asyncio
import os
from collections.abc import Mapping
from string import Template
from typing import Final

from aios3get._protocol.shared_config import Section, SharedConfig, parse_sections
from aios3get.errors import ConfigurationError

__all__ = ["expand_path", "profile_name", "read_shared_config", "shared_file_paths"]

_MAX_BYTES: Final = 1_048_576


async def read_shared_config(environ: Mapping[str, str]) -> SharedConfig:
    """Read both files; a missing or unreadable one counts as empty.

    ``SharedConfig.looked_at`` has the reason.

    Args:
        environ: the environment: ``AWS_CONFIG_FILE``, ``AWS_SHARED_CREDENTIALS_FILE``, ``HOME``.

    Raises:
        ConfigurationError: a file is larger than 1 MiB, not UTF-8, or malformed.
    """
    return await asyncio.to_thread(_read_both, environ)


def profile_name(profile: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the name of the profile to use; None for the default one.

    ``AWS_PROFILE`` comes first: the SDK reference documents only this name, and botocore also reads
    ``AWS_DEFAULT_PROFILE``.
    """
    return profile or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or None


def shared_file_paths(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the paths of the credentials file and the config file."""
    credentials = environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    config = environ.get("AWS_CONFIG_FILE") or "~/.aws/config"
    return expand_path(credentials, environ), expand_path(config, environ)


def _read_both(environ: Mapping[str, str]) -> SharedConfig:
    credentials_path, config_path = shared_file_paths(environ)
    credentials, credentials_place = _read(credentials_path)
    config, config_place = _read(config_path)
    return SharedConfig.from_sections(config, credentials, (credentials_place, config_place))


def _read(path: str) -> tuple[dict[str, Section], str]:
    # Reading a pipe or device might never end.
    if not os.path.isfile(path):
        return {}, f"{path} (no such file)"
    try:
        return parse_sections(_read_text(path), path), path
    except OSError as error:
        return {}, f"{path} ({error.strerror})"


def _read_text(path: str) -> str:
    with open(path, "rb") as file:
        data = file.read(_MAX_BYTES + 1)
    try:
        if len(data) <= _MAX_BYTES:
            return data.decode("utf-8-sig")
        problem = "is larger than 1 MiB; no AWS file is that large"
    except UnicodeDecodeError:
        # That error contains the file's bytes.
        problem = "is not UTF-8 text"
    # Error reporters send the locals of a frame that raises.
    del data
    raise ConfigurationError(f"{path} {problem}")


def expand_path(path: str, environ: Mapping[str, str]) -> str:
    """Expand variables and a leading ``~`` in the path, using ``environ``."""
    path = Template(path).safe_substitute(environ)
    if path == "~" or path.startswith(("~/", "~\\")):
        return _home(environ) + path[1:]
    return os.path.expanduser(path)


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")

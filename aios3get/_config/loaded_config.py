"""The environment and shared files that complete the arguments of a client."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from aios3get._config.client_config import ClientConfig
from aios3get._config.environ import without_items
from aios3get._config.settings import ResolvedSettings, resolve_settings
from aios3get._config.shared_files import profile_name, read_shared_config
from aios3get._protocol.shared_config import SharedConfig

__all__ = ["LoadedConfig", "load_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """The environment and shared files, read once for a client.

    Attributes:
        environ: the environment variables.
        shared: the shared files as they were when the client loaded them.
        profile: the name of the active profile; None for the default one.
        settings: the settings from arguments, environment and profile.
    """

    environ: Mapping[str, str] = field(repr=False)
    shared: SharedConfig = field(repr=False)
    profile: str | None
    settings: ResolvedSettings


async def load_config(
    config: ClientConfig, environ: Mapping[str, str] | None = None
) -> LoadedConfig:
    """Read the shared files in a thread and resolve all settings.

    Args:
        config: the client's arguments, which take precedence over environment and profile.
        environ: the environment variables, ``os.environ`` if None.

    Raises:
        ConfigurationError: a value is invalid (the message names its source), a file is malformed,
            or the profile does not exist.
    """
    environ = without_items(os.environ if environ is None else environ)
    shared = await read_shared_config(environ)
    profile = profile_name(config.profile, environ)
    settings = resolve_settings(config.explicit_settings, environ, shared, profile)
    return LoadedConfig(environ=environ, shared=shared, profile=profile, settings=settings)

"""Certificates to trust, loaded off the event loop."""

import asyncio
import os
import ssl

from aios3get.errors import ConfigurationError

__all__ = ["load_certificates"]


async def load_certificates(
    verify: bool | str | os.PathLike[str] | ssl.SSLContext, ca_bundle: str | None
) -> bool | ssl.SSLContext:
    """Return aiohttp's ``ssl`` argument: True for its default context, False to accept any.

    Args:
        verify: the client's argument.
        ca_bundle: the file or folder of the setting, used if ``verify`` is True.

    Raises:
        ConfigurationError: the file or folder cannot be used.
    """
    if verify is True and ca_bundle is not None:
        verify = ca_bundle
    if isinstance(verify, bool | ssl.SSLContext):
        return verify
    return await asyncio.to_thread(_context, os.fspath(verify))


def _context(ca_bundle: str) -> ssl.SSLContext:
    try:
        if os.path.isdir(ca_bundle):
            return ssl.create_default_context(capath=ca_bundle)
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"the CA bundle {ca_bundle!r} cannot be used: {error}") from error

"""An AWS home folder, and providers loaded with an environment of their own."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aios3get._protocol.identity import CredentialsProvider, Identity
from aios3get.credentials import CredentialsSource
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Unavailable, load_from

Files = Callable[..., dict[str, str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes ``config`` and ``credentials`` and returns the environment that names them."""
    folder = tmp_path / ".aws"
    folder.mkdir()

    def write(*, config: str = "", credentials: str = "", **environ: str) -> dict[str, str]:
        (folder / "config").write_text(config)
        (folder / "credentials").write_text(credentials)
        return {"HOME": str(tmp_path), **environ}

    return write


async def load(
    provider: CredentialsProvider, environ: Mapping[str, str] | None = None, **options: Any
) -> Identity | Unavailable:
    async with ProviderContext(environ=environ or {}, **options) as context:
        return await load_from(provider, context)


async def first_calls_of_a_thousand_tasks(source: CredentialsSource) -> set[Identity]:
    """Return the results of a thousand concurrent first calls."""
    # Debug mode takes a traceback of each task.
    asyncio.get_running_loop().set_debug(False)
    return set(await asyncio.gather(*(source.get() for _ in range(1000))))

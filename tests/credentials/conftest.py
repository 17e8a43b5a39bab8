"""An AWS home folder, and providers loaded with an environment of their own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aios3get._protocol.identity import CredentialsProvider, Identity
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Unavailable, load_from

Files = Callable[..., dict[str, str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes ``config`` and ``credentials`` and gives the environment that names them."""
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

import asyncio
import os
import stat
from pathlib import Path

import pytest

from aios3get._config.small_files import read_small_file, replace_file


async def test_file_up_to_64_kib_is_read_and_a_longer_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"x" * 65_536)
    assert await read_small_file(str(path)) == b"x" * 65_536
    path.write_bytes(b"x" * 65_537)
    with pytest.raises(OSError, match="File too large"):
        await read_small_file(str(path))


async def test_pipes_folders_and_missing_files_raise_os_errors_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "missing", Path("/dev/zero")):
        with pytest.raises(OSError, match=str(path)):
            await asyncio.wait_for(read_small_file(str(path)), 5)


async def test_replaced_file_is_private_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    path.write_bytes(b"old")
    path.chmod(0o644)
    await replace_file(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [path.name]


async def test_failed_replacement_keeps_the_old_file_and_leaves_no_temporary_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cache.json"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        await replace_file(str(path), b"new")
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(FileNotFoundError):
        await replace_file(str(tmp_path / "missing" / "cache.json"), b"new")

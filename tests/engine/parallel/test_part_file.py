import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from aios3get._engine.parallel import part_file
from aios3get._engine.parallel.part_file import PartFile
from aios3get._engine.parallel.parts import Span

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "sample.jpg"


def files_beside(target: Path) -> set[str]:
    return set(os.listdir(target.parent)) - {target.name}


def filled(target: Path, content: bytes = b"new", *, resume: bool = True) -> PartFile:
    file = PartFile(str(target), resume=resume)
    file.allocate(len(content))
    file.write(memoryview(content), 0)
    return file


def test_commit_replaces_the_target(target: Path) -> None:
    target.write_bytes(b"old")
    file = filled(target)
    assert target.read_bytes() == b"old"
    file.commit(fsync=True)
    assert target.read_bytes() == b"new"
    assert not files_beside(target)


def test_delete_leaves_the_target_as_it_was(target: Path) -> None:
    target.write_bytes(b"old")
    filled(target).delete()
    assert target.read_bytes() == b"old"
    assert not files_beside(target)


def test_closed_file_is_reopened(target: Path) -> None:
    filled(target, b"0123456789").close()
    again = PartFile(str(target), resume=True)
    assert again.resumable
    assert b"".join(again.read(Span(2, 5))) == b"234"
    assert b"".join(again.read(Span(8, 50))) == b"89"
    again.delete()


def test_file_of_another_size_is_truncated_or_extended(target: Path) -> None:
    filled(target, b"0123456789").close()
    for size in (4, 0, 7):
        file = PartFile(str(target), resume=True)
        file.allocate(size)
        assert os.path.getsize(file.path) == size
        file.close()


def test_file_without_resume_has_a_new_name_every_time(target: Path) -> None:
    first, second = filled(target, b"1", resume=False), filled(target, b"2", resume=False)
    assert not first.resumable
    assert first.path != second.path
    second.commit(fsync=False)
    first.commit(fsync=False)
    assert target.read_bytes() == b"1"


def test_two_downloads_to_one_target_do_not_share_a_file(target: Path) -> None:
    first = filled(target, b"1")
    second = filled(target, b"2")
    assert first.resumable
    assert not second.resumable
    first.commit(fsync=False)
    second.commit(fsync=False)
    assert target.read_bytes() == b"2"
    assert not files_beside(target)


def test_file_renamed_while_its_lock_is_awaited_is_opened_anew(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = filled(target, b"1")
    lock = part_file._lock

    def commit_then_lock(fd: int) -> bool:
        monkeypatch.undo()
        first.commit(fsync=False)
        return lock(fd)

    monkeypatch.setattr(part_file, "_lock", commit_then_lock)
    second = filled(target, b"2")
    assert target.read_bytes() == b"1"
    second.commit(fsync=False)
    assert target.read_bytes() == b"2"


def test_long_names_are_shortened(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 127)
    for resume in (True, False):
        filled(target, resume=resume).commit(fsync=False)
        assert target.read_bytes() == b"new"


def test_target_that_is_a_folder_is_refused(target: Path) -> None:
    target.mkdir()
    with pytest.raises(IsADirectoryError, match=r"sample\.jpg"):
        PartFile(str(target), resume=True)


def test_target_that_ends_in_a_separator_is_refused(target: Path) -> None:
    with pytest.raises(IsADirectoryError, match="sample"):
        PartFile(f"{target}{os.sep}", resume=True)


@posix
def test_target_other_than_a_regular_file_is_refused(target: Path) -> None:
    os.mkfifo(target)
    with pytest.raises(OSError, match="regular files only"):
        PartFile(str(target), resume=True)


def test_missing_folder_is_named(target: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        PartFile(str(target.parent / "nowhere" / "file"), resume=True)


@posix
def test_permissions_of_a_replaced_file_are_kept(target: Path) -> None:
    target.write_bytes(b"old")
    target.chmod(0o640)
    filled(target).commit(fsync=False)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@posix
@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID])
def test_replaced_file_does_not_run_as_its_owner(target: Path, bit: int) -> None:
    target.write_bytes(b"old")
    target.chmod(0o755 | bit)
    filled(target).commit(fsync=False)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@posix
def test_symbolic_link_stays_and_its_file_is_replaced(target: Path) -> None:
    real = target.parent / "real"
    real.write_bytes(b"old")
    target.symlink_to(real)
    filled(target).commit(fsync=False)
    assert target.is_symlink()
    assert real.read_bytes() == b"new"


@posix
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_part_file_that_is_a_link_is_not_written(target: Path, link: object) -> None:
    other = target.parent / "other"
    other.write_bytes(b"kept")
    first = PartFile(str(target), resume=True)
    first.delete()
    assert callable(link)
    link(other, first.path)
    file = filled(target)
    assert not file.resumable
    file.commit(fsync=False)
    assert other.read_bytes() == b"kept"


def test_full_disk_raises_before_a_byte_is_written(target: Path) -> None:
    file = PartFile(str(target), resume=False)
    with pytest.raises(OSError, match="aios3get-part") as caught:
        file.allocate(1 << 60)
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    file.delete()


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_file_system_without_allocation_is_supported(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(fd: int, offset: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    filled(target).commit(fsync=False)
    assert target.read_bytes() == b"new"


def test_writes_are_too_short_for_huge_pages(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    pwrite = part_file._pwrite

    def record(fd: int, data: memoryview, at: int) -> int:
        sizes.append(len(data))
        return pwrite(fd, data, at)

    monkeypatch.setattr(part_file, "_pwrite", record)
    content = os.urandom((2 << 20) + 1)
    filled(target, content).commit(fsync=False)
    assert target.read_bytes() == content
    assert sizes == [1 << 20, 1 << 20, 1]


def test_short_writes_are_continued(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = part_file._pwrite
    monkeypatch.setattr(part_file, "_pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    filled(target, b"0123456789").commit(fsync=False)
    assert target.read_bytes() == b"0123456789"


def test_part_file_works_without_posix_functions(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pwrite", "pread", "posix_fallocate", "geteuid"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(part_file, "fcntl", None)
    filled(target, b"0123456789").close()
    file = PartFile(str(target), resume=True)
    assert b"".join(file.read(Span(3, 6))) == b"345"
    file.write(memoryview(b"abc"), 3)
    file.commit(fsync=True)
    assert target.read_bytes() == b"012abc6789"
    filled(target).delete()
    assert not files_beside(target)

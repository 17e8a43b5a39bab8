import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from aios3get import __version__
from aios3get._engine.parallel.object_read import ObjectRead
from aios3get.cli import main
from aios3get.testing import S3Server, faults

BUCKET, KEY = "amzn-s3-demo-bucket", "photos/2006/February/sample.jpg"
LOCATION = f"s3://{BUCKET}/{KEY}"
BODY = bytes(range(256)) * 400

Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def stored(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """A server with an object, which the environment names as AWS."""
    server.put_object(
        BUCKET,
        KEY,
        BODY,
        content_type="image/jpeg",
        metadata={"camera": "Example 1"},
        checksum_algorithm="CRC64NVME",
    )
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def run(
    stored: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Run:  # fmt: skip
    """Run a command in an empty folder; return its exit status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, bytes, str]:
        status = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return status, captured.out, captured.err.decode()

    return run


def test_get_names_the_file_as_the_object(run: Run, tmp_path: Path) -> None:
    status, out, err = run("get", LOCATION)
    assert (status, out) == (0, b"")
    assert (tmp_path / "sample.jpg").read_bytes() == BODY
    assert err.startswith("sample.jpg: 102.4 kB")
    assert "verified" in err
    assert os.listdir(tmp_path) == ["sample.jpg"]


def test_get_takes_a_file_or_a_folder_as_target(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert run("get", "-q", LOCATION, "folder") == (0, b"", "")
    assert run("get", "-q", LOCATION, "folder/copy.jpg") == (0, b"", "")
    assert (tmp_path / "folder/sample.jpg").read_bytes() == BODY
    assert (tmp_path / "folder/copy.jpg").read_bytes() == BODY


def test_get_writes_to_standard_output(run: Run, tmp_path: Path) -> None:
    assert run("get", LOCATION, "-") == (0, BODY, "")
    assert run("get", "--range", "bytes=256-511", LOCATION, "-")[1] == bytes(range(256))
    assert not os.listdir(tmp_path)


def test_get_prints_a_summary_as_json(run: Run) -> None:
    status, out, _ = run("get", "--json", "--connections", "2", "--part-size", "8M", LOCATION)
    summary = json.loads(out)
    assert status == 0
    assert summary["target"] == "sample.jpg"
    assert summary["size"] == len(BODY)
    assert (summary["verified"], summary["checksum_algorithm"]) == ("verified", "CRC64NVME")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["get", f"s3://{BUCKET}/missing"], 3, "NoSuchKey"),
        (["head", f"s3://{BUCKET}/missing"], 3, "NoSuchKey"),
        (["cat", "s3://amzn-s3-demo-bucket1/key"], 3, "NoSuchBucket"),
        (["get", LOCATION, "--no-sign-request"], 4, "AccessDenied"),
        (["get", LOCATION, "no/such/folder/file"], 9, "no/such/folder"),
        (["get", LOCATION, "--range", "bytes=0-1,4-5"], 2, "ParameterError"),
        (["get", LOCATION, "--endpoint-url", "ftp://example.com"], 2, "ConfigurationError"),
        (["get", "photos/sample.jpg"], 2, "s3://bucket/key"),
        (["get", f"s3://{BUCKET}/folder/.."], 2, "TARGET"),
        (["get", LOCATION, "--part-size", "0"], 2, "not a size"),
        (["presign", LOCATION, "--expires-in", "8d"], 2, "7d"),
        (["presign", "https://example.com/key?signature=secret"], 2, "already presigned"),
        (["get", "https://example.com/key?s=secret", "--version-id", "1"], 2, "signature"),
    ],
)
def test_error_is_one_line_and_an_exit_status(
    run: Run, arguments: list[str], status: int, message: str
) -> None:
    actual, out, err = run(*arguments)
    assert (actual, out) == (status, b"")
    assert message in err
    assert "Traceback" not in err
    assert "secret" not in err


def test_failed_download_leaves_no_file(run: Run, stored: S3Server, tmp_path: Path) -> None:
    stored.faults.add(faults.status(500))
    assert run("get", LOCATION, "--attempts", "1", "--no-resume")[0] == 8
    assert not os.listdir(tmp_path)


def test_unverifiable_object_fails_where_verification_is_required(
    run: Run, stored: S3Server
) -> None:
    stored.put_object(BUCKET, "plain", b"plain")
    status, _, err = run("get", "--require-verified", f"s3://{BUCKET}/plain")
    assert status == 6
    assert "not verified" in err


def test_cat_writes_objects_in_order(run: Run, stored: S3Server) -> None:
    stored.put_object(BUCKET, "second", b"second")
    locations = [LOCATION, f"s3://{BUCKET}/second", LOCATION]
    assert run("cat", *locations) == (0, BODY + b"second" + BODY, "")


def test_standard_output_gets_the_bytes_of_several_requests(
    run: Run, stored: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectRead, "least_part", 10_000)
    status, out, err = run("get", "--json", "--connections", "3", LOCATION, "-")
    assert (status, out) == (0, BODY)
    summary = json.loads(err)
    assert (summary["target"], summary["size"]) == ("-", len(BODY))
    assert summary["verified"] == "verified"
    assert summary["etag"].startswith('"')
    assert summary["attempts"] == len(stored.requests) == 12
    assert len({request.connection for request in stored.requests}) > 1
    assert run("cat", LOCATION) == (0, BODY, "")


def test_head_shows_the_metadata(run: Run) -> None:
    status, out, _ = run("head", LOCATION)
    lines = dict(line.split(None, 1) for line in out.decode().splitlines())
    assert status == 0
    assert lines["content_type"].strip() == "image/jpeg"
    assert lines["metadata.camera"].strip() == "Example 1"
    members = json.loads(run("head", "--json", LOCATION)[1])
    assert members["content_length"] == len(BODY)
    assert members["last_modified"].endswith("+00:00")


def test_presigned_link_is_read_by_others_and_by_get(run: Run, tmp_path: Path) -> None:
    status, out, err = run("presign", LOCATION, "--expires-in", "15m")
    link = out.decode().strip()
    assert (status, err) == (0, "")
    assert "X-Amz-Expires=900" in link
    assert urlopen(link, timeout=10).read() == BODY
    assert run("cat", link) == (0, BODY, "")
    status, _, err = run("get", link)
    assert status == 0
    assert "Signature" not in err
    assert (tmp_path / "sample.jpg").read_bytes() == BODY
    assert os.listdir(tmp_path) == ["sample.jpg"]


def test_head_of_a_link_shows_the_metadata(run: Run) -> None:
    link = run("presign", LOCATION)[1].decode().strip()
    status, out, _ = run("head", link, "--json")
    assert status == 0
    assert json.loads(out)["object_size"] == len(BODY)
    status, _, err = run("head", link, "--part", "1")
    assert (status, "part of a link's signature" in err) == (2, True)


def test_link_that_is_cut_leaves_no_file(run: Run, stored: S3Server, tmp_path: Path) -> None:
    link = run("presign", LOCATION)[1].decode().strip()
    stored.faults.add(faults.drop_after(100), times=9)
    assert run("get", link, "--attempts", "1")[0] == 5
    assert not os.listdir(tmp_path)


def test_link_keeps_the_permissions_of_the_file_that_it_replaces(run: Run, tmp_path: Path) -> None:
    link = run("presign", LOCATION)[1].decode().strip()
    kept, alias, new = (tmp_path / name for name in ("kept", "alias", "new"))
    kept.touch()
    kept.chmod(0o640)
    alias.symlink_to(kept)
    assert run("get", link, "alias")[0] == run("get", link, "new")[0] == 0
    assert alias.is_symlink()
    assert kept.read_bytes() == new.read_bytes() == BODY
    mask = os.umask(0)
    os.umask(mask)
    assert (kept.stat().st_mode & 0o777, new.stat().st_mode & 0o777) == (0o640, 0o666 & ~mask)


def test_presign_prints_headers_that_the_holder_sends(run: Run) -> None:
    members: dict[str, Any] = json.loads(run("presign", "--json", LOCATION)[1])
    assert members.keys() == {"url", "expires_at", "headers"}


def test_group_help_names_commands_and_exit_statuses(run: Run) -> None:
    out = run("--help")[1].decode()
    for command in ("get", "cat", "head", "presign", "doctor", "demo"):
        assert f"\n  {command} " in out
    assert "3  NotFound" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_generated(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_AIOS3GET_COMPLETE", f"{shell}_source")
    with pytest.raises(SystemExit) as stopped:
        main(["get"])
    assert stopped.value.code == 0
    assert "_AIOS3GET_COMPLETE" in capsys.readouterr().out


def test_version_is_the_packages(run: Run) -> None:
    assert run("--version")[1].decode() == f"aios3get {__version__}\n"

import os
import threading
from pathlib import Path

import pytest

from aios3get._config import shared_files
from aios3get._config.shared_files import profile_name, read_shared_config, shared_file_paths
from aios3get._protocol.shared_config import Section
from aios3get.errors import ConfigurationError

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def write(path: Path, text: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


async def test_home_directory_is_taken_from_the_environment(tmp_path: Path) -> None:
    config = write(tmp_path / ".aws/config", "[default]\nregion = eu-central-1")
    credentials = write(tmp_path / ".aws/credentials", "[a]\nregion = x")
    shared = await read_shared_config({"HOME": str(tmp_path)})
    assert shared.looked_at == (credentials, config)
    assert shared.profile(None).get("region") == "eu-central-1"
    assert shared.profile("a").get("region") == "x"


async def test_files_named_by_the_environment(tmp_path: Path) -> None:
    write(tmp_path / "c", "\ufeff[default]\nregion = eu-central-1")
    environ = {
        "HOME": str(tmp_path),
        "HERE": str(tmp_path),
        "AWS_CONFIG_FILE": "${HERE}/c",
        "AWS_SHARED_CREDENTIALS_FILE": "~/no-such",
    }
    shared = await read_shared_config(environ)
    assert shared.profile("default").get("region") == "eu-central-1"
    assert shared.looked_at == (f"{tmp_path}/no-such (no such file)", f"{tmp_path}/c")


@pytest.mark.parametrize(
    ("environ", "credentials"),
    [
        ({"USERPROFILE": "/u"}, "/u/.aws/credentials"),
        ({"HOME": "/h", "USERPROFILE": "/u"}, "/h/.aws/credentials"),
        ({}, os.path.expanduser("~/.aws/credentials")),
        ({"HOME": "/h", "AWS_SHARED_CREDENTIALS_FILE": "~"}, "/h"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "$UNSET/x"}, "$UNSET/x"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "~root"}, os.path.expanduser("~root")),
    ],
)
def test_paths(environ: dict[str, str], credentials: str) -> None:
    assert shared_file_paths(environ)[0] == credentials


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"[default]\nkey = " + SECRET.encode() + b"\xff", "is not UTF-8 text"),
        (b"#" * 1_048_577, "is larger than 1 MiB"),
        (b"[default]\n" + SECRET.encode(), "line 2 is not name = value"),
    ],
)
async def test_invalid_file_is_an_error_that_names_it(
    tmp_path: Path, data: bytes, what: str
) -> None:
    path = write(tmp_path / "file", data)
    with pytest.raises(ConfigurationError, match=what) as caught:
        await read_shared_config({"HOME": str(tmp_path), "AWS_CONFIG_FILE": path})
    assert path in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_file_of_one_mebibyte_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "file", b"[default]\nregion = a\n" + b"#" * (1_048_576 - 21))
    shared = await read_shared_config({"HOME": str(tmp_path), "AWS_CONFIG_FILE": path})
    assert shared.profile(None).get("region") == "a"


async def test_pipe_or_folder_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    environ = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "pipe")}
    shared = await read_shared_config(environ | {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path)})
    assert shared.looked_at == (f"{tmp_path} (no such file)", f"{tmp_path}/pipe (no such file)")


async def test_unreadable_file_counts_as_empty_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "file", "[default]")

    def refuse(*_: object) -> None:  # file modes do not bind root
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shared_files, "open", refuse, raising=False)
    shared = await read_shared_config({"HOME": str(tmp_path), "AWS_CONFIG_FILE": path})
    assert shared.looked_at[1] == f"{path} (Permission denied)"


async def test_files_are_read_off_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def read(_: str) -> tuple[dict[str, Section], str]:
        threads.append(threading.get_ident())
        return {}, ""

    monkeypatch.setattr(shared_files, "_read", read)
    await read_shared_config({"HOME": str(tmp_path)})
    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    ("profile", "environ", "name"),
    [
        (None, {}, None),
        (None, {"AWS_PROFILE": ""}, None),
        (None, {"AWS_DEFAULT_PROFILE": "d"}, "d"),
        (None, {"AWS_PROFILE": "p", "AWS_DEFAULT_PROFILE": "d"}, "p"),
        ("x", {"AWS_PROFILE": "p"}, "x"),
    ],
)
def test_name_of_the_profile(
    profile: str | None, environ: dict[str, str], name: str | None
) -> None:
    assert profile_name(profile, environ) == name

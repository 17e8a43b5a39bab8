import asyncio
import gc
import io
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import pytest
from fsspec.asyn import sync
from fsspec.callbacks import Callback

from aios3get import ANONYMOUS, Credentials, errors
from aios3get.fsspec import S3FileSystem
from aios3get.testing import S3Server, faults
from tests.fsspec.conftest import MakeFileSystem, Options
from tests.reading_client import BUCKET
from tests.servers.resolver import LoopbackResolver

LARGE = bytes(range(256)) * (12 << 12)  # 12 MiB
TREE = {
    "logs/2026/01.csv": b"a,b\n1,2\n",
    "logs/2026/02.csv": b"a,b\n3,4\n",
    "logs/2025/12.csv.gz": b"\x1f\x8b",
    "logs/empty/": b"",
    "readme": b"Hello",
    "readme.d/more": b"more",
}
ODD_KEYS = (
    *("//lead", "a//b", "../up", "a/../b", "./c", "50%", "a%2Fb", "a?b=c", "a#b", "a b+c", "é/ñ"),
    *("tab\tand\nline", "*", "[x]", "~", "&<>\"'", "/"),
)


@pytest.fixture
def tree(server: S3Server) -> None:
    for key, body in TREE.items():
        server.put_object(BUCKET, key, body)


def sent(server: S3Server) -> list[str]:
    """The requests since the last call, as texts."""
    lines = [f"{each.method} {each.key or ''}" for each in server.requests]
    server.requests.clear()
    return lines


@pytest.mark.usefixtures("tree")
class TestListing:
    def test_directory_lists_files_and_directories_in_order(self, fs: S3FileSystem) -> None:
        assert fs.ls(f"{BUCKET}/logs", detail=False) == [
            f"{BUCKET}/logs/2025",
            f"{BUCKET}/logs/2026",
            f"{BUCKET}/logs/empty",
        ]
        [first, _] = fs.ls(f"aios3get://{BUCKET}/logs/2026/")
        assert (first["name"], first["size"], first["type"]) == (
            f"{BUCKET}/logs/2026/01.csv",
            8,
            "file",
        )
        assert first["LastModified"].tzinfo is not None

    def test_directory_marker_is_no_file(self, fs: S3FileSystem) -> None:
        assert fs.ls(f"{BUCKET}/logs/empty") == []
        assert fs.isdir(f"{BUCKET}/logs/empty")
        assert not any(name.endswith("/") for name in fs.find(BUCKET))

    def test_file_lists_itself(self, fs: S3FileSystem) -> None:
        assert fs.ls(f"{BUCKET}/readme", detail=False) == [f"{BUCKET}/readme"]

    def test_missing_paths_are_not_found(self, fs: S3FileSystem) -> None:
        for path in (f"{BUCKET}/absent", "amzn-s3-demo-bucket1", "amzn-s3-demo-bucket1/absent"):
            with pytest.raises(FileNotFoundError):
                fs.ls(path)
            with pytest.raises(FileNotFoundError):
                fs.info(path)
            assert not fs.exists(path)

    def test_find_takes_one_flat_listing(self, fs: S3FileSystem, server: S3Server) -> None:
        names = [f"{BUCKET}/{key}" for key in sorted(TREE) if not key.endswith("/")]
        assert fs.find(BUCKET) == names
        assert sent(server) == ["GET "]
        found = fs.find(f"{BUCKET}/logs", withdirs=True, detail=True)
        assert [name for name, info in found.items() if info["type"] == "directory"] == [
            f"{BUCKET}/logs{name}" for name in ("", "/2025", "/2026", "/empty")
        ]

    def test_listing_of_find_serves_ls_info_and_walk(
        self, fs: S3FileSystem, server: S3Server
    ) -> None:
        fs.find(BUCKET)
        server.requests.clear()
        assert fs.info(f"{BUCKET}/logs/2026/01.csv")["size"] == 8
        assert fs.isdir(f"{BUCKET}/logs")
        assert next(iter(fs.walk(f"{BUCKET}/logs")))[1:] == (["2025", "2026", "empty"], [])
        assert sent(server) == []
        fs.invalidate_cache(f"{BUCKET}/logs/2026/01.csv")
        assert fs.info(f"{BUCKET}/logs/2026/01.csv")["size"] == 8
        assert sent(server) == ["HEAD logs/2026/01.csv"]

    def test_object_written_after_the_listing_is_found(
        self, fs: S3FileSystem, server: S3Server
    ) -> None:
        fs.ls(f"{BUCKET}/logs/2026")
        server.put_object(BUCKET, "logs/2026/03.csv", b"")
        assert fs.exists(f"{BUCKET}/logs/2026/03.csv")
        assert len(fs.ls(f"{BUCKET}/logs/2026")) == 2
        assert len(fs.ls(f"{BUCKET}/logs/2026", refresh=True)) == 3

    def test_cache_of_listings_can_be_turned_off(
        self, make_fs: MakeFileSystem, server: S3Server
    ) -> None:
        fs = make_fs(use_listings_cache=False)
        fs.ls(f"{BUCKET}/logs/2026")
        server.put_object(BUCKET, "logs/2026/03.csv", b"")
        assert len(fs.ls(f"{BUCKET}/logs/2026")) == 3

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("logs/*/0*.csv", ["logs/2026/01.csv", "logs/2026/02.csv"]),
            ("logs/**/*.csv", ["logs/2026/01.csv", "logs/2026/02.csv"]),
            ("**/*.gz", ["logs/2025/12.csv.gz"]),
            ("read*", ["readme", "readme.d"]),
            ("logs/20*/", ["logs/2025", "logs/2026"]),
            ("logs/2026/0[2-9].csv", ["logs/2026/02.csv"]),
            ("absent*", []),
        ],
    )
    def test_glob(self, fs: S3FileSystem, pattern: str, names: list[str]) -> None:
        assert fs.glob(f"{BUCKET}/{pattern}") == [f"{BUCKET}/{name}" for name in names]

    def test_glob_of_one_level_asks_for_the_prefix_only(
        self, fs: S3FileSystem, server: S3Server
    ) -> None:
        fs.glob(f"{BUCKET}/logs/2026/0*.csv")
        [request] = server.requests
        assert dict(request.query)["prefix"] == "logs/2026/0"
        assert dict(request.query)["delimiter"] == "/"

    def test_find_to_a_depth(self, fs: S3FileSystem) -> None:
        assert fs.find(BUCKET, maxdepth=1) == [f"{BUCKET}/readme"]
        assert fs.find(BUCKET, maxdepth=2) == [f"{BUCKET}/readme", f"{BUCKET}/readme.d/more"]
        with pytest.raises(ValueError, match="at least 1"):
            fs.find(BUCKET, maxdepth=0)

    def test_du_sums_the_sizes(self, fs: S3FileSystem, server: S3Server) -> None:
        assert fs.du(f"{BUCKET}/logs") == 18
        assert sent(server) == ["GET "]

    def test_listing_of_several_pages(self, fs: S3FileSystem, server: S3Server) -> None:
        for number in range(1001):
            server.put_object(BUCKET, f"many/{number:04}", b"")
        server.requests.clear()
        assert len(fs.ls(f"{BUCKET}/many")) == 1001
        assert len(server.requests) == 2

    def test_buckets_are_not_listed(self, fs: S3FileSystem) -> None:
        assert fs.info("")["type"] == "directory"
        with pytest.raises(ValueError, match="has no bucket"):
            fs.ls("")

    def test_forbidden_bucket_is_a_permission_error(
        self, fs: S3FileSystem, server: S3Server
    ) -> None:
        server.create_bucket("amzn-s3-demo-bucket2", reveals_missing_keys=False)
        with pytest.raises(PermissionError) as caught:
            fs.ls("amzn-s3-demo-bucket2")
        assert isinstance(caught.value.__cause__, errors.AccessDenied)


class TestInfo:
    @pytest.mark.usefixtures("tree")
    def test_file_takes_one_request(self, fs: S3FileSystem, server: S3Server) -> None:
        info = fs.info(f"{BUCKET}/readme")
        assert (info["size"], info["type"], info["ContentType"]) == (
            5,
            "file",
            "binary/octet-stream",
        )
        assert sent(server) == ["HEAD readme"]

    @pytest.mark.usefixtures("tree")
    def test_directory_takes_two_requests(self, fs: S3FileSystem, server: S3Server) -> None:
        assert fs.info(f"{BUCKET}/logs/")["type"] == "directory"
        assert sent(server) == ["HEAD logs", "GET "]
        assert fs.info(BUCKET)["type"] == "directory"
        assert sent(server) == ["GET "]

    def test_times_and_identifiers_follow_the_content(
        self, fs: S3FileSystem, server: S3Server
    ) -> None:
        path = f"{BUCKET}/sample.txt"
        stored = server.put_object(BUCKET, "sample.txt", b"one")
        assert fs.modified(path) == fs.created(path) == stored.last_modified
        before = fs.ukey(path), fs.checksum(path)
        assert (fs.ukey(path), fs.checksum(path)) == before
        server.put_object(BUCKET, "sample.txt", b"two")
        assert fs.ukey(path) != before[0]
        assert fs.checksum(path) != before[1]
        with pytest.raises(IsADirectoryError):
            fs.modified(BUCKET)

    def test_network_errors_are_no_absence(self, fs: S3FileSystem, server: S3Server) -> None:
        server.faults.add(faults.status(500), times=None)
        for ask in (fs.exists, fs.isfile, fs.isdir):
            with pytest.raises(errors.ServerError):
                ask(f"{BUCKET}/readme")


class TestContents:
    @pytest.fixture(autouse=True)
    def stored(self, server: S3Server) -> None:
        server.put_object(BUCKET, "small", b"0123456789")
        server.put_object(BUCKET, "empty", b"")
        server.put_object(BUCKET, "large", LARGE)

    def test_small_file_takes_one_request(self, fs: S3FileSystem, server: S3Server) -> None:
        assert fs.cat(f"{BUCKET}/small") == b"0123456789"
        assert sent(server) == ["GET small"]

    def test_large_file_is_read_by_several_requests(
        self, fs: S3FileSystem, server: S3Server
    ) -> None:
        assert fs.cat_file(f"{BUCKET}/large") == LARGE
        assert len(server.requests) > 1

    @pytest.mark.parametrize("key", ["small", "empty"])
    @pytest.mark.parametrize(
        ("start", "end"),
        [
            *((0, 4), (3, None), (None, 4), (-3, None), (2, -2), (-4, -1), (-99, 3), (None, -3)),
            *((4, 4), (5, 2), (8, 99), (99, 100), (99, None), (-99, None), (0, 0), (None, 0)),
        ],
    )
    def test_range_is_a_slice(
        self, fs: S3FileSystem, key: str, start: int | None, end: int | None
    ) -> None:
        whole = fs.cat_file(f"{BUCKET}/{key}")
        assert fs.cat_file(f"{BUCKET}/{key}", start, end) == whole[start:end]
        both = fs.cat_ranges([f"{BUCKET}/{key}"] * 2, [start, 0], [end, 1])
        assert both == [whole[start:end], whole[:1]]

    def test_offsets_may_be_numbers_of_numpy(self, fs: S3FileSystem) -> None:
        class Number:  # like numpy.int64, no int
            def __init__(self, value: int) -> None:
                self.value = value

            def __index__(self) -> int:
                return self.value

            def __lt__(self, other: int) -> bool:
                return self.value < other

        path = f"{BUCKET}/small"
        assert fs.cat_file(path, Number(3), Number(5)) == b"34"
        two = [Number(1), Number(5)], [Number(2), Number(7)]
        assert fs.cat_ranges([path] * 2, *two) == [b"1", b"56"]

    def test_large_range(self, fs: S3FileSystem) -> None:
        assert fs.cat_file(f"{BUCKET}/large", 5, (10 << 20) + 5) == LARGE[5 : (10 << 20) + 5]
        assert fs.cat_file(f"{BUCKET}/large", 100) == LARGE[100:]

    def test_ranges_close_together_are_read_at_once(
        self, fs: S3FileSystem, server: S3Server
    ) -> None:
        starts = list(range(0, 10_000, 1000))
        ends = [start + 10 for start in starts]
        paths = [f"{BUCKET}/large"] * len(starts)
        got = fs.cat_ranges([*paths, f"{BUCKET}/small"], [*starts, 3], [*ends, 5])
        assert got == [*(LARGE[a:b] for a, b in zip(starts, ends, strict=True)), b"34"]
        assert len(server.requests) <= 3

    def test_ranges_of_missing_objects_return_or_raise(self, fs: S3FileSystem) -> None:
        paths = [f"{BUCKET}/small", f"{BUCKET}/absent", f"{BUCKET}/absent", f"{BUCKET}/gone"]
        first, *others = fs.cat_ranges(paths, 0, 3)
        assert first == b"012"
        assert [type(each) for each in others] == [FileNotFoundError] * 3
        with pytest.raises(FileNotFoundError):
            fs.cat_ranges(paths, 0, 3, on_error="raise")
        with pytest.raises(ValueError, match="differ in their numbers"):
            fs.cat_ranges(paths, [0], [1])

    def test_many_files_are_read_by_one_call(self, fs: S3FileSystem) -> None:
        got = fs.cat([f"{BUCKET}/small", f"{BUCKET}/absent"], on_error="omit")
        assert got == {f"{BUCKET}/small": b"0123456789"}
        with pytest.raises(FileNotFoundError):
            fs.cat([f"{BUCKET}/small", f"{BUCKET}/absent"])

    def test_download_reports_its_progress(self, fs: S3FileSystem, tmp_path: Path) -> None:
        callback = Callback()
        fs.get_file(f"{BUCKET}/large", str(tmp_path / "large"), callback=callback)
        assert (tmp_path / "large").read_bytes() == LARGE
        assert (callback.size, callback.value) == (len(LARGE), len(LARGE))

    def test_download_to_an_open_file(self, fs: S3FileSystem) -> None:
        target = io.BytesIO()
        fs.get_file(f"{BUCKET}/large", target)
        assert target.getvalue() == LARGE

    @pytest.mark.parametrize("cached", [True, False])
    def test_download_of_a_directory(
        self, make_fs: MakeFileSystem, server: S3Server, tmp_path: Path, cached: bool
    ) -> None:
        for key, body in TREE.items():
            server.put_object(BUCKET, key, body)
        fs = make_fs(use_listings_cache=cached)
        fs.get(f"{BUCKET}/logs", str(tmp_path / "logs"), recursive=True)
        assert (tmp_path / "logs/2026/02.csv").read_bytes() == TREE["logs/2026/02.csv"]
        assert (tmp_path / "logs/empty").is_dir()

    def test_download_of_a_missing_object_leaves_no_file(
        self, fs: S3FileSystem, tmp_path: Path
    ) -> None:
        with pytest.raises(FileNotFoundError):
            fs.get_file(f"{BUCKET}/absent", str(tmp_path / "absent"))
        assert list(tmp_path.iterdir()) == []

    def test_presigned_link_reads_the_object(self, fs: S3FileSystem) -> None:
        signed = fs.sign(f"{BUCKET}/small", expiration=60)
        assert "X-Amz-Expires=60" in signed
        assert "X-Amz-Expires=3600" in fs.url(f"{BUCKET}/small")

    def test_bucket_has_no_contents(self, fs: S3FileSystem) -> None:
        with pytest.raises(IsADirectoryError):
            fs.cat_file(BUCKET)

    def test_read_block_and_head_and_tail(self, fs: S3FileSystem) -> None:
        assert fs.head(f"{BUCKET}/small", 3) == b"012"
        assert fs.tail(f"{BUCKET}/small", 3) == b"789"
        assert fs.read_block(f"{BUCKET}/small", 2, 3) == b"234"


class TestPaths:
    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_key_survives(self, fs: S3FileSystem, server: S3Server, key: str) -> None:
        server.put_object(BUCKET, key, key.encode())
        path = f"{BUCKET}/{key}"
        assert fs.cat_file(path) == key.encode()
        assert fs.cat_ranges([path], 0, 1) == [key.encode()[:1]]
        assert fs.find(BUCKET) == [path]
        if not key.endswith("/"):
            with fs.open(path) as file:
                assert file.read() == key.encode()
            assert fs.info(path, refresh=True)["name"] == path

    def test_arn_is_a_bucket(self, fs: S3FileSystem) -> None:
        arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/example-ap"
        assert fs.split_path(f"s3://{arn}/logs/a.csv") == (arn, "logs/a.csv", None)
        assert fs._split_folder(f"{arn}/logs/") == (arn, "logs/")
        assert fs._parent(f"{arn}/logs/a.csv") == f"{arn}/logs"
        assert fs._parent(f"{arn}/a.csv") == arn
        assert fs._parent(arn) == ""

    def test_access_point_is_read_by_its_arn(
        self, make_fs: MakeFileSystem, server: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(aiohttp, "DefaultResolver", lambda: LoopbackResolver({}))
        server.add_access_point("example-ap-123456789012", BUCKET)
        server.put_object(BUCKET, "logs/a.csv", b"one")
        arn = "arn:aws:s3:us-east-1:123456789012:accesspoint/example-ap"
        path = f"{arn}/logs/a.csv"
        fs = make_fs(endpoint_url=f"http://localhost:{server.port}")
        assert fs.cat_file(path) == b"one"
        assert fs.find(arn) == fs.glob(f"{arn}/*/*.csv") == [path]
        assert fs.ls(f"s3://{arn}/logs", detail=False) == [path]
        assert fs.isdir(f"{arn}/logs")
        with fs.open(path) as file:
            assert file.read() == b"one"
        hosts = {request.host.partition(":")[0] for request in server.requests}
        assert hosts == {"example-ap-123456789012.localhost"}

    def test_other_arn_is_refused(self, fs: S3FileSystem) -> None:
        with pytest.raises(errors.ParameterError, match="not the ARN"):
            fs.cat_file("arn:aws:sns:us-east-1:123456789012:example")

    def test_versions_are_read_by_paths_of_a_version_aware_file_system(
        self, make_fs: MakeFileSystem, server: S3Server
    ) -> None:
        server.create_bucket(BUCKET, versioning=True)
        old = server.put_object(BUCKET, "a.txt", b"old").version_id
        server.put_object(BUCKET, "a.txt", b"newer")
        path = f"{BUCKET}/a.txt?versionId={old}"
        fs = make_fs(version_aware=True)
        assert fs.cat_file(path) == b"old"
        assert fs.info(path)["size"] == 3
        with fs.open(path) as file:
            assert (file.read(), file.details["VersionId"]) == (b"old", old)
        assert fs.cat_file(f"{BUCKET}/a.txt", version_id=old) == b"old"
        assert not fs.exists(f"{BUCKET}/a.txt?versionId=absent")
        with pytest.raises(FileNotFoundError):
            make_fs().cat_file(path)


class TestWriting:
    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            *(("pipe_file", ["b/k", b""]), ("rm", ["b/k"]), ("rm_file", ["b/k"])),
            *(("mkdir", ["b"]), ("makedirs", ["b"]), ("rmdir", ["b"]), ("touch", ["b/k"])),
            *(("copy", ["b/k", "b/l"]), ("mv", ["b/k", "b/l"]), ("open", ["b/k", "wb"])),
            *(("write_text", ["b/k", ""]), ("pipe", ["b/k", b""]), ("cp_file", ["b/k", "b/l"])),
            ("put_file", [__file__, "b/k"]),
        ],
    )
    def test_writing_is_refused(self, fs: S3FileSystem, method: str, arguments: list[Any]) -> None:
        with pytest.raises(NotImplementedError, match="s3fs"):
            getattr(fs, method)(*arguments)


@pytest.mark.usefixtures("shared_instances")
class TestInstances:
    def test_url_of_the_protocol_opens(self, server: S3Server, storage_options: Options) -> None:
        server.put_object(BUCKET, "a.txt", b"one\ntwo\n")
        url = f"aios3get://{BUCKET}/a.txt"
        with fsspec.open(url, "rt", **storage_options) as file:
            assert file.readlines() == ["one\n", "two\n"]

    def test_register_takes_s3(self) -> None:
        program = (
            "import sys, fsspec, aios3get.fsspec as ours; ours.register();"
            "print(fsspec.get_filesystem_class('s3').__module__,"
            " fsspec.get_filesystem_class('s3a').__module__)"
        )
        shown = subprocess.check_output([sys.executable, "-c", program], text=True)
        assert shown.split() == ["aios3get.fsspec.file_system"] * 2

    def test_equal_options_share_an_instance(self, storage_options: Options) -> None:
        first = S3FileSystem(**storage_options)
        assert S3FileSystem(**storage_options) is first
        assert S3FileSystem(**storage_options | {"secret": "another"}) is not first

    def test_different_credentials_share_no_instance(self) -> None:
        kept = [
            Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            Credentials("AKIAIOSFODNN7EXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"),
        ]
        one, other = (S3FileSystem(credentials=each) for each in kept)
        assert one is not other
        assert one != other
        assert S3FileSystem(credentials=kept[0]) is one
        assert S3FileSystem(credentials=ANONYMOUS) is S3FileSystem(credentials=ANONYMOUS)
        assert "wJalr" not in repr(one.storage_options)

    def test_pickle_reads_the_same(self, server: S3Server, fs: S3FileSystem) -> None:
        server.put_object(BUCKET, "a.txt", b"one")
        again = pickle.loads(pickle.dumps(fs))
        assert again.cat_file(f"{BUCKET}/a.txt") == b"one"
        assert again.storage_options == fs.storage_options
        assert again == fs
        assert hash(again) == hash(fs)

    def test_equality_does_not_depend_on_process_and_thread(self, fs: S3FileSystem) -> None:
        program = (
            "import pickle, sys; fs = pickle.load(sys.stdin.buffer); print(fs.__dask_tokenize__())"
        )
        command = [sys.executable, "-c", program]
        token = subprocess.check_output(command, input=pickle.dumps(fs), text=False)
        assert token.decode().strip() == fs.__dask_tokenize__()

    async def test_asynchronous_use_on_the_callers_loop(
        self, server: S3Server, storage_options: Options
    ) -> None:
        server.put_object(BUCKET, "a.txt", b"one")
        fs = S3FileSystem(asynchronous=True, skip_instance_cache=True, **storage_options)
        assert await fs._cat_file(f"{BUCKET}/a.txt") == b"one"
        assert await fs._find(BUCKET) == [f"{BUCKET}/a.txt"]
        with pytest.raises(errors.UsageError, match="open_async"):
            fs.open(f"{BUCKET}/a.txt")
        await fs.aclose()

    def test_several_event_loops_share_a_file_system(
        self, server: S3Server, fs: S3FileSystem
    ) -> None:
        server.put_object(BUCKET, "a.txt", b"one")
        for _ in range(2):
            assert asyncio.run(fs._cat_file(f"{BUCKET}/a.txt")) == b"one"
        assert fs.cat_file(f"{BUCKET}/a.txt") == b"one"

    def test_collected_file_system_closes_its_connections(
        self, server: S3Server, storage_options: Options
    ) -> None:
        server.put_object(BUCKET, "a.txt", b"one")
        fs = S3FileSystem(skip_instance_cache=True, **storage_options)
        fs.cat_file(f"{BUCKET}/a.txt")
        client, loop = fs.client, fs.loop
        del fs
        gc.collect()
        sync(loop, asyncio.sleep, 0)
        assert client._closed


PROGRAM = """
import os, sys, fsspec
fs = fsspec.filesystem("aios3get", **{options})
file = fs.open({path!r})
assert file.read(3) == b"012"
assert fs.cat_file({path!r}) == b"0123456789"
if not (child := os.fork()):
    assert fs.cat_file({path!r}) == b"0123456789"
    with fs.open({path!r}) as again:
        assert again.read() == b"0123456789"
    try:
        file.seek(0, 2), file.seek(0), file.raw.read(1)
    except RuntimeError as error:
        assert "forked" in str(error)
        {end}(7)
    os._exit(1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("end", ["os._exit", "sys.exit"])  # the first as multiprocessing does
def test_forked_process_reads_and_both_end_silently(
    server: S3Server, storage_options: Options, end: str
) -> None:
    server.put_object(BUCKET, "a.txt", b"0123456789")
    program = PROGRAM.format(options=storage_options, path=f"{BUCKET}/a.txt", end=end)
    done = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("7\n", "")

"""``S3FileSystem``: an fsspec file system of S3's objects."""

# pyright: basic
# fsspec has no type annotations.

import asyncio
import atexit
import errno
import os
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from operator import index
from typing import Any, Final, NoReturn

import fsspec
from fsspec.asyn import AsyncFileSystem, _run_coros_in_chunks, get_loop, sync, sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike, tokenize

from aios3get._engine.listing import list_pages
from aios3get._engine.parallel.reader import ObjectReader
from aios3get._protocol.endpoints.paths import split_path
from aios3get._protocol.list_objects import ListPage
from aios3get._protocol.object_info import ObjectInfo
from aios3get._protocol.ranges import ByteRange
from aios3get.client import S3Client
from aios3get.errors import AccessDenied, InvalidRange, NotFound, ParameterError, UsageError
from aios3get.fsspec.file import AsyncS3File, S3File
from aios3get.fsspec.options import HeldCredentials, client_arguments, object_options

__all__ = ["S3FileSystem", "register"]

Info = dict[str, Any]

# A larger range is read with several requests.
_ONE_REQUEST: Final = 1 << 23


def register(*protocols: str) -> None:
    """Make fsspec use ``S3FileSystem`` for these protocols, in this process.

    Args:
        protocols: ``"s3"`` and ``"s3a"`` by default.
    """
    for protocol in protocols or ("s3", "s3a"):
        fsspec.register_implementation(protocol, S3FileSystem, clobber=True)


class _FileSystemType(type(AsyncFileSystem)):  # type: ignore[misc]
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        # fsspec shares instances by the repr of their options, and the repr of credentials omits
        # the secrets.
        credentials = kwargs.get("credentials")
        if credentials is not None and not isinstance(credentials, HeldCredentials):
            kwargs["credentials"] = HeldCredentials(credentials)
        return super().__call__(*args, **kwargs)


class S3FileSystem(AsyncFileSystem, metaclass=_FileSystemType):  # type: ignore[misc]
    """Reads objects of S3 and S3-compatible services as files. It does not write.

    A path is ``bucket/key``, where the bucket may be an access point alias or an ARN. Directories
    are the prefixes of keys up to a slash; an empty object whose key ends in a slash counts as one.

    Args:
        anon: send unsigned requests.
        key: access key ID, with ``secret`` and, for temporary credentials, ``token``.
        secret: secret access key.
        token: session token.
        endpoint_url: of a server that is not AWS's.
        profile: name of a profile in the shared files.
        requester_pays: accept the cost of reading.
        version_aware: read the version that ``?versionId=`` at the end of a path names.
        max_concurrency: requests at a time for one object; adapts to the server by default.
        default_block_size: the ``blocksize`` attribute of open files.
        s3_additional_kwargs: further parameters of GetObject by S3's names, such as
            ``SSECustomerKey``.
        asynchronous: whether the methods with an underscore are awaited on loops of yours.
        loop: the event loop that blocking methods use, which runs in another thread; fsspec's by
            default.
        batch_size: files at a time in a call for many; fsspec's by default.
        use_listings_cache: whether listings are kept.
        listings_expiry_time: seconds after which a listing is requested again.
        max_paths: how many listings are kept.
        options: ``client_kwargs``, ``config_kwargs`` and ``use_ssl`` of s3fs, and all arguments of
            ``S3Client`` but ``max_concurrency`` and ``session``.

    Raises:
        ConfigurationError: an option is unknown, is not supported or contradicts another one.
    """

    protocol = ("aios3get", "s3", "s3a")
    root_marker = ""
    blocksize: int
    _pid: int
    _loop: asyncio.AbstractEventLoop | None
    _finalizer: "weakref.finalize[..., Any]"

    def __init__(
        self,
        *,
        requester_pays: bool = False,
        version_aware: bool = False,
        max_concurrency: int | None = None,
        default_block_size: int | None = None,
        s3_additional_kwargs: dict[str, Any] | None = None,
        asynchronous: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        batch_size: int | None = None,
        use_listings_cache: bool = True,
        listings_expiry_time: float | None = None,
        max_paths: int | None = None,
        **options: Any,
    ) -> None:
        arguments = client_arguments({**options, "requester_pays": requester_pays})
        super().__init__(
            asynchronous=asynchronous,
            loop=loop,
            batch_size=batch_size,
            use_listings_cache=use_listings_cache,
            listings_expiry_time=listings_expiry_time,
            max_paths=max_paths,
        )
        self.version_aware = version_aware
        self.blocksize = default_block_size or AsyncFileSystem.blocksize
        self._connections = max_concurrency
        self._request_payer = arguments.get("request_payer")
        self._options = object_options(s3_additional_kwargs or {})
        self.client = S3Client(**arguments)
        self._close_with_process()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the blocking methods."""
        # A forked process has no thread that runs the parent's loop.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._finalizer.detach()
            self._loop = None if self.asynchronous else get_loop()
            self._close_with_process()
        return self._loop

    @property
    def _fs_token(self) -> str:
        """The key for equality: the options, without process and thread as in fsspec."""
        return str(tokenize(type(self), self.storage_args, self.storage_options))

    def _close_with_process(self) -> None:
        self._finalizer = weakref.finalize(self, _close, self.client, self._loop, self._pid)
        self._finalizer.atexit = False
        _file_systems[id(self)] = self

    async def aclose(self) -> None:
        """Close the connections. The file system cannot be used any more."""
        await self.client.aclose()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        path = super()._strip_protocol(path)
        return path if isinstance(path, list) else path.lstrip("/")

    @classmethod
    def _parent(cls, path: str) -> str:
        bucket, key = split_path(cls._strip_protocol(path))
        parent = key.rpartition("/")[0]
        return f"{bucket}/{parent}" if parent else bucket if key else cls.root_marker

    def split_path(self, path: str) -> tuple[str, str, str | None]:
        """Split a path into bucket, key and version id.

        Raises:
            ParameterError: the path has no bucket.
        """
        stripped = self._strip_protocol(path)
        # A key may end in slashes, which fsspec strips from paths.
        stripped += path[len(path.rstrip("/")) :] if stripped else ""
        try:
            bucket, key = split_path(stripped)
        except ValueError as error:
            raise ParameterError(str(error)) from None
        if not bucket:
            raise ParameterError("the path has no bucket, and listing buckets is not supported")
        if not self.version_aware:
            return bucket, key, None
        key, _, version_id = key.partition("?versionId=")
        return bucket, key, version_id or None

    def _split_folder(self, path: str) -> tuple[str, str]:
        bucket, key, _ = self.split_path(self._strip_protocol(path))
        return bucket, f"{key}/" if key else ""

    def _of_object(
        self, path: str, version_id: str | None = None, if_match: str | None = None
    ) -> tuple[str, str, dict[str, Any]]:
        """Return the bucket, the key and the options of a request for an object.

        Raises:
            IsADirectoryError: the path is a bucket.
        """
        bucket, key, own_version = self.split_path(path)
        if not key:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        options: dict[str, Any] = dict(self._options)
        if version_id or own_version:
            options["version_id"] = version_id or own_version
        if if_match is not None:
            options["if_match"] = if_match
        return bucket, key, options

    async def _info(
        self, path: str, refresh: bool = False, version_id: str | None = None, **_: Any
    ) -> Info:
        path = self._strip_protocol(path)
        if not path:
            return _directory(path)
        bucket, key, own_version = self.split_path(path)
        version_id = version_id or own_version
        if not refresh and not version_id:
            known = self._known(path)
            if known is not None:
                return known
        if key:
            try:
                with _os_errors(path):
                    bucket, key, options = self._of_object(path, version_id)
                    return _of_head(path, await self.client.head_object(bucket, key, **options))
            except FileNotFoundError:
                if version_id:
                    raise
        with _os_errors(path):
            async for page in self._pages(*self._split_folder(path), max_keys=1):
                if page.objects or page.prefixes or not key:
                    return _directory(path)
                break
        raise _not_found(path)

    def _known(self, path: str) -> Info | None:
        """Return the entry from a cached listing, if there is one."""
        if path in self.dircache:
            return _directory(path)
        # A path that is missing in a cached listing may have been written since.
        for entry in self.dircache.get(self._parent(path), ()):
            if entry["name"] == path:
                return dict(entry)
        return None

    async def _isfile(self, path: str) -> bool:
        return await self._file(path) is not None

    async def _file(self, path: str) -> Info | None:
        """Return the details of a file; None if the path is no file."""
        try:
            info = await self._info(path)
        except OSError:
            return None
        return info if info["type"] == "file" else None

    async def _ls(
        self, path: str, detail: bool = True, refresh: bool = False, **_: Any
    ) -> list[Info] | list[str]:
        path = self._strip_protocol(path)
        entries = await self._folder(path, refresh=refresh)
        if not entries and self.split_path(path)[1]:
            info = await self._info(path, refresh=refresh)
            entries = [info] if info["type"] == "file" else []
        return [dict(entry) for entry in entries] if detail else [each["name"] for each in entries]

    async def _folder(self, path: str, prefix: str = "", refresh: bool = False) -> list[Info]:
        """Return the entries of a directory whose names begin with ``prefix``, in order."""
        known = None if refresh else self.dircache.get(path)
        if known is not None:
            return [entry for entry in known if entry["name"].startswith(f"{path}/{prefix}")]
        bucket, folder = self._split_folder(path)
        entries: dict[str, Info] = {}
        with _os_errors(path):
            async for page in self._pages(bucket, folder + prefix, delimiter="/"):
                for each in page.prefixes:
                    name = f"{bucket}/{each[:-1]}"
                    entries[name + "/"] = _directory(name)
                for info in _files(bucket, page):
                    if info["name"] != f"{bucket}/{folder}" or info["size"]:
                        entries[info["name"]] = info
        listed = sorted(entries.values(), key=lambda entry: entry["name"])
        # An empty listing is cached only for a bucket: elsewhere a directory may appear later.
        if not prefix and (listed or not folder):
            self.dircache[path] = listed
        return listed

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        refresh: bool = False,
        **_: Any,
    ) -> dict[str, Info] | list[str]:
        path = self._strip_protocol(path)
        if maxdepth is None:
            found = await self._find_all(path, prefix)
        elif maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        else:
            found = await self._find_levels(path, prefix, maxdepth, refresh)
        if not found and not prefix:
            file = await self._file(path)
            found = [] if file is None else [file]
        elif withdirs and found and path:
            found.append(_directory(path))
        chosen = sorted(
            (entry for entry in found if withdirs or entry["type"] == "file"),
            key=lambda entry: entry["name"],
        )
        if detail:
            return {entry["name"]: entry for entry in chosen}
        return [entry["name"] for entry in chosen]

    async def _find_all(self, path: str, prefix: str) -> list[Info]:
        """Return everything below a directory, using one flat listing."""
        bucket, folder = self._split_folder(path)
        tree: dict[str, list[Info]] = {path: []}
        with _os_errors(path):
            async for page in self._pages(bucket, folder + prefix):
                for info in _files(bucket, page):
                    parent = info["name"].rpartition("/")[0]
                    _grow(tree, parent)
                    if info["size"] or not info["name"].endswith("/"):
                        tree[parent].append(info)
        found = [entry for entries in tree.values() for entry in entries]
        if not prefix and (found or not folder):
            for name, entries in tree.items():
                self.dircache[name] = sorted(entries, key=lambda entry: entry["name"])
        return found

    async def _find_levels(
        self, path: str, prefix: str, maxdepth: int, refresh: bool
    ) -> list[Info]:
        """Return everything up to ``maxdepth`` levels below a directory, listing each directory."""
        found = level = await self._folder(path, prefix, refresh)
        for _ in range(maxdepth - 1):
            folders = [entry["name"] for entry in level if entry["type"] == "directory"]
            listings = [self._folder(name, refresh=refresh) for name in folders]
            level = [entry for entries in await self._many(listings) for entry in entries]
            found = found + level
        return found

    async def _du(
        self, path: str, total: bool = True, maxdepth: int | None = None, **kwargs: Any
    ) -> Any:
        found = await self._find(path, maxdepth=maxdepth, detail=True, **kwargs)
        assert isinstance(found, dict)
        sizes = {name: entry["size"] for name, entry in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _pages(
        self, bucket: str, prefix: str, delimiter: str = "", max_keys: int | None = None
    ) -> AsyncIterator[ListPage]:
        pages = list_pages(
            self.client._start_exchange,
            bucket,
            prefix,
            delimiter=delimiter,
            max_keys=max_keys,
            request_payer=self._request_payer,
        )
        async for page in pages:
            yield page

    async def _many(self, coroutines: Sequence[Any], batch_size: int | None = None) -> list[Any]:
        """Run many coroutines, ``batch_size`` at a time, and return their results."""
        results = await _run_coros_in_chunks(
            list(coroutines), batch_size=batch_size or self.batch_size
        )
        return list(results)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Discard the listings of a path and of the directories above it, or all."""
        if path is None:
            self.dircache.clear()
            return
        path = self._strip_protocol(path)
        while path:
            self.dircache.pop(path, None)
            path = self._parent(path)

    def modified(self, path: str, **kwargs: Any) -> datetime:
        """Return the time at which the object was written.

        Raises:
            IsADirectoryError: the path is a directory.
        """
        info: Info = self.info(path, **kwargs)
        if info["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        modified: datetime = info["LastModified"]
        return modified

    # Objects are created as a whole and never modified.
    created = modified

    def ukey(self, path: str) -> str:
        """Return a string that differs for every content of the object."""
        info = self.info(path, refresh=True)
        return sha256(repr((info["name"], info.get("ETag"))).encode()).hexdigest()

    def checksum(self, path: str) -> int:
        """Return a number that differs for every content of the object."""
        return int(self.ukey(path), 16)

    async def _sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:
        """Create a link that gets the object without credentials until it expires."""
        bucket, key, options = self._of_object(path)
        options |= kwargs
        return str(
            await self.client.presign_get_object(bucket, key, expires_in=expiration, **options)
        )

    sign = sync_wrapper(_sign)

    async def _url(self, path: str, expires: int = 3600, **kwargs: Any) -> str:
        """Create a link that gets the object without credentials until it expires."""
        return await self._sign(path, expires, **kwargs)

    url = sync_wrapper(_url)

    async def _cat_file(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        **_: Any,
    ) -> bytes:
        bucket, key, options = self._of_object(path, version_id)
        with _os_errors(path):
            if start is None and end is None:
                async with self._reader(bucket, key, options) as reader:
                    return await reader.read()
            if end is not None and (end < 0 or (start or 0) < 0):
                info = await self.client.head_object(bucket, key, **options)
                start, end = slice(start, end).indices(info.content_length or 0)[:2]
            wanted = _byte_range(start, end)
            if wanted is None:
                return b""
            try:
                if wanted.stop is not None and wanted.stop - wanted.start <= _ONE_REQUEST:
                    async with self.client.get_object(bucket, key, range=wanted, **options) as body:
                        return await body.read()
                [memory] = await self.client.get_ranges(
                    bucket, key, [wanted], connections=self._connections, **options
                )
            except InvalidRange:
                return b""
            return bytes(memory)

    async def _cat_ranges(
        self,
        paths: Sequence[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ParameterError("paths, starts and ends differ in their numbers")
        groups: dict[str, list[int]] = {}
        for place, path in enumerate(paths):
            groups.setdefault(path, []).append(place)
        ranges_of = [
            self._ranges(path, [(starts[n], ends[n]) for n in numbers], max_gap, **kwargs)
            for path, numbers in groups.items()
        ]
        results: list[Any] = [None] * len(paths)
        grouped = await self._many(ranges_of, batch_size)
        for numbers, contents in zip(groups.values(), grouped, strict=True):
            for number, content in zip(numbers, contents, strict=True):
                results[number] = content
        if on_error != "return":
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        return results

    async def _ranges(
        self,
        path: str,
        pairs: list[tuple[int | None, int | None]],
        gap: int | None,
        version_id: str | None = None,
    ) -> list[Any]:
        """Return the bytes of each range of one object, or the exception."""
        if any((start or 0) < 0 or (end or 0) < 0 for start, end in pairs) or len(pairs) == 1:
            return await self._ranges_singly(path, pairs, version_id)
        wanted = [_byte_range(start, end) for start, end in pairs]
        try:
            with _os_errors(path):
                bucket, key, options = self._of_object(path, version_id)
                memory = iter(
                    await self.client.get_ranges(
                        bucket,
                        key,
                        [each for each in wanted if each is not None],
                        gap=gap,
                        connections=self._connections,
                        **options,
                    )
                )
        except InvalidRange:
            return await self._ranges_singly(path, pairs, version_id)
        except Exception as error:
            return [error] * len(pairs)
        return [b"" if each is None else bytes(next(memory)) for each in wanted]

    async def _ranges_singly(
        self, path: str, pairs: list[tuple[int | None, int | None]], version_id: str | None
    ) -> list[Any]:
        files = [self._cat_file(path, *pair, version_id=version_id) for pair in pairs]
        return list(await asyncio.gather(*files, return_exceptions=True))

    async def _get_file(
        self,
        rpath: str,
        lpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        version_id: str | None = None,
        resume: bool = False,
        **_: Any,
    ) -> None:
        # fsspec's get also passes the directories that it found.
        if self._strip_protocol(rpath) in self.dircache:
            os.makedirs(lpath, exist_ok=True)
            return
        try:
            await self._download(rpath, lpath, callback, version_id, resume)
        except (FileNotFoundError, IsADirectoryError):
            if isfilelike(lpath) or not await self._isdir(rpath):
                raise
            os.makedirs(lpath, exist_ok=True)

    async def _download(
        self, rpath: str, lpath: Any, callback: Any, version_id: str | None, resume: bool
    ) -> None:
        bucket, key, options = self._of_object(rpath, version_id)

        def progress(done: int, total: int | None) -> None:
            if callback.size != total:
                callback.set_size(total)
            callback.absolute_update(done)

        with _os_errors(rpath):
            if isfilelike(lpath):
                stream = self.client.stream_object(
                    bucket, key, connections=self._connections, **options
                )
                async with stream:
                    async for chunk in stream:
                        lpath.write(chunk)
                return
            await self.client.download_object(
                bucket,
                key,
                lpath,
                connections=self._connections,
                resume=resume,
                on_progress=progress,
                **options,
            )

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        version_id: str | None = None,
        if_match: str | None = None,
        **_: Any,
    ) -> S3File:
        if mode != "rb":
            self._refuse_to_write()
        loop = self.loop
        if loop is None:
            raise UsageError("the file system is asynchronous; use await fs.open_async(path)")
        bucket, key, options = self._of_object(path, version_id, if_match)
        with _os_errors(path):
            reader: Any = sync(loop, self._reader(bucket, key, options).__aenter__)
        return S3File(
            self,
            path,
            reader,
            loop=loop,
            details=_of_head(path, reader.info),
            blocksize=block_size or self.blocksize,
        )

    async def open_async(self, path: str, mode: str = "rb", **kwargs: Any) -> AsyncS3File:
        """Open an object for reading on the running event loop."""
        if mode != "rb":
            self._refuse_to_write()
        if kwargs.get("compression"):
            raise ParameterError("open_async does not support compression")
        bucket, key, options = self._of_object(path, kwargs.get("version_id"))
        with _os_errors(path):
            reader = await self._reader(bucket, key, options).__aenter__()
        return AsyncS3File(path, reader, _of_head(path, reader.info))

    def _reader(self, bucket: str, key: str, options: dict[str, Any]) -> ObjectReader:
        return self.client.open_object(bucket, key, connections=self._connections, **options)

    def _refuse_to_write(self, *_: Any, **__: Any) -> NoReturn:
        """Raise ``NotImplementedError``."""
        raise NotImplementedError("aios3get only reads; write with s3fs, which takes these options")

    async def _refuse_writing(self, *_: Any, **__: Any) -> NoReturn:
        self._refuse_to_write()

    _pipe_file = _put_file = _cp_file = _mv_file = _rm_file = _rm = _refuse_writing
    _mkdir = _makedirs = _refuse_writing
    mkdir = makedirs = rmdir = touch = mv = rm = cp_file = copy = _refuse_to_write


def _directory(name: str) -> Info:
    return {"name": name, "size": 0, "type": "directory", "StorageClass": "DIRECTORY"}


def _files(bucket: str, page: ListPage) -> Iterator[Info]:
    for each in page.objects:
        yield {
            "name": f"{bucket}/{each.key}",
            "size": each.size,
            "type": "file",
            "ETag": each.etag,
            "LastModified": each.last_modified,
            "StorageClass": each.storage_class or "STANDARD",
        }


def _of_head(path: str, info: ObjectInfo) -> Info:
    return {
        "name": path,
        "size": info.object_size if info.object_size is not None else info.content_length,
        "type": "file",
        "ETag": info.etag,
        "LastModified": info.last_modified,
        "StorageClass": info.storage_class or "STANDARD",
        "VersionId": info.version_id,
        "ContentType": info.content_type,
    }


def _grow(tree: dict[str, list[Info]], folder: str) -> None:
    """Add a directory and its missing parents to the tree."""
    missing: list[str] = []
    while folder not in tree:
        missing.append(folder)
        folder = folder.rpartition("/")[0]
    for name in reversed(missing):
        tree[name] = []
        tree[folder].append(_directory(name))
        folder = name


def _byte_range(start: int | None, end: int | None) -> ByteRange | None:
    """Return the range; None if it is empty. A negative start ignores the end."""
    # Offsets that come from arrays are numpy integers.
    start, end = index(start or 0), None if end is None else index(end)
    if start < 0:
        return ByteRange.last(-start)
    return None if end is not None and end <= start else ByteRange(start, end)


def _not_found(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


@contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Raise OSError subclasses, which code for files expects."""
    try:
        yield
    except NotFound as error:
        raise _not_found(path) from error
    except AccessDenied as error:
        raise PermissionError(
            errno.EACCES, f"{os.strerror(errno.EACCES)}: {error}", path
        ) from error


def _close(
    client: S3Client, loop: asyncio.AbstractEventLoop | None, pid: int
) -> Future[None] | None:
    if loop is None or pid != os.getpid() or not loop.is_running():
        return None
    return asyncio.run_coroutine_threadsafe(client.aclose(), loop)


_file_systems: weakref.WeakValueDictionary[int, S3FileSystem] = weakref.WeakValueDictionary()


@atexit.register
def _close_all() -> None:
    # Finalizers have no effect after atexit has run those with ``atexit`` set, so close here.
    closing = [_close(each.client, each._loop, each._pid) for each in list(_file_systems.values())]
    wait([each for each in closing if each is not None], timeout=1)

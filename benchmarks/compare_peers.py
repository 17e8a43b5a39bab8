"""One client doing one work round by round, for ``compare.py``.

It prints a line when it has done the work once. For every line that it reads then, it does the work
again and prints the seconds of wall and CPU time.
"""

import asyncio
import json
import os
import random
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

BUCKET = "amzn-s3-demo-bucket"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"

PART = 8 << 20
WINDOW = 1 << 20


class Job(NamedTuple):
    """What to read.

    Attributes:
        endpoint: URL of the server.
        ca: file with the certificate to trust, for https.
        key: the object.
        size: its size in bytes.
        connections: requests at once.
        times: how many objects or ranges.
        path: the file to download to.
    """

    endpoint: str
    ca: str
    key: str
    size: int
    connections: int
    times: int
    path: str

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{BUCKET}/{self.key}"

    def parts(self) -> Iterator[tuple[int, int]]:
        return ((start, min(start + PART, self.size)) for start in range(0, self.size, PART))

    def scattered(self) -> list[tuple[int, int]]:
        """Ranges of 64 KiB all over the object."""
        return self._ranges(65_536, self.size)

    def tiny(self) -> list[tuple[int, int]]:
        """Ranges of 100 bytes in its first 100 MiB."""
        return self._ranges(100, 100 << 20)

    def _ranges(self, length: int, extent: int) -> list[tuple[int, int]]:
        extent = min(extent, self.size)
        length = min(length, extent)
        starts = random.Random(4).choices(range(extent - length + 1), k=self.times)
        return [(start, start + length) for start in starts]

    def footer_and_columns(self) -> list[tuple[int, int]]:
        """What a reader of Parquet reads: the footer, then three columns of each row group."""
        size = self.size
        chunk = max(1, min(1 << 20, size // 64))
        groups = [group * size // 8 for group in range(8)]
        columns = [(at + n * chunk, at + (n + 1) * chunk) for at in groups for n in (0, 2, 4)]
        return [(size - 8, size), (max(0, size - 20_000), size - 8), *columns]

    def memory(self) -> bytearray:
        """Memory for the object, every page of which has been touched."""
        memory = bytearray(self.size)
        memory[::4096] = b"\1" * len(range(0, self.size, 4096))
        return memory


async def in_parallel(
    items: Iterable[T], workers: int, use: Callable[[T], Awaitable[object]]
) -> None:
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await use(item)

    await asyncio.gather(*(work() for _ in range(workers)))


class Aios3get:
    """This project."""

    checksum = False

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        from aios3get import Credentials, S3Client

        self.job = job
        async with S3Client(
            endpoint_url=job.endpoint,
            region=REGION,
            credentials=Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY),
            response_checksum_validation="when_required",
            verify=job.ca or True,
        ) as self.s3:
            yield

    async def small(self) -> None:
        async def get(_: int) -> None:
            obj = await self.s3.get_object(BUCKET, self.job.key, checksum_mode=True)
            assert len(await obj.read()) == self.job.size
            assert obj.verified

        await in_parallel(range(self.job.times), self.job.connections, get)

    async def into_memory(self) -> None:
        job = self.job
        self.memory = getattr(self, "memory", None) or job.memory()
        count = await self.s3.read_into(
            BUCKET, job.key, self.memory, connections=job.connections, checksum_mode=self.checksum
        )
        assert count == job.size
        assert bool(count.verified) == self.checksum

    async def to_file(self) -> None:
        job = self.job
        done = await self.s3.download_object(
            BUCKET, job.key, job.path, connections=job.connections, checksum_mode=self.checksum
        )
        assert done.size == job.size
        assert bool(done.verified) == self.checksum

    async def chunks(self) -> None:
        async with self._get() as obj:
            assert sum([len(chunk) async for chunk in obj]) == self.job.size
        assert bool(obj.verified) == self.checksum

    async def readinto(self) -> None:
        buffer = bytearray(WINDOW)
        total = 0
        async with self._get() as obj:
            while count := await obj.readinto(buffer):
                total += count
        assert total == self.job.size
        assert bool(obj.verified) == self.checksum

    def _get(self) -> Any:
        return self.s3.get_object(BUCKET, self.job.key, checksum_mode=self.checksum)

    async def _ranges(self, ranges: list[tuple[int, int]]) -> None:
        from aios3get import ByteRange

        views = await self.s3.get_ranges(
            BUCKET, self.job.key, [ByteRange(start, stop) for start, stop in ranges]
        )
        assert sum(map(len, views)) == sum(stop - start for start, stop in ranges)

    async def scattered(self) -> None:
        await self._ranges(self.job.scattered())

    async def tiny(self) -> None:
        await self._ranges(self.job.tiny())

    async def file_like(self) -> None:
        total = 0
        async with self.s3.open_object(BUCKET, self.job.key) as f:
            while data := await f.read(65_536):
                total += len(data)
        assert total == self.job.size

    async def parquet(self) -> None:
        async with self.s3.open_object(BUCKET, self.job.key) as f:
            for start, stop in self.job.footer_and_columns():
                f.seek(start)
                assert len(await f.read(stop - start)) == stop - start


class Verified(Aios3get):
    """This project, comparing CRC64NVME, which awscrt computes, as it does for boto3."""

    checksum = True

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        import_module("awscrt.checksums")
        async with super().open(job):
            yield


class Aiohttp:
    """aiohttp with ready URL and headers."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        import aiohttp

        self.job = job
        self.headers = {
            "x-amz-checksum-mode": "ENABLED",
            "x-amz-date": "20130524T000000Z",
            "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852"
            "b855",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/20130524/{REGION}/s3/"
            "aws4_request, SignedHeaders=host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            "User-Agent": "bare",
            "Accept-Encoding": "identity",
        }
        context = ssl.create_default_context(cafile=job.ca) if job.ca else True
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as self.session:
            yield

    async def small(self) -> None:
        async def get(_: int) -> None:
            async with self.session.get(self.job.url, headers=self.headers) as response:
                assert len(await response.read()) == self.job.size

        await in_parallel(range(self.job.times), self.job.connections, get)

    def _get(self, start: int, stop: int) -> Any:
        headers = {**self.headers, "Range": f"bytes={start}-{stop - 1}"}
        return self.session.get(self.job.url, headers=headers)

    async def into_memory(self) -> None:
        memory = self.memory = getattr(self, "memory", None) or self.job.memory()
        view = memoryview(memory)

        async def get(part: tuple[int, int]) -> None:
            at, stop = part
            async with self._get(at, stop) as response:
                async for chunk in response.content.iter_any():
                    view[at : at + len(chunk)] = chunk
                    at += len(chunk)
            assert at == stop

        await in_parallel(self.job.parts(), self.job.connections, get)

    async def chunks(self) -> None:
        total = 0
        async with self.session.get(self.job.url, headers=self.headers) as response:
            async for chunk in response.content.iter_any():
                total += len(chunk)
        assert total == self.job.size

    readinto = chunks
    file_like = chunks

    async def scattered(self) -> None:
        bodies: dict[tuple[int, int], bytes] = {}

        async def get(span: tuple[int, int]) -> None:
            async with self._get(*span) as response:
                bodies[span] = await response.read()

        # As many as a session of aiohttp sends at once.
        await in_parallel(self.job.scattered(), 100, get)
        assert all(len(body) == stop - start for (start, stop), body in bodies.items())


class Obstore:
    """obstore: object_store of Rust."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        import obstore
        from obstore.store import S3Store

        self.job, self.obstore = job, obstore
        options: Any = {"allow_http": True}
        if job.ca:  # it takes no certificate of an authority
            options["allow_invalid_certificates"] = True
        self.store = S3Store(
            BUCKET,
            endpoint=job.endpoint,
            region=REGION,
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=SECRET_ACCESS_KEY,
            client_options=options,
        )
        yield

    async def small(self) -> None:
        async def get(_: int) -> None:
            result = await self.obstore.get_async(self.store, self.job.key)
            assert len(bytes(await result.bytes_async())) == self.job.size

        await in_parallel(range(self.job.times), self.job.connections, get)

    async def _get_parts(self, use: Callable[[memoryview, int], object]) -> None:
        async def get(part: tuple[int, int]) -> None:
            start, stop = part
            data = await self.obstore.get_range_async(
                self.store, self.job.key, start=start, end=stop
            )
            assert len(data) == stop - start
            use(memoryview(data), start)

        await in_parallel(self.job.parts(), self.job.connections, get)

    async def into_memory(self) -> None:
        memory = self.memory = getattr(self, "memory", None) or self.job.memory()
        view = memoryview(memory)

        def copy(data: memoryview, start: int) -> None:
            view[start : start + len(data)] = data

        await self._get_parts(copy)

    async def to_file(self) -> None:
        file = os.open(self.job.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        await self._get_parts(lambda data, start: os.pwrite(file, data, start))
        os.close(file)

    async def chunks(self) -> None:
        result = await self.obstore.get_async(self.store, self.job.key)
        assert sum([len(chunk) async for chunk in result.stream()]) == self.job.size

    async def _ranges(self, ranges: list[tuple[int, int]]) -> None:
        chunks = await self.obstore.get_ranges_async(
            self.store,
            self.job.key,
            starts=[start for start, _ in ranges],
            ends=[stop for _, stop in ranges],
        )
        assert sum(map(len, chunks)) == sum(stop - start for start, stop in ranges)

    async def scattered(self) -> None:
        await self._ranges(self.job.scattered())

    async def tiny(self) -> None:
        await self._ranges(self.job.tiny())

    async def file_like(self) -> None:
        file = await self.obstore.open_reader_async(self.store, self.job.key)
        total = 0
        while data := await file.read(65_536):
            total += len(data)
        assert total == self.job.size

    async def parquet(self) -> None:
        file = await self.obstore.open_reader_async(self.store, self.job.key)
        for start, stop in self.job.footer_and_columns():
            await file.seek(start)
            assert len(await file.read(stop - start)) == stop - start


class Aiobotocore:
    """aiobotocore."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

        self.job = job
        async with get_session().create_client(
            "s3",
            endpoint_url=job.endpoint,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            verify=job.ca or None,
            config=AioConfig(max_pool_connections=max(10, job.connections)),
        ) as self.client:
            yield

    async def small(self) -> None:
        async def get(_: int) -> None:
            response = await self.client.get_object(Bucket=BUCKET, Key=self.job.key)
            async with response["Body"] as body:
                assert len(await body.read()) == self.job.size

        await in_parallel(range(self.job.times), self.job.connections, get)

    async def into_memory(self) -> None:
        memory = self.memory = getattr(self, "memory", None) or self.job.memory()
        view = memoryview(memory)

        async def get(part: tuple[int, int]) -> None:
            start, stop = part
            response = await self.client.get_object(
                Bucket=BUCKET, Key=self.job.key, Range=f"bytes={start}-{stop - 1}"
            )
            async with response["Body"] as body:
                view[start:stop] = await body.read()

        await in_parallel(self.job.parts(), self.job.connections, get)


def boto3_client(job: Job) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=job.endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        verify=job.ca or None,
    )


class Boto3:
    """boto3 with s3transfer."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        from boto3.s3.transfer import TransferConfig

        self.job = job
        self.client = boto3_client(job)
        self.config = TransferConfig(
            max_concurrency=job.connections, preferred_transfer_client="classic"
        )
        yield

    async def to_file(self) -> None:
        self.client.download_file(BUCKET, self.job.key, self.job.path, Config=self.config)


class Awscrt:
    """The S3 client of the AWS Common Runtime."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        from awscrt import auth, io, s3

        self.job = job
        group = io.EventLoopGroup(1)
        bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
        provider = auth.AwsCredentialsProvider.new_static(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
        self.client = s3.S3Client(
            bootstrap=bootstrap,
            region=REGION,
            tls_mode=s3.S3RequestTlsMode.DISABLED,
            signing_config=s3.create_default_s3_signing_config(
                region=REGION, credential_provider=provider
            ),
            part_size=PART,
        )
        yield

    async def _get(self, **options: Any) -> None:
        from awscrt import http, s3

        headers = http.HttpHeaders([("host", urlsplit(self.job.endpoint).netloc)])
        request = self.client.make_request(
            request=http.HttpRequest("GET", f"/{BUCKET}/{self.job.key}", headers),
            type=s3.S3RequestType.GET_OBJECT,
            **options,
        )
        await asyncio.wrap_future(request.finished_future)

    async def into_memory(self) -> None:
        memory = self.memory = getattr(self, "memory", None) or self.job.memory()
        view = memoryview(memory)

        def copy(chunk: bytes, offset: int, **_: Any) -> None:
            view[offset : offset + len(chunk)] = chunk

        await self._get(on_body=copy)

    async def to_file(self) -> None:
        await self._get(recv_filepath=self.job.path)


class S3fs:
    """s3fs."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        import s3fs

        self.job = job
        self.fs = s3fs.S3FileSystem(
            key=ACCESS_KEY_ID,
            secret=SECRET_ACCESS_KEY,
            endpoint_url=job.endpoint,
            client_kwargs={"region_name": REGION},
            skip_instance_cache=True,
        )
        self.name = f"{BUCKET}/{job.key}"
        yield

    async def into_memory(self) -> None:
        data = self.fs.cat_file(self.name, max_concurrency=self.job.connections)
        assert len(data) == self.job.size

    async def to_file(self) -> None:
        self.fs.get_file(self.name, self.job.path, max_concurrency=self.job.connections)


class Pyarrow:
    """pyarrow's S3FileSystem."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        from pyarrow.fs import S3FileSystem

        self.job = job
        parsed = urlsplit(job.endpoint)
        self.fs = S3FileSystem(
            access_key=ACCESS_KEY_ID,
            secret_key=SECRET_ACCESS_KEY,
            region=REGION,
            scheme=parsed.scheme,
            endpoint_override=parsed.netloc,
        )
        yield

    async def parquet(self) -> None:
        with self.fs.open_input_file(f"{BUCKET}/{self.job.key}") as file:
            for start, stop in self.job.footer_and_columns():
                assert len(file.read_at(stop - start, start)) == stop - start


class SmartOpen:
    """smart_open."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        import smart_open

        self.job = job
        self.opening = smart_open.open
        self.client = boto3_client(job)
        yield

    async def parquet(self) -> None:
        url, options = f"s3://{BUCKET}/{self.job.key}", {"client": self.client}
        with self.opening(url, "rb", transport_params=options, compression="disable") as file:
            for start, stop in self.job.footer_and_columns():
                file.seek(start)
                assert len(file.read(stop - start)) == stop - start


class S5cmd:
    """s5cmd, a program of its own; its start counts."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        program = Path(sys.executable).with_name("s5cmd")
        if not program.exists():
            raise ImportError("s5cmd is not installed")
        self.command = [
            *(str(program), "--endpoint-url", job.endpoint, "cp"),
            *("--concurrency", str(job.connections), "--part-size", "8"),
            *(f"s3://{BUCKET}/{job.key}", job.path),
        ]
        self.environ = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": REGION,
        }
        yield

    async def to_file(self) -> None:
        subprocess.run(self.command, env=self.environ, check=True, capture_output=True)


class Kernel:
    """One blocking socket and ``recv_into``: what the system itself takes."""

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[None]:
        self.job = job
        parsed = urlsplit(job.endpoint)
        assert parsed.hostname is not None
        with socket.create_connection((parsed.hostname, parsed.port)) as self.socket:
            yield

    def _request(self, start: int, stop: int) -> bytes:
        """Send a request; the bytes of the body that come with the response's head."""
        request = (
            f"GET /{BUCKET}/{self.job.key} HTTP/1.1\r\nHost: localhost\r\n"
            f"Range: bytes={start}-{stop - 1}\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(4096)
        return data.partition(b"\r\n\r\n")[2]

    async def into_memory(self) -> None:
        memory = self.memory = getattr(self, "memory", None) or self.job.memory()
        view = memoryview(memory)
        for start, stop in self.job.parts():
            body = self._request(start, stop)
            at = start + len(body)
            view[start:at] = body
            while at < stop:
                at += self.socket.recv_into(view[at:stop])

    async def readinto(self) -> None:
        self._through_window(0, self.job.size, lambda data, at: None)

    async def to_file(self) -> None:
        file = os.open(self.job.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for start, stop in self.job.parts():
            self._through_window(start, stop, lambda data, at: os.pwrite(file, data, at))
        os.close(file)

    def _through_window(self, at: int, stop: int, use: Callable[[Any, int], object]) -> None:
        window = memoryview(bytearray(WINDOW))
        body = self._request(at, stop)
        use(body, at)
        at += len(body)
        while at < stop:
            count = self.socket.recv_into(window[: stop - at], flags=socket.MSG_WAITALL)
            use(window[:count], at)
            at += count


PEERS: dict[str, type[Any]] = {
    "aios3get": Aios3get,
    "aios3get verified": Verified,
    "aiohttp": Aiohttp,
    "obstore": Obstore,
    "aiobotocore": Aiobotocore,
    "boto3": Boto3,
    "awscrt": Awscrt,
    "s3fs": S3fs,
    "pyarrow": Pyarrow,
    "smart_open": SmartOpen,
    "s5cmd": S5cmd,
    "kernel": Kernel,
}


def resident(field: str) -> float:
    """MiB of memory: ``VmRSS`` now, ``VmHWM`` at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


async def run(peer: str, work: str, job: Job) -> None:
    client = PEERS[peer]()
    async with client.open(job):
        round_: Callable[[], Awaitable[None]] = getattr(client, work)
        if work == "into_memory":
            client.memory = job.memory()
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        before = resident("VmRSS")
        await round_()
        print(json.dumps({}), flush=True)
        for _ in iter(sys.stdin.readline, ""):
            Path(job.path).unlink(missing_ok=True)
            cpu, wall = cpu_seconds(), time.perf_counter()
            await round_()
            wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
            child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            memory = max(resident("VmHWM") - before, child)
            print(json.dumps({"wall": wall, "cpu": cpu, "memory": memory}), flush=True)


def main() -> None:
    _, loop, peer, work, core, fields = sys.argv
    if core:
        os.sched_setaffinity(0, {int(core)})  # before any thread starts
    running = run(peer, work, Job(**json.loads(fields)))
    try:
        if loop == "uvloop":
            import uvloop

            uvloop.run(running)
        else:
            asyncio.run(running)
    except Exception as error:
        running.close()
        print(json.dumps({"missing": f"{type(error).__name__}: {error}"}), flush=True)


if __name__ == "__main__":
    main()

"""``S3Server``, the embedded server for tests."""

import os
import ssl
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self, TypedDict, Unpack

from aios3get._protocol.identity import Credentials
from aios3get.testing.access import WrongRegionResponse
from aios3get.testing.credentials import EXAMPLE_CREDENTIALS, ServerCredentials
from aios3get.testing.fault_queue import FaultQueue
from aios3get.testing.faults import Fault
from aios3get.testing.listener import Listener, loop_thread
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.response_writer import ResponseWriter
from aios3get.testing.responses import ErrorResponse
from aios3get.testing.service import Service
from aios3get.testing.store import AccessPoint, Bucket
from aios3get.testing.stored_object import ObjectOptions, StoredObject, make_object
from aios3get.testing.validation import utc

__all__ = ["ClientOptions", "S3Server", "S3ServerOptions"]


class S3ServerOptions(TypedDict, total=False):
    """The keyword arguments of ``S3Server``."""

    credentials: Credentials | Iterable[Credentials]
    region: str
    tls: ssl.SSLContext | None
    clock: Callable[[], datetime]
    account: str
    wrong_region_response: WrongRegionResponse
    latency: float
    bytes_per_second: float | None
    port: int


class ClientOptions(TypedDict):
    """The arguments of an ``S3Client`` that uses the server."""

    endpoint_url: str
    region: str
    credentials: Credentials
    proxy: str


def _system_clock() -> datetime:
    return datetime.now(UTC)


class S3Server:
    """An S3 server on 127.0.0.1 that verifies signatures and fails on demand.

    ::

        async with S3Server() as server:
            server.put_object("amzn-s3-demo-bucket", "hello.txt", b"hello")
            async with S3Client(**server.client_options) as s3:
                ...

    It serves GetObject, HeadObject, HeadBucket, ListObjectsV2 and CreateSession as S3 does, and
    IBM's ``/identity/token``. The response to every other request is 501: objects and buckets are
    created with ``put_object`` and ``create_bucket``. All methods except ``start`` and ``stop`` are
    thread-safe.

    Args:
        credentials: the accepted credentials, one or several; AWS's documented example by default.
        region: the region of the endpoint, and of buckets created without one.
        tls: a server-side context, for an ``https`` endpoint.
        clock: returns the current time, an aware datetime, for signatures and expiry.
        account: the owner of the buckets, twelve digits.
        wrong_region_response: the response to a request for a bucket of another region: ``301``,
            ``307``, or ``400`` if it is signed for another region.
        latency: seconds from each request to the first byte of its response.
        bytes_per_second: the rate of each response's body; unlimited by default.
        port: the port to listen on; a free one by default.

    Raises:
        ValueError: there are no credentials, or the clock's time has no time zone.

    Attributes:
        credentials: the first of the accepted credentials.
        region: as passed.
        clock_skew: seconds that the server's clock is ahead of ``clock``.
        latency: as passed; may be changed at any time.
        bytes_per_second: as passed; may be changed at any time.
        faults: the pending faults.
        requests: all requests, oldest first.
        connections_opened: the number of connections accepted so far.
    """

    def __init__(
        self,
        *,
        credentials: Credentials | Iterable[Credentials] = EXAMPLE_CREDENTIALS,
        region: str = "us-east-1",
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = _system_clock,
        account: str = "123456789012",
        wrong_region_response: WrongRegionResponse = "301",
        latency: float = 0.0,
        bytes_per_second: float | None = None,
        port: int = 0,
    ) -> None:
        self.region = region
        self.account = account
        self.clock_skew = 0.0
        self.latency = latency
        self.bytes_per_second = bytes_per_second
        self.faults = FaultQueue()
        self.requests: list[RecordedRequest] = []
        self.connections_opened = 0
        self._tls = tls
        self._clock = clock
        self._port = port
        self.now()
        self._service = Service(region, self.now)
        self._service.access.wrong_region_response = wrong_region_response
        self._listener: Listener | None = None
        accepted = [credentials] if isinstance(credentials, Credentials) else [*credentials]
        if not accepted:
            raise ValueError("credentials is empty, so the server would accept no signature")
        self.credentials = ServerCredentials.of(accepted[0])
        for each in accepted:
            self.add_credentials(each)

    def now(self) -> datetime:
        """Return the server's time, in UTC."""
        return utc("the clock's time", self._clock()) + timedelta(seconds=self.clock_skew)

    def add_credentials(self, credentials: Credentials) -> None:
        """Accept these credentials, too; they replace others with the same access key."""
        self._service.credentials[credentials.access_key_id] = ServerCredentials.of(credentials)

    def remove_credentials(self, access_key_id: str) -> None:
        """Stop accepting an access key.

        Raises:
            KeyError: it was not accepted.
        """
        del self._service.credentials[access_key_id]

    def expire_sessions(self) -> None:
        """Expire all credentials of ``CreateSession`` now."""
        for each in [*self._service.credentials.values()]:
            if each.session_of is not None:
                self.add_credentials(replace(each, expires_at=self.now()))

    @property
    def session_lifetime(self) -> timedelta:
        """The lifetime of credentials of ``CreateSession``; five minutes unless set."""
        return self._service.session_lifetime

    @session_lifetime.setter
    def session_lifetime(self, lifetime: timedelta) -> None:
        self._service.session_lifetime = lifetime

    def add_api_key(self, api_key: str) -> None:
        """Issue bearer tokens for this IBM API key at ``/identity/token``."""
        self._service.api_keys.add(api_key)

    def create_bucket(
        self,
        name: str,
        *,
        region: str | None = None,
        public: bool = False,
        versioning: bool = False,
        requester_pays: bool = False,
        reveals_missing_keys: bool = True,
        owner: str | None = None,
    ) -> Bucket:
        """Create a bucket; a name that ends in ``--x-s3`` makes it a directory bucket.

        Args:
            name: the bucket's name.
            region: its region; the server's by default.
            public: whether unsigned requests may read it.
            versioning: whether it keeps versions.
            requester_pays: whether requests must carry ``x-amz-request-payer``.
            reveals_missing_keys: False sends 403 for a missing key and for a listing, as S3 does
                if the requester has no permission to list the bucket.
            owner: its account; the server's by default.

        Raises:
            ValueError: the bucket exists.
        """
        if name in self._service.store.buckets:
            raise ValueError(f"bucket {name!r} exists")
        bucket = Bucket(
            name=name,
            region=region or self.region,
            owner=owner or self.account,
            public=public,
            versioning=versioning,
            requester_pays=requester_pays,
            reveals_missing_keys=reveals_missing_keys,
        )
        self._service.store.buckets[name] = bucket
        return bucket

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of that name; create it if it does not exist."""
        return self._service.store.buckets.get(name) or self.create_bucket(name)

    def enable_versioning(self, bucket: str) -> None:
        """Enable versioning; existing objects keep the version id ``null``."""
        self.bucket(bucket).versioning = True

    def add_access_point(
        self,
        name: str,
        bucket: str,
        *,
        service: str = "s3",
        transform: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Add another name for ``bucket``.

        Args:
            name: the first label of its host: ``my-point-123456789012``, an alias ending in
                ``-s3alias``, ``--op-s3`` or ``--xa-s3``, or ``abc123.mrap``.
            bucket: the bucket's name.
            service: the service that requests are signed for: ``s3-object-lambda``,
                ``s3-outposts``.
            transform: an Object Lambda function from the object's bytes to those of the response.
                Its responses have no ETag, length or checksums; it ignores ranges and conditions.
        """
        self.bucket(bucket)
        self._service.store.access_points[name] = AccessPoint(bucket, service, transform)

    def put_object(
        self,
        bucket: str,
        key: str,
        body: bytes | str = b"",
        **options: Unpack[ObjectOptions],
    ) -> StoredObject:
        """Store an object, or a new version of it, and create its bucket if there is none.

        Args:
            bucket: the bucket's name.
            key: the key, any text of 1 to 1,024 bytes in UTF-8.
            body: the bytes, which are not copied; text is encoded as UTF-8.
            options: metadata, storage class, parts, checksums and so on: ``ObjectOptions``.

        Returns:
            The version as stored, with its ``etag`` and ``version_id``.

        Raises:
            ValueError: S3 could not store such an object.
        """
        home = self.bucket(bucket)
        if home.is_directory:
            options.setdefault("storage_class", "EXPRESS_ONEZONE")
        version = make_object(
            key,
            body.encode() if isinstance(body, str) else bytes(body),
            version_id=home.next_version_id(),
            now=self.now(),
            options=options,
        )
        home.add(version)
        return version

    def delete_object(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> StoredObject | None:
        """Delete an object, or one version of it.

        Returns:
            The new delete marker, if the bucket keeps versions.
        """
        return self.bucket(bucket).delete(key, version_id, self.now())

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            RuntimeError: it has not been started.
        """
        if self._listener is None:
            raise RuntimeError("the server is not started: use `async with` or S3Server.in_thread")
        return self._listener.port

    @property
    def endpoint_url(self) -> str:
        """The ``endpoint_url`` of clients."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def client_options(self) -> ClientOptions:
        """The arguments of an ``S3Client`` that uses this server: ``S3Client(**options)``."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "credentials": self.credentials,
            "proxy": "",
        }

    @property
    def environ(self) -> dict[str, str]:
        """The environment for a process in which any SDK uses this server.

        It is ``os.environ`` without its AWS settings, plus the server's endpoint, region and
        credentials::

            subprocess.run(command, env=server.environ)
            mock.patch.dict(os.environ, server.environ, clear=True)
        """
        inherited = {n: text for n, text in os.environ.items() if not n.startswith("AWS_")}
        direct = ",".join(
            filter(None, [inherited.get("no_proxy", inherited.get("NO_PROXY")), self.host])
        )
        token = self.credentials.session_token
        return inherited | {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
            **({"AWS_SESSION_TOKEN": token} if token else {}),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "no_proxy": direct,
            "NO_PROXY": direct,
        }

    @property
    def connections_open(self) -> int:
        """The number of open connections."""
        return self._listener.connections_open if self._listener else 0

    async def start(self) -> None:
        """Start to listen, on the running event loop."""
        listener = Listener(self._handle, self._count_connection, self._tls)
        await listener.start(self.host, self._port)
        self._listener = listener

    async def stop(self) -> None:
        """Close the port and all connections at once."""
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @classmethod
    @contextmanager
    def in_thread(cls, **options: Unpack[S3ServerOptions]) -> Generator[Self, None, None]:
        """Run a server on an event loop in its own thread.

        For tests without an event loop, subprocesses, and clients that block::

            with S3Server.in_thread() as server:
                urllib.request.urlopen(f"{server.endpoint_url}/...")
        """
        server = cls(**options)
        with loop_thread() as run:
            run(server.start())
            try:
                yield server
            finally:
                run(server.stop())

    def _count_connection(self) -> None:
        self.connections_opened += 1

    async def _handle(self, request: RecordedRequest, writer: ResponseWriter) -> None:
        self.requests.append(request)
        fault = self._take_fault(request)
        request.fault = fault.name if fault else None
        response = self._service.respond(request, fault)
        if self.latency:
            await writer.sleep(self.latency)
        writer.bytes_per_second = self.bytes_per_second
        send = fault.send if fault and fault.send else ResponseWriter.send
        await send(writer, response)

    def _take_fault(self, request: RecordedRequest) -> Fault | None:
        # The service rejects a path that is not UTF-8.
        try:
            self._service.find_target(request)
        except ErrorResponse:
            return None
        return self.faults.take(request)

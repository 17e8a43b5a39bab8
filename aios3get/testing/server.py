"""``S3Server``: what users hold in their hands."""

import ssl
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self, TypedDict, Unpack

from aios3get._protocol.identity import Credentials
from aios3get.testing.credentials import EXAMPLE_CREDENTIALS, ServerCredentials
from aios3get.testing.fault_queue import FaultQueue
from aios3get.testing.faults import Fault
from aios3get.testing.listener import Listener, loop_thread
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.response_writer import ResponseWriter
from aios3get.testing.responses import ErrorResponse
from aios3get.testing.service import Service, WrongRegionResponse
from aios3get.testing.store import AccessPoint, Bucket, Restore, StoredObject, make_object
from aios3get.testing.validation import check_object, utc

__all__ = ["S3Server", "S3ServerOptions"]


class S3ServerOptions(TypedDict, total=False):
    """The arguments of ``S3Server``, all of them by name."""

    credentials: Credentials | Iterable[Credentials]
    region: str
    tls: ssl.SSLContext | None
    clock: Callable[[], datetime]
    account: str
    wrong_region_response: WrongRegionResponse
    port: int


def _system_clock() -> datetime:
    return datetime.now(UTC)


class S3Server:
    """An S3 on 127.0.0.1 that checks signatures and goes wrong on demand.

    ::

        async with S3Server() as server:
            server.put_object("examplebucket", "hello.txt", b"hello")
            client = S3Client(endpoint_url=server.endpoint_url, ...)

    It serves GET and HEAD of objects as S3 does, PUT and DELETE in their simple forms,
    ``CreateBucket``, ``HeadBucket``, ``CreateSession`` and IBM's ``/identity/token``; whatever
    else is asked of a bucket that exists is answered 405 or 501. ``put_object`` makes the bucket
    if there is none; a PUT over HTTP needs one, as with S3. All methods but ``start`` and ``stop``
    may be called from any thread, before and while it serves.

    Args:
        credentials: the credentials accepted, one or several; AWS's documented example by default.
        region: the region of the endpoint, and of buckets made without another.
        tls: a server-side context; the endpoint is ``https`` then.
        clock: what time it is for signatures and expiries, an aware datetime; asked
            when the server is made, and for every request.
        account: the owner of the buckets, twelve digits.
        wrong_region_response: the response to a request for a bucket of another region: ``301``,
            ``307``, or ``400`` where it is signed for another region.
        port: 0 takes a free one.

    Raises:
        ValueError: there are no credentials, or the clock's time has no time zone.

    Attributes:
        credentials: the first of the credentials accepted.
        region: as given.
        clock_skew: seconds that the server's clock is ahead of ``clock``.
        faults: the faults that wait for their requests.
        requests: every request received, oldest first.
        connections_opened: how many connections were accepted so far.
        connections_open: how many of them are open now.
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
        port: int = 0,
    ) -> None:
        self.region = region
        self.account = account
        self.clock_skew = 0.0
        self.faults = FaultQueue()
        self.requests: list[RecordedRequest] = []
        self.connections_opened = 0
        self._tls = tls
        self._clock = clock
        self._port = port
        self.now()
        self._service = Service(region, account, self.now)
        self._service.wrong_region_response = wrong_region_response
        self._listener: Listener | None = None
        given = [credentials] if isinstance(credentials, Credentials) else [*credentials]
        if not given:
            raise ValueError("credentials is empty: the server would accept no signature at all")
        self.credentials = ServerCredentials.of(given[0])
        for each in given:
            self.add_credentials(each)

    def now(self) -> datetime:
        """The server's time, in UTC."""
        return utc("clock gave", self._clock()) + timedelta(seconds=self.clock_skew)

    def add_credentials(self, credentials: Credentials) -> None:
        """Accept these too, in place of any of the same access key."""
        self._service.credentials[credentials.access_key_id] = ServerCredentials.of(credentials)

    def remove_credentials(self, access_key_id: str) -> None:
        """Accept that access key no longer."""
        del self._service.credentials[access_key_id]

    def expire_sessions(self) -> None:
        """Let all that ``CreateSession`` gave out be expired."""
        for each in [*self._service.credentials.values()]:
            if each.session_of is not None:
                self.add_credentials(replace(each, expires_at=self.now()))

    @property
    def session_lifetime(self) -> timedelta:
        """How long credentials of ``CreateSession`` last; settable."""
        return self._service.session_lifetime

    @session_lifetime.setter
    def session_lifetime(self, lifetime: timedelta) -> None:
        self._service.session_lifetime = lifetime

    def add_api_key(self, api_key: str) -> None:
        """Give bearer tokens for this IBM API key at ``/identity/token``."""
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
        """A new bucket; a name that ends in ``--x-s3`` makes it a directory bucket.

        Args:
            name: the bucket's name.
            region: where it lives; the server's region by default.
            public: whether anybody may read it unsigned.
            versioning: whether it keeps versions.
            requester_pays: whether requests must say that they pay.
            reveals_missing_keys: False answers 403 for a missing key, as S3 does to those who may
                not list the bucket.
            owner: its account; the server's by default.

        Raises:
            ValueError: there is one of that name.
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
        """The bucket of that name, made if there is none."""
        return self._service.store.buckets.get(name) or self.create_bucket(name)

    def enable_versioning(self, bucket: str) -> None:
        """Keep versions from now on; what is there keeps the version ``null``."""
        self.bucket(bucket).versioning = True

    def add_access_point(
        self,
        name: str,
        bucket: str,
        *,
        service: str = "s3",
        transform: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Another name for ``bucket``.

        Args:
            name: the first label of its host: ``my-point-123456789012``, an alias ending in
                ``-s3alias``, ``--op-s3`` or ``--xa-s3``, or ``abc123.mrap``.
            bucket: the bucket behind it.
            service: what requests are signed for: ``s3-object-lambda``, ``s3-outposts``.
            transform: an Object Lambda function: the object's bytes in, those of the answer out.
                It answers without ETag, length and checksums and ignores ranges and conditions.
        """
        self.bucket(bucket)
        self._service.store.access_points[name] = AccessPoint(bucket, service, transform)

    def put_object(
        self,
        bucket: str,
        key: str,
        body: bytes | str = b"",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: str = "STANDARD",
        access_tier: str | None = None,
        restore: Restore = None,
        parts: Sequence[int] = (),
        checksum_algorithm: str | Sequence[str] | None = None,
        checksum_type: str | None = None,
        sse_customer_key: bytes | None = None,
        etag: str | None = None,
        last_modified: datetime | None = None,
        version_id: str | None = None,
        missing_meta: int = 0,
    ) -> StoredObject:
        """Put an object, or a new version of it, and its bucket if there is none.

        Args:
            bucket: the bucket's name.
            key: the key, any text of 1 to 1,024 bytes in UTF-8.
            body: its bytes; text is encoded as UTF-8.
            content_type: ``binary/octet-stream`` by default, as with S3.
            metadata: the user's metadata; non-ASCII text is sent as S3 sends it.
            headers: further headers of its answers, such as ``Cache-Control``,
                ``x-amz-expiration``, ``x-amz-object-lock-mode``.
            tags: only their number is sent.
            storage_class: ``GLACIER`` and ``DEEP_ARCHIVE`` cannot be read unless restored.
            access_tier: ``ARCHIVE_ACCESS`` or ``DEEP_ARCHIVE_ACCESS`` of Intelligent-Tiering.
            restore: until when a restored copy is there, an aware datetime, or ``"ongoing"``.
            parts: the sizes of its parts in bytes, as if uploaded in parts.
            checksum_algorithm: one or several of S3's names, such as ``CRC64NVME``.
            checksum_type: ``FULL_OBJECT`` or, with parts, ``COMPOSITE``.
            sse_customer_key: the 32 bytes without which it cannot be read.
            etag: with quotes; computed as S3 does by default.
            last_modified: an aware datetime, the server's time by default; whole seconds count.
            version_id: a chosen one, in place of a random one.
            missing_meta: the number in ``x-amz-missing-meta``.

        Returns:
            The version as stored, with its ``etag`` and ``version_id``.

        Raises:
            ValueError: no such object could exist.
        """
        typed = {"Content-Type": content_type} if content_type is not None else {}
        headers = {**typed, **(headers or {})}
        check_object(
            key,
            headers=headers,
            metadata=metadata or {},
            restore=restore,
            sse_customer_key=sse_customer_key,
            storage_class=storage_class,
            access_tier=access_tier,
            etag=etag,
            version_id=version_id,
        )
        modified = utc("last_modified", last_modified) if last_modified else self.now()
        restore = utc("restore", restore) if isinstance(restore, datetime) else restore
        home = self.bucket(bucket)
        version = make_object(
            key,
            body.encode() if isinstance(body, str) else bytes(body),
            version_id=version_id or home.next_version_id(),
            last_modified=modified,
            parts=parts,
            etag=etag,
            checksum_algorithm=checksum_algorithm,
            checksum_type=checksum_type,
            headers=headers,
            metadata=metadata,
            missing_meta=missing_meta,
            storage_class=storage_class,
            access_tier=access_tier,
            restore=restore,
            tags=tags,
            sse_customer_key=sse_customer_key,
        )
        home.add(version)
        return version

    def delete_object(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> StoredObject | None:
        """Delete an object, or one version of it.

        Returns:
            The delete marker that hides it now, where the bucket keeps versions.
        """
        return self.bucket(bucket).delete(key, version_id, self.now())

    @property
    def host(self) -> str:
        """The address it listens on."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it is not started.
        """
        if self._listener is None:
            raise RuntimeError("the server is not started: use `async with` or S3Server.in_thread")
        return self._listener.port

    @property
    def endpoint_url(self) -> str:
        """What to give a client as its endpoint."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def connections_open(self) -> int:
        """How many connections are open now."""
        return self._listener.connections_open if self._listener else 0

    async def start(self) -> None:
        """Listen, on the running event loop."""
        listener = Listener(self._handle, self._accepted, self._tls)
        await listener.start(self.host, self._port)
        self._listener = listener

    async def stop(self) -> None:
        """Close the port and all connections, whatever they wait for."""
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
        """A started server with an event loop and a thread of its own.

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

    def _accepted(self) -> None:
        self.connections_opened += 1

    async def _handle(self, received: RecordedRequest, wire: ResponseWriter) -> None:
        self.requests.append(received)
        fault = self._take_fault(received)
        received.fault = fault.name if fault else None
        answer = self._service.answer(received, fault)
        send = fault.send if fault and fault.send else ResponseWriter.send
        await send(wire, answer)

    def _take_fault(self, received: RecordedRequest) -> Fault | None:
        # A path that is no UTF-8 is refused by the service, in S3's words.
        try:
            self._service.find_target(received)
        except ErrorResponse:
            return None
        return self.faults.take(received)

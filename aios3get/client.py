"""``S3Client``: its methods, configuration and lifetime."""

import asyncio
import os
import ssl
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, Unpack
from weakref import WeakSet

import aiohttp

from aios3get._config.client_config import ClientConfig
from aios3get._engine.call import Call, check_deadline
from aios3get._engine.get_object_call import GetObjectCall
from aios3get._engine.parallel.methods import ParallelMethods
from aios3get._http.proxies import split_login
from aios3get._protocol.endpoints.endpoint import AddressingStyle
from aios3get._protocol.get_object import GetObject, GetObjectOptions
from aios3get._protocol.identity import (
    CredentialsProvider,
    Identity,
)
from aios3get._protocol.presigned_url import PresignedUrl
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get._protocol.url_request import UrlRequest
from aios3get.errors import ParameterError, S3Error, UsageError

if TYPE_CHECKING:
    # Imported at the first call, in a thread, because these imports read files.
    from aios3get._engine.client_state import ClientState
    from aios3get._engine.exchange import Exchange
    from aios3get._engine.running import Running
    from aios3get._engine.s3_object import S3Object
    from aios3get._protocol.attempt_record import AttemptRecord
    from aios3get._protocol.object_info import ObjectInfo

__all__ = ["S3Client"]

P = ParamSpec("P")
T = TypeVar("T")


def _hint_at_names(method: Callable[P, T]) -> Callable[P, T]:
    """Name ``bucket=`` and ``key=`` to callers who pass botocore's ``Bucket=`` and ``Key=``."""

    @wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> T:
        try:
            return method(*args, **options)
        except TypeError:
            if options.keys().isdisjoint({"Bucket", "Key"}):
                raise
        raise ParameterError(
            "there are no options Bucket and Key; pass bucket= and key=, as positional arguments"
        )

    return call


class S3Client(ParallelMethods):
    """Reads objects from S3 and S3-compatible services.

    Creating a client does no I/O: the first call reads the environment and the shared files, and
    opens connections. ``async with`` or ``await client.aclose()`` closes the client, and so does
    the end of its event loop. One client serves any number of tasks, several event loops (each with
    its own connections) and forked processes. It pickles as its configuration.

    An argument that is None is taken from the environment, then from the profile, then from S3's
    defaults.

    Args:
        region: an AWS region, such as ``eu-central-1``. If a bucket is in another region, the
            client follows S3's response and remembers it.
        credentials: ``Credentials``, ``ANONYMOUS`` for unsigned requests, or a provider: a sync or
            async callable without arguments that returns ``Credentials``.
        profile: the name of a profile in the shared files.
        endpoint_url: the http or https URL of another S3 server, or of a proxy of S3's API.
        addressing_style: ``"path"`` for ``host/bucket/key``, ``"virtual"`` for
            ``bucket.host/key``, ``"auto"`` for the latter wherever it is possible.
        use_fips: use FIPS 140 endpoints.
        use_dualstack: use endpoints with IPv6.
        use_accelerate: use S3 Transfer Acceleration.
        use_arn_region: use the region of an ARN instead of ``region``.
        use_global_endpoint: use ``s3.amazonaws.com`` for us-east-1.
        disable_access_points: reject the ARNs of access points and Object Lambda access points.
        disable_multi_region_access_points: reject the ARNs of multi-region access points.
        disable_s3_express_session_auth: sign requests to directory buckets with the credentials
            instead of a session's.
        retry: how many attempts a call makes, and how long it waits between them.
        timeouts: limits for connecting, silence and waiting; a download as a whole has none.
        max_concurrency: the number of requests and open bodies at a time; further calls wait.
        response_checksum_validation: ``"when_supported"`` requests and verifies checksums with
            every GET; ``"when_required"`` only with ``checksum_mode=True``.
        request_payer: ``"requester"`` accepts the cost of reading with every call.
        verify: False to accept any certificate, a path to a CA bundle, or an ``ssl.SSLContext``.
        proxy: the URL of an HTTP proxy for all requests; ``""`` ignores the proxies of the
            environment.
        session: an ``aiohttp.ClientSession`` to send with. Its resolver, connector and TLS apply
            instead of ``verify``. The client does not close it, and serves only its event loop. The
            first call rejects a session that adds a login, headers that S3 acts upon, or cookies
            for every host.
        on_attempt: called with an ``AttemptRecord`` at the end of each attempt, on the event loop
            of the call; it must not block. Its exceptions are logged and ignored.
        allow_insecure_sse_customer_key: send SSE-C keys over plain http too.
        pickle_credentials: include explicit ``Credentials``, API keys and a proxy's password in a
            pickle of the client.

    Raises:
        ConfigurationError: an argument is invalid by itself. The first call raises it for values of
            the environment and the profile, and for arguments that contradict each other.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        credentials: Identity | CredentialsProvider | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        addressing_style: AddressingStyle | None = None,
        use_fips: bool | None = None,
        use_dualstack: bool | None = None,
        use_accelerate: bool | None = None,
        use_arn_region: bool | None = None,
        use_global_endpoint: bool | None = None,
        disable_access_points: bool | None = None,
        disable_multi_region_access_points: bool | None = None,
        disable_s3_express_session_auth: bool | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        max_concurrency: int = 64,
        response_checksum_validation: Literal["when_supported", "when_required"] | None = None,
        request_payer: Literal["requester"] | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        proxy: str | None = None,
        session: aiohttp.ClientSession | None = None,
        on_attempt: "Callable[[AttemptRecord], object] | None" = None,
        allow_insecure_sse_customer_key: bool = False,
        pickle_credentials: bool = False,
    ) -> None:
        self._config = ClientConfig(
            region=region,
            credentials=credentials,
            profile=profile,
            endpoint_url=endpoint_url,
            addressing_style=addressing_style,
            use_fips=use_fips,
            use_dualstack=use_dualstack,
            use_accelerate=use_accelerate,
            use_arn_region=use_arn_region,
            use_global_endpoint=use_global_endpoint,
            disable_access_points=disable_access_points,
            disable_multi_region_access_points=disable_multi_region_access_points,
            disable_s3_express_session_auth=disable_s3_express_session_auth,
            retry=retry,
            timeouts=timeouts,
            max_concurrency=max_concurrency,
            response_checksum_validation=response_checksum_validation,
            request_payer=request_payer,
            verify=verify,
            proxy=proxy,
            session=session,
            on_attempt=on_attempt,
            allow_insecure_sse_customer_key=allow_insecure_sse_customer_key,
            pickle_credentials=pickle_credentials,
        )
        self._options: GetObjectOptions = {}
        if request_payer is not None:
            self._options["request_payer"] = request_payer
        self._closed = False
        self._state: ClientState | None = None
        self._loops: dict[asyncio.AbstractEventLoop, Running] = {}
        self._loading: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}
        _clients.add(self)

    @_hint_at_names
    def get_object(
        self,
        bucket: str,
        key: str,
        *,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> GetObjectCall:
        """Get an object: its metadata at once, its bytes as they are read.

        ``obj = await s3.get_object(...)``, or ``async with s3.get_object(...) as obj`` to have it
        closed. Invalid arguments are rejected immediately, before anything is awaited.

        Args:
            bucket: a bucket name, an access point alias or any S3 ARN.
            key: the key as text; encoded exactly once, never normalised.
            deadline: seconds for the call and the reading of its body together.
            options: S3's parameters, see ``GetObjectOptions``.

        Raises:
            ParameterError: an argument is invalid.
            ServiceError: S3 refused, as with ``NoSuchKey`` or ``AccessDenied``.
            NotModified: the object is unchanged according to the condition of the call.
            TransportError: no response arrived within the retry policy.
            IntegrityError: the response has other bytes, or another version or SSE-C key, than
                requested.
            CredentialsError: there are no credentials to sign with.
            ConfigurationError: the environment or the profile is invalid.
            UsageError: the client is closed.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        if deadline is not None:
            check_deadline(deadline)
        if self._options:
            options = self._with_defaults(bucket, options)
        request = GetObject.create(bucket, key, options)
        # A Place costs 0.1 µs; a line number costs ten times as much.
        frame = sys._getframe(2)
        call = Call("GET", request, deadline, (frame.f_code, frame.f_lasti))
        return GetObjectCall("S3Client.get_object", self._open(call))

    async def head_object(
        self,
        bucket: str,
        key: str,
        *,
        deadline: float | None = None,
        **options: Unpack[GetObjectOptions],
    ) -> "ObjectInfo":
        """Get the metadata of an object.

        Arguments and errors are those of ``get_object``. A response to HEAD has no error code, so
        the status selects the class of the error: a missing bucket is ``NoSuchKey`` too.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        """
        request = self._request(bucket, key, options)
        if deadline is not None:
            check_deadline(deadline)
        call = Call("HEAD", request, deadline)
        # Error reporters send the variables of frames along, and these may hold an SSE-C key.
        del options, request
        return await call.run(self._head(call))

    async def presign_get_object(
        self,
        bucket: str,
        key: str,
        *,
        expires_in: int | timedelta = 3600,
        **options: Unpack[GetObjectOptions],
    ) -> PresignedUrl:
        """Create a link that gets the object without credentials.

        Args:
            bucket: as for ``get_object``.
            key: as for ``get_object``.
            expires_in: seconds from now, 1 to 604,800 (7 days). The link expires with the
                credentials that sign it, if that is sooner.
            options: as for ``get_object``. The holder of the link must send those that are in the
                ``headers`` of the result.

        Raises:
            ParameterError: an argument is invalid.
            CredentialsError: there are no credentials, or they have expired.
            ServiceError: S3 refused the session that signs the link of a directory bucket.
            TransportError: no response arrived about that session.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html
        """
        request = self._request(bucket, key, options)
        call = Call("GET", request)
        presigning = self._presign(call, request, expires_in)
        del options, request  # as in ``head_object``
        return await call.run(presigning)

    def get_url(
        self,
        url: str | PresignedUrl,
        *,
        range: ByteRange | str | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
    ) -> GetObjectCall:
        """Get the object of a presigned link; the result is that of ``get_object``.

        The URL is sent unchanged, without the client's credentials. If the link is signed for a
        range or a part, its body is not resumed.

        Args:
            url: the link, or a ``PresignedUrl``, whose ``headers`` are sent too.
            range: the requested bytes.
            headers: the headers that the link is signed with.
            deadline: seconds for the call and the reading of its body together.

        Raises:
            ParameterError: the URL or a header cannot be sent as it is, or ``range`` is passed with
                a link to a part.
            PresignedUrlExpired: the link has expired.
            AccessDenied: the signer of the link may not read the object.
            ServiceError: S3 refused for another reason.
            TransportError: no response arrived within the retry policy.
            IntegrityError: as for ``get_object``.
        """
        sent = dict(url.headers) if isinstance(url, PresignedUrl) else {}
        sent.update(headers or {})
        request = UrlRequest.create(str(url), range, sent)
        if deadline is not None:
            check_deadline(deadline)
        frame = sys._getframe(1)
        call = Call("GET", request, deadline, (frame.f_code, frame.f_lasti))
        return GetObjectCall("S3Client.get_url", self._open(call))

    async def aclose(self) -> None:
        """Close the client's connections. Reading an open body raises ``ConnectionLost``."""
        self._closed = True
        running, self._loops = self._loops, {}
        here = running.pop(asyncio.get_running_loop(), None)
        for loop, of_loop in list(running.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(of_loop.close_soon)
        if here is not None:
            await here.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        names = ("region", "profile", "endpoint_url")
        arguments = {name: getattr(self._config, name) for name in names}
        shown = [f"{name}={value!r}" for name, value in arguments.items() if value is not None]
        return f"S3Client({', '.join(shown)})"

    def __reduce__(self) -> tuple[object, ...]:
        config = self._config
        if config.session is not None:
            raise TypeError("a client with session= does not pickle; let it own its session")
        if not config.pickle_credentials:
            from aios3get.credentials.provider import holds_secret  # noqa: PLC0415

            if holds_secret(config.credentials):
                raise TypeError(
                    "a pickle of the client would contain its credentials or API key in plain"
                    " text; pass another provider or a profile, or pickle_credentials=True"
                )
            if config.proxy and split_login(config.proxy)[1] is not None:
                raise TypeError(
                    "a pickle of the client would contain the password of proxy= in plain text;"
                    " set the proxy in the environment, or pass pickle_credentials=True"
                )
        return _unpickle, (config.arguments(),)

    def _request(self, bucket: str, key: str, options: GetObjectOptions) -> GetObject:
        if self._options:
            options = self._with_defaults(bucket, options)
        return GetObject.create(bucket, key, options)

    def _with_defaults(self, bucket: str, options: GetObjectOptions) -> GetObjectOptions:
        # Directory buckets do not support Requester Pays.
        if isinstance(bucket, str) and bucket.endswith(("--x-s3", "--xa-s3")):
            return options
        return {**self._options, **options}

    async def _open(self, call: Call) -> "S3Object":
        # As ``call.run``, which costs another coroutine.
        try:
            running = self._loops.get(asyncio.get_running_loop())
            if running is None:
                running = await call.within_deadline(self._running())
            response = await call.within_deadline(running.exchange.send(call, call.request))
            return running.open(call, response)
        except (S3Error, asyncio.CancelledError) as error:
            raise call.failure(error) from error.__cause__

    async def _head(self, call: Call) -> "ObjectInfo":
        return await (await self._running()).head(call)

    async def _presign(
        self, call: Call, request: GetObject, expires_in: int | timedelta
    ) -> PresignedUrl:
        return await (await self._running()).presign(call, request, expires_in)

    async def _start_exchange(self) -> "Exchange":
        return (await self._running()).exchange

    async def _running(self) -> "Running":
        return self._loops.get(asyncio.get_running_loop()) or await self._start()

    async def _start(self) -> "Running":
        """Start the client on the running loop; load the configuration first."""
        loop = asyncio.get_running_loop()
        # Concurrent first calls load once; if the one that loads is cancelled, the next one does.
        try:
            async with self._loading.setdefault(loop, asyncio.Lock()):
                await asyncio.to_thread(import_module, "aios3get._engine.running")
                from aios3get._engine.running import Running, load_state  # noqa: PLC0415

                if self._state is None:
                    loaded = await load_state(self._config)
                    # Another loop may have loaded it meanwhile, and received responses since.
                    self._state = self._state or loaded
        finally:
            self._loading.pop(loop, None)
        state = self._state
        if self._closed:
            raise UsageError("the client is closed; create a new one")
        if loop not in self._loops:
            for each in list(self._loops):
                if each.is_closed():
                    self._loops.pop(each, None)
            self._loops[loop] = Running(state, self._config.session)
            await self._loops[loop].start()
        return self._loops[loop]


def _unpickle(arguments: dict[str, Any]) -> S3Client:
    return S3Client(**arguments)


# A forked child must neither use nor close the sockets and locks of its parent.
_clients: WeakSet[S3Client] = WeakSet()
_left_to_parent: list[object] = []


def _forked() -> None:
    for client in list(_clients):
        _left_to_parent.append(client._loops)
        client._loops = {}
        client._loading = {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)

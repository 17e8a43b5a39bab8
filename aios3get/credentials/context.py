"""The context in which a provider loads credentials: environment, shared files, HTTP and time."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aios3get._config.certificates import load_certificates
from aios3get._config.client_config import ClientConfig
from aios3get._config.environ import without_items
from aios3get._config.loaded_config import LoadedConfig
from aios3get._config.settings import resolve_settings
from aios3get._config.shared_files import profile_name, read_shared_config
from aios3get._http.proxies import DIRECT, Proxies
from aios3get._protocol.shared_config import Profile, SharedConfig

if TYPE_CHECKING:
    # Imported at their first use, because the environment's key needs none of them; in a thread,
    # because an import reads files.
    from aios3get._config.service_endpoints import ServiceEndpoint
    from aios3get._http.fetcher import Fetcher
    from aios3get._protocol.credentials.endpoints import CredentialsService
    from aios3get._protocol.fetch import FetchedResponse, FetchRequest

__all__ = ["ClientContexts", "ProviderContext"]


class ProviderContext:
    """The context of one load of credentials.

    A client creates one for each load, with its own fetcher; a provider that is called by itself
    creates its own. Creating one does no I/O: the shared files are read at the first use, once, in
    a thread, and the first request opens connections.

    Args:
        environ: the environment variables; a copy of ``os.environ`` if None.
        profile: the profile that the caller passed; None for that of the environment.
        region: the region that the caller passed; None for that of the environment or the profile.
        shared: the shared files, if they have been read.
        fetcher: returns the client's fetcher; None to create one, which ``async with`` closes.
        clock: returns seconds since 1970.
        correct_clock: called with the seconds that a service's clock is ahead of ``clock``, and
            makes ``clock`` add them; None to correct this context only.
        on_region: called with the region that is passed to ``set_region``.
        sleep: waits a number of seconds.
        random: returns a number in [0, 1), for jitter.

    Attributes:
        environ: the environment variables.
        profile_argument: the profile that the caller passed, if any; the environment's credentials
            are skipped then.
        sleep, random: as passed in.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        profile: str | None = None,
        region: str | None = None,
        shared: SharedConfig | None = None,
        fetcher: "Callable[[], Awaitable[Fetcher]] | None" = None,
        clock: Callable[[], float] = time.time,
        correct_clock: Callable[[float], None] | None = None,
        on_region: Callable[[str], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.environ = without_items(dict(os.environ) if environ is None else environ)
        self.profile_argument = profile
        self._clock = clock
        self._correct_clock = correct_clock
        self._clock_offset = 0.0
        self.sleep = sleep
        self.random = random
        self._region = region
        self._on_region = on_region
        self._shared = shared
        self._fetcher = fetcher
        self._own_fetcher: Fetcher | None = None

    @property
    def profile_name(self) -> str | None:
        """The name of the active profile; None for the default one."""
        return profile_name(self.profile_argument, self.environ)

    def clock(self) -> float:
        """Return the seconds since 1970, by AWS's clock as far as it is known."""
        return self._clock() + self._clock_offset

    def now(self) -> datetime:
        """Return the current time by ``clock``."""
        return datetime.fromtimestamp(self.clock(), UTC)

    def correct_clock(self, seconds: float) -> None:
        """Make ``clock`` add these seconds, because AWS rejected the time of a signature."""
        if self._correct_clock is None:
            self._clock_offset += seconds
        else:
            self._correct_clock(seconds)

    async def shared(self) -> SharedConfig:
        """Return the shared files, which are read at the first use.

        Raises:
            ConfigurationError: a file is malformed.
        """
        if self._shared is None:
            self._shared = await read_shared_config(self.environ)
        return self._shared

    async def profile(self) -> Profile:
        """Return the active profile.

        Raises:
            ConfigurationError: a file is malformed, or the profile does not exist.
        """
        return (await self.shared()).profile(self.profile_name)

    async def region(self) -> str | None:
        """Return the region of the caller, else of the environment, else of the active profile.

        Raises:
            ConfigurationError: as ``profile``.
        """
        environ = self.environ
        named = self._region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        return named or (await self.profile()).get("region")

    def set_region(self, region: str) -> None:
        """Use the region that a credentials service reported, because none is configured."""
        self._region = region
        if self._on_region is not None:
            self._on_region(region)

    async def endpoint(
        self, service: "CredentialsService", region: str | None = None
    ) -> "ServiceEndpoint":
        """Return the endpoint of a service: the configured URL, else that of AWS.

        Args:
            service: the service.
            region: its region; None for the result of ``region()``.

        Raises:
            ConfigurationError: a setting is invalid.
        """
        resolve = await asyncio.to_thread(_import_resolver)
        region = region or await self.region()
        shared, profile = await self.shared(), await self.profile()
        return resolve(service, region, self.environ, shared, profile)

    async def fetch(
        self, request: "FetchRequest | Callable[[], FetchRequest]", **options: Any
    ) -> "FetchedResponse":
        """Send a small request; options, result and errors are those of ``Fetcher.fetch``."""
        if self._fetcher is not None:
            fetcher = await self._fetcher()
        else:
            fetcher = self._own_fetcher = self._own_fetcher or await self._make_fetcher()
        return await fetcher.fetch(request, **options)

    async def _make_fetcher(self) -> "Fetcher":
        make = await asyncio.to_thread(_import_fetcher)
        shared = await self.shared()
        settings = resolve_settings({}, self.environ, shared, self.profile_name)
        return make(
            verify=await load_certificates(True, settings.ca_bundle),
            proxies=settings.proxies,
            sleep=self.sleep,
            random=self.random,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own_fetcher is not None:
            await self._own_fetcher.aclose()


def _import_fetcher() -> "type[Fetcher]":
    from aios3get._http.fetcher import Fetcher  # noqa: PLC0415

    return Fetcher


def _import_resolver() -> "Callable[..., ServiceEndpoint]":
    from aios3get._config.service_endpoints import resolve_service_endpoint  # noqa: PLC0415

    return resolve_service_endpoint


class ClientContexts:
    """Creates the contexts of one client; the first one uses the files that the client has read.

    Args:
        config: the client's arguments.
        loaded: the environment and shared files.
        verify: as for ``Fetcher``.
        proxies: as for ``Fetcher``.
        clock: as for ``ProviderContext``.
        correct_clock: as for ``ProviderContext``.
        on_region: as for ``ProviderContext``.
    """

    def __init__(
        self,
        config: ClientConfig,
        loaded: LoadedConfig,
        *,
        verify: SSLContext | bool = True,
        proxies: Proxies = DIRECT,
        clock: Callable[[], float] = time.time,
        correct_clock: Callable[[float], None] | None = None,
        on_region: Callable[[str], None] | None = None,
    ) -> None:
        self._profile = config.profile
        self._region = config.region
        self._environ = loaded.environ
        self._shared: SharedConfig | None = loaded.shared
        self._verify = verify
        self._proxies = proxies
        self._fetcher: Fetcher | None = None
        self._clock = clock
        self._correct_clock = correct_clock
        self._on_region = on_region

    def __call__(self) -> ProviderContext:
        """Return a context for one load."""
        shared, self._shared = self._shared, None
        return ProviderContext(
            environ=dict(self._environ),
            profile=self._profile,
            region=self._region,
            shared=shared,
            fetcher=self.fetcher,
            clock=self._clock,
            correct_clock=self._correct_clock,
            on_region=self._set_region,
        )

    async def fetcher(self) -> "Fetcher":
        """Return the client's fetcher."""
        make = await asyncio.to_thread(_import_fetcher)
        if self._fetcher is None:
            self._fetcher = make(verify=self._verify, proxies=self._proxies)
        return self._fetcher

    async def aclose(self) -> None:
        """Close the fetcher's session of the running loop."""
        if self._fetcher is not None:
            await self._fetcher.aclose()

    def _set_region(self, region: str) -> None:
        self._region = region
        if self._on_region is not None:
            self._on_region(region)

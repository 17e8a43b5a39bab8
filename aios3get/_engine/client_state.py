"""The state that all event loops of a client share."""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aios3get._http.proxies import Proxies
from aios3get._protocol.attempt_record import AttemptRecord
from aios3get._protocol.correction import is_clock_right
from aios3get._protocol.endpoints.resolver import EndpointResolver
from aios3get._protocol.header_values import timestamp
from aios3get._protocol.retry import RetryQuota
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.credentials.context import ClientContexts
from aios3get.credentials.source import CredentialsSource

__all__ = ["ClientState"]

_MAX_REGIONS = 1024


@dataclass(slots=True, kw_only=True)
class ClientState:
    """The configuration of a client, and facts from responses.

    Attributes:
        clock: seconds since the epoch by the local clock.
        clock_offset: seconds that S3's clock is ahead of the local clock.
        regions: the regions of buckets outside the client's region.
        without_checksum_mode: the hosts that refuse ``x-amz-checksum-mode``.
    """

    resolver: EndpointResolver
    credentials: CredentialsSource
    contexts: ClientContexts
    retry: RetryPolicy
    quota: RetryQuota
    timeouts: Timeouts
    validate_checksums: bool
    allow_insecure_sse_customer_key: bool
    max_concurrency: int
    verify: ssl.SSLContext | bool
    proxies: Proxies
    on_attempt: Callable[[AttemptRecord], object] | None = None
    clock: Callable[[], float] = time.time
    clock_offset: float = 0.0
    regions: dict[str, str] = field(default_factory=dict[str, str])
    without_checksum_mode: set[str] = field(default_factory=set[str])

    def now(self) -> float:
        """Return the seconds since the epoch by S3's clock, as far as it is known."""
        return self.clock() + self.clock_offset

    def check_clock(self, date: str) -> None:
        """Reset the offset if the ``Date`` of a response shows that the local clock is right."""
        server_time = timestamp(date)
        now = datetime.fromtimestamp(self.clock(), UTC)
        if server_time is not None and is_clock_right(server_time, now):
            self.clock_offset = 0.0

    def remember_region(self, bucket: str, region: str) -> None:
        """Remember the region of the bucket; the next requests for it go there."""
        if bucket not in self.regions and len(self.regions) >= _MAX_REGIONS:
            del self.regions[next(iter(self.regions))]
        self.regions[bucket] = region

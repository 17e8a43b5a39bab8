"""The arguments of one client."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import aiohttp

from aios3get._config.settings import ChecksumValidation, ExplicitSettings, check_explicit
from aios3get._http.proxies import Proxies
from aios3get._protocol.endpoints.endpoint import AddressingStyle
from aios3get._protocol.identity import CredentialsProvider, Identity, check_source
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.errors import ConfigurationError

if TYPE_CHECKING:
    from aios3get._protocol.attempt_record import AttemptRecord

__all__ = ["ClientConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """The arguments of one ``S3Client``, which documents them.

    Raises:
        ConfigurationError: an argument is invalid, regardless of environment and files.
    """

    region: str | None = None
    credentials: Identity | CredentialsProvider | None = field(default=None, repr=False)
    profile: str | None = None
    endpoint_url: str | None = None
    addressing_style: AddressingStyle | None = None
    use_fips: bool | None = None
    use_dualstack: bool | None = None
    use_accelerate: bool | None = None
    use_arn_region: bool | None = None
    use_global_endpoint: bool | None = None
    disable_access_points: bool | None = None
    disable_multi_region_access_points: bool | None = None
    disable_s3_express_session_auth: bool | None = None
    retry: RetryPolicy | None = None
    timeouts: Timeouts | None = None
    max_concurrency: int = 64
    response_checksum_validation: ChecksumValidation | None = None
    request_payer: Literal["requester"] | None = None
    verify: bool | str | os.PathLike[str] | ssl.SSLContext = True
    proxy: str | None = field(default=None, repr=False)
    session: aiohttp.ClientSession | None = None
    on_attempt: "Callable[[AttemptRecord], object] | None" = None
    allow_insecure_sse_customer_key: bool = False
    pickle_credentials: bool = False

    def __post_init__(self) -> None:
        for name, (types, expected) in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, types):
                # The value may be a misplaced secret.
                raise ConfigurationError(
                    f"{name} is of type {type(value).__name__}; pass {expected}"
                )
        if type(self.max_concurrency) is not int or self.max_concurrency < 1:
            raise ConfigurationError(
                f"max_concurrency must be a whole number above 0, got {self.max_concurrency!r}"
            )
        if self.request_payer not in (None, "requester"):
            raise ConfigurationError(
                f'request_payer is {self.request_payer!r}; pass "requester" or nothing'
            )
        if self.on_attempt is not None and not callable(self.on_attempt):
            raise ConfigurationError(
                f"on_attempt is of type {type(self.on_attempt).__name__}; pass a function of one"
                " AttemptRecord"
            )
        if self.credentials is not None:
            check_source(self.credentials)
        if self.proxy is not None:
            Proxies.always(self.proxy)
        check_explicit(self.explicit_settings)

    @property
    def explicit_settings(self) -> ExplicitSettings:
        """The arguments that environment and profile can replace."""
        names = ExplicitSettings.__annotations__
        return cast(ExplicitSettings, {name: getattr(self, name) for name in names})

    def arguments(self) -> dict[str, Any]:
        """The arguments by name, without those that are None."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if value is not None}


_NONE = type(None)
_TYPES: Final[Mapping[str, tuple[tuple[type[Any], ...], str]]] = {
    "profile": ((str, _NONE), "the name of a profile in the shared files"),
    "retry": ((RetryPolicy, _NONE), "a RetryPolicy, such as RetryPolicy(attempts=5)"),
    "timeouts": ((Timeouts, _NONE), "Timeouts, such as Timeouts(idle=30)"),
    "verify": (
        (bool, str, os.PathLike, ssl.SSLContext),
        "True, False, the path of a CA bundle, or an ssl.SSLContext",
    ),
    "proxy": ((str, _NONE), "the URL of an HTTP proxy as text"),
    "session": ((aiohttp.ClientSession, _NONE), "an aiohttp.ClientSession"),
    "allow_insecure_sse_customer_key": ((bool,), "True or False"),
    "pickle_credentials": ((bool,), "True or False"),
}

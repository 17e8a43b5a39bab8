"""Storage options: those of s3fs and those of ``S3Client``, as the client's arguments."""

import re
from collections.abc import Mapping
from hashlib import sha256
from inspect import signature
from typing import Any, Final, cast

from aios3get._protocol.get_object import GetObjectOptions
from aios3get._protocol.identity import ANONYMOUS, Credentials
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get._protocol.timeouts import Timeouts
from aios3get.client import S3Client
from aios3get.errors import ConfigurationError

__all__ = ["HeldCredentials", "client_arguments", "object_options"]

# S3Client's names for the arguments of botocore's create_client.
_CLIENT: Final = {
    "region_name": "region",
    "endpoint_url": "endpoint_url",
    "verify": "verify",
    "use_ssl": "use_ssl",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
}
# S3Client's names for the arguments of botocore's Config.
_CONFIG: Final = {
    "region_name": "region",
    "use_dualstack_endpoint": "use_dualstack",
    "use_fips_endpoint": "use_fips",
    "response_checksum_validation": "response_checksum_validation",
}
_CONFIG_S3: Final = {
    "addressing_style": "addressing_style",
    "use_accelerate_endpoint": "use_accelerate",
    "use_dualstack_endpoint": "use_dualstack",
    "use_arn_region": "use_arn_region",
}
_TIMEOUTS: Final = {"connect_timeout": "connect", "read_timeout": "idle"}
# These settings are adaptive here, or have no use for reading.
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("cache_regions", "default_cache_type", "default_fill_cache", "fixed_upload_size"),
        *("local_expiry_check", "max_pool_connections", "tcp_keepalive", "user_agent"),
        *("user_agent_extra", "parameter_validation", "payload_signing_enabled"),
        "request_checksum_calculation",
    }
)
_KNOWN: Final = frozenset(signature(S3Client).parameters) - {"session", "pickle_credentials"}


class HeldCredentials:
    """Credentials in storage options.

    fsspec shares file systems by the repr of their options. This repr differs for different
    credentials, and shows no secret.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        value = self.value
        if value is ANONYMOUS:
            return "ANONYMOUS"
        if not isinstance(value, Credentials):
            return f"<{type(value).__name__} at {id(value):#x}>"
        fields = (value.access_key_id, value.secret_access_key, value.session_token)
        digest = sha256(repr((*fields, value.expires_at)).encode()).hexdigest()
        return f"<Credentials {digest}>"


def client_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``S3Client`` for the storage options.

    Raises:
        ConfigurationError: an option is unknown or contradicts another one.
    """
    given = {name: value for name, value in options.items() if value is not None}
    # As in s3fs, the options themselves take precedence over client_kwargs.
    for name, value in _take(given, "client_kwargs", _CLIENT).items():
        given.setdefault(name, value)
    timeouts: dict[str, Any] = {}
    _take_config(given, timeouts)
    if timeouts:
        given.setdefault("timeouts", Timeouts(**timeouts))
    if given.pop("use_ssl", True) is False and "endpoint_url" not in given:
        raise ConfigurationError("use_ssl=False requires an endpoint_url= that begins with http://")
    if given.pop("requester_pays", False):
        given.setdefault("request_payer", "requester")
    _take_credentials(given)
    for name in _WITHOUT_EFFECT & given.keys():
        del given[name]
    if "session" in given:
        raise ConfigurationError(
            "session= is not supported; pass the credentials of a boto3 or botocore session as"
            " credentials=from_botocore(session), from aios3get.credentials"
        )
    unknown = given.keys() - _KNOWN
    if unknown:
        raise ConfigurationError(
            f"unknown storage option {sorted(unknown)[0]!r}; pass an option of s3fs or an argument"
            " of S3Client"
        )
    return given


def object_options(additional: Mapping[str, Any]) -> GetObjectOptions:
    """Return the parameters that GetObject has; like s3fs, ignore the others for reading."""
    named = {
        re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=SSE)", "_", name).lower(): name for name in additional
    }
    known = {name: additional[named[name]] for name in named.keys() & _object_options}
    return cast("GetObjectOptions", known)


_object_options = GetObjectOptions.__annotations__.keys() - {"range", "part_number", "version_id"}


def _take(given: dict[str, Any], option: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Remove an option that is a dict, and return its entries by ``S3Client``'s names."""
    entries: dict[str, Any] = dict(given.pop(option, {}))
    for name in _WITHOUT_EFFECT & entries.keys():
        del entries[name]
    unknown = sorted(entries.keys() - names.keys())
    if unknown:
        raise ConfigurationError(
            f"{option} has {unknown[0]!r}, which is not supported; the supported names are"
            f" {', '.join(sorted(names))}"
        )
    return {names[name]: value for name, value in entries.items()}


def _take_config(given: dict[str, Any], timeouts: dict[str, Any]) -> None:
    """Replace ``config_kwargs`` by arguments of ``S3Client``."""
    config: dict[str, Any] = dict(given.pop("config_kwargs", {}))
    if "s3" in config:
        config_s3: dict[str, Any] = {"s3": config.pop("s3") or {}}
        for name, value in _take(config_s3, "s3", _CONFIG_S3).items():
            given.setdefault(name, value)
    for name in _TIMEOUTS.keys() & config.keys():
        timeouts[_TIMEOUTS[name]] = config.pop(name)
    _take_signature(given, config)
    _take_retries_and_proxies(given, config)
    given["config_kwargs"] = config
    for name, value in _take(given, "config_kwargs", _CONFIG).items():
        given.setdefault(name, value)


def _take_signature(given: dict[str, Any], config: dict[str, Any]) -> None:
    version = config.pop("signature_version", "s3v4")
    # botocore.UNSIGNED is an instance of its own class.
    if type(version).__name__ == "UNSIGNED" or version == "unsigned":
        given["anon"] = True
    elif version not in ("s3v4", "v4"):
        raise ConfigurationError(f"signature_version {version!r} is not supported; pass s3v4")


def _take_retries_and_proxies(given: dict[str, Any], config: dict[str, Any]) -> None:
    retries: dict[str, Any] = config.pop("retries", None) or {}
    if "total_max_attempts" in retries:
        given.setdefault("retry", RetryPolicy(attempts=retries["total_max_attempts"]))
    elif "max_attempts" in retries:
        given.setdefault("retry", RetryPolicy(attempts=retries["max_attempts"] + 1))
    given_proxies: dict[str, str] = config.pop("proxies", None) or {}
    proxies = set(given_proxies.values())
    if len(proxies) > 1:
        raise ConfigurationError("proxies has several proxies; pass the one to use as proxy=")
    if proxies:
        given.setdefault("proxy", proxies.pop())


def _take_credentials(given: dict[str, Any]) -> None:
    """Replace ``anon``, ``key``, ``secret`` and ``token`` by ``credentials``."""
    held = given.get("credentials")
    if isinstance(held, HeldCredentials):
        given["credentials"] = held.value
    anonymous = given.pop("anon", False)
    key = given.pop("key", given.pop("username", None))
    secret = given.pop("secret", given.pop("password", None))
    token = given.pop("token", None)
    if anonymous:
        given["credentials"] = ANONYMOUS
    elif key or secret:
        if not (key and secret):
            raise ConfigurationError("pass key= and secret= together")
        if "credentials" in given:
            raise ConfigurationError("pass key= and secret=, or credentials=, but not both")
        given["credentials"] = Credentials(key, secret, token)

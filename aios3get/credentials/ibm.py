"""Bearer tokens for IBM Cloud Object Storage, issued by IBM Cloud IAM for an API key.

https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

from aios3get._protocol.fetch import FetchedResponse, FetchRequest
from aios3get._protocol.identity import BearerToken
from aios3get._protocol.signing.uri import encode_query
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider
from aios3get.errors import ConfigurationError, CredentialsError, TransportError

__all__ = ["IBMCloudAPIKey"]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Post: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, bytes]]]


class IBMCloudAPIKey(Provider):
    """A provider of bearer tokens for IBM Cloud Object Storage; a client refreshes them.

    Args:
        api_key: the API key of a user or service ID; never shown.
        service_instance_id: the CRN or GUID of the storage instance, sent as
            ``ibm-service-instance-id``; reading objects does not need it.
        iam_url: the URL of the token service; ``https`` unless it is on loopback.
        post: sends a form and returns ``(status, body)``; None to use the client's requests.
        clock: returns seconds since 1970.

    Raises:
        ConfigurationError: a value is empty or cannot be sent in a header, or the key would be sent
            to ``iam_url`` without encryption.
    """

    def __init__(
        self,
        api_key: str,
        service_instance_id: str | None = None,
        *,
        iam_url: str = "https://iam.cloud.ibm.com/identity/token",
        post: Post | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(api_key, str) or not api_key or api_key != api_key.strip():
            raise ConfigurationError(
                "api_key is empty or has white space around it; pass the key as IBM Cloud shows it"
            )
        _check_url(iam_url)
        self._api_key = api_key
        self._headers = _instance_header(service_instance_id)
        self._iam_url = iam_url
        self._post = post
        self._clock = clock

    @property
    def holds_secret(self) -> bool:
        """True: a pickle contains the API key."""
        return True

    def __repr__(self) -> str:
        return f"IBMCloudAPIKey(iam_url={self._iam_url!r})"

    def __str__(self) -> str:
        return f"IBM Cloud IAM at {urlsplit(self._iam_url).hostname}"

    async def load(self, context: ProviderContext) -> BearerToken:  # noqa: D102
        now = self._clock()
        try:
            response = await self._send(context)
        except TransportError as error:
            raise self._failure(str(error), retryable=True) from error
        document = _Document(response.body)
        if response.status != 200:
            raise self._failure(
                f"{document.reason(self._api_key)} [{response.status}]",
                retryable=response.status == 429 or response.status >= 500,
            )
        return self._token(document, now)

    async def _send(self, context: ProviderContext) -> FetchedResponse:
        if self._post is None:
            return await context.fetch(self._request())
        status, body = await self._post(self._iam_url, self._form())
        return FetchedResponse(status, body=body)

    def _form(self) -> dict[str, str]:
        return {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": self._api_key}

    def _request(self) -> FetchRequest:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = encode_query(self._form().items()).encode()
        return FetchRequest("POST", self._iam_url, headers, body)

    def _token(self, document: "_Document", now: float) -> BearerToken:
        # expires_in instead of expiration, because it does not depend on this machine's clock.
        seconds = _positive(document.get("expires_in"))
        if not isinstance(document.get("access_token"), str) or seconds is None:
            raise self._failure("the response has no access_token or no expires_in")
        expires_at = datetime.fromtimestamp(now + seconds, UTC)
        try:
            return BearerToken(str(document.get("access_token")), expires_at, self._headers)
        except ConfigurationError as error:
            raise self._failure(f"the response has an invalid access_token: {error}") from None

    def _failure(self, reason: str, *, retryable: bool = False) -> CredentialsError:
        failure = CredentialsError(f"{self} returned no token: {reason}")
        failure.retryable = retryable
        return failure


class _Document:
    """A response's JSON object. It is not a mapping: error reporters show the items of those."""

    def __init__(self, body: bytes) -> None:
        try:
            document: object = json.loads(body)
        except (ValueError, RecursionError):
            document = {}
        self._members = cast("dict[str, Any]", document) if isinstance(document, dict) else {}

    def get(self, name: str) -> object:
        return self._members.get(name)

    def reason(self, api_key: str) -> str:
        texts = [str(self.get(name) or "") for name in ("errorCode", "errorMessage")]
        reason = ": ".join(filter(None, texts)).replace(api_key, "***")
        return reason[:300] or "the response has no reason"


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not secure or not parts.hostname:
        raise ConfigurationError("iam_url must start with https://; the API key is sent there")
    if parts.username or parts.password:
        raise ConfigurationError("iam_url contains a user name or password; pass it without them")


def _instance_header(instance: str | None) -> tuple[tuple[str, str], ...]:
    if instance is None:
        return ()
    if not (instance.isascii() and instance.isprintable() and instance) or " " in instance:
        raise ConfigurationError(
            "service_instance_id must be printable ASCII without spaces: a CRN or GUID"
        )
    return (("ibm-service-instance-id", instance),)


def _positive(seconds: object) -> float | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if 0 < seconds < 10**8 else None

"""The request model: one checked GetObject or HeadObject call as a value."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from aios3get._protocol.options import (
    REQUEST_PAYER,
    SSE_CUSTOMER_KEY,
    SSE_CUSTOMER_KEY_MD5,
    GetObjectOptions,
    render,
)
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.signing.uri import encode_path
from aios3get.errors import ConfigurationError

__all__ = ["GetObject", "GetObjectOptions", "check_sendable"]


class GetObject(NamedTuple):
    """One valid GetObject or HeadObject request, before it has an endpoint and a signature.

    A tuple, because every call makes one: a frozen dataclass of its size takes four times as long.

    Attributes:
        bucket: a bucket name, access point alias or ARN.
        key: the key as the caller wrote it.
        path: the key as it stands in the URL.
        headers: header name → value, to be read only.
        query: query names and values, not yet encoded.
        range: the bytes asked for; None means all, or those of ``part_number``.
        part_number: the part asked for.
        version_id: the version asked for.
        checksum_mode: what the caller said of checksums; None if nothing.
    """

    bucket: str
    key: str
    path: str
    headers: Mapping[str, str]
    query: tuple[tuple[str, str], ...] = ()
    range: ByteRange | None = None
    part_number: int | None = None
    version_id: str | None = None
    checksum_mode: bool | None = None

    @classmethod
    def create(cls, bucket: str, key: str, options: Mapping[str, Any]) -> Self:
        """The request, checked and rendered.

        Raises:
            ConfigurationError: something in it cannot be right.
        """
        if not (bucket and isinstance(bucket, str) and key and isinstance(key, str)):
            raise ConfigurationError(_not_a_name(bucket, key))
        try:
            path = encode_path(key)
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"key {key!r} holds lone surrogates, which UTF-8 cannot carry; "
                "decode file names with os.fsencode and the encoding they were written in"
            ) from None
        if not options:
            return cls(bucket, key, path, {})
        headers, query = render(options)
        mode = options.get("checksum_mode")
        if _CHOOSING.isdisjoint(options):
            return cls(bucket, key, path, headers, query, None, None, None, mode)
        part_number, version_id = options.get("part_number"), options.get("version_id")
        byte_range = options.get("range")
        if isinstance(byte_range, str):
            byte_range = ByteRange.parse(byte_range)
        if byte_range is not None and part_number is not None:
            raise ConfigurationError(
                f"range {str(byte_range)!r} and part_number {part_number} "
                "both choose bytes; pass one of them"
            )
        return cls(bucket, key, path, headers, query, byte_range, part_number, version_id, mode)

    @property
    def has_sse_customer_key(self) -> bool:
        """Whether the request carries a customer's encryption key."""
        return SSE_CUSTOMER_KEY in self.headers

    @property
    def has_response_overrides(self) -> bool:
        """Whether the request asks for other headers in the answer."""
        return any(name.startswith("response-") for name, _ in self.query)

    @property
    def sse_customer_key_md5(self) -> str | None:
        """The base64 MD5 digest of the customer's encryption key."""
        return self.headers.get(SSE_CUSTOMER_KEY_MD5)

    @property
    def resumable(self) -> bool:
        """Whether the request may be sent again for another range: always."""
        return True

    @property
    def presigned(self) -> None:
        """None: the request is signed for each attempt."""

    def for_range(
        self, range: ByteRange, *, if_match: str | None = None, version_id: str | None = None
    ) -> Self:
        """The request for other bytes of the very object that an answer to this one began.

        ``range`` is absolute, so the part number goes. So do the conditions that were about
        whether to answer at all; ``if_match`` and ``version_id`` pin the object instead.
        """
        headers = {
            name: value for name, value in self.headers.items() if name not in _answered_conditions
        }
        headers["Range"] = str(range)
        if if_match is not None:
            headers["If-Match"] = if_match
        if "If-Match" in headers:
            headers.pop("If-Unmodified-Since", None)
        query = [pair for pair in self.query if pair[0] != "partNumber"]
        if version_id is not None:
            query = [pair for pair in query if pair[0] != "versionId"]
            query.append(("versionId", version_id))
        return self._replace(
            headers=headers,
            query=tuple(query),
            range=range,
            part_number=None,
            version_id=self.version_id if version_id is None else version_id,
        )

    def __repr__(self) -> str:
        told = [f"bucket={self.bucket!r}", f"key={self.key!r}"]
        for name, value in (*self.headers.items(), *self.query):
            told.append(f"{name}={'***' if name in _secrets else repr(value)}")
        return f"GetObject({', '.join(told)})"


_CHOOSING = frozenset({"part_number", "range", "version_id"})
_answered_conditions = {"If-None-Match", "If-Modified-Since"}
_secrets = {SSE_CUSTOMER_KEY, SSE_CUSTOMER_KEY_MD5}


def check_sendable(
    request: GetObject,
    *,
    anonymous: bool,
    scheme: str,
    directory_bucket: bool,
    allow_insecure_sse_customer_key: bool,
) -> None:
    """Check the request against where and how it is going to be sent.

    Raises:
        ConfigurationError: S3 refuses such a request, or it would show a secret to the network.
    """
    if anonymous and request.has_response_overrides:
        raise ConfigurationError(
            "response_* overrides need a signed request, and the client is anonymous; "
            "give it credentials or leave them out"
        )
    if request.has_sse_customer_key and scheme != "https" and not allow_insecure_sse_customer_key:
        raise ConfigurationError(
            f"sse_customer_key would cross the network readable over {scheme}; use an https "
            "endpoint, or allow_insecure_sse_customer_key=True on a network that you trust"
        )
    if directory_bucket:
        _check_directory_bucket(request)


def _check_directory_bucket(request: GetObject) -> None:
    if request.has_sse_customer_key:
        raise ConfigurationError(
            "directory buckets do not know SSE-C; leave sse_customer_key out "
            "(they encrypt with SSE-S3 or SSE-KMS)"
        )
    if request.version_id not in (None, "null"):
        raise ConfigurationError(
            f"directory buckets keep no versions, got version_id {request.version_id!r}; "
            'leave it out or pass "null"'
        )
    if REQUEST_PAYER in request.headers:
        raise ConfigurationError(
            "directory buckets do not know Requester Pays; leave request_payer out"
        )


def _not_a_name(bucket: object, key: object) -> str:
    parameter, value = ("key", key) if bucket and isinstance(bucket, str) else ("bucket", bucket)
    if value == "":
        return f"{parameter} is empty"
    return f"{parameter} is text, not {type(value).__name__}: {value!r}"

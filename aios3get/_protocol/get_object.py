"""A GetObject or HeadObject request as a value, before it has an endpoint and a signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aios3get._protocol.options import (
    REQUEST_PAYER,
    SSE_CUSTOMER_KEY,
    SSE_CUSTOMER_KEY_MD5,
    GetObjectOptions,
    serialize,
)
from aios3get._protocol.ranges import ByteRange
from aios3get._protocol.signing.uri import encode_path
from aios3get.errors import ParameterError

__all__ = ["GetObject", "GetObjectOptions", "check_sendable"]


@dataclass(slots=True, repr=False)
class GetObject:
    """A valid GetObject or HeadObject request.

    It is not a tuple, because error reporters print the items of tuples in local variables, and the
    headers may hold an SSE-C key. It is not frozen, because that takes six times as long to create
    (1.7 µs instead of 0.3 µs), and every call creates one; nothing modifies it.

    Attributes:
        bucket: a bucket name, access point alias or ARN.
        key: the key as the caller wrote it.
        path: the key as encoded in the URL.
        headers: the request's own headers, read-only.
        query: the request's own query parameters, not yet encoded.
        range: the requested range; None for the whole object or ``part_number``.
        part_number: the requested part.
        version_id: the requested version.
        checksum_mode: whether the caller requested stored checksums; None if the client decides.
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
        """Check and serialize the arguments of a call.

        Raises:
            ParameterError: an argument is invalid.
        """
        if not (bucket and isinstance(bucket, str) and key and isinstance(key, str)):
            raise ParameterError(_invalid_name(bucket, key))
        try:
            path = encode_path(key)
        except UnicodeEncodeError:
            raise ParameterError(
                f"key {key!r} contains lone surrogates, which UTF-8 cannot encode; decode file "
                "names with os.fsencode and their encoding"
            ) from None
        if not options:
            return cls(bucket, key, path, {})
        headers, query = serialize(options)
        byte_range, part_number = options.get("range"), options.get("part_number")
        if byte_range is not None:
            byte_range = ByteRange.of(byte_range)
            if part_number is not None:
                raise ParameterError(
                    f"range {str(byte_range)!r} and part_number {part_number} exclude each other; "
                    "pass one of them"
                )
        mode = options.get("checksum_mode")
        return cls(
            bucket,
            key,
            path,
            headers,
            query,
            byte_range,
            part_number,
            options.get("version_id"),
            None if mode is None else bool(mode),
        )

    @property
    def has_sse_customer_key(self) -> bool:
        """Whether the request carries an SSE-C key."""
        return SSE_CUSTOMER_KEY in self.headers

    @property
    def has_response_overrides(self) -> bool:
        """Whether the request overrides headers of the response."""
        return any(name.startswith("response-") for name, _ in self.query)

    @property
    def sse_customer_key_md5(self) -> str | None:
        """The base64 MD5 digest of the SSE-C key."""
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
        """The request for another range of the same object; see ``ObjectRequest``.

        ``range`` has absolute offsets, so the part number is dropped. ``If-None-Match`` and
        ``If-Modified-Since`` are dropped too, because the first response has evaluated them.
        """
        headers = {
            name: value for name, value in self.headers.items() if name not in _EVALUATED_CONDITIONS
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
        # ``dataclasses.replace`` takes longer than all the rest of this.
        return type(self)(
            self.bucket,
            self.key,
            self.path,
            headers,
            tuple(query),
            range,
            None,
            self.version_id if version_id is None else version_id,
            self.checksum_mode,
        )

    def __repr__(self) -> str:
        shown = [f"bucket={self.bucket!r}", f"key={self.key!r}"]
        for name, value in (*self.headers.items(), *self.query):
            shown.append(f"{name}={'***' if name in _SECRETS else repr(value)}")
        return f"GetObject({', '.join(shown)})"


_EVALUATED_CONDITIONS = {"If-None-Match", "If-Modified-Since"}
_SECRETS = {SSE_CUSTOMER_KEY, SSE_CUSTOMER_KEY_MD5}


def check_sendable(
    request: GetObject,
    *,
    anonymous: bool,
    scheme: str,
    directory_bucket: bool,
    allow_insecure_sse_customer_key: bool,
) -> None:
    """Check the request against its endpoint and identity.

    Raises:
        ParameterError: S3 rejects such a request there, or it would send an SSE-C key in plain
            text.
    """
    if anonymous and request.has_response_overrides:
        raise ParameterError(
            "response_* options need a signed request, and the client is anonymous; "
            "pass credentials to it or leave them out"
        )
    if request.has_sse_customer_key and scheme != "https" and not allow_insecure_sse_customer_key:
        raise ParameterError(
            f"sse_customer_key would be sent in plain text over {scheme}; use an https endpoint, "
            "or allow_insecure_sse_customer_key=True on a network that you trust"
        )
    if directory_bucket:
        _check_directory_bucket(request)


# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html says of each of these that it
# is not supported for directory buckets.
def _check_directory_bucket(request: GetObject) -> None:
    if request.has_sse_customer_key:
        raise ParameterError(
            "directory buckets do not support SSE-C; leave sse_customer_key out "
            "(they encrypt with SSE-S3 or SSE-KMS)"
        )
    if request.version_id not in (None, "null"):
        raise ParameterError(
            f"directory buckets have no versions, got version_id {request.version_id!r}; "
            'leave it out or pass "null"'
        )
    if REQUEST_PAYER in request.headers:
        raise ParameterError(
            "directory buckets do not support Requester Pays; leave request_payer out"
        )


def _invalid_name(bucket: object, key: object) -> str:
    parameter, value = ("key", key) if bucket and isinstance(bucket, str) else ("bucket", bucket)
    if value == "":
        return f"{parameter} is empty"
    return f"{parameter} must be text, not {type(value).__name__}: {value!r}"

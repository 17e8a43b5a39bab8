"""Selects the announced checksum that covers a response's body, and compares it with the body.

A checksum is compared only if it certainly covers these bytes: a false alarm is as wrong as a
missed error. The cases, from
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html and from
responses of S3:

- ``FULL_OBJECT`` covers the whole object. It is compared if the body is the whole object.
- ``COMPOSITE`` covers the parts' checksums. A response to ``partNumber`` has the part's checksum.
- A composite value ends in ``-N``, but S3 omits that for ``Range: bytes=0-``
  (https://github.com/boto/botocore/issues/3346), and a range that equals a part has the part's
  checksum (https://github.com/awslabs/aws-c-s3/pull/678). So for a range only ``FULL_OBJECT``
  counts.
"""

from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from multidict import istr

from aios3get._protocol.hashing import ALGORITHMS, Algorithm, Buffer, Hasher, encode_digest
from aios3get._protocol.ranges import ContentRange
from aios3get.errors import ChecksumMismatch

__all__ = ["Unverified", "Verified", "Verifier", "select_verifier"]


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a body was compared with one of S3's checksums; true only if they are equal.

    Attributes:
        state: ``"verified"``; ``"pending"`` before the end of the body; ``"unverified"`` if there
            is no checksum to compare with; ``"mismatch"`` if they differ.
        algorithm: S3's name of the algorithm, such as ``CRC64NVME``; None without a comparison.
        reason: a description of what was compared, or why nothing was.
    """

    state: Literal["verified", "pending", "unverified", "mismatch"]
    algorithm: str | None
    reason: str

    def __bool__(self) -> bool:
        return self.state == "verified"

    def __str__(self) -> str:
        label = "not verified" if self.state == "unverified" else self.state
        return f"{label}: {self.reason}"


class Unverified:
    """Replaces a ``Verifier`` if there is no checksum to compare with."""

    compares: Final = False

    def __init__(self, reason: str) -> None:
        self.verified = self.unread = Verified("unverified", None, reason)

    def update(self, data: Buffer) -> None:
        """Do nothing."""

    def restart(self) -> None:
        """Do nothing."""

    def finish(self, rest: bytes = b"") -> None:
        """Do nothing."""


_COMPOSITE: Final = (
    "the checksum covers the parts' checksums (COMPOSITE), not the bytes; "
    "reading by part_number verifies each part"
)

_UNANNOUNCED: Final = Unverified("the response has no checksum")
_UNREQUESTED: Final = Unverified("no checksum was requested; pass checksum_mode=True")
_WHOLE_RANGE: Final = Unverified(
    "the response has no checksum; some servers send none with a range, even of the whole object"
)
_RANGE: Final = Unverified("the response has no checksum; S3 stores none for a range of bytes")

_verified: Final = {
    name: Verified("verified", name, f"the bytes match the {name} of the response")
    for name in ALGORITHMS
}
_pending: Final = {
    name: Verified("pending", name, f"{name} is compared at the end of the body")
    for name in ALGORITHMS
}
_mismatch: Final = {
    name: Verified("mismatch", name, f"the bytes do not match the {name} of the response")
    for name in ALGORITHMS
}


class Verifier:
    """Hashes a body as it arrives and compares the checksum at the end.

    Args:
        algorithm: the checksum's algorithm.
        expected: the checksum.
    """

    compares: Final = True
    _hasher: Hasher | None = None

    def __init__(self, algorithm: Algorithm, expected: bytes) -> None:
        self.algorithm = algorithm
        self.expected = expected
        self.verified = _pending[algorithm.name]

    @property
    def unread(self) -> Verified:
        """As ``verified``, but pending instead of verified, until all bytes are handed out."""
        verified = self.verified
        return _pending[self.algorithm.name] if verified else verified

    def update(self, data: Buffer) -> None:
        """Hash the next piece: bytes, a bytearray or a contiguous memoryview."""
        hasher = self._hasher
        if hasher is None:
            hasher = self._hasher = self.algorithm.new()
        hasher.update(data)

    def restart(self) -> None:
        """Start again, because the body restarts."""
        self._hasher = None

    def finish(self, rest: bytes = b"") -> None:
        """Hash the rest of the body and compare.

        Raises:
            ChecksumMismatch: the checksums differ.
        """
        algorithm, hasher = self.algorithm, self._hasher
        if hasher is None:
            actual = algorithm.digest_of(rest)
        else:
            hasher.update(rest)
            actual = hasher.digest()
        name = algorithm.name
        if actual == self.expected:
            self.verified = _verified[name]
            return
        self.verified = _mismatch[name]
        announced, computed = encode_digest(self.expected), encode_digest(actual)
        raise ChecksumMismatch(
            f"the {name} of the body is {computed}, but the response announces {announced}",
            algorithm=name,
            expected=announced,
            actual=computed,
        )


_TYPE: Final = istr("x-amz-checksum-type")
_CONTENT_RANGE: Final = istr("Content-Range")
_by_header: Final = {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}


def select_verifier(
    headers: Mapping[str, str], status: int, *, part: bool = False, requested: bool | None = True
) -> Verifier | Unverified:
    """Return the verifier for a response's body, or an ``Unverified`` with the reason.

    Args:
        headers: the headers of the response.
        status: 200 or 206.
        part: the request named a ``partNumber``.
        requested: the request had ``x-amz-checksum-mode``. Some servers announce checksums without
            it, so this only selects the reason.
    """
    kind = headers.get(_TYPE)
    if kind is None and headers.keys().isdisjoint(_by_header):
        return _unannounced(headers, status, requested)
    # The usual response: the whole object with its checksum.
    if (kind != "FULL_OBJECT" or status != 200 or part) and (
        reason := _not_covered(kind, headers, status, part)
    ):
        return Unverified(reason)
    reasons: list[str] = []
    for header, algorithm in _by_header.items():
        value = headers.get(header)
        if value is not None:
            verifier = _verifier(algorithm, value.strip())
            if isinstance(verifier, Verifier):
                return verifier
            reasons.append(verifier)
    return Unverified("; ".join(reasons) or _unknown(headers))


def _verifier(algorithm: Algorithm, value: str) -> Verifier | str:
    try:
        digest = a2b_base64(value, strict_mode=True)
    except ValueError:
        digest = b""
    if len(digest) == algorithm.size and algorithm.available:
        return Verifier(algorithm, digest)
    name = algorithm.name
    if "-" in value:
        return f"the announced {name} {value!r:.80} covers the parts' checksums, not the bytes"
    if not algorithm.available:
        return f'{name} needs a package: pip install "aios3get[xxhash]"'
    if not digest:
        return f"the announced {name} {value!r:.80} is not base64"
    return f"the announced {name} {value!r:.80} has {len(digest)} bytes, not {algorithm.size}"


def _not_covered(
    kind: str | None, headers: Mapping[str, str], status: int, part: bool
) -> str | None:
    """Return why the announced checksum may cover other bytes than the body, or None."""
    whole = status == 200 and not part
    if kind == "FULL_OBJECT":
        covered = whole or _holds_all(headers)
        return None if covered else "the checksum covers the whole object, not these bytes"
    if kind is None:
        # Servers without the header, and objects older than it; a composite value ends in "-N".
        return None if whole else "the response does not say which bytes the checksum covers"
    if kind == "COMPOSITE":
        covered = part and status == 206
        return None if covered else _COMPOSITE
    return f"the checksum has the unknown type {kind!r:.80}"


def _holds_all(headers: Mapping[str, str]) -> bool:
    content = ContentRange.parse(headers.get(_CONTENT_RANGE, ""))
    return content is not None and content.start == 0 and content.stop == content.size


def _unannounced(headers: Mapping[str, str], status: int, requested: bool | None) -> Unverified:
    if not requested:
        return _UNREQUESTED
    if status == 206:
        return _WHOLE_RANGE if _holds_all(headers) else _RANGE
    return _UNANNOUNCED


def _unknown(headers: Mapping[str, str]) -> str:
    prefix = "x-amz-checksum-"
    names = [
        lowered.removeprefix(prefix).upper()
        for lowered in map(str.lower, headers)
        if lowered.startswith(prefix) and lowered != _TYPE
    ]
    if not names:
        return "the response names a checksum type, but has no checksum"
    return f"this version does not support the checksum {', '.join(sorted(names))}"

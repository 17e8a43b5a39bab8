"""The checksum algorithms of S3: incremental hashers and their digests.

Every digest is the big-endian bytes that S3 writes as base64
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
"""

import hashlib
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, cast

from anycrc import Model  # pyright: ignore[reportUnknownVariableType]  # it ships no types
from multidict import istr

try:
    import xxhash
except ImportError:
    xxhash = None  # type: ignore[assignment]  # the extra is optional

__all__ = ["ALGORITHMS", "Algorithm", "Buffer", "Hasher", "encode_digest"]

Buffer = bytes | bytearray | memoryview


class Hasher(Protocol):
    """Hashes data piece by piece; ``digest()`` may be called at any time."""

    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc:
    """A CRC in progress: ``calc(data, value)`` continues ``value``."""

    __slots__ = ("_calc", "_size", "_value")

    def __init__(self, calc: Callable[[Buffer, int], int], size: int) -> None:
        self._calc = calc
        self._size = size
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        # anycrc reads a strided view as if it were contiguous, and rejects other item types; the
        # cast rejects the first and allows the second.
        if isinstance(data, memoryview):
            data = data.cast("B")
        self._value = self._calc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class Algorithm(NamedTuple):
    """One algorithm by S3's name.

    Attributes:
        name: as in ``x-amz-checksum-algorithm``, such as ``CRC64NVME``.
        size: bytes in a digest.
        available: whether the package that computes it is installed.
        new: creates a hasher.
        digest_of: returns the digest of bytes in one piece.
        header: the response header with the checksum.
        combine: returns the digest of two concatenated pieces, from their digests and the length of
            the second one, within microseconds; None if the algorithm has no such function.
    """

    name: str
    size: int
    available: bool
    new: Callable[[], Hasher]
    digest_of: Callable[[bytes], bytes]
    header: istr
    combine: Callable[[bytes, bytes, int], bytes] | None = None


def _crc(name: str, size: int, model: Any, new: Callable[[], Hasher] | None = None) -> Algorithm:
    calc = model.calc

    def digest_of(data: bytes) -> bytes:
        digest: bytes = calc(data, 0).to_bytes(size, "big")
        return digest

    def combine(first: bytes, second: bytes, second_length: int) -> bytes:
        combined: int = model.combine(
            int.from_bytes(first, "big"), int.from_bytes(second, "big"), second_length
        )
        return combined.to_bytes(size, "big")

    new = new or partial(_Crc, calc, size)
    return Algorithm(name, size, True, new, digest_of, _header(name), combine)


_crc64nvme: Final = cast(Any, Model("CRC64-NVME"))


def _new_crc64nvme() -> Hasher:
    # awscrt takes a quarter of anycrc's time, but 50 ms to import, in which no thread runs Python.
    # It is used if the program has imported it, as botocore does where it is installed.
    awscrt = sys.modules.get("awscrt.checksums")
    return _Crc(getattr(awscrt, "crc64nvme", _crc64nvme.calc), 8)


def _hash(name: str, size: int, new: Callable[..., Any], *, available: bool = True) -> Algorithm:
    def digest_of(data: bytes) -> bytes:
        digest: bytes = new(data).digest()
        return digest

    return Algorithm(name, size, available, new, digest_of, _header(name))


def _sha(name: str, size: int) -> Algorithm:
    # FIPS builds of OpenSSL refuse MD5 and SHA-1 without usedforsecurity=False.
    return _hash(name, size, partial(getattr(hashlib, name.lower()), usedforsecurity=False))


def _xxh(name: str, size: int, function: str) -> Algorithm:
    return _hash(name, size, getattr(xxhash, function, _missing), available=xxhash is not None)


def _missing(*data: bytes) -> Hasher:
    raise NotImplementedError("xxhash is not installed")


def _header(name: str) -> istr:
    return istr(f"x-amz-checksum-{name.lower()}")


ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            _crc("CRC64NVME", 8, _crc64nvme, _new_crc64nvme),
            _crc("CRC32C", 4, Model("CRC32C")),
            _crc("CRC32", 4, Model("CRC32")),
            _xxh("XXHASH3", 8, "xxh3_64"),
            _xxh("XXHASH128", 16, "xxh3_128"),
            _xxh("XXHASH64", 8, "xxh64"),
            _sha("MD5", 16),
            _sha("SHA1", 20),
            _sha("SHA512", 64),
            _sha("SHA256", 32),
        )
    }
)
"""Every algorithm of S3: its default first, then the faster ones before the others."""


def encode_digest(digest: bytes) -> str:
    """Return the base64 text of a digest, as in S3's headers."""
    return b64encode(digest).decode("ascii")

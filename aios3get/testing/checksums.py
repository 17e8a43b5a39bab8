"""The ten checksum algorithms of S3, and composite checksums of parts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

import anycrc

Data = bytes | memoryview

__all__ = ["ALGORITHMS", "checksum", "composite_checksum", "default_type"]


def _crc(model: str, width: int) -> Callable[[Data], bytes]:
    # anycrc ships no types.
    crc: Any = cast(Any, anycrc).Model(model)

    def digest(data: Data) -> bytes:
        value: int = crc.calc(data)
        return value.to_bytes(width, "big")

    return digest


def _hash(name: str) -> Callable[[Data], bytes]:
    return lambda data: hashlib.new(name, data, usedforsecurity=False).digest()


def _xxhash(name: str) -> Callable[[Data], bytes]:
    # Imported on demand, because the package is an extra.
    def digest(data: Data) -> bytes:
        value: bytes = getattr(import_module("xxhash"), name)(data).digest()
        return value

    return digest


ALGORITHMS: dict[str, Callable[[Data], bytes]] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": _crc("CRC32C", 4),
    "CRC64NVME": _crc("CRC64-NVME", 8),
    "SHA1": _hash("sha1"),
    "SHA256": _hash("sha256"),
    "SHA512": _hash("sha512"),
    "MD5": _hash("md5"),
    "XXHASH64": _xxhash("xxh64"),
    "XXHASH3": _xxhash("xxh3_64"),
    "XXHASH128": _xxhash("xxh3_128"),
}


def checksum(algorithm: str, data: Data) -> str:
    """Return the value of ``x-amz-checksum-<algorithm>`` for ``data``."""
    return b64encode(ALGORITHMS[algorithm](data)).decode()


def composite_checksum(algorithm: str, parts: Sequence[Data]) -> str:
    """Return the checksum of the parts' checksums, without its ``-N``."""
    return checksum(algorithm, b"".join(ALGORITHMS[algorithm](part) for part in parts))


def default_type(algorithm: str) -> str:
    """Return the default checksum type of a multipart upload.

    CreateMultipartUpload: CRC64NVME is always full-object.
    """
    return "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"

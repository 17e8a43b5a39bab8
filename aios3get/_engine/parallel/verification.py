"""Compares what many requests read of a whole object with the object's stored checksum.

S3 sends no checksum with a range, so a HEAD request beside the first GET fetches it. A CRC of the
whole object is combined from those of the pieces. Other checksums, and those of an object that was
uploaded in parts and has the checksum of their checksums, take another look at the bytes once they
are at their destination.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import asyncio
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from aios3get._engine.parallel.digests import Digests
from aios3get._engine.parallel.opening import ObjectRead
from aios3get._engine.parallel.parts import Span
from aios3get._protocol.checksum import Verified
from aios3get._protocol.hashing import ALGORITHMS, Algorithm, Buffer, encode_digest
from aios3get._protocol.header_values import integer
from aios3get._protocol.pin import Pin
from aios3get.errors import ChecksumMismatch, S3Error

__all__ = ["StoredChecksum", "Verification", "parse_stored_checksum"]

_HEADS: Final = 16

# Reads bytes from their destination. It blocks.
ReadBack = Callable[[Span], Iterable[Buffer]]


class StoredChecksum(NamedTuple):
    """The checksum of a whole object.

    Attributes:
        algorithm: its algorithm.
        digest: its bytes.
        parts: if it is the checksum of the checksums of the object's parts, their number.
    """

    algorithm: Algorithm
    digest: bytes
    parts: int | None

    @property
    def text(self) -> str:
        """The checksum as S3 writes it."""
        return encode_digest(self.digest) + ("" if self.parts is None else f"-{self.parts}")


def parse_stored_checksum(headers: Mapping[str, str]) -> StoredChecksum | str:
    """The checksum in the response headers of a whole object, or why there is none to use."""
    kind = headers.get("x-amz-checksum-type")
    reasons: list[str] = []
    for algorithm in ALGORITHMS.values():
        text = headers.get(algorithm.header)
        if text is None:
            continue
        if not algorithm.available:
            reasons.append(f'{algorithm.name} needs a package: pip install "aios3get[xxhash]"')
            continue
        value, dash, count = text.strip().partition("-")
        try:
            digest = a2b_base64(value, strict_mode=True)
        except ValueError:
            digest = b""
        composite = bool(dash) and count.isascii() and count.isdecimal() and len(count) < 6
        if len(digest) != algorithm.size or composite != (kind == "COMPOSITE" or bool(dash)):
            reasons.append(f"the stored {algorithm.name} {text!r:.80} is malformed")
        elif kind in (None, "FULL_OBJECT", "COMPOSITE"):
            return StoredChecksum(algorithm, digest, int(count) if composite else None)
        else:
            reasons.append(f"the stored checksum has the unknown type {kind!r:.80}")
    return "; ".join(reasons) or "the object has no stored checksum that this version knows"


class Verification:
    """The digests of one read of a whole object, and the stored checksum to compare them with.

    Args:
        read: the call.
        pin: the version that is read.
        size: the object's size in bytes.

    Attributes:
        algorithm: the algorithm of the pieces' digests; None where they are of no use.
    """

    def __init__(self, read: ObjectRead, pin: Pin, size: int) -> None:
        self._read = read
        self._pin = pin
        self._whole = Span(0, size)
        # S3's default, and the fastest, until the HEAD response names the object's own.
        self.algorithm: Algorithm | None = ALGORITHMS["CRC64NVME"]
        self._digests: dict[str, Digests] = {}
        self._stored = asyncio.create_task(self._fetch())

    def add(self, span: Span, algorithm: Algorithm, digest: bytes) -> None:
        """Record the digest of a piece."""
        self._digests_of(algorithm).add(span, digest)

    def _digests_of(self, algorithm: Algorithm) -> Digests:
        digests = self._digests.get(algorithm.name)
        if digests is None:
            digests = self._digests[algorithm.name] = Digests(algorithm)
        return digests

    async def conclude(self, read_back: ReadBack) -> Verified:
        """Compare the bytes, which have all been read, with the stored checksum.

        Args:
            read_back: reads bytes from their destination; called in a thread.

        Raises:
            ChecksumMismatch: they differ.
        """
        stored = await self._stored
        if isinstance(stored, str):
            return _unverified(stored)
        if stored.parts is not None:
            return await self._conclude_composite(stored, read_back)
        algorithm = stored.algorithm
        if algorithm.combine is None:
            digest = await asyncio.to_thread(_digest, algorithm, read_back, self._whole)
        else:
            digests = self._digests_of(algorithm)
            for span in digests.missing(self._whole):
                piece = await asyncio.to_thread(_digest, algorithm, read_back, span)
                digests.add(span, piece)
            digest = digests.combined()
        if digest != stored.digest:
            raise _mismatch(stored, encode_digest(digest))
        return _verified(stored)

    async def _conclude_composite(self, stored: StoredChecksum, read_back: ReadBack) -> Verified:
        """Compare with the checksum of the checksums of the object's parts."""
        count = stored.parts
        assert count is not None

        async def compute(parts: list[Span]) -> str:
            return await asyncio.to_thread(_composite, stored.algorithm, read_back, parts)

        try:
            equal = await self._equal_parts(count)
            if equal is not None and await compute(equal) == stored.text:
                return _verified(stored)
            parts = await self._all_parts(count)
        except S3Error as error:
            return _unverified(f"the sizes of the object's parts could not be fetched: {error}")
        if parts is None:
            return _unverified("the server does not tell the sizes of the object's parts")
        actual = await compute(parts)
        if actual == stored.text:
            return _verified(stored)
        raise _mismatch(stored, actual)

    async def _equal_parts(self, count: int) -> list[Span] | None:
        """The object's parts, if all but the last one have the size of the first one."""
        first = await self._part_size(1)
        size = self._whole.stop
        if first is None or not first * (count - 1) < size <= first * count:
            return None
        return [Span(start, min(start + first, size)) for start in range(0, size, first)]

    async def _all_parts(self, count: int) -> list[Span] | None:
        """The object's parts, whose sizes need not be equal: one HEAD request for each."""
        spans: list[Span] = []
        stop = 0
        for number in range(1, count + 1, _HEADS):
            numbers = range(number, min(number + _HEADS, count + 1))
            for size in await asyncio.gather(*map(self._part_size, numbers)):
                if size is None:
                    return None
                spans.append(Span(stop, stop + size))
                stop += size
        return spans if stop == self._whole.stop else None

    async def _part_size(self, number: int) -> int | None:
        status, headers = await self._read.head(self._pin, number)
        size = integer(headers.get("Content-Length", ""))
        return size if status == 206 and headers.get("ETag") == self._pin.etag else None

    async def _fetch(self) -> StoredChecksum | str:
        stored = await self._stored_checksum()
        combines = not isinstance(stored, str) and stored.parts is None and stored.algorithm.combine
        self.algorithm = stored.algorithm if not isinstance(stored, str) and combines else None
        return stored

    async def _stored_checksum(self) -> StoredChecksum | str:
        try:
            _, headers = await self._read.head(self._pin)
        except S3Error as error:
            return f"the stored checksum could not be fetched: {error}"
        if headers.get("ETag") != self._pin.etag:
            return "the object was replaced before its stored checksum was fetched"
        return parse_stored_checksum(headers)

    def close(self) -> None:
        """Cancel the HEAD request, if it is still under way."""
        self._stored.cancel()


def _digest(algorithm: Algorithm, read_back: ReadBack, span: Span) -> bytes:
    hasher = algorithm.new()
    for chunk in read_back(span):
        hasher.update(chunk)
    return hasher.digest()


def _composite(algorithm: Algorithm, read_back: ReadBack, parts: list[Span]) -> str:
    digests = (_digest(algorithm, read_back, part) for part in parts)
    return f"{encode_digest(algorithm.digest_of(b''.join(digests)))}-{len(parts)}"


def _verified(stored: StoredChecksum) -> Verified:
    name = stored.algorithm.name
    return Verified("verified", name, f"the bytes have the {name} that the object is stored with")


def _unverified(reason: str) -> Verified:
    return Verified("unverified", None, reason)


def _mismatch(stored: StoredChecksum, actual: str) -> ChecksumMismatch:
    name = stored.algorithm.name
    return ChecksumMismatch(
        f"the {name} of the bytes is {actual}, but the object is stored with {stored.text}",
        algorithm=name,
        expected=stored.text,
        actual=actual,
    )

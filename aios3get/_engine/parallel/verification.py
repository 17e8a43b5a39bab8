"""Verifies bytes that were read with many requests against their stored checksum.

The CRC of the whole is combined from those of the pieces. For other algorithms and for composite
checksums (the checksum of the parts' checksums), the bytes are read back from their destination.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from aios3get._engine.parallel.digests import Digests
from aios3get._engine.parallel.parts import Span
from aios3get._engine.parallel.stored_checksum import StoredChecksum, StoredChecksums
from aios3get._protocol.checksum import Verified
from aios3get._protocol.hashing import ALGORITHMS, Algorithm, Buffer, Hasher, encode_digest
from aios3get.errors import ChecksumMismatch, S3Error

__all__ = ["OrderedVerification", "Verification"]

_EARLY_BYTES: Final = 8 << 20

_NO_PARTS: Final = "the server does not return the sizes of the object's parts"
_PARTS_NOT_FETCHED: Final = "the sizes of the object's parts could not be fetched: {}"
_UNEQUAL_PARTS: Final = (
    "the parts of the composite checksum do not have the size of the first one; download_object and"
    " read_into can verify it"
)

# Reads bytes from their destination. It blocks.
ReadBack = Callable[[Span], Iterable[Buffer]]


class Verification:
    """Verifies bytes that are received in any order and can be read back.

    Args:
        stored: fetches the checksum.
    """

    def __init__(self, stored: StoredChecksums) -> None:
        self._stored = stored
        self._digests: dict[str, Digests] = {}

    @property
    def algorithm(self) -> Algorithm | None:
        """The algorithm for the digests of pieces; None if they would not be used."""
        stored = self._stored.known
        if stored is None:
            # S3's default, and the fastest.
            return ALGORITHMS["CRC64NVME"]
        if isinstance(stored, str) or stored.parts is not None:
            return None
        return stored.algorithm if stored.algorithm.combine is not None else None

    def add(self, span: Span, algorithm: Algorithm, digest: bytes) -> None:
        """Record the digest of a piece."""
        self._digests_of(algorithm).add(span, digest)

    def _digests_of(self, algorithm: Algorithm) -> Digests:
        digests = self._digests.get(algorithm.name)
        if digests is None:
            digests = self._digests[algorithm.name] = Digests(algorithm)
        return digests

    async def conclude(self, read_back: ReadBack) -> Verified:
        """Compare the bytes with the stored checksum, after all of them have been read.

        Args:
            read_back: reads bytes from their destination; called in a thread.

        Raises:
            ChecksumMismatch: they differ.
        """
        stored = await self._stored.get()
        if isinstance(stored, str):
            return _unverified(stored)
        if stored.parts is not None:
            return await self._conclude_composite(stored, stored.parts, read_back)
        algorithm, whole = stored.algorithm, self._stored.span
        if algorithm.combine is None:
            digest = await asyncio.to_thread(_digest, algorithm, read_back, whole)
        else:
            digests = self._digests_of(algorithm)
            for span in digests.missing(whole):
                piece = await asyncio.to_thread(_digest, algorithm, read_back, span)
                digests.add(span, piece)
            digest = digests.combined()
        return _compare(stored, encode_digest(digest))

    async def aclose(self) -> None:
        """Cancel the request for the checksum if it is still running."""
        await self._stored.aclose()

    async def _conclude_composite(
        self, stored: StoredChecksum, count: int, read_back: ReadBack
    ) -> Verified:
        """Compare the bytes with a composite checksum."""

        async def compute(parts: list[Span]) -> str:
            digests = [
                await asyncio.to_thread(_digest, stored.algorithm, read_back, part)
                for part in parts
            ]
            return _composite(stored.algorithm, digests)

        try:
            equal = await self._stored.equal_parts(count)
            if equal is not None and await compute(equal) == stored.text:
                return _verified(stored)
            parts = await self._stored.all_parts(count)
        except S3Error as error:
            return _unverified(_PARTS_NOT_FETCHED.format(error))
        return _unverified(_NO_PARTS) if parts is None else _compare(stored, await compute(parts))


class OrderedVerification:
    """Verifies bytes that are handed out in order and cannot be read back.

    Args:
        stored: fetches the checksum.
    """

    def __init__(self, stored: StoredChecksums) -> None:
        self._stored = stored
        # Bytes that were handed out before the algorithm was known.
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._checksum: StoredChecksum | str | None = None
        # The digests of complete parts, the hasher of the current part and its missing bytes.
        self._parts: list[Span] | None = None
        self._digests: list[bytes] = []
        self._hasher: Hasher | None = None
        self._left = 0

    async def prepare(self) -> None:
        """Wait for the checksum if many bytes were handed out before the algorithm is known."""
        early = self._stored.known is None and self._early_bytes < _EARLY_BYTES
        if self._checksum is None and not early:
            await self._prepare()

    def update(self, data: bytes) -> None:
        """Hash the next bytes."""
        if self._checksum is None:
            self._early.append(data)
            self._early_bytes += len(data)
        else:
            self._hash(data)

    async def _prepare(self) -> None:
        """Wait for the algorithm and the parts, and hash the bytes handed out so far."""
        checksum = await self._stored.get()
        if not isinstance(checksum, str):
            self._parts = [self._stored.span]
            if checksum.parts is not None:
                try:
                    self._parts = await self._find_parts(checksum.parts)
                except S3Error as error:
                    checksum = _PARTS_NOT_FETCHED.format(error)
                else:
                    checksum = _NO_PARTS if self._parts is None else checksum
        self._checksum = checksum
        early, self._early = self._early, []
        for data in early:
            self._hash(data)

    async def _find_parts(self, count: int) -> list[Span] | None:
        stored = self._stored
        return await stored.equal_parts(count) or await stored.all_parts(count)

    def _hash(self, data: bytes) -> None:
        checksum = self._checksum
        if isinstance(checksum, str) or checksum is None or self._parts is None:
            return
        view = memoryview(data)
        while view:
            if self._hasher is None:
                self._hasher = checksum.algorithm.new()
                self._left = self._parts[len(self._digests)].size
            self._hasher.update(view[: self._left])
            taken = min(self._left, len(view))
            self._left -= taken
            view = view[taken:]
            if not self._left:
                self._digests.append(self._hasher.digest())
                self._hasher = None

    async def aclose(self) -> None:
        """Cancel the request for the checksum if it is still running."""
        await self._stored.aclose()

    async def conclude(self) -> Verified:
        """Compare the bytes with the stored checksum, after all of them were handed out.

        Raises:
            ChecksumMismatch: they differ.
        """
        if self._checksum is None:
            await self._prepare()
        checksum = self._checksum
        assert checksum is not None
        if isinstance(checksum, str):
            return _unverified(checksum)
        if checksum.parts is None:
            return _compare(checksum, encode_digest(self._digests[0]))
        actual = _composite(checksum.algorithm, self._digests)
        if actual != checksum.text:
            try:
                parts = await self._stored.all_parts(checksum.parts)
            except S3Error as error:
                return _unverified(_PARTS_NOT_FETCHED.format(error))
            if parts != self._parts:
                return _unverified(_UNEQUAL_PARTS)
        return _compare(checksum, actual)


def _digest(algorithm: Algorithm, read_back: ReadBack, span: Span) -> bytes:
    hasher = algorithm.new()
    for chunk in read_back(span):
        hasher.update(chunk)
    return hasher.digest()


def _composite(algorithm: Algorithm, digests: list[bytes]) -> str:
    return f"{encode_digest(algorithm.digest_of(b''.join(digests)))}-{len(digests)}"


def _compare(stored: StoredChecksum, actual: str) -> Verified:
    if actual == stored.text:
        return _verified(stored)
    name = stored.algorithm.name
    raise ChecksumMismatch(
        f"the {name} of the bytes is {actual}, but the stored checksum is {stored.text}",
        algorithm=name,
        expected=stored.text,
        actual=actual,
    )


def _verified(stored: StoredChecksum) -> Verified:
    name = stored.algorithm.name
    return Verified("verified", name, f"the bytes match the stored {name}")


def _unverified(reason: str) -> Verified:
    return Verified("unverified", None, reason)

"""Compares the bytes of a whole object, read with many requests, with its stored checksum.

S3 sends no checksum with a range, so a HEAD request beside the first GET fetches it. A CRC of the
whole object is combined from those of the pieces. For other algorithms and for composite checksums
(the checksum of the parts' checksums), the bytes are read back from their destination.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import asyncio
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from aios3get._engine.parallel.digests import Digests
from aios3get._engine.parallel.opening import Beginning, ObjectRead
from aios3get._engine.parallel.parts import Span
from aios3get._protocol.checksum import Verified
from aios3get._protocol.hashing import ALGORITHMS, Algorithm, Buffer, Hasher, encode_digest
from aios3get._protocol.header_values import integer
from aios3get._protocol.pin import Pin
from aios3get.errors import ChecksumMismatch, S3Error, UsageError

__all__ = [
    "OrderedVerification",
    "StoredChecksum",
    "StoredChecksums",
    "Verification",
    "fetch_stored_checksum",
    "parse_stored_checksum",
]

_HEADS: Final = 16
_EARLY_BYTES: Final = 8 << 20

_NO_PARTS: Final = "the server does not return the sizes of the object's parts"
_PARTS_NOT_FETCHED: Final = "the sizes of the object's parts could not be fetched: {}"
_UNEQUAL_PARTS: Final = (
    "the object has a composite checksum and parts of different sizes; download_object and"
    " read_into can verify it"
)

# Reads bytes from their destination. It blocks.
ReadBack = Callable[[Span], Iterable[Buffer]]


class StoredChecksum(NamedTuple):
    """The checksum of a whole object.

    Attributes:
        algorithm: its algorithm.
        digest: its bytes.
        parts: the number of parts of a composite checksum; None for a full-object checksum.
    """

    algorithm: Algorithm
    digest: bytes
    parts: int | None

    @property
    def text(self) -> str:
        """The checksum in S3's notation."""
        return encode_digest(self.digest) + ("" if self.parts is None else f"-{self.parts}")


def parse_stored_checksum(headers: Mapping[str, str]) -> StoredChecksum | str:
    """Return the checksum in the headers of a whole object, or the reason why there is none."""
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
    return "; ".join(reasons) or "the object has no stored checksum of a known algorithm"


def fetch_stored_checksum(read: ObjectRead, begun: Beginning) -> "StoredChecksums | str":
    """Start to fetch the stored checksum, or return the reason why it does not apply."""
    size = begun.extent.size
    if not begun.wants_checksum:
        return "no checksum was requested; pass checksum_mode=True"
    if size is None or begun.span != (0, size):
        return "the stored checksum covers the whole object, but only a range is read"
    return StoredChecksums(read, begun.pin, size)


class StoredChecksums:
    """Fetches the stored checksum of one version of an object.

    Args:
        read: the call.
        pin: the version.
        size: the object's size in bytes.

    Attributes:
        known: the result of ``get``; None until the response has arrived.
    """

    def __init__(self, read: ObjectRead, pin: Pin, size: int) -> None:
        self._read = read
        self._pin = pin
        self.size = size
        self.known: StoredChecksum | str | None = None
        self._task = asyncio.create_task(self._fetch())

    async def get(self) -> StoredChecksum | str:
        """Wait for the checksum; a string is the reason why there is none.

        Raises:
            UsageError: ``close`` was called meanwhile.
        """
        # A cancelled wait leaves the request to the next one.
        await asyncio.wait({self._task})
        if self._task.cancelled():
            raise UsageError("the stream was closed during the read")
        return self._task.result()

    async def _fetch(self) -> StoredChecksum | str:
        self.known = known = await self._request()
        return known

    async def _request(self) -> StoredChecksum | str:
        try:
            _, headers = await self._read.head(self._pin)
        except S3Error as error:
            return f"the stored checksum could not be fetched: {error}"
        if headers.get("ETag") != self._pin.etag:
            return "the object was replaced before its stored checksum was fetched"
        return parse_stored_checksum(headers)

    async def equal_parts(self, count: int) -> list[Span] | None:
        """Return the object's parts if all but the last have the size of the first one.

        Raises:
            S3Error: the size could not be fetched.
        """
        first = await self._part_size(1)
        size = self.size
        if first is None or not first * (count - 1) < size <= first * count:
            return None
        return [Span(start, min(start + first, size)) for start in range(0, size, first)]

    async def all_parts(self, count: int) -> list[Span] | None:
        """Return the object's parts of any size, with one HEAD request for each.

        Raises:
            S3Error: a size could not be fetched.
        """
        spans: list[Span] = []
        stop = 0
        for number in range(1, count + 1, _HEADS):
            numbers = range(number, min(number + _HEADS, count + 1))
            for size in await asyncio.gather(*map(self._part_size, numbers)):
                if size is None:
                    return None
                spans.append(Span(stop, stop + size))
                stop += size
        return spans if stop == self.size else None

    async def _part_size(self, number: int) -> int | None:
        status, headers = await self._read.head(self._pin, number)
        size = integer(headers.get("Content-Length", ""))
        return size if status == 206 and headers.get("ETag") == self._pin.etag else None

    def close(self) -> None:
        """Cancel the request if it is still running."""
        self._task.cancel()


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
        algorithm, whole = stored.algorithm, Span(0, self._stored.size)
        if algorithm.combine is None:
            digest = await asyncio.to_thread(_digest, algorithm, read_back, whole)
        else:
            digests = self._digests_of(algorithm)
            for span in digests.missing(whole):
                piece = await asyncio.to_thread(_digest, algorithm, read_back, span)
                digests.add(span, piece)
            digest = digests.combined()
        return _compare(stored, encode_digest(digest))

    def close(self) -> None:
        """Cancel the request for the checksum if it is still running."""
        self._stored.close()

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
            self._parts = [Span(0, self._stored.size)]
            if checksum.parts is not None:
                try:
                    self._parts = await self._stored.equal_parts(checksum.parts)
                except S3Error as error:
                    checksum = _PARTS_NOT_FETCHED.format(error)
                else:
                    checksum = _UNEQUAL_PARTS if self._parts is None else checksum
        self._checksum = checksum
        early, self._early = self._early, []
        for data in early:
            self._hash(data)

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

    def close(self) -> None:
        """Cancel the request for the checksum if it is still running."""
        self._stored.close()

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

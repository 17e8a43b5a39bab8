"""Fetches the stored checksum for a read with many requests.

S3 sends no checksum with a range, so a HEAD request beside the first GET fetches that of the whole
object.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import asyncio
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Final, NamedTuple

from aios3get._engine.parallel.object_read import FirstResponse, ObjectRead
from aios3get._engine.parallel.parts import Span
from aios3get._engine.parallel.tasks import TaskGroup
from aios3get._protocol.checksum import Unverified, select_verifier
from aios3get._protocol.hashing import ALGORITHMS, Algorithm, encode_digest
from aios3get._protocol.header_values import integer
from aios3get._protocol.pin import Pin
from aios3get.errors import S3Error, UsageError

__all__ = ["StoredChecksum", "StoredChecksums", "fetch_stored_checksum", "parse_stored_checksum"]

_HEADS: Final = 16


class StoredChecksum(NamedTuple):
    """The stored checksum of an object or a part.

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


def fetch_stored_checksum(read: ObjectRead, first: FirstResponse) -> "StoredChecksums | str":
    """Start to fetch the stored checksum, or return the reason why it does not apply."""
    size, span = first.extent.size, first.span
    if not first.requests_checksum:
        return "no checksum was requested; pass checksum_mode=True"
    assert span is not None
    if read.request.part_number is not None:
        headers = first.response.headers
        verifier = select_verifier(headers, first.response.status, part=True)
        if isinstance(verifier, Unverified):
            return verifier.verified.reason
        known = StoredChecksum(verifier.algorithm, verifier.expected, None)
        return StoredChecksums(read, first.pin, span, known)
    if span != (0, size):
        return "the stored checksum covers the whole object, but only a range is read"
    return StoredChecksums(read, first.pin, span)


class StoredChecksums:
    """Fetches the stored checksum of one version of an object, or of a part of it.

    Args:
        read: the call.
        pin: the version.
        span: the bytes that the checksum covers.
        known: the checksum, if it was in the first response.

    Attributes:
        known: the result of ``get``; None until the response has arrived.
    """

    def __init__(
        self, read: ObjectRead, pin: Pin, span: Span, known: StoredChecksum | None = None
    ) -> None:
        self._read = read
        self._pin = pin
        self.span = span
        self.known: StoredChecksum | str | None = known
        self._task: asyncio.Task[None] | None = None
        if known is None:
            self._task = asyncio.create_task(self._fetch())
            self._task.add_done_callback(self._end)

    async def get(self) -> StoredChecksum | str:
        """Wait for the checksum; a string is the reason why there is none.

        Raises:
            UsageError: ``aclose`` was called meanwhile.
        """
        # Cancelling this wait does not cancel the request, so that the next wait can continue.
        if self._task is not None:
            await asyncio.wait({self._task})
        if self.known is None:
            raise UsageError("the stream was closed during the read")
        return self.known

    async def _fetch(self) -> None:
        self.known = await self._request()

    def _end(self, _: asyncio.Task[None]) -> None:
        # From CPython 3.12 on, a cancelled task keeps its exception, whose frames have this object.
        self._task = None

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
        size = self.span.size
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
            async with TaskGroup() as tasks:
                sizes = [tasks.create_task(self._part_size(number)) for number in numbers]
            for size in (task.result() for task in sizes):
                if size is None:
                    return None
                spans.append(Span(stop, stop + size))
                stop += size
        return spans if stop == self.span.size else None

    async def _part_size(self, number: int) -> int | None:
        status, headers = await self._read.head(self._pin, number)
        size = integer(headers.get("Content-Length", ""))
        return size if status == 206 and headers.get("ETag") == self._pin.etag else None

    async def aclose(self) -> None:
        """Cancel the request if it is still running."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

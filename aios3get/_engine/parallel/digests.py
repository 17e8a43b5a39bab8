"""Combines the digests of an object's pieces, which arrive in any order."""

from aios3get._engine.parallel.parts import Span, gaps
from aios3get._protocol.hashing import Algorithm

__all__ = ["Digests"]


class Digests:
    """Digests of disjoint pieces of an object.

    Args:
        algorithm: an algorithm whose digests can be combined.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        if algorithm.combine is None:
            raise ValueError(f"digests of {algorithm.name} cannot be combined")
        self.algorithm = algorithm
        self._combine = algorithm.combine
        self._pieces: dict[Span, bytes] = {}

    def add(self, span: Span, digest: bytes) -> None:
        """Record the digest of a piece; one without bytes is ignored."""
        if span.size:
            self._pieces[span] = digest

    def missing(self, within: Span) -> list[Span]:
        """The ranges of ``within`` that no piece covers, in order."""
        return gaps(within, self._pieces)

    def combined(self) -> bytes:
        """Return the digest of all pieces, concatenated in order."""
        whole = self.algorithm.digest_of(b"")
        for span in sorted(self._pieces):
            whole = self._combine(whole, self._pieces[span], span.size)
        return whole

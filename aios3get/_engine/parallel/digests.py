"""The digest of a long range from those of its pieces, which come in any order."""

from aios3get._engine.parallel.parts import Span, gaps
from aios3get._protocol.hashing import Algorithm

__all__ = ["Digests"]


class Digests:
    """Digests of disjoint pieces of an object.

    Args:
        algorithm: one whose digests combine.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        if algorithm.combine is None:
            raise ValueError(f"digests of {algorithm.name} do not combine")
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
        """The digest of all pieces put together in order."""
        whole = self.algorithm.digest_of(b"")
        for span in sorted(self._pieces):
            whole = self._combine(whole, self._pieces[span], span.size)
        return whole

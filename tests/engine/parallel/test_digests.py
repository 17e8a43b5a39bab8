from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get._engine.parallel.digests import Digests
from aios3get._engine.parallel.parts import Span
from aios3get._protocol.hashing import ALGORITHMS

CRC = ALGORITHMS["CRC64NVME"]


@given(st.binary(max_size=300), st.data())
def test_pieces_in_any_order_combine_to_the_digest_of_the_whole(
    body: bytes, data: st.DataObject
) -> None:
    cuts = sorted({0, len(body), *data.draw(st.lists(st.integers(0, len(body))))})
    spans = [Span(*pair) for pair in pairwise(cuts)]
    digests = Digests(CRC)
    assert digests.missing(Span(0, len(body))) == [Span(0, len(body))] * bool(body)
    for span in data.draw(st.permutations(spans)):
        assert digests.missing(span) == [span]
        digests.add(span, CRC.digest_of(body[span.start : span.stop]))
    assert digests.missing(Span(0, len(body))) == []
    assert digests.combined() == CRC.digest_of(body)


def test_missing_names_the_gaps_in_order() -> None:
    digests = Digests(CRC)
    digests.add(Span(30, 40), bytes(8))
    digests.add(Span(10, 20), bytes(8))
    digests.add(Span(25, 25), bytes(8))
    assert digests.missing(Span(0, 50)) == [Span(0, 10), Span(20, 30), Span(40, 50)]
    assert digests.missing(Span(15, 30)) == [Span(20, 30)]
    assert digests.missing(Span(12, 20)) == []
    assert digests.missing(Span(0, 5)) == [Span(0, 5)]


def test_algorithm_that_cannot_combine_is_refused() -> None:
    with pytest.raises(ValueError, match="SHA256"):
        Digests(ALGORITHMS["SHA256"])

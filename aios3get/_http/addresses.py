"""Which of a name's addresses a new connection tries first."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

__all__ = ["Addresses"]

_LIMIT: Final = 256
_SECONDS: Final = 30.0


class Addresses:
    """What is known of the addresses of all names: which of them failed lately.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, float] = {}
        self._turn = 0

    def failed(self, address: str) -> None:
        """An attempt at this address failed; others go first for a while."""
        self._failed.pop(address, None)
        if len(self._failed) >= _LIMIT:
            del self._failed[next(iter(self._failed))]
        self._failed[address] = self._clock()

    def ordered(
        self, found: Sequence[Mapping[str, Any]], *, in_turn: bool
    ) -> list[Mapping[str, Any]]:
        """The same with those that failed lately last, the latest at the very end.

        Args:
            found: a resolver's answer; ``host`` is an address.
            in_turn: whether each answer begins one address further on than the one before it.
        """
        turn = self._turn % len(found) if in_turn else 0
        self._turn += in_turn
        lately = self._clock() - _SECONDS
        return sorted(
            [*found[turn:], *found[:turn]],
            key=lambda each: max(lately, self._failed.get(each["host"], lately)),
        )

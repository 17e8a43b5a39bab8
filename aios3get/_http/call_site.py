"""The place in the user's code that made a call, cheap to take and spelled out when needed."""

from types import CodeType

__all__ = ["Place", "describe"]

# The code object and the offset of its instruction: a line number would cost more to look up.
Place = tuple[CodeType, int]


def describe(place: Place) -> str:
    """The file and line of the place, as ``file:line``."""
    code, offset = place
    line = next(
        (line for start, stop, line in code.co_lines() if start <= offset < stop),
        code.co_firstlineno,
    )
    return f"{code.co_filename}:{line}"

"""The place in the user's code that made a call: cheap to record, formatted on demand."""

from types import CodeType

__all__ = ["Place", "describe"]

# The code object and the offset of its instruction; looking up a line number would cost more.
Place = tuple[CodeType, int]


def describe(place: Place) -> str:
    """Return the place as ``file:line``."""
    code, offset = place
    line = next(
        (line for start, stop, line in code.co_lines() if start <= offset < stop),
        code.co_firstlineno,
    )
    return f"{code.co_filename}:{line}"

"""The environment variables, which hold secrets."""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

__all__ = ["without_items"]


def without_items(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the same variables without exposing their names and values to error reporters.

    Reporters send the local variables of failing functions: the items of every ``Mapping``, and the
    ``repr`` of other objects. The result behaves like a mapping without being a ``Mapping``.
    """
    return cast(Mapping[str, str], _Environ(environ))


class _Environ:
    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __repr__(self) -> str:
        return f"<{len(self._variables)} environment variables>"

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._variables.get(name, default)

    def keys(self) -> Iterable[str]:
        return self._variables.keys()

    def items(self) -> Iterable[tuple[str, str]]:
        return self._variables.items()

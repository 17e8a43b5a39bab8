import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from aios3get import RetryPolicy, S3Client, Timeouts
from aios3get._engine import client_state, express_sessions
from aios3get._http import resolver, transport
from aios3get._protocol import correction, error_response, hashing, retry, retry_policy
from aios3get._protocol.retry import RetryQuota

_text = (Path(__file__).parents[2] / "docs" / "guarantees.md").read_text()
# a row of three cells whose last one is code
FIGURES = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$", _text, re.MULTILINE)

_xxhash = {name for name in hashing.ALGORITHMS if name.startswith("XXHASH")}
NAMES: dict[str, Any] = {
    "RetryPolicy": RetryPolicy,
    "RetryQuota": RetryQuota,
    "Timeouts": Timeouts,
    "always": hashing.ALGORITHMS.keys() - _xxhash,
    "resolver": resolver,
    "correction": correction,
    "default_of": lambda name: inspect.signature(S3Client).parameters[name].default,
    "error_response": error_response,
    "retry": retry,
    "retry_policy": retry_policy,
    "express_sessions": express_sessions,
    "client_state": client_state,
    "transport": transport,
    "with_xxhash": _xxhash,
}


def numbers(value: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", value)]


@pytest.mark.parametrize(("figure", "value", "code"), FIGURES)
def test_figure_equals_the_value_in_the_code(figure: str, value: str, code: str) -> None:
    actual = eval(code, NAMES)
    if isinstance(actual, int | float):
        assert numbers(value) == [actual], figure
    elif all(isinstance(each, str) for each in actual):
        assert set(value.split(", ")) == set(actual), figure
    else:
        assert set(map(float, value.split(", "))) == set(actual), figure


def test_every_row_with_code_is_compared() -> None:
    assert len(FIGURES) == _text.count("` |\n") - _text.count("in the code` |\n")
    assert len(FIGURES) > 20

import sys
from pathlib import Path

from aios3get._http.call_site import describe


def test_line_of_the_call_is_described() -> None:
    frame = sys._getframe()
    place = frame.f_code, frame.f_lasti
    line = frame.f_lineno
    assert describe(place) == f"{__file__}:{line - 1}"
    assert Path(__file__).read_text().splitlines()[line - 2].lstrip().startswith("place = ")


def test_unknown_offset_is_described_by_the_functions_first_line() -> None:
    code = describe.__code__
    assert describe((code, 10**6)) == f"{code.co_filename}:{code.co_firstlineno}"

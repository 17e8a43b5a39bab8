from pathlib import Path

from aios3get import errors

_text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
_tree = _text.partition("```text\n")[2].partition("```")[0]


def test_tree_has_every_exception_below_its_base() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    exceptions = [
        each for each in classes if isinstance(each, type) and issubclass(each, Exception)
    ]
    assert len(exceptions) > 30
    for exception in exceptions:
        assert exception.__name__ in _tree.replace(",", " ").split(), exception
        if exception is not errors.S3Error:
            base = exception.__mro__[1].__name__
            assert _tree.index(base) < _tree.index(exception.__name__), exception

from collections.abc import Mapping, Sequence, Set

import pytest

from aios3get._config.environ import without_items

VARIABLES = {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "HOME": "/"}


def test_environ_shows_no_items_to_error_reporters() -> None:
    environ: object = without_items(VARIABLES)
    assert not isinstance(environ, Mapping | Sequence | Set)
    assert repr(environ) == "<2 environment variables>"


def test_environ_behaves_as_a_mapping() -> None:
    environ = without_items(VARIABLES)
    assert dict(environ) == dict(environ.items()) == VARIABLES
    assert (environ["HOME"], environ.get("HOME"), environ.get("none")) == ("/", "/", None)
    assert ("HOME" in environ, "none" in environ, len(environ)) == (True, False, 2)
    assert set(environ) == set(VARIABLES)
    with pytest.raises(KeyError):
        environ["none"]

from typing import Any

import pytest

from aios3get._protocol.timeouts import Timeouts
from aios3get.errors import ConfigurationError


def test_download_as_a_whole_has_no_limit() -> None:
    assert Timeouts() == Timeouts(connect=10, idle=30, keep_alive=4.5)


@pytest.mark.parametrize("name", ["connect", "idle", "keep_alive", "queue"])
@pytest.mark.parametrize("value", [0, -1, True, "5", float("nan"), float("inf")])
def test_invalid_limit_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"timeouts\.{name} must be .* got"):
        Timeouts(**{name: value})


def test_only_the_wait_for_a_permit_may_be_unlimited() -> None:
    assert Timeouts(queue=None).queue is None
    with pytest.raises(ConfigurationError, match=r"timeouts\.idle must be .* got None"):
        Timeouts(idle=None)  # type: ignore[arg-type]  # what is to be refused


def test_ints_and_floats_are_accepted() -> None:
    assert Timeouts(connect=1, idle=0.5).idle == 0.5

import re
from pathlib import Path

import pytest

from aios3get import errors
from aios3get.cli.failures import EXIT_STATUSES, describe, exit_status
from aios3get.errors import ServiceErrorDetails


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NoSuchKey(ServiceErrorDetails(status=404)), 3),
        (errors.ExpiredToken(ServiceErrorDetails(status=400)), 4),
        (errors.ConnectionFailed("no route"), 5),
        (errors.ObjectChanged("replaced"), 6),
        (errors.NotModified(ServiceErrorDetails(status=304)), 7),
        (errors.SlowDown(ServiceErrorDetails(status=503)), 8),
        (errors.InvalidRange(ServiceErrorDetails(status=416)), 1),
        (FileNotFoundError("no folder"), 9),
    ],
)
def test_exit_status_follows_the_class_of_the_error(error: Exception, status: int) -> None:
    assert exit_status(error) == status


def test_every_class_precedes_its_base_classes() -> None:
    kinds = list(EXIT_STATUSES)
    for index, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[index + 1 :])


def test_description_has_the_class_of_an_s3_error() -> None:
    assert describe(errors.UsageError("closed")) == "UsageError: closed"
    assert describe(TimeoutError()) == "TimeoutError"


def test_documented_exit_statuses_match_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    documented = {
        (int(status), name)
        for status, names in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
        for name in re.findall(r"`([A-Z]\w*Error|[A-Z]\w+)`", names)
    }
    statuses = {(status, kind.__name__) for kind, status in EXIT_STATUSES.items()}
    assert documented == statuses - {(1, "S3Error")}

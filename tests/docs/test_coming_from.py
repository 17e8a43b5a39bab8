import re
from pathlib import Path

import botocore.session
import pytest

from aios3get import ObjectInfo, errors
from aios3get._protocol.options import MEMBERS

_text = (Path(__file__).parents[2] / "docs" / "coming-from.md").read_text()
_cell = re.compile(r"`([^`]+)`")


def rows(title: str) -> dict[str, list[str]]:
    """The first column's first name → the names of the second column."""
    section = _text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return {_cell.findall(row[0])[0]: _cell.findall(row[1]) for row in cells if "`" in row[0]}


def members(operation: str, direction: str) -> set[str]:
    model = botocore.session.get_session().get_service_model("s3").operation_model(operation)
    return set(getattr(model, f"{direction}_shape").members)


@pytest.mark.parametrize("operation", ["GetObject", "HeadObject"])
def test_every_parameter_is_in_the_table(operation: str) -> None:
    documented = {name.partition("=")[0] for name in rows("Parameters")}
    assert documented == members(operation, "input")


def test_every_parameter_leads_to_an_option() -> None:
    ours = {names[0].partition("=")[0] for names in rows("Parameters").values() if names}
    assert ours == MEMBERS.keys() - {"mirror_destination"}


def test_every_member_of_a_response_is_in_the_table() -> None:
    theirs = members("GetObject", "output") | members("HeadObject", "output")
    checksums = {name for name in theirs if name.startswith("Checksum")} - {"ChecksumType"}
    expected = theirs - checksums - {"Body"} | {"ExpiresString", "ResponseMetadata"}
    assert rows("The response").keys() - {"ChecksumCRC64NVME"} == expected


def test_every_member_of_a_response_leads_to_an_attribute() -> None:
    named = {name.partition("[")[0] for names in rows("The response").values() for name in names}
    fields = set(ObjectInfo.__dataclass_fields__)
    assert {name for name in named if not hasattr(ObjectInfo, name)} <= fields


def test_every_exception_maps_to_one_of_this_package() -> None:
    named = {
        name.removeprefix("errors.")
        for names in rows("Exceptions").values()
        for name in names
        if name.startswith("errors.")
    }
    assert named <= set(errors.__all__)

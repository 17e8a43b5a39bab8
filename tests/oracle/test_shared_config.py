"""The same files read by botocore."""

from pathlib import Path
from typing import Any

import pytest
from botocore.configloader import load_config, raw_config_parse
from botocore.exceptions import ConfigParseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3get._protocol.shared_config import SharedConfig, parse_sections
from aios3get.errors import ConfigurationError

TABLE = [
    "",
    "[default]\nregion = eu-central-1",
    "[default]\nregion=eu-central-1 # why\n# a comment\n; another\noutput : json ; too",
    "[default]\nregion =\ns3 =\n  a = b\n  c=d\n\n  e = f = g\n[profile x]\nregion = y",
    "[profile x]\ns3 =\n\taddressing_style = path\n\t# hidden\n\t; hidden = 1\n\tx = y # shown",
    "[default]\nfolded = one\n  two\n  three",
    "[default]\nUPPER = Case\ns3 =\n  Inner = Case",
    "[DEFAULT]\nregion = everywhere\n[profile a]\n[profile b]\nregion = b",
    "[profile a b]\nregion = x\n[profile 'a b']\nregion = y",
    '[profile a]\nregion = x\n[profile  "a"]\nregion = y',
    "[default]\nregion = x\n[profile default]\nregion = y",
    "[profile default]\nregion = x\n[default]\nregion = y",
    "[default]\nk = %(region)s ${HOME} %",
    "[services s]\ns3 =\n  endpoint_url = http://localhost:1\n[sso-session z]\nsso_region = x",
    "no section = 1",
    "[default]\nno value",
    "[default]\na = 1\na = 2",
    "[default]\na = 1\n[default]\nb = 2",
    "[default]\ns3 =\n  not a pair",
    "[default]\n = nothing",
    "[default",
    "  [default]\n  region = x",
    "[default] trailing\nregion = x",
]

line = st.one_of(
    st.sampled_from(
        [
            "[default]",
            "[profile a]",
            "[profile 'b c']",
            "[a]",
            "[services s]",
            "region = eu-central-1",
            "Region: x",
            "s3 =",
            "  addressing_style = path",
            "  endpoint_url = http://x:1/?a=b",
            "\tmore",
            "# comment",
            "  ; comment",
            "",
            "   ",
            "key = value # kept",
            "empty =",
            "bare",
        ]
    ),
    st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=8),
)


def by_botocore(text: str, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    path = tmp_path / "file"
    path.write_text(text, "utf-8")
    try:
        return raw_config_parse(str(path)), load_config(str(path))
    except ConfigParseError:
        return None


def agree(text: str, tmp_path: Path) -> None:
    expected = by_botocore(text, tmp_path)
    if expected is None:
        with pytest.raises(ConfigurationError):
            parse_sections(text, "file")
        return
    sections, merged = expected
    ours = parse_sections(text, "file")
    assert ours == sections
    shared = SharedConfig.from_sections(ours, {})
    assert {name: dict(held.config) for name, held in shared.profiles.items()} == merged["profiles"]
    assert shared.services == merged["services"]
    assert shared.sso_sessions == merged["sso_sessions"]


@pytest.mark.parametrize("text", TABLE)
def test_a_table_of_files(text: str, tmp_path: Path) -> None:
    agree(text, tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(line, max_size=12).map("\n".join))
def test_any_file(tmp_path: Path, text: str) -> None:
    agree(text, tmp_path)

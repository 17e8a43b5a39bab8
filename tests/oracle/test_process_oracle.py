from botocore.compat import _windows_shell_split
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3get._protocol.credentials.process import split_command


@settings(max_examples=1000)
@given(st.text(alphabet="ab \t\"\\'", max_size=20))
def test_windows_commands_are_split_as_by_botocore(command: str) -> None:
    def split(function: object) -> object:
        try:
            return function(command)  # type: ignore[operator]
        except ValueError:
            return ValueError

    ours = split(lambda text: split_command(text, windows=True))
    assert ours == split(_windows_shell_split)

from hypothesis import given
from hypothesis import strategies as st

from aios3get._protocol.credentials.process import parse_output, split_command
from aios3get._protocol.identity import Credentials


def test_posix_command_is_split_as_a_shell_does() -> None:
    assert split_command("""helper 'a b' "c\\"d" e\\ f ''""") == ["helper", "a b", 'c"d', "e f", ""]


def test_windows_command_is_split_as_the_c_runtime_does() -> None:
    command = r'"C:\Program Files\helper.exe" --x=\"y\" a\\b "c\\" ""'
    words = ["C:\\Program Files\\helper.exe", '--x="y"', r"a\\b", "c\\", ""]
    assert split_command(command, windows=True) == words


@given(st.lists(st.text(alphabet='ab \t"\\', max_size=6)))
def test_windows_words_survive_quoting(words: list[str]) -> None:
    quoted = " ".join(_quote(word) for word in words)
    assert split_command(quoted, windows=True) == words


def _quote(word: str) -> str:
    # Backslashes are doubled before a quote, and nowhere else.
    pieces = word.split('"')
    doubled = [piece + "\\" * (len(piece) - len(piece.rstrip("\\"))) for piece in pieces]
    return f'"{(chr(92) + chr(34)).join(doubled)}"'


def test_output_of_version_1() -> None:
    output = b'{"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "abc"}'
    assert parse_output(output, "it") == Credentials("AKIAIOSFODNN7EXAMPLE", "abc")

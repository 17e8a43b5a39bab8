"""Parses the shared AWS files, ``config`` and ``credentials``, into profiles.

The format is what botocore reads, down to its use of ``configparser``: comments are whole lines
that start with ``#`` or ``;``, an indented block under an empty value is a nested group.
https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from aios3get.errors import ConfigurationError

if TYPE_CHECKING:
    import configparser

__all__ = ["Profile", "Section", "SharedConfig", "parse_sections"]

Section: TypeAlias = Mapping[str, str | Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of both files. It contains secrets, so ``repr`` shows names only.

    Attributes:
        name: the profile's name.
        config: its section of the config file, empty if there is none.
        credentials: its section of the credentials file, empty if there is none.
    """

    name: str
    config: Section = field(default_factory=dict[str, str], repr=False, hash=False)
    credentials: Section = field(default_factory=dict[str, str], repr=False, hash=False)

    def get(self, *path: str) -> str | None:
        """Return a setting, which may be nested as in ``("s3", "addressing_style")``.

        The credentials file takes precedence. None if the setting is missing or empty.
        """
        for section in (self.credentials, self.config):
            value: object = section.get(path[0])
            if len(path) == 2:
                value = value.get(path[1]) if isinstance(value, Mapping) else None
            if isinstance(value, str) and value.strip():
                return value.strip()
        return None


@dataclass(frozen=True, slots=True)
class SharedConfig:
    """Both files together.

    Attributes:
        profiles: by name.
        services: the ``[services name]`` sections by name.
        sso_sessions: the ``[sso-session name]`` sections by name.
        looked_at: the paths of the files, each with the reason why it is empty.
    """

    profiles: Mapping[str, Profile] = field(default_factory=dict[str, Profile])
    services: Mapping[str, Section] = field(default_factory=dict[str, Section], repr=False)
    sso_sessions: Mapping[str, Section] = field(default_factory=dict[str, Section], repr=False)
    looked_at: tuple[str, ...] = ()

    @classmethod
    def from_sections(
        cls,
        config: Mapping[str, Section],
        credentials: Mapping[str, Section],
        looked_at: tuple[str, ...] = (),
    ) -> "SharedConfig":
        """Merge the two files' sections.

        The config file says ``[profile name]``, the credentials file ``[name]``. ``[default]`` and
        ``[profile default]`` are the same profile of the config file; the last of them counts.
        """
        of_config = _named(
            "profile",
            {
                "profile default" if title == "default" else title: section
                for title, section in config.items()
            },
        )
        names = [*of_config, *(name for name in credentials if name not in of_config)]
        profiles = {
            name: Profile(name, of_config.get(name, {}), credentials.get(name, {}))
            for name in names
        }
        return cls(profiles, _named("services", config), _named("sso-session", config), looked_at)

    def profile(self, name: str | None) -> Profile:
        """Return the profile of that name; None for the default one, which may be missing.

        Raises:
            ConfigurationError: neither file has a profile of that name.
        """
        profile = self.profiles.get(name or "default")
        if profile is not None:
            return profile
        if name is None:
            return Profile("default")
        there = ", ".join(sorted(self.profiles)) or "none"
        raise ConfigurationError(
            f"profile {name!r} is not in {' or '.join(self.looked_at) or 'the shared files'};"
            f" profiles found: {there}"
        )


def _named(kind: str, sections: Mapping[str, Section]) -> dict[str, Section]:
    found: dict[str, Section] = {}
    for title, section in sections.items():
        try:
            words = shlex.split(title)
        except ValueError:  # an open quote, which no name has
            continue
        if len(words) == 2 and words[0] == kind:
            found[words[1]] = section
    return found


def parse_sections(text: str, file: str) -> dict[str, Section]:
    """Parse the sections of one file by title, with setting names in lower case.

    Args:
        text: the file's text.
        file: its name, for the error's text.

    Raises:
        ConfigurationError: the text is not of this format; the message names the line's number,
            never its content.
    """
    sections: dict[str, Section] = {}
    problem = _find_problem(text, sections)
    if problem is not None:
        # Error reporters send the locals of a frame that raises.
        del text, sections
        raise ConfigurationError(f"{file} cannot be read: {problem}")
    return sections


def _find_problem(text: str, sections: dict[str, Section]) -> str | None:
    """Add the sections of the text; return a description of its error, if it has one."""
    import configparser  # noqa: PLC0415 - only machines with these files need it

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        return _describe(error)
    for title in parser.sections():
        values = {name: _value(value) for name, value in parser.items(title)}
        for name, value in values.items():
            if value is None:
                return f"a line in the group {name!r} is not name = value"
        sections[title] = cast(Section, values)
    return None


def _describe(error: "configparser.Error") -> str:
    import configparser  # noqa: PLC0415

    # configparser's own texts quote the line, which may contain a secret.
    match error:
        case configparser.MissingSectionHeaderError(lineno=line):
            return f"line {line} stands before the first [section]"
        case configparser.ParsingError(errors=[(line, _), *_]):
            return f"line {line} is not name = value"
        case configparser.DuplicateSectionError(lineno=line, section=section):
            return f"line {line} opens [{section}] a second time"
        case configparser.DuplicateOptionError(lineno=line, option=option):
            return f"line {line} sets {option} a second time"
        case _:
            return "it is not an INI file"


def _value(value: str) -> str | dict[str, str] | None:
    """Return the text of a setting, or its nested group; None if a line of it has no value."""
    if not value.startswith("\n"):
        return value
    lines = [line.partition("=") for line in filter(None, map(str.strip, value.splitlines()))]
    if not all(equals for _, equals, _ in lines):
        return None
    return {name.strip(): text.strip() for name, _, text in lines}

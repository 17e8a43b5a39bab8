from typing import Any

import pytest

from aios3get._protocol.credentials.profile_source import (
    LoginSource,
    NamedSource,
    ProcessSource,
    ProfileSource,
    Role,
    RoleSource,
    SsoSource,
    WebIdentitySource,
    incomplete_settings,
    profile_source,
)
from aios3get._protocol.identity import Credentials
from aios3get._protocol.shared_config import SharedConfig, parse_sections
from aios3get.errors import ConfigurationError, CredentialsError

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
OTHER = "aws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = other\n"
KEYS = Credentials(KEY_ID, SECRET)
ROLE = "arn:aws:iam::123456789012:role/reader"
BASE = "arn:aws:iam::123456789012:role/base"
SSO = "sso_account_id = 123456789012\nsso_role_name = reader\n"


def shared(config: str, credentials: str = "") -> SharedConfig:
    return SharedConfig.from_sections(
        parse_sections(config, "config"),
        parse_sections(credentials, "credentials"),
        ("credentials", "config"),
    )


def source(
    config: str,
    credentials: str = "",
    *,
    profile: str | None = None,
    environ: dict[str, str] | None = None,
) -> ProfileSource | None:
    return profile_source(shared(config, credentials), profile, environ or {})


@pytest.mark.parametrize(
    ("config", "credentials", "expected"),
    [
        ("", "", None),
        ("[default]\nregion = eu-central-1", "", None),
        (f"[default]\n{KEY}", "", KEYS),
        ("", f"[default]\n{KEY}", KEYS),
        (f"[default]\n{OTHER}", f"[default]\n{KEY}", KEYS),
        ("[default]\ncredential_process = run it", "", ProcessSource("run it")),
        ("[default]\nlogin_session = arn", "", LoginSource("arn")),
        (
            f"[default]\nweb_identity_token_file = /t\nrole_arn = {ROLE}\nrole_session_name = me",
            "",
            WebIdentitySource("/t", ROLE, "me"),
        ),
        (
            f"[default]\nrole_arn = {ROLE}\ncredential_source = EcsContainer",
            "",
            RoleSource((Role(ROLE),), NamedSource("EcsContainer")),
        ),
        (
            f"[default]\nrole_arn = {ROLE}\nsource_profile = b",
            f"[b]\n{KEY}",
            RoleSource((Role(ROLE),), KEYS),
        ),
        (
            f"[default]\nrole_arn = {ROLE}\nsource_profile = default\n{KEY}",
            "",
            RoleSource((Role(ROLE),), KEYS),
        ),
    ],
)
def test_sources_of_a_profile(config: str, credentials: str, expected: object) -> None:
    assert source(config, credentials) == expected


def test_settings_of_sso_are_left_to_its_provider() -> None:
    found = source(f"[profile a]\n{SSO}sso_session = corp", profile="a")
    assert isinstance(found, SsoSource)
    assert found.profile.get("sso_session") == "corp"


# Each is preceded by those above it.
ORDER: list[tuple[str, str, type[Any]]] = [
    ("config", f"role_arn = {ROLE}\ncredential_source = Environment\n", RoleSource),
    ("config", SSO, SsoSource),
    ("credentials", KEY, Credentials),
    ("config", "login_session = arn\n", LoginSource),
    ("config", "credential_process = run it\n", ProcessSource),
    ("config", OTHER, Credentials),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_order_of_sources_is_botocores(first: int) -> None:
    files = {"config": "[default]\n", "credentials": "[default]\n"}
    for file, text, _ in ORDER[first:]:
        files[file] += text
    assert isinstance(source(files["config"], files["credentials"]), ORDER[first][2])


def test_web_identity_of_the_environment_follows_the_role_and_precedes_the_rest() -> None:
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": ROLE}
    rest = "[default]\n" + "".join(text for _, text, _ in ORDER[1:5])
    assert source(rest, environ=environ) == WebIdentitySource("/t", ROLE)
    with_role = rest + ORDER[0][1]
    assert isinstance(source(with_role, environ=environ), RoleSource)


def test_environment_and_profile_complete_each_other_for_a_web_identity() -> None:
    config = f"[default]\nweb_identity_token_file = /p\nrole_arn = {BASE}\nrole_session_name = p"
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "e"}
    assert source(config, environ=environ) == WebIdentitySource("/p", ROLE, "e")
    assert source(config, environ={"AWS_ROLE_ARN": ""}) == WebIdentitySource("/p", BASE, "p")


def test_source_profile_ignores_the_environments_web_identity() -> None:
    environ = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": BASE}
    config = f"[default]\nrole_arn = {ROLE}\nsource_profile = b\n[profile b]\n{KEY}"
    assert source(config, environ=environ) == RoleSource((Role(ROLE),), KEYS)


def test_key_of_a_source_profile_precedes_its_role() -> None:
    config = (
        f"[default]\nrole_arn = {ROLE}\nsource_profile = b\n"
        f"[profile b]\nrole_arn = {BASE}\nsource_profile = c\n{KEY}[profile c]\n{OTHER}"
    )
    assert source(config) == RoleSource((Role(ROLE),), KEYS)


def test_chain_of_roles_may_be_long() -> None:
    profiles = [
        f"[profile p{number}]\nrole_arn = {ROLE}{number}\nsource_profile = p{number + 1}"
        for number in range(2_000)
    ]
    found = source("\n".join([*profiles, f"[profile p2000]\n{KEY}"]), profile="p0")
    assert isinstance(found, RoleSource)
    assert [role.arn for role in found.roles] == [f"{ROLE}{number}" for number in range(2_000)]
    assert found.source == KEYS


def test_all_settings_of_a_role() -> None:
    config = (
        f"[default]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n"
        "role_session_name = me\nexternal_id = id\nmfa_serial = GAHT12345678\n"
        "duration_seconds = 7200"
    )
    role = Role(ROLE, "me", "id", "GAHT12345678", 7200)
    assert source(config) == RoleSource((role,), NamedSource("Ec2InstanceMetadata"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (f"role_arn = {ROLE}", "'default' has a role_arn and neither of source_profile and"),
        (
            f"role_arn = {ROLE}\nsource_profile = b\ncredential_source = Environment",
            "has a role_arn and both of source_profile and",
        ),
        (
            f"role_arn = {ROLE}\ncredential_source = environment",
            "is 'environment'; write Environment, EcsContainer or Ec2InstanceMetadata",
        ),
        (
            f"role_arn = {ROLE}\nsource_profile = b",
            "source_profile of the profile 'default' is 'b', which is not in credentials or config",
        ),
        (f"role_arn = {ROLE}\nsource_profile = default", "a circle: default → default"),
        (
            f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\nrole_arn = {BASE}\n"
            f"source_profile = c\n[profile c]\nrole_arn = {BASE}\nsource_profile = b",
            "source_profile leads in a circle: b → c → b",
        ),
        (
            f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\nregion = eu-central-1",
            "'default' assumes its role with the credentials of the profile 'b', which has none",
        ),
        (
            f"role_arn = {ROLE}\ncredential_source = Environment\nduration_seconds = 1h",
            "duration_seconds of the profile 'default' is '1h'; write seconds",
        ),
        ("web_identity_token_file = /t", "has a web_identity_token_file, but no role_arn"),
    ],
)
def test_invalid_settings_name_the_profile(config: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        source(f"[default]\n{config}")
    assert message in str(caught.value)


def test_token_file_of_the_environment_needs_a_role() -> None:
    with pytest.raises(ConfigurationError, match="AWS_ROLE_ARN is not; set both"):
        source("", environ={"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"})


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("aws_session_token = t", "t"),
        ("aws_security_token = s", "s"),
        ("aws_session_token = t\naws_security_token = s", "t"),
        ("aws_session_token =", None),
        ("aws_session_token =\n  nested = group", None),
    ],
)
def test_session_token_of_a_key(line: str, token: str | None) -> None:
    assert source("", f"[default]\n{KEY}{line}") == Credentials(KEY_ID, SECRET, token)


@pytest.mark.parametrize(
    ("config", "credentials", "message"),
    [
        ("", f"[default]\naws_access_key_id = {KEY_ID}", "has aws_access_key_id but no aws_secr"),
        (
            f"[default]\naws_secret_access_key = {SECRET}",
            f"[default]\naws_access_key_id = {KEY_ID}",
            "credentials file has aws_access_key_id but no",
        ),
        ("", f"[default]\n{KEY}  {SECRET}", "'default' in the credentials file: .*control char"),
    ],
)
def test_half_a_key_is_an_error_without_the_secret(
    config: str, credentials: str, message: str
) -> None:
    with pytest.raises(CredentialsError, match=message) as caught:
        source(config, credentials)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        (f"aws_secret_access_key = {SECRET}", ("aws_secret_access_key",)),
        ("sso_session = corp\nsource_profile = b", ("sso_session", "source_profile")),
        ("region = eu-central-1", ()),
    ],
)
def test_incomplete_settings_are_listed(setting: str, names: tuple[str, ...]) -> None:
    config = shared(f"[default]\n{setting}")
    assert profile_source(config, None, {}) is None
    assert incomplete_settings(config.profile(None)) == names


def test_repr_shows_no_secret() -> None:
    assert SECRET not in repr(source(f"[default]\n{KEY}{SSO}"))
    assert SECRET not in repr(source(f"[default]\nrole_arn = x\nsource_profile = default\n{KEY}"))

"""The same files, environment and services for botocore and for this package.

Both find the same access key, secret and session token, or neither finds any. Where a row differs
on purpose, it says what each finds, and why.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.credentials
import botocore.loaders
import botocore.session
import botocore.tokens
import pytest

from aios3get._config.client_config import ClientConfig
from aios3get._config.loaded_config import load_config
from aios3get._http.fetcher import Fetcher
from aios3get._protocol.identity import Credentials
from aios3get.credentials import CredentialsSource, default_chain
from aios3get.credentials.context import ClientContexts
from aios3get.errors import S3Error
from tests.servers.container import ContainerService
from tests.servers.imds import Imds
from tests.servers.sign_in import SESSION, SignIn
from tests.servers.sso import Sso
from tests.servers.sts import Sts

ROLE, BASE = (f"arn:aws:iam::123456789012:role/{name}" for name in ("reader", "base"))
WEB_ROLE = "arn:aws:iam::123456789012:role/pod"


def access_key(name: str) -> str:
    return f"AKIA{name.upper():X<16}"


def key(name: str) -> str:
    return f"aws_access_key_id = {access_key(name)}\naws_secret_access_key = secret/{name}\n"


def environment_key(name: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": access_key(name), "AWS_SECRET_ACCESS_KEY": f"secret/{name}"}


def process(*, status: int = 0, **changes: Any) -> str:
    document = {
        "Version": 1,
        "AccessKeyId": access_key("process"),
        "SecretAccessKey": "secret/process",
    } | changes
    text = json.dumps({name: value for name, value in document.items() if value is not None})
    program = f"print({text!r}); raise SystemExit({status})"
    return f"credential_process = {sys.executable} -I -S -c {json.dumps(program)}\n"


@dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
        name: what it is about.
        config: the config file; it begins in ``[default]``.
        credentials: the credentials file.
        environ: environment variables; ``{home}`` and the services' URLs are filled in.
        profile: the profile passed to the session and to the client.
        ours: where we differ on purpose, the access key that we find, or None.
        theirs: the access key that botocore finds there, or None.
        reason: why we differ; empty if we do not.
    """

    name: str
    config: str = ""
    credentials: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    ours: str | None = None
    theirs: str | None = None
    reason: str = ""


SSO = "sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Read Only/é\n"
SSO_SESSION = (
    "[sso-session corp]\nsso_start_url = https://example.awsapps.com/start\n"
    "sso_region = eu-west-1\n"
)
LEGACY_SSO = SSO.replace(
    "sso_session = corp",
    "sso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1",
)
WEB = f"web_identity_token_file = {{home}}/token\nrole_arn = {WEB_ROLE}\n"
WEB_ENVIRON = {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token", "AWS_ROLE_ARN": WEB_ROLE}
LOGIN = f"login_session = {SESSION}\n"
CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{container}"}
INSTANCE = {
    "AWS_EC2_METADATA_DISABLED": "false",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{imds}/",
}
# Each source by itself: settings of the profile, other sections, credentials file, environment.
SOURCES: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "environment": ("", "", "", environment_key("environment")),
    "role": (
        f"role_arn = {ROLE}\nsource_profile = known\n",
        f"[profile known]\n{key('known')}",
        "",
        {},
    ),
    "web identity of the environment": ("", "", "", WEB_ENVIRON),
    "web identity of the profile": (WEB, "", "", {}),
    "sso": (SSO, SSO_SESSION, "", {}),
    "credentials file": ("", "", key("credentials"), {}),
    "login": (LOGIN, "", "", {}),
    "process": (process(), "", "", {}),
    "config file": (key("config"), "", "", {}),
    "container": ("", "", "", CONTAINER),
    "instance": ("", "", "", INSTANCE),
}


def combined(*names: str, profile: str | None) -> Row:
    parts = [SOURCES[name] for name in names]
    return Row(
        f"{' or '.join(names)}, profile={profile!r}",
        config="".join(part[0] for part in parts) + "".join(part[1] for part in parts),
        credentials="[default]\n" + "".join(part[2] for part in parts),
        environ={name: value for part in parts for name, value in part[3].items()},
        profile=profile,
    )


# Two settings of one name in one section make the file malformed.
_UNWRITABLE = {("role", "web identity of the profile")}

PAIRS = [
    combined(*names, profile=profile)
    for names in (*((name,) for name in SOURCES), *combinations(SOURCES, 2))
    if names not in _UNWRITABLE
    for profile in (None, "default")
]

EMPTY_IS_UNSET = "an empty setting counts as not set, everywhere alike"

ROWS = [
    Row("nothing at all"),
    Row(
        "no such files", environ={"AWS_CONFIG_FILE": "{home}/a", "AWS_SHARED_CREDENTIALS_FILE": "b"}
    ),
    Row("a folder for a file", environ={"AWS_CONFIG_FILE": "{home}"}),
    # The files' format.
    Row("no section", config="[", credentials=key("a")),
    Row("no value", config="nonsense\n"),
    Row("no value in the credentials file", config=key("a"), credentials="[default]\nnonsense"),
    Row("a key twice", config=key("a") + key("b")),
    Row("a section twice", credentials=f"[default]\n{key('a')}[default]\n"),
    Row("white space around values", credentials=f"[default]\n{key('a').replace('= ', '=   ')}"),
    Row("names in upper case", credentials=f"[default]\n{key('a').upper()}"),
    Row("a comment line", credentials=f"[default]\n# {key('b')}{key('a')}"),
    Row("a comment behind a value", credentials=f"[default]\n{key('a').strip()} # mine"),
    Row(
        "quotes around values",
        credentials=f"[default]\naws_access_key_id = '{access_key('a')}'\n"
        "aws_secret_access_key = 's'\n",
    ),
    Row(
        "a byte order mark",
        credentials="\ufeff[default]\n" + key("a"),
        ours=access_key("a"),
        reason="Windows editors write it, and the first section would be lost",
    ),
    # Profiles.
    Row("profile of the environment", f"[profile a]\n{key('a')}", environ={"AWS_PROFILE": "a"}),
    Row(
        "profile of the environment's old name",
        f"[profile a]\n{key('a')}",
        environ={"AWS_DEFAULT_PROFILE": "a"},
    ),
    Row(
        "both names of the profile",
        f"[profile a]\n{key('a')}[profile b]\n{key('b')}",
        environ={"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"},
        ours=access_key("a"),
        theirs=access_key("b"),
        reason="AWS_PROFILE is the name that AWS documents for every SDK",
    ),
    Row("missing profile", key("a"), environ={"AWS_PROFILE": "b"}),
    Row("missing profile, named", key("a"), profile="b"),
    Row("missing profile beside a key", environ={"AWS_PROFILE": "b"} | environment_key("e")),
    Row("profile of the credentials file", credentials=f"[a]\n{key('a')}", profile="a"),
    Row("section without profile", f"[a]\n{key('a')}", profile="a"),
    Row("default with profile", f"region = us-east-1\n[profile default]\n{key('a')}"),
    Row("quoted profile", f"[profile 'a b']\n{key('a')}", profile="a b"),
    Row(
        "environment's profile and key",
        f"[profile a]\n{key('a')}",
        environ={"AWS_PROFILE": "a"} | environment_key("e"),
    ),
    Row(
        "named profile and key",
        f"[profile a]\n{key('a')}",
        environ=environment_key("e"),
        profile="a",
    ),
    # Keys of the environment.
    Row("key id alone", environ={"AWS_ACCESS_KEY_ID": access_key("e")}),
    Row("secret alone", environ={"AWS_SECRET_ACCESS_KEY": "secret/e"}),
    Row("secret alone beside a profile", key("a"), environ={"AWS_SECRET_ACCESS_KEY": "secret/e"}),
    Row("empty key", key("a"), environ=dict.fromkeys(environment_key("e"), "")),
    Row(
        "empty secret", environ={"AWS_ACCESS_KEY_ID": access_key("e"), "AWS_SECRET_ACCESS_KEY": ""}
    ),
    Row("session token", environ=environment_key("e") | {"AWS_SESSION_TOKEN": "t"}),
    Row("security token", environ=environment_key("e") | {"AWS_SECURITY_TOKEN": "t"}),
    Row("empty token", environ=environment_key("e") | {"AWS_SESSION_TOKEN": ""}),
    Row(
        "both tokens of the environment",
        environ=environment_key("e") | {"AWS_SECURITY_TOKEN": "s", "AWS_SESSION_TOKEN": "t"},
        ours=access_key("e"),
        theirs=access_key("e"),
        reason="AWS_SESSION_TOKEN is the name that AWS documents for every SDK",
    ),
    Row(
        "future end",
        environ=environment_key("e") | {"AWS_CREDENTIAL_EXPIRATION": "2100-01-01T00:00:00Z"},
    ),
    Row(
        "past end",
        environ=environment_key("e") | {"AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"},
    ),
    Row(
        "end that is no time", environ=environment_key("e") | {"AWS_CREDENTIAL_EXPIRATION": "soon"}
    ),
    Row(
        "end without a time zone",
        environ=environment_key("e") | {"AWS_CREDENTIAL_EXPIRATION": "2100-01-01T00:00:00"},
        ours=access_key("e"),
        reason="ISO 8601 without a zone is taken as UTC, like all of AWS's times",
    ),
    # Keys of a profile.
    Row("key id of a file alone", credentials=f"[default]\n{key('a').splitlines()[0]}"),
    Row("secret of a file alone", credentials=f"[default]\n{key('a').splitlines()[1]}"),
    Row("halves in two files", key("a").splitlines()[1], f"[default]\n{key('a').splitlines()[0]}"),
    Row(
        "secret of a file alone before a whole key",
        key("a"),
        f"[default]\n{key('b').splitlines()[1]}",
    ),
    Row("token of a file", credentials=f"[default]\n{key('a')}aws_session_token = t"),
    Row("old token of a file", credentials=f"[default]\n{key('a')}aws_security_token = t"),
    Row("empty token of a file", credentials=f"[default]\n{key('a')}aws_session_token ="),
    Row(
        "both tokens of a file",
        credentials=f"[default]\n{key('a')}aws_session_token = t\naws_security_token = s",
        ours=access_key("a"),
        theirs=access_key("a"),
        reason="as for the environment's",
    ),
    Row(
        "empty key of a file",
        key("a"),
        "[default]\naws_access_key_id =\naws_secret_access_key =\n",
        ours=access_key("a"),
        reason=EMPTY_IS_UNSET,
    ),
    Row("region of the credentials file", key("a"), "[default]\nregion = us-east-1"),
    # Roles.
    Row("role without a source", f"role_arn = {ROLE}\n{key('a')}"),
    Row(
        "role with two sources",
        f"role_arn = {ROLE}\nsource_profile = known\n"
        f"credential_source = Environment\n[profile known]\n{key('known')}",
        environ=environment_key("known"),
    ),
    Row("role with its own key", f"role_arn = {ROLE}\nsource_profile = default\n{key('known')}"),
    Row("role with itself", f"role_arn = {ROLE}\nsource_profile = default\n"),
    Row("role of a missing profile", f"role_arn = {ROLE}\nsource_profile = b\n"),
    Row(
        "role of a profile without credentials",
        f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\nregion = us-east-1",
    ),
    Row(
        "role of a profile with half a key",
        f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n{key('known').splitlines()[0]}",
    ),
    Row(
        "role of an unknown key",
        f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n{key('stranger')}",
    ),
    Row(
        "role of a key in the credentials file",
        f"role_arn = {ROLE}\nsource_profile = b\n",
        f"[b]\n{key('known')}",
    ),
    Row(
        "role in the credentials file",
        "",
        f"[default]\nrole_arn = {ROLE}\nsource_profile = b\n[b]\n{key('known')}",
    ),
    Row(
        "role of a role",
        f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n"
        f"role_arn = {BASE}\nsource_profile = c\n[profile c]\n{key('known')}",
    ),
    Row(
        "role of a profile with a role and a key",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"[profile b]\nrole_arn = {BASE}\nsource_profile = c\n{key('known')}"
        f"[profile c]\n{key('other')}",
    ),
    Row(
        "roles in a circle",
        f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n"
        f"role_arn = {BASE}\nsource_profile = default",
    ),
    Row(
        "roles in a circle below",
        f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n"
        f"role_arn = {BASE}\nsource_profile = c\n[profile c]\nrole_arn = {BASE}\n"
        "source_profile = b",
    ),
    Row("role of a process", f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n{process()}"),
    Row("role of a web identity", f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n{WEB}"),
    Row("role of SSO", f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\n{SSO}{SSO_SESSION}"),
    Row(
        "role of a profile beside the environment's web identity",
        f"role_arn = {ROLE}\nsource_profile = b\n[profile b]\nregion = us-east-1",
        environ=WEB_ENVIRON,
    ),
    Row(
        "role of the environment",
        f"role_arn = {ROLE}\ncredential_source = Environment\n",
        environ=environment_key("known"),
        profile="default",
    ),
    Row("role of an empty environment", f"role_arn = {ROLE}\ncredential_source = Environment\n"),
    Row(
        "role of the container",
        f"role_arn = {ROLE}\ncredential_source = EcsContainer\n",
        environ=CONTAINER,
    ),
    Row("role of no container", f"role_arn = {ROLE}\ncredential_source = EcsContainer\n"),
    Row(
        "role of the instance",
        f"role_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n",
        environ=INSTANCE,
    ),
    Row("role of no instance", f"role_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n"),
    Row(
        "role of an unknown source",
        f"role_arn = {ROLE}\ncredential_source = environment\n",
        environ=environment_key("known"),
        profile="default",
    ),
    Row(
        "role with its external id",
        "role_arn = arn:aws:iam::123456789012:role/external\n"
        f"source_profile = b\nexternal_id = example-id\n[profile b]\n{key('known')}",
    ),
    Row(
        "role without its external id",
        "role_arn = arn:aws:iam::123456789012:role/external\n"
        f"source_profile = b\n[profile b]\n{key('known')}",
    ),
    Row(
        "role with a duration",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"duration_seconds = 3600\n[profile b]\n{key('known')}",
    ),
    Row(
        "role with a duration that STS refuses",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"duration_seconds = 60\n[profile b]\n{key('known')}",
    ),
    Row(
        "role with a duration that is no number",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"duration_seconds = 1h\n[profile b]\n{key('known')}",
        theirs="a role's",
        reason="a typing error must not change for how long credentials live",
    ),
    Row(
        "role with a session name",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"role_session_name = me@example.com\n[profile b]\n{key('known')}",
    ),
    Row(
        "role with a session name that STS refuses",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"role_session_name = me & you\n[profile b]\n{key('known')}",
    ),
    Row(
        "role with a device whose code nobody can enter",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"mfa_serial = GAHT12345678\n[profile b]\n{key('known')}",
    ),
    Row(
        "role of STS in the services section",
        f"role_arn = {ROLE}\nsource_profile = b\n"
        f"services = s\n[profile b]\n{key('known')}[services s]\nsts =\n"
        "  endpoint_url = {sts}\n",
        environ={"AWS_ENDPOINT_URL_STS": ""},
    ),
    Row("empty role", f"role_arn =\n{key('a')}", ours=access_key("a"), reason=EMPTY_IS_UNSET),
    # Web identities.
    Row("token without a role", environ={"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token"}),
    Row(
        "token of the environment, role of the profile",
        f"role_arn = {WEB_ROLE}\n",
        environ={"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token"},
    ),
    Row(
        "token of the profile, role of the environment",
        "web_identity_token_file = {home}/token\n",
        environ={"AWS_ROLE_ARN": WEB_ROLE},
    ),
    Row("role of the environment without a token", key("a"), environ={"AWS_ROLE_ARN": WEB_ROLE}),
    Row("missing token file", environ=WEB_ENVIRON | {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/none"}),
    Row("unknown token", environ=WEB_ENVIRON | {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/unknown"}),
    Row("expired token", environ=WEB_ENVIRON | {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/expired"}),
    Row(
        "token with a line break",
        environ=WEB_ENVIRON | {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/token-with-line-break"},
        ours="a role's",
        reason="editors end a file so, and no token has white space around it",
    ),
    Row("session name of the environment", environ=WEB_ENVIRON | {"AWS_ROLE_SESSION_NAME": "me"}),
    Row("both kinds of role", f"{WEB}source_profile = b\n[profile b]\n{key('known')}"),
    Row(
        "empty token file of the environment",
        WEB,
        environ={"AWS_WEB_IDENTITY_TOKEN_FILE": ""},
        ours="a role's",
        reason=EMPTY_IS_UNSET,
    ),
    # SSO.
    Row("legacy SSO", LEGACY_SSO),
    Row("SSO without a role", f"{SSO.replace('sso_role_name', 'x')}{SSO_SESSION}"),
    Row("SSO without a session", SSO),
    Row("SSO without a region", SSO + SSO_SESSION.replace("sso_region", "x")),
    Row("SSO without a token", SSO.replace("corp", "none") + SSO_SESSION.replace("corp", "none")),
    Row("SSO whose settings differ", f"{SSO}sso_region = us-east-1\n{SSO_SESSION}"),
    Row("SSO role that is not granted", SSO.replace("Read Only/é", "admin") + SSO_SESSION),
    Row("session of SSO alone", f"sso_session = corp\n{SSO_SESSION}"),
    Row("session of SSO beside a key", f"sso_session = corp\n{key('a')}{SSO_SESSION}"),
    # Login.
    Row("login without a session", "login_session = arn:aws:iam::123456789012:user/nobody\n"),
    # Processes.
    Row("process with a token", process(SessionToken="t", Expiration="2100-01-01T00:00:00Z")),
    Row("process whose keys have ended", process(Expiration="2020-01-01T00:00:00Z")),
    Row("process that fails", process(status=1)),
    Row("process of version 2", process(Version=2)),
    Row("process without a version", process(Version=None)),
    Row("process without a secret", process(SecretAccessKey=None)),
    Row("process that prints no JSON", "credential_process = echo hello\n"),
    Row("process that prints nothing", "credential_process = true\n"),
    Row("process that does not exist", "credential_process = {home}/none\n"),
    Row("process with an open quote", "credential_process = echo 'a\n"),
    Row("process in the credentials file", credentials=f"[default]\n{process()}"),
    # Containers and instances.
    Row(
        "container without a scheme", environ={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "localhost/x"}
    ),
    Row("container elsewhere", environ={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/"}),
    Row("container that does not know us", environ={k: f"{v}/x" for k, v in CONTAINER.items()}),
    Row(
        "container without its token file",
        environ=CONTAINER | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{home}/none"},
    ),
    Row(
        "container with a token that it does not require",
        environ=CONTAINER | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "t"},
    ),
    Row(
        "instance in the profile's words",
        "ec2_metadata_service_endpoint = {imds}/\n",
        environ={"AWS_EC2_METADATA_DISABLED": ""},
    ),
    Row("instance that is disabled", environ=INSTANCE | {"AWS_EC2_METADATA_DISABLED": "true"}),
    Row(
        "instance of IMDSv1",
        environ=INSTANCE | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "{imds_v1}/"},
        theirs="a role's",
        reason="IMDSv1 can be reached through a careless proxy; AWS advises against it",
    ),
    Row(
        "instance of IMDSv1, allowed",
        environ=INSTANCE
        | {
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{imds_v1}/",
            "AWS_EC2_METADATA_V1_DISABLED": "false",
        },
    ),
    Row(
        "boto's own file",
        environ={"BOTO_CONFIG": "{home}/boto.cfg"},
        theirs=access_key("boto"),
        reason="boto 2 ended in 2018, and no other SDK reads its files",
    ),
    Row(
        "EC2's first file",
        environ={"AWS_CREDENTIAL_FILE": "{home}/ec2.txt"},
        theirs=access_key("ec2"),
        reason="the tools that wrote it are gone, and no other SDK reads it",
    ),
]

Triple = tuple[str, str, str | None]

_BASE_ENVIRON = {
    "AWS_CONFIG_FILE": "{home}/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "{home}/.aws/credentials",
    "AWS_LOGIN_CACHE_DIRECTORY": "{home}",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL_STS": "{sts}",
    "AWS_ENDPOINT_URL_SSO": "{sso}",
    "AWS_ENDPOINT_URL_SSO_OIDC": "{sso}",
    "AWS_ENDPOINT_URL_SIGNIN": "{sign_in}",
    "HOME": "{home}",
    "NO_PROXY": "*",
    "PATH": os.environ.get("PATH", ""),
}
_FILES = {
    "token": "first.token",
    "token-with-line-break": "first.token\n",
    "unknown": "unknown.token",
    "expired": "expired.token",
    "boto.cfg": f"[Credentials]\n{key('boto')}",
    "ec2.txt": f"AWSAccessKeyId={access_key('ec2')}\nAWSSecretKey=secret/ec2\n",
}


class Services:
    """The services on loopback, which respond the same to both."""

    def __init__(
        self, sts: Sts, sso: Sso, sign_in: SignIn, imds: Imds, imds_v1: Imds, task: ContainerService
    ) -> None:
        imds_v1.issues_tokens = imds_v1.requires_token = False
        self.sso, self.sign_in = sso, sign_in
        sts.tokens = {"first.token"}
        sts.external_ids = {"arn:aws:iam::123456789012:role/external": "example-id"}
        sts.add(Credentials(access_key("known"), "secret/known"))
        sts.add(Credentials(access_key("process"), "secret/process"))
        portal, metadata = sso.credentials(), imds.credentials()
        sts.add(
            Credentials(portal["accessKeyId"], portal["secretAccessKey"], portal["sessionToken"])
        )
        for document in (metadata, task.credentials()):
            sts.add(
                Credentials(document["AccessKeyId"], document["SecretAccessKey"], document["Token"])
            )
        self.urls = {
            "{sts}": sts.url,
            "{sso}": sso.url,
            "{sign_in}": sign_in.url,
            "{imds}": imds.url,
            "{imds_v1}": imds_v1.url,
            "{container}": task.full_uri,
        }

    def write(self, row: Row, home: Path) -> dict[str, str]:
        """The row's files, and its whole environment."""
        places = self.urls | {"{home}": str(home)}
        (home / ".aws").mkdir()
        (home / ".aws/config").write_text(_filled(f"[default]\n{row.config}", places), "utf-8")
        (home / ".aws/credentials").write_text(_filled(row.credentials, places), "utf-8")
        for name, text in _FILES.items():
            (home / name).write_text(text)
        self.sso.sign_in(home, "corp")
        self.sso.sign_in(home, "https://example.awsapps.com/start")
        self.sign_in.log_in(home, timedelta(hours=2))
        environ = _BASE_ENVIRON | dict(row.environ)
        return {name: _filled(value, places) for name, value in environ.items()}


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(name, place)
    return text


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with (
        Sts() as sts,
        Sso() as sso,
        SignIn() as sign_in,
        Imds() as imds,
        Imds() as imds_v1,
        ContainerService() as task,
    ):
        yield Services(sts, sso, sign_in, imds, imds_v1, task)


_loader = botocore.loaders.create_loader()


def by_botocore(environ: Mapping[str, str], profile: str | None) -> Triple | None:
    cache = f"{environ['HOME']}/.aws/sso/cache"
    with (
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch("getpass.getpass", side_effect=EOFError),
        mock.patch("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0),
        mock.patch("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", cache),
        mock.patch("botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", cache),
    ):
        session = botocore.session.Session(profile=profile)
        session.register_component("data_loader", _loader)
        try:
            found = session.get_credentials()
            keys = None if found is None else found.get_frozen_credentials()
        except Exception:  # botocore lets all kinds of exceptions through
            return None
    # With an empty key nothing can be signed.
    return (
        (keys.access_key, keys.secret_key, keys.token or None)
        if keys is not None and keys.access_key and keys.secret_key
        else None
    )


async def by_us(environ: Mapping[str, str], profile: str | None) -> Triple | None:
    async def no_wait(_: float) -> None:
        pass

    config = ClientConfig(profile=profile)
    fetcher = Fetcher(sleep=no_wait)
    try:
        contexts = ClientContexts(config, await load_config(config, environ))
        contexts._fetcher = fetcher
        keys = await CredentialsSource(default_chain(profile), contexts=contexts).get()
    except S3Error:
        return None
    finally:
        await fetcher.aclose()
    assert isinstance(keys, Credentials)
    return keys.access_key_id, keys.secret_access_key, keys.session_token


def _is(found: Triple | None, expected: str | None) -> bool:
    if found is None or expected is None:
        return found is None and expected is None
    return found[0].startswith("ASIA") if expected == "a role's" else found[0] == expected


@pytest.mark.parametrize("row", [*PAIRS, *ROWS], ids=lambda row: row.name)
async def test_same_credentials_or_none(row: Row, services: Services, tmp_path: Path) -> None:
    environ = services.write(row, tmp_path)
    theirs = await asyncio.to_thread(by_botocore, environ, row.profile)
    ours = await by_us(environ, row.profile)
    if row.reason:
        assert ours != theirs
        assert _is(ours, row.ours)
        assert _is(theirs, row.theirs)
    else:
        assert ours == theirs


@pytest.mark.parametrize("profile", [None, "default"])
@pytest.mark.parametrize("name", SOURCES)
async def test_each_source_alone_is_found(
    name: str, profile: str | None, services: Services, tmp_path: Path
) -> None:
    environ = services.write(combined(name, profile=profile), tmp_path)
    passed_over = profile is not None and "environment" in name
    assert (await by_us(environ, profile) is None) is passed_over

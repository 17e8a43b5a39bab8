"""Services, processes and cache files of every kind, for botocore and for this package.

Both find the same access key, secret and session token, or neither finds any. Where a case differs
on purpose, it says which of us finds some, and why.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.oracle.test_credentials_oracle import by_botocore, by_us
from tests.servers.container import ContainerService
from tests.servers.http_service import HttpService, Response
from tests.servers.imds import Imds
from tests.servers.sign_in import SESSION, SignIn
from tests.servers.sso import Sso

Prepare = Callable[[Any, Path], object]


@dataclass(frozen=True)
class Case:
    """One service or process.

    Attributes:
        name: what it is about.
        prepare: changes the service and writes its files.
        environ: more environment variables.
        config: more of the config file.
        found_by: who finds credentials, where only one does.
        reason: why.
    """

    name: str
    prepare: Prepare = lambda server, home: None
    environ: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    found_by: Literal["us", "botocore", ""] = ""
    reason: str = ""


def served(path: str = "/", times: int = 100, **response: Any) -> Prepare:
    return lambda server, _: server.fail(Response(**response), times=times, path=path)


def changed(**attributes: object) -> Prepare:
    def change(server: Any, _: Path) -> None:
        for name, value in attributes.items():
            setattr(server, name, value)

    return change


def replaced(document: str, **changes: object) -> Prepare:
    """The service's own credentials with changes; None leaves a member out."""

    def replace(server: Any, _: Path) -> None:
        members = {**server.credentials(), **changes}
        body = {name: value for name, value in members.items() if value is not None}
        server.fail(Response(200, body), times=100, path=document)

    return replace


ROLES = "/latest/meta-data/iam/security-credentials/"
ROLE = f"{ROLES}web"
TOKEN = "/latest/api/token"
BLIP = "a single failure is tried again, within the same 2 seconds"
NO_V1 = "IMDSv1 only if it is enabled: any SSRF can read its credentials"

IMDS_CASES = [
    Case("as it should be"),
    Case("mode IPv6 and an endpoint", environ={"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}),
    Case("invalid mode", environ={"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv5"}),
    Case("invalid endpoint", environ={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://a b/"}),
    Case("invalid timeout", environ={"AWS_METADATA_SERVICE_TIMEOUT": "soon"}),
    Case(
        "timeout with a fraction",
        environ={"AWS_METADATA_SERVICE_TIMEOUT": "1.5"},
        found_by="us",
        reason="a fraction of a second is a time too",
    ),
    Case("timeout of the profile", config="metadata_service_timeout = 2"),
    Case("no attempt", environ={"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "0"}),
    Case("three attempts", environ={"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3"}),
    Case("disabled", environ={"AWS_EC2_METADATA_DISABLED": "TRUE"}),
    Case("disabled by another word", environ={"AWS_EC2_METADATA_DISABLED": "yes"}),
    Case("disabled in the profile", config="ec2_metadata_disabled = true"),
    Case("IMDSv1 disabled", environ={"AWS_EC2_METADATA_V1_DISABLED": "true"}),
    Case(
        "IMDSv1 only",
        changed(issues_tokens=False, requires_token=False),
        found_by="botocore",
        reason=NO_V1,
    ),
    Case(
        "IMDSv1 only, enabled",
        changed(issues_tokens=False, requires_token=False),
        environ={"AWS_EC2_METADATA_V1_DISABLED": "false"},
    ),
    Case(
        "IMDSv1 only, enabled in the profile",
        changed(issues_tokens=False, requires_token=False),
        config="ec2_metadata_v1_disabled = false",
    ),
    Case(
        "IMDSv1 only, forbidden",
        changed(issues_tokens=False, requires_token=False),
        environ={"AWS_EC2_METADATA_V1_DISABLED": "true"},
    ),
    Case("tokens refused, IMDSv2 required", changed(issues_tokens=False)),
    Case("no role", changed(role=None)),
    Case("credentials that ended", changed(expires_at=datetime(2020, 1, 1, tzinfo=UTC))),
    Case("a role that cannot be assumed", replaced(ROLE, Code="Failed", Message="no", Token=None)),
    Case("no secret", replaced(ROLE, SecretAccessKey=None)),
    Case("no end", replaced(ROLE, Expiration=None)),
    Case("an end that is no time", replaced(ROLE, Expiration="soon")),
    Case("no code", replaced(ROLE, Code=None)),
    Case("no JSON", served(ROLE, body="<html>")),
    Case("an empty role", served(ROLES, body="")),
    Case("a busy service", served(status=503)),
    Case("a lost token", served(ROLES, 1, status=401), found_by="us", reason=BLIP),
    Case("one failure", served(ROLES, 1, status=500), found_by="us", reason=BLIP),
    Case(
        "one failure of many",
        served(ROLES, 1, status=500),
        {"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3"},
    ),
    Case("a refusal of the token", served(TOKEN, status=400)),
    Case("a redirect", served(ROLES, status=302, headers={"Location": "/elsewhere"})),
]

CONTAINER_CASES = [
    Case("as it should be"),
    Case("a token", changed(token="a/b+c=="), {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "a/b+c=="}),
    Case(
        "a token with a scheme",
        changed(token="Basic a"),
        {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic a"},
    ),
    Case("a wrong token", changed(token="a"), {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "b"}),
    Case(
        "a token with a line break",
        changed(token="a"),
        {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\n"},
    ),
    Case(
        "an empty token",
        environ={"AWS_CONTAINER_AUTHORIZATION_TOKEN": ""},
        found_by="us",
        reason="an empty variable counts as not set, everywhere alike",
    ),
    Case(
        "localhost",
        environ={
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost:{port}/v2/credentials/0a1b2c3d"
        },
    ),
    Case("credentials that ended", replaced("/", Expiration="2020-01-01T00:00:00Z")),
    Case("no end", replaced("/", Expiration=None)),
    Case("an end without a time zone", replaced("/", Expiration="2100-01-01T00:00:00")),
    Case("an end with an offset", replaced("/", Expiration="2100-01-01T00:00:00+02:00")),
    Case("an end with fractions", replaced("/", Expiration="2100-01-01T00:00:00.123456789Z")),
    Case("an end in UTC by name", replaced("/", Expiration="2100-01-01T00:00:00UTC")),
    Case("no token in the credentials", replaced("/", Token=None)),
    Case("no access key", replaced("/", AccessKeyId=None)),
    Case("no account", replaced("/", AccountId=None)),
    Case("no JSON", served(body="hello")),
    Case("a list", served(body="[1]")),
    Case("one failure", served(times=1, status=500)),
    Case("one lost connection", served(times=1, status=None)),
    Case("a failure", served(status=500)),
    Case("a redirect", served(status=307, headers={"Location": "/elsewhere"})),
]

START_URL = "https://example.awsapps.com/start"
ENDED = "2020-01-01T00:00:00Z"


def signed_in(name: str = "corp", **changes: Any) -> Prepare:
    return lambda server, home: server.sign_in(home, name, **changes)


def cache_file(data: bytes) -> Prepare:
    return lambda server, home: server.sign_in(home, "corp").write_bytes(data)


def soon() -> str:
    return (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")


SSO_CASES = [
    Case("as it should be", signed_in()),
    Case("not signed in"),
    Case("a token that ended", signed_in(expiresAt=ENDED)),
    Case("a token that ends soon", signed_in(expiresAt=soon())),
    Case("no refresh token", signed_in(expiresAt=ENDED, refreshToken=None)),
    Case("no refresh token, ends soon", signed_in(expiresAt=soon(), refreshToken=None)),
    Case("a used refresh token", signed_in(expiresAt=ENDED, refreshToken="used")),
    Case("a used refresh token, ends soon", signed_in(expiresAt=soon(), refreshToken="used")),
    Case("an unknown client", signed_in(expiresAt=ENDED, clientSecret="other")),
    Case("a registration that ended", signed_in(expiresAt=ENDED, registrationExpiresAt=ENDED)),
    Case("a session that was ended", signed_in(accessToken="other")),
    Case("a token in UTC by name", signed_in(expiresAt="2100-01-01T00:00:00UTC")),
    Case("no end", signed_in(expiresAt=None)),
    Case("no access token", signed_in(accessToken=None)),
    Case("an empty cache file", cache_file(b"")),
    Case("a cache file that is no JSON", cache_file(b"{")),
    Case("no region in the cache file", signed_in(region=None, startUrl=None)),
]
LEGACY_CASES = [
    Case("as it should be", signed_in(START_URL)),
    Case("not signed in"),
    Case("a token that ended", signed_in(START_URL, expiresAt=ENDED)),
    Case("a token that ends soon", signed_in(START_URL, expiresAt=soon())),
]


def logged_in(minutes: int, **changes: Any) -> Prepare:
    return lambda server, home: server.log_in(home, timedelta(minutes=minutes), **changes)


def without_account(server: SignIn, home: Path) -> None:
    path = server.log_in(home, timedelta(minutes=14))
    members = json.loads(path.read_bytes())
    del members["accessToken"]["accountId"]
    path.write_text(json.dumps(members))


LOGIN_CASES = [
    Case("as it should be", logged_in(14)),
    Case("not logged in"),
    Case("ends soon", logged_in(4)),
    Case("ended", logged_in(-1)),
    Case("ended, with a region of its own", logged_in(-1, signInRegion="us-west-2")),
    Case("ended, and its refresh token too", logged_in(-1, refreshToken="used")),
    Case("no key", logged_in(14, dpopKey=None)),
    Case("a damaged key", logged_in(14, dpopKey="AA==")),
    Case("a damaged key, ended", logged_in(-1, dpopKey="AA==")),
    Case("no client", logged_in(14, clientId=None)),
    Case("no credentials", logged_in(14, accessToken=None)),
    Case("no id token", logged_in(14, idToken=None)),
    Case("no account", without_account, found_by="us", reason="nothing here needs the account"),
]


def printed(output: object = None, **changes: object) -> Prepare:
    document = {"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": "secret/process"}
    data = output if isinstance(output, bytes) else json.dumps(document | changes).encode()
    return lambda _, home: (home / "output").write_bytes(data)


PROCESS_CASES = [
    Case("as it should be", printed()),
    Case("a token", printed(SessionToken="a/b==")),
    Case("an empty token", printed(SessionToken="")),
    Case("an account", printed(AccountId="123456789012", Expiration="2100-01-01T00:00:00Z")),
    Case("an account as a number", printed(AccountId=123456789012)),
    Case("no end", printed(Expiration=None)),
    Case("an empty end", printed(Expiration="")),
    Case("an end without a time zone", printed(Expiration="2100-01-01T00:00:00")),
    Case("an end with an offset", printed(Expiration="2100-01-01T00:00:00-08:00")),
    Case("an end in UTC by name", printed(Expiration="2100-01-01T00:00:00UTC")),
    Case("an end with a space", printed(Expiration="2100-01-01 00:00:00Z")),
    Case("a basic end", printed(Expiration="21000101T000000Z")),
    Case("an end that is a number", printed(Expiration=4_102_444_800)),
    Case(
        "an end of an e-mail",
        printed(Expiration="Fri, 01 Jan 2100 00:00:00 GMT"),
        found_by="botocore",
        reason="AWS documents ISO 8601",
    ),
    Case(
        "an access key that is a number",
        printed(AccessKeyId=123),
        found_by="botocore",
        reason="no request can be signed with it",
    ),
    Case("an empty secret", printed(SecretAccessKey="")),
    Case("version 1.0", printed(Version=1.0)),
    Case("version 1 in quotes", printed(Version="1")),
    Case("no output", printed(b"")),
    Case("bytes that are no text", printed(b"\xff\xfe\x00")),
    Case(
        "a byte order mark",
        printed(b'\xef\xbb\xbf{"Version":1,"AccessKeyId":"A","SecretAccessKey":"s"}'),
        found_by="us",
        reason="PowerShell writes it",
    ),
]

SSO_ROLE = "sso_account_id = 123456789012\nsso_role_name = Read Only/é\n"
SSO_PORTAL = f"sso_start_url = {START_URL}\nsso_region = eu-west-1\n"
SSO_URLS = {"AWS_ENDPOINT_URL_SSO": "{url}", "AWS_ENDPOINT_URL_SSO_OIDC": "{url}"}


@dataclass(frozen=True)
class Kind:
    """A kind of source: its service, the config file and environment that name it, its cases."""

    service: Callable[[], AbstractContextManager[HttpService | None]]
    config: str
    environ: Mapping[str, str]
    cases: list[Case]


KINDS = {
    "imds": Kind(
        Imds,
        "",
        {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{url}/"},
        IMDS_CASES,
    ),
    "container": Kind(
        ContainerService,
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/v2/credentials/0a1b2c3d"},
        CONTAINER_CASES,
    ),
    "sso": Kind(
        Sso, f"sso_session = corp\n{SSO_ROLE}[sso-session corp]\n{SSO_PORTAL}", SSO_URLS, SSO_CASES
    ),
    "legacy sso": Kind(Sso, SSO_ROLE + SSO_PORTAL, SSO_URLS, LEGACY_CASES),
    "login": Kind(
        SignIn,
        f"login_session = {SESSION}\n",
        {"AWS_ENDPOINT_URL_SIGNIN": "{url}", "AWS_LOGIN_CACHE_DIRECTORY": "{home}"},
        LOGIN_CASES,
    ),
    "process": Kind(nullcontext, "credential_process = cat {home}/output\n", {}, PROCESS_CASES),
}
BASE_ENVIRON = {
    "HOME": "{home}",
    "PATH": os.environ["PATH"],
    "AWS_CONFIG_FILE": "{home}/.aws/config",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "NO_PROXY": "*",
}


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        pytest.param(kind, case, id=f"{name}: {case.name}")
        for name, kind in KINDS.items()
        for case in kind.cases
    ],
)
async def test_same_credentials_or_none(kind: Kind, case: Case, tmp_path: Path) -> None:
    with kind.service() as server:
        environ = _prepared(kind, case, tmp_path / "botocore", server)
        theirs = await asyncio.to_thread(by_botocore, environ, None)
    with kind.service() as server:
        ours = await by_us(_prepared(kind, case, tmp_path / "us", server), None)
    if case.found_by:
        assert (ours is not None) is (case.found_by == "us")
        assert (theirs is not None) is (case.found_by == "botocore")
    else:
        assert ours == theirs
    if case.name == "as it should be":
        assert ours is not None


def _prepared(kind: Kind, case: Case, home: Path, server: HttpService | None) -> dict[str, str]:
    """The case's files, and its whole environment."""
    places = {"{home}": str(home)}
    if server is not None:
        places |= {"{url}": server.url, "{port}": str(server.port)}

    def fill(text: str) -> str:
        for name, place in places.items():
            text = text.replace(name, place)
        return text

    (home / ".aws").mkdir(parents=True)
    config = f"[default]\n{case.config}\n{kind.config}"
    (home / ".aws" / "config").write_text(fill(config), "utf-8")
    case.prepare(server, home)
    environ = {**BASE_ENVIRON, **kind.environ, **case.environ}
    return {name: fill(value) for name, value in environ.items()}

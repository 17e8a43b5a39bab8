"""Error reporters send the locals of every frame; those of failed loads have no secret."""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import timedelta
from pathlib import Path

import pytest

from aios3get.credentials import (
    AssumeRole,
    ContainerCredentials,
    Credentials,
    IBMCloudAPIKey,
    InstanceMetadata,
    ProfileCredentials,
    WebIdentity,
    default_chain,
)
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider
from aios3get.errors import ConfigurationError, CredentialsError, S3Error
from tests.servers.http_service import HttpService, Request, Response
from tests.servers.sign_in import SESSION, SignIn
from tests.servers.sso import Sso

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROLE = "arn:aws:iam::123456789012:role/reader"
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET, f"token-{SECRET}")


def shown(value: object, depth: int = 0) -> Iterator[str]:
    """All texts of a local variable, as Sentry serializes it."""
    if isinstance(value, str | bytes) or depth > 5:
        yield repr(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield f"{name!r}"
            yield from shown(item, depth + 1)
    elif isinstance(value, Sequence | Set):
        for item in value:
            yield from shown(item, depth + 1)
    else:
        yield repr(value)


def locals_of(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            # The test's own frame has the secrets that it passes.
            if trace.tb_frame.f_code.co_filename != __file__:
                yield from shown(trace.tb_frame.f_locals)
            trace = trace.tb_next
        yield str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class Failing(HttpService):
    """Responds to everything in the same way."""

    response = Response(500, "no")

    def respond(self, request: Request) -> Response:
        return self.response


@pytest.fixture(scope="module")
def failing() -> Iterator[Failing]:
    with Failing() as server:
        yield server


RESPONSES = {
    "dropped": Response(None),
    "refused": Response(403, f"<Error><Code>Denied</Code><Message>{SECRET}</Message></Error>"),
    "garbage": Response(200, f"{SECRET}\xff"),
    "incomplete": Response(
        200,
        {
            "SecretAccessKey": SECRET,
            "Token": SECRET,
            "access_token": SECRET,
            "accessToken": SECRET,
            "roleCredentials": {"secretAccessKey": SECRET, "sessionToken": SECRET},
        },
    ),
    "incomplete XML": Response(200, f"<a><SecretAccessKey>{SECRET}</SecretAccessKey></a>"),
}


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize(
    "source",
    ["role", "web identity", "container", "instance", "sso", "sso token", "login", "ibm"],
)
async def test_locals_of_a_failure_hold_no_secret(
    source: str, response: str, failing: Failing, tmp_path: Path
) -> None:
    failing.response = RESPONSES[response]
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "config").write_text(
        "[default]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = reader\n"
        f"[profile login]\nlogin_session = {SESSION}\n"
        "[sso-session corp]\nsso_start_url = https://example.awsapps.com/start\n"
        "sso_region = eu-west-1\n"
    )
    with Sso() as sso, SignIn() as sign_in:
        changes = {"expiresAt": "2020-01-01T00:00:00Z"} if source == "sso token" else {}
        sso.sign_in(tmp_path, "corp", accessToken=SECRET, refreshToken=SECRET, **changes)
        sign_in.log_in(tmp_path, timedelta(seconds=-1), refreshToken=SECRET)
    providers: dict[str, Provider] = {
        "role": AssumeRole(ROLE, KEYS, external_id=SECRET),
        "web identity": WebIdentity(ROLE, tmp_path / "token"),
        "container": ContainerCredentials(),
        "instance": InstanceMetadata(),
        "sso": ProfileCredentials("default"),
        "sso token": ProfileCredentials("default"),
        "login": ProfileCredentials("login"),
        "ibm": IBMCloudAPIKey(SECRET, iam_url=failing.url),
    }
    environ = {
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_LOGIN_CACHE_DIRECTORY": str(tmp_path),
        "AWS_ENDPOINT_URL": failing.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{failing.url}/{SECRET}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": failing.url,
        "AWS_REGION": "eu-west-1",
    }

    async def no_wait(_: float) -> None:
        pass

    error: S3Error | None = None
    async with ProviderContext(environ=environ, sleep=no_wait) as context:
        try:
            await providers[source].load(context)
        except S3Error as caught:
            error = caught
    if error is None:
        # IMDS that is not one is no failure.
        assert source == "instance"
        return
    found = [text for text in locals_of(error) if SECRET in text]
    assert not found


KEY = f"aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n"
KEY_OF_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SECRET,
}
INVALID: dict[str, tuple[str, dict[str, str]]] = {
    "file that is no INI file": (f"{KEY}", {}),
    "line without a value": (f"[default]\n{KEY}nonsense", {}),
    "group without a value": (f"[default]\n{KEY}s3 =\n  {SECRET}", {}),
    "file that is no text": (f"[default]\n{KEY}\udcff", {}),
    "file that is too large": (f"[default]\n{KEY}" + "#" * 1_100_000, {}),
    "secret with a line break": (f"[default]\n{KEY}  {SECRET}", {}),
    "half a key": (f"[default]\naws_access_key_id = AKIA\naws_session_token = {SECRET}", {}),
    "invalid setting": (f"[default]\n{KEY}use_fips_endpoint = perhaps", KEY_OF_ENVIRONMENT),
    "invalid variable": (KEY, KEY_OF_ENVIRONMENT | {"AWS_USE_FIPS_ENDPOINT": "perhaps"}),
    "invalid end": ("", KEY_OF_ENVIRONMENT | {"AWS_CREDENTIAL_EXPIRATION": "soon"}),
    "half a key of the environment": (
        "",
        KEY_OF_ENVIRONMENT | {"AWS_SECRET_ACCESS_KEY": ""},
    ),
    "invalid key of the environment": (
        "",
        KEY_OF_ENVIRONMENT | {"AWS_SESSION_TOKEN": f"{SECRET} {SECRET}"},
    ),
    "missing profile": (f"[default]\n{KEY}", {"AWS_PROFILE": "none", "TOKEN": SECRET}),
    "role without a source": (f"[default]\n{KEY}role_arn = {ROLE}", {}),
    "web identity without a role": (
        "",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "TOKEN": SECRET},
    ),
    "container elsewhere": (
        "",
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://192.0.2.1/{SECRET}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET,
        },
    ),
    "container with an invalid token": (
        "",
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": f"{SECRET}\n",
        },
    ),
}
READ_BY_REQUESTS = {"invalid setting", "invalid variable"}


@pytest.mark.parametrize("name", INVALID)
async def test_locals_of_a_configuration_error_hold_no_secret(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, environ = INVALID[name]
    (tmp_path / "credentials").write_bytes(text.encode(errors="surrogateescape"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    provider = AssumeRole(ROLE) if name in READ_BY_REQUESTS else default_chain()
    error: S3Error | None = None
    try:
        await provider()  # type: ignore[misc]  # both are async
    except S3Error as caught:
        error = caught
    assert isinstance(error, ConfigurationError | CredentialsError)
    found = [text for text in locals_of(error) if SECRET in text]
    assert not found

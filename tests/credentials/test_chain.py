from typing import Any

import pytest

from aios3get.credentials import (
    ANONYMOUS,
    Credentials,
    CredentialsSource,
    EnvironmentCredentials,
    chain,
    default_chain,
)
from aios3get.credentials.context import ProviderContext
from aios3get.errors import ConfigurationError, CredentialsError
from tests.credentials.conftest import Files, load

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
OTHER = "aws_access_key_id = AKIAI44QH8DHBEXAMPLE\naws_secret_access_key = other\n"


async def test_first_provider_with_credentials_ends_the_search() -> None:
    called: list[str] = []

    def nothing() -> None:
        called.append("nothing")

    async def keys() -> Credentials:
        called.append("keys")
        return Credentials(KEY_ID, SECRET)

    assert await load(chain(nothing, keys, lambda: ANONYMOUS)) == Credentials(KEY_ID, SECRET)
    assert called == ["nothing", "keys"]
    assert await load(chain(nothing, lambda: ANONYMOUS)) is ANONYMOUS


async def test_error_of_a_provider_ends_the_chain() -> None:
    half = EnvironmentCredentials(environ={"AWS_ACCESS_KEY_ID": KEY_ID})
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY is not"):
        await load(chain(half, lambda: ANONYMOUS))


@pytest.mark.parametrize("providers", [(), (ANONYMOUS,), (lambda: None, SECRET)])
def test_chain_refuses_objects_that_are_not_callable(providers: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"chain\(\)") as caught:
        chain(*providers)
    assert SECRET not in str(caught.value)


async def test_error_lists_each_source_on_a_line_detected_ones_first(
    files: Files,
) -> None:
    environ = files(AWS_SECRET_ACCESS_KEY=SECRET, AWS_EC2_METADATA_DISABLED="true")
    providers = chain(lambda: None, default_chain())
    source = CredentialsSource(providers, contexts=lambda: ProviderContext(environ=environ))
    with pytest.raises(CredentialsError) as caught:
        await source.get()
    error = caught.value
    home = environ["HOME"]
    assert error.sources == (
        "the environment: AWS_ACCESS_KEY_ID is not set, although AWS_SECRET_ACCESS_KEY is",
        "the provider test_error_lists_each_source_on_a_line_detected_ones_first"
        ".<locals>.<lambda>: returned None",
        "a web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set",
        "the profile 'default': has no source of credentials in"
        f" {home}/.aws/credentials and {home}/.aws/config",
        "the container: neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor"
        " AWS_CONTAINER_CREDENTIALS_FULL_URI is set",
        "the EC2 instance metadata service: AWS_EC2_METADATA_DISABLED is true",
    )
    first, *lines = str(error).splitlines()
    assert lines == [f"  - {line}" for line in error.sources]
    for part in ("ANONYMOUS", "Credentials(…)", "callable"):
        assert part in first


async def test_environment_precedes_the_profile_that_it_names(files: Files) -> None:
    environ = files(credentials=f"[a]\n{OTHER}", AWS_PROFILE="a") | KEYS
    assert await load(default_chain(), environ) == Credentials(KEY_ID, SECRET)


async def test_explicit_profile_precedes_the_environment(files: Files) -> None:
    loaded = await load(default_chain("a"), files(credentials=f"[a]\n{OTHER}") | KEYS)
    assert isinstance(loaded, Credentials)
    assert loaded.access_key_id == "AKIAI44QH8DHBEXAMPLE"


def test_repr_and_str_show_no_secret() -> None:
    providers = chain(EnvironmentCredentials(environ=KEYS), lambda: Credentials(KEY_ID, SECRET))
    assert SECRET not in repr(providers) + str(providers)

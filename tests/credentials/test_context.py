import ssl
from pathlib import Path

import pytest

from aios3get._http.fetcher import Fetcher
from aios3get._protocol.fetch import FetchRequest
from aios3get.credentials.context import ProviderContext
from aios3get.errors import ConfigurationError, ConnectionFailed
from tests.credentials.conftest import Files


async def test_region_of_the_caller_precedes_environment_and_profile(files: Files) -> None:
    environ = files(config="[default]\nregion = r4")
    assert await ProviderContext(environ=environ).region() == "r4"
    environ["AWS_DEFAULT_REGION"] = "r3"
    assert await ProviderContext(environ=environ).region() == "r3"
    environ["AWS_REGION"] = "r2"
    assert await ProviderContext(environ=environ).region() == "r2"
    assert await ProviderContext(environ=environ, region="r1").region() == "r1"


async def test_region_is_none_if_not_configured() -> None:
    assert await ProviderContext(environ={"HOME": "/nowhere"}).region() is None


async def test_files_are_read_once_for_one_context(files: Files) -> None:
    environ = files(config="[default]\nregion = first")
    context = ProviderContext(environ=environ)
    assert (await context.profile()).get("region") == "first"
    files(config="[default]\nregion = second")
    assert (await context.profile()).get("region") == "first"
    assert (await ProviderContext(environ=environ).profile()).get("region") == "second"


async def test_malformed_files_raise_only_when_they_are_used(
    files: Files,
) -> None:
    context = ProviderContext(environ=files(config="nonsense"), region="us-east-1")
    assert await context.region() == "us-east-1"
    with pytest.raises(ConfigurationError, match="line 1"):
        await context.profile()


async def test_own_fetcher_uses_the_ca_bundle_and_closes_its_session(
    files: Files, tmp_path: Path, unused_tcp_port: int
) -> None:
    environ = files(config=f"[default]\nca_bundle = {tmp_path}/none.pem")
    request = FetchRequest("GET", f"http://127.0.0.1:{unused_tcp_port}/")
    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        await ProviderContext(environ=environ).fetch(request)
    async with ProviderContext(environ={"HOME": "/nowhere"}) as context:
        for _ in range(2):
            with pytest.raises(ConnectionFailed):
                await context.fetch(request, attempts=1)
        assert context._own_fetcher is not None
        (session,) = context._own_fetcher._sessions.values()
    assert session.closed


async def test_passed_fetcher_stays_open() -> None:
    fetcher = Fetcher(verify=ssl.create_default_context())

    async def of_client() -> Fetcher:
        return fetcher

    async with ProviderContext(environ={}, fetcher=of_client):
        session = fetcher._session()
    assert not session.closed
    await fetcher.aclose()
    assert session.closed

from pathlib import Path
from typing import Any

import pytest

from aios3get import errors
from aios3get._config import shared_files
from aios3get._config.client_config import ClientConfig
from aios3get._config.loaded_config import load_config
from aios3get.client import S3Client
from aios3get.testing import S3Server


async def test_arguments_precede_environment_and_profile(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile reader]\nregion = eu-west-3\nca_bundle = /ca\n")
    environ = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "reader"}
    loaded = await load_config(ClientConfig(), environ)
    assert (loaded.profile, loaded.settings.endpoint.region) == ("reader", "eu-west-3")
    assert loaded.settings.ca_bundle == "/ca"
    loaded = await load_config(ClientConfig(), {**environ, "AWS_REGION": "eu-west-2"})
    assert loaded.settings.endpoint.region == "eu-west-2"
    config = ClientConfig(region="eu-west-1")
    loaded = await load_config(config, {**environ, "AWS_REGION": "eu-west-2"})
    assert loaded.settings.endpoint.region == "eu-west-1"
    with pytest.raises(errors.ConfigurationError, match="missing"):
        await load_config(ClientConfig(profile="missing"), environ)


async def test_shared_files_are_read_once_for_settings_and_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with S3Server() as server:
        server.put_object("amzn-s3-demo-bucket", "key", b"content")
        known = server.credentials
        (tmp_path / "config").write_text(
            f"[profile reader]\nregion = us-east-1\nendpoint_url = {server.endpoint_url}\n"
        )
        (tmp_path / "credentials").write_text(
            f"[reader]\naws_access_key_id = {known.access_key_id}\n"
            f"aws_secret_access_key = {known.secret_access_key}\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        readings: list[object] = []
        real = shared_files._read_both

        def counted(environ: Any) -> Any:
            readings.append(environ)
            return real(environ)

        monkeypatch.setattr(shared_files, "_read_both", counted)
        async with S3Client(profile="reader") as client:
            assert await (await client.get_object("amzn-s3-demo-bucket", "key")).read()
        assert len(readings) == 1

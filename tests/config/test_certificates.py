import ssl
from pathlib import Path

import pytest

from aios3get._config.certificates import load_certificates
from aios3get.errors import ConfigurationError
from tests.servers.tls import Authority


async def test_verify_true_and_false_are_passed_to_aiohttp() -> None:
    assert await load_certificates(True, None) is True
    assert await load_certificates(False, "ignored.pem") is False


async def test_ca_bundle_may_be_a_file_folder_or_context(
    authority: Authority, tmp_path: Path
) -> None:
    context = await load_certificates(True, str(authority.ca_file))
    assert isinstance(context, ssl.SSLContext)
    assert context.cert_store_stats()["x509_ca"] == 1
    assert await load_certificates(context, "ignored.pem") is context
    assert isinstance(await load_certificates(tmp_path, "ignored.pem"), ssl.SSLContext)


async def test_invalid_ca_bundle_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "none.pem"):
        with pytest.raises(ConfigurationError, match=name):
            await load_certificates(True, str(tmp_path / name))

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from tests.servers import process
from tests.servers.foreign import botocore_client, ensure_bucket, fetch, put_object, send_signed
from tests.servers.process import RealServer, ServerStartError, running, wait_until
from tests.servers.radosgw import find_ceph
from tests.servers.resolver import loopback_session
from tests.servers.swift import folder_with_xattrs
from tests.servers.tls import Authority

# One worker starts the servers for all of its tests.
pytestmark = pytest.mark.xdist_group("real-servers")

BUCKET = "amzn-s3-demo-bucket"
KEY = "photos/2006/February/sample.jpg"


@pytest.fixture
def server(real_server: RealServer) -> RealServer:
    ensure_bucket(real_server, BUCKET)
    put_object(real_server, BUCKET, KEY, b"a picture")
    return real_server


def test_signed_get_returns_the_object(server: RealServer) -> None:
    response = send_signed(server, "GET", f"/{BUCKET}/{KEY}")
    assert (response.status, response.body) == (200, b"a picture")


def test_wrong_secret_is_refused(server: RealServer) -> None:
    stranger = replace(server, secret_access_key="another")
    response = send_signed(stranger, "GET", f"/{BUCKET}/{KEY}")
    assert response.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in response.body


def test_presigned_url_is_accepted_unless_tampered_with(server: RealServer) -> None:
    params = {"Bucket": BUCKET, "Key": KEY}
    client = botocore_client(server)
    url = client.generate_presigned_url("get_object", Params=params)
    client.close()
    assert fetch(url).body == b"a picture"
    assert fetch(url.replace("sample", "simple")).status == 403


async def test_tls_certificate_covers_loopback(server: RealServer, authority: Authority) -> None:
    async with (
        loopback_session({}, authority.client_context()) as session,
        session.get(server.tls_endpoint_url) as response,
    ):
        assert response.status < 500


async def test_resolver_leads_an_aws_host_name_to_the_server(
    swift: RealServer, authority: Authority
) -> None:
    ensure_bucket(swift, BUCKET)
    put_object(swift, BUCKET, "key", b"by its AWS name")
    url = f"https://{BUCKET}.s3-fips.dualstack.us-east-1.amazonaws.com/key"
    request = AWSRequest("GET", url)
    keys = Credentials(swift.access_key_id, swift.secret_access_key)
    S3SigV4QueryAuth(keys, "s3", swift.region).add_auth(request)
    async with (
        loopback_session({443: swift.tls_port}, authority.client_context()) as session,
        session.get(URL(request.url, encoded=True)) as response,
    ):
        assert await response.read() == b"by its AWS name"


async def test_certificate_of_another_authority_is_refused(
    swift: RealServer, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    async with loopback_session({}, stranger.client_context()) as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(swift.tls_endpoint_url)


def test_swift_refuses_a_wrong_region(swift: RealServer) -> None:
    other = replace(swift, region="eu-central-1")
    response = send_signed(other, "GET", f"/{BUCKET}/{quote(KEY)}")
    assert response.status == 400
    assert b"<Code>AuthorizationHeaderMalformed</Code>" in response.body
    assert b"<Region>us-east-1</Region>" in response.body


def test_swift_refuses_a_user_without_rights(swift: RealServer) -> None:
    other = replace(
        swift,
        access_key_id=process.OTHER_ACCESS_KEY_ID,
        secret_access_key=process.OTHER_SECRET_ACCESS_KEY,
    )
    response = send_signed(other, "GET", f"/{BUCKET}/{KEY}")
    assert (response.status, b"AccessDenied" in response.body) == (403, True)


def test_process_that_ends_while_starting_raises_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "raise SystemExit('no luck')"]
    with running(command, log) as started, pytest.raises(ServerStartError, match="no luck"):
        wait_until(lambda: None, started, log)


def test_process_that_is_never_ready_raises(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with running(command, log) as started, pytest.raises(ServerStartError, match="not ready"):
        wait_until(lambda: None, started, log, limit=0.05)


def test_process_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE", 0.05)
    log = tmp_path / "log"
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    with running([sys.executable, "-c", f"{deaf}; time.sleep(60)"], log) as started:
        wait_until(lambda: log.read_text() or None, started, log)
    assert started.returncode == -9


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's PR_SET_PDEATHSIG")
def test_servers_end_with_a_killed_test_run(tmp_path: Path) -> None:
    # The grandchild holds the other end of this connection for as long as it lives.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = f"import socket, time; s = socket.create_connection(('127.0.0.1', {port}))"
        run = (
            "import sys; from pathlib import Path; from tests.servers.process import running\n"
            f"with running([sys.executable, '-c', {server + '; time.sleep(60)'!r}], "
            f"Path({str(tmp_path / 'log')!r})) as server: server.wait()"
        )
        with subprocess.Popen([sys.executable, "-c", run]) as killed:
            connection, _ = listener.accept()
            killed.kill()
        with connection:
            connection.settimeout(10)
            assert connection.recv(1) == b""


def test_folder_without_xattrs_is_not_used(tmp_path: Path) -> None:
    assert folder_with_xattrs([Path("/proc"), tmp_path / "missing"]) is None


def test_missing_ceph_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RADOSGW_ROOT", str(tmp_path))
    reason = find_ceph()
    assert isinstance(reason, str)
    assert "radosgw-admin" in reason
    assert "contributing.md" in reason

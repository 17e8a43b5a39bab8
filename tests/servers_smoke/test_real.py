import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from tests.servers import process
from tests.servers.foreign import botocore_client, fetch, put_object, send_signed
from tests.servers.process import RealServer, ServerStartError, running, wait_until
from tests.servers.radosgw import find_ceph
from tests.servers.resolver import loopback_session
from tests.servers.swift import folder_with_xattrs
from tests.servers.tls import Authority

BUCKET = "amzn-s3-demo-bucket"
KEY = "photos/2006/February/sample.jpg"


@pytest.fixture(params=["swift", "rclone", pytest.param("radosgw", marks=pytest.mark.deep)])
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    found: RealServer = request.getfixturevalue(request.param)
    client = botocore_client(found)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    put_object(found, BUCKET, KEY, b"a picture")
    yield found
    client.close()


def test_a_signed_get_returns_what_was_put(server: RealServer) -> None:
    answer = send_signed(server, "GET", f"/{BUCKET}/{KEY}")
    assert (answer.status, answer.body) == (200, b"a picture")


def test_a_get_signed_with_another_secret_is_refused(server: RealServer) -> None:
    stranger = RealServer(
        server.name,
        server.endpoint_url,
        server.tls_endpoint_url,
        server.ca_file,
        server.log,
        secret_access_key="another",
    )
    answer = send_signed(stranger, "GET", f"/{BUCKET}/{KEY}")
    assert answer.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer.body


def test_a_presigned_url_works_until_it_is_touched(server: RealServer) -> None:
    params = {"Bucket": BUCKET, "Key": KEY}
    client = botocore_client(server)
    url = client.generate_presigned_url("get_object", Params=params)
    client.close()
    assert fetch(url).body == b"a picture"
    assert fetch(url.replace("sample", "simple")).status == 403


async def test_tls_is_good_for_loopback(server: RealServer, authority: Authority) -> None:
    async with (
        loopback_session({}, authority.client_context()) as session,
        session.get(server.tls_endpoint_url) as response,
    ):
        assert response.status < 500


async def test_an_aws_host_name_reaches_it_through_the_resolver(
    swift: RealServer, authority: Authority
) -> None:
    client = botocore_client(swift)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    put_object(swift, BUCKET, "key", b"by its AWS name")
    client.close()
    url = f"https://{BUCKET}.s3-fips.dualstack.us-east-1.amazonaws.com/key"
    request = AWSRequest("GET", url)
    keys = Credentials(swift.access_key_id, swift.secret_access_key)
    S3SigV4QueryAuth(keys, "s3", swift.region).add_auth(request)
    async with (
        loopback_session({443: swift.tls_port}, authority.client_context()) as session,
        session.get(URL(request.url, encoded=True)) as response,
    ):
        assert await response.read() == b"by its AWS name"


async def test_a_certificate_of_another_authority_is_refused(
    swift: RealServer, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    async with loopback_session({}, stranger.client_context()) as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(swift.tls_endpoint_url)


def test_swift_checks_the_region(swift: RealServer) -> None:
    elsewhere = RealServer(
        swift.name,
        swift.endpoint_url,
        swift.tls_endpoint_url,
        swift.ca_file,
        swift.log,
        region="eu-central-1",
    )
    answer = send_signed(elsewhere, "GET", f"/{BUCKET}/{quote(KEY)}")
    assert answer.status == 400
    assert b"<Code>AuthorizationHeaderMalformed</Code>" in answer.body
    assert b"<Region>us-east-1</Region>" in answer.body


def test_swift_refuses_a_user_without_rights(swift: RealServer) -> None:
    other = RealServer(
        swift.name,
        swift.endpoint_url,
        swift.tls_endpoint_url,
        swift.ca_file,
        swift.log,
        access_key_id=process.OTHER_ACCESS_KEY_ID,
        secret_access_key=process.OTHER_SECRET_ACCESS_KEY,
    )
    answer = send_signed(other, "GET", f"/{BUCKET}/{KEY}")
    assert (answer.status, b"AccessDenied" in answer.body) == (403, True)


def test_a_process_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "raise SystemExit('no luck')"]
    with running(command, log) as started, pytest.raises(ServerStartError, match="no luck"):
        wait_until(lambda: None, started, log)


def test_a_process_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with running(command, log) as started, pytest.raises(ServerStartError, match="not ready"):
        wait_until(lambda: None, started, log, limit=0.05)


def test_a_process_that_ignores_the_request_to_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE", 0.05)
    log = tmp_path / "log"
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    with running([sys.executable, "-c", f"{deaf}; time.sleep(60)"], log) as started:
        wait_until(lambda: log.read_text() or None, started, log)
    assert started.returncode == -9


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's PR_SET_PDEATHSIG")
def test_a_killed_test_run_takes_its_servers_along(tmp_path: Path) -> None:
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


def test_folders_without_xattrs_are_told_apart(tmp_path: Path) -> None:
    assert folder_with_xattrs([Path("/proc"), tmp_path / "missing"]) is None


def test_a_missing_ceph_is_named_with_its_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RADOSGW_ROOT", str(tmp_path))
    reason = find_ceph()
    assert isinstance(reason, str)
    assert "radosgw-admin" in reason
    assert "contributing.md" in reason

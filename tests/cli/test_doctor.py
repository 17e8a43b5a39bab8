import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aios3get.cli import main
from aios3get.testing import S3Server
from tests.cli.test_commands import BUCKET, KEY, LOCATION
from tests.servers.tls import Authority


def use(monkeypatch: pytest.MonkeyPatch, server: S3Server, **settings: str) -> None:
    server.put_object(BUCKET, KEY, b"body")
    for name, value in (server.environ | settings).items():
        monkeypatch.setenv(name, value)


def findings(out: str) -> dict[str, tuple[str, str]]:
    """Step → verdict and text."""
    lines = [line for line in out.splitlines() if line.startswith("[")]
    parts = [(line[:6].strip(), *line[7:].partition(": ")) for line in lines]
    return {step: (verdict, text) for verdict, step, _, text in parts}


def test_every_step_of_a_working_setup_is_ok(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server)
    assert main(["doctor", LOCATION]) == 0
    out = capsys.readouterr().out
    steps = findings(out)
    assert list(steps) == [
        *("region", "credentials", "endpoint", "DNS", "TCP", "clock", "request"),
    ]
    assert {verdict for verdict, _ in steps.values()} == {"[ok]"}
    assert "environment" in steps["credentials"][1]
    assert server.credentials.access_key_id in steps["credentials"][1]
    assert server.credentials.secret_access_key not in out
    assert "4 bytes" in steps["request"][1]


def test_request_is_skipped_without_a_location(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server)
    assert main(["doctor"]) == 0
    assert findings(capsys.readouterr().out)["request"][0] == "[skip]"


def test_missing_credentials_name_each_source(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert main(["doctor", LOCATION]) == 1
    out = capsys.readouterr().out
    verdict, text = findings(out)["credentials"]
    assert verdict == "[FAIL]"
    assert "AWS_ACCESS_KEY_ID" in text
    assert "aws sso login" in out


def test_missing_object_is_named(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server)
    assert main(["doctor", f"s3://{BUCKET}/missing"]) == 1
    assert "NoSuchKey" in findings(capsys.readouterr().out)["request"][1]


def test_refused_connection_ends_the_examination(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert main(["doctor", LOCATION, "--endpoint-url", url]) == 1
    steps = findings(capsys.readouterr().out)
    assert list(steps)[-1] == "TCP"
    assert steps["TCP"][0] == "[FAIL]"


def test_untrusted_certificate_names_the_option(
    tls_server: S3Server,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, tls_server)
    assert main(["doctor", LOCATION]) == 1
    out = capsys.readouterr().out
    assert findings(out)["TLS"][0] == "[FAIL]"
    assert "--ca-bundle" in out
    assert main(["doctor", LOCATION, "--ca-bundle", str(authority.ca_file)]) == 0
    assert "TLSv1.3" in findings(capsys.readouterr().out)["TLS"][1]


def test_clock_skew_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ahead() -> datetime:
        return datetime.now(UTC) + timedelta(minutes=5)

    with S3Server.in_thread(clock=ahead) as server:
        use(monkeypatch, server)
        assert main(["doctor", LOCATION]) == 0
    verdict, text = findings(capsys.readouterr().out)["clock"]
    assert verdict == "[warn]"
    assert "behind" in text


def test_invalid_configuration_is_named(
    server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text("[profile broken\n")
    use(monkeypatch, server, AWS_CONFIG_FILE=str(tmp_path / "config"))
    assert main(["doctor", LOCATION]) == 1
    assert findings(capsys.readouterr().out)["configuration"][0] == "[FAIL]"


def test_wrong_secret_is_named(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server, AWS_SECRET_ACCESS_KEY="je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY")
    assert main(["doctor", LOCATION]) == 1
    out = capsys.readouterr().out
    assert "SignatureDoesNotMatch" in findings(out)["request"][1]
    assert "check the secret access key" in out


def test_link_is_checked_without_credentials(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server)
    assert main(["presign", LOCATION]) == 0
    link = capsys.readouterr().out.strip()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert main(["doctor", link]) == 0
    out = capsys.readouterr().out
    assert list(findings(out)) == ["DNS", "TCP", "clock", "request"]
    assert "X-Amz-Signature" not in out


def test_json_has_one_line_for_each_step(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server)
    assert main(["doctor", "--json", f"s3://{BUCKET}/missing"]) == 1
    steps = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert steps[0] == {
        "step": "region", "verdict": "ok", "text": server.region, "advice": ""
    }  # fmt: skip
    assert (steps[-1]["step"], steps[-1]["verdict"]) == ("request", "failed")

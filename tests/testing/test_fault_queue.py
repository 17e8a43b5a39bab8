import pytest

from aios3get.testing import S3Server, faults
from tests.testing_client import send


@pytest.fixture
def server(server: S3Server) -> S3Server:
    server.create_bucket("public", public=True)
    server.put_object("public", "key")
    return server


def test_fault_applies_to_the_requests_that_match(server: S3Server) -> None:
    server.put_object("public", "other", b"")
    server.faults.add(faults.status(500), key="other")
    server.faults.add(faults.status(501), method="HEAD")
    server.faults.add(faults.status(502), bucket="elsewhere")
    server.faults.add(faults.status(503), after=1)
    server.faults.add(faults.status(504), where=lambda request: "x-odd" in request.headers)
    statuses = [
        send(server, "/public/key").status,
        send(server, "/public/key").status,
        send(server, "/public/other").status,
        send(server, "/public/key", method="HEAD").status,
        send(server, "/public/key", {"x-odd": "1"}, method="HEAD").status,
        send(server, "/public/key").status,
    ]
    assert statuses == [200, 503, 500, 501, 504, 200]
    assert [fault.name for fault in server.faults.pending] == ["status(502, 'Error')"]
    server.faults.clear()
    assert server.faults.pending == ()


def test_fault_with_times_none_applies_for_ever(server: S3Server) -> None:
    server.faults.add(faults.status(503), times=None)
    assert [send(server, "/public/key").status for _ in range(3)] == [503] * 3


@pytest.mark.parametrize("times", [0, -1])
def test_fault_that_would_never_apply_is_refused(server: S3Server, times: int) -> None:
    with pytest.raises(ValueError, match="times"):
        server.faults.add(faults.status(503), times=times)

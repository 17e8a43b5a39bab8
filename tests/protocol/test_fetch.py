from aios3get._protocol.fetch import FetchedResponse, FetchRequest

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_repr_shows_neither_query_nor_headers_nor_body() -> None:
    url = f"https://user:hunter2@sts.amazonaws.com:8443/?token={SECRET}"
    request = FetchRequest("POST", url, {"Authorization": SECRET}, SECRET.encode())
    assert repr(request) == "FetchRequest(POST sts.amazonaws.com:8443)"
    assert repr(FetchedResponse(200, body=SECRET.encode())) == "FetchedResponse(200, 40 bytes)"


def test_error_reporters_cannot_walk_into_a_request() -> None:
    for value in (FetchRequest("GET", "http://localhost/"), FetchedResponse(200)):
        assert not hasattr(value, "__iter__")
        assert not hasattr(value, "__dict__")

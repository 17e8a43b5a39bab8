"""Requests to the embedded server, signed by botocore and sent by ``http.client``."""

import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from xml.etree.ElementTree import fromstring

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from multidict import CIMultiDict

from aios3get.testing import S3Server, ServerCredentials

BUCKET = "examplebucket"
KEY = "photos/2006/February/sample.jpg"
PATH = f"/{BUCKET}/{KEY}"
BODY = bytes(range(256)) * 40
ETAG = f'"{hashlib.md5(BODY).hexdigest()}"'


@dataclass
class Reply:
    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def error(self) -> dict[str, str]:
        return {element.tag: element.text or "" for element in fromstring(self.body)}

    @property
    def code(self) -> str:
        return self.error["Code"]


def boto(server: S3Server, **options: Any) -> Any:
    credentials = options.pop("credentials", server.credentials)
    config = Config(
        signature_version="s3v4",
        retries={"max_attempts": 0},
        s3={"addressing_style": "path"},
        **options.pop("config", {}),
    )
    return botocore.session.Session().create_client(
        "s3",
        region_name=options.pop("region_name", "us-east-1"),
        endpoint_url=server.endpoint_url,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
        config=config,
        **options,
    )


def _boto_credentials(credentials: ServerCredentials) -> Credentials:
    return Credentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )


def sign(
    server: S3Server,
    path: str = PATH,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    host: str | None = None,
    body: bytes = b"",
    credentials: ServerCredentials | None = None,
    service: str = "s3",
    region: str = "us-east-1",
    auth: type[botocore.auth.BaseSigner] = botocore.auth.S3SigV4Auth,
) -> dict[str, str]:
    host = host or f"{server.host}:{server.port}"
    request = AWSRequest(
        method, f"http://{host}{path}", headers={"Host": host, **(headers or {})}, data=body
    )
    known = _boto_credentials(credentials or server.credentials)
    auth(known, service, region).add_auth(request)
    return dict(request.headers.items())


def presign(
    server: S3Server,
    path: str = PATH,
    *,
    expires: Any = 60,
    host: str | None = None,
    credentials: ServerCredentials | None = None,
    service: str = "s3",
    region: str = "us-east-1",
    auth: Any = botocore.auth.S3SigV4QueryAuth,
) -> str:
    request = AWSRequest("GET", f"http://{host or f'{server.host}:{server.port}'}{path}")
    known = _boto_credentials(credentials or server.credentials)
    auth(known, service, region, expires=expires).add_auth(request)
    url: str = request.url
    return "/" + url.split("/", 3)[3]


def send(
    server: S3Server,
    path: str = PATH,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes = b"",
) -> Reply:
    connection = HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        own = {"Host": f"{server.host}:{server.port}", "Content-Length": str(len(body))}
        for name, value in {**own, **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, CIMultiDict(response.getheaders()), response.read())
    finally:
        connection.close()


def call(server: S3Server, path: str = PATH, **options: Any) -> Reply:
    method, body = options.get("method", "GET"), options.get("body", b"")
    return send(server, path, sign(server, path, **options), method=method, body=body)


def get(server: S3Server, query: str = "", method: str = "GET", **headers: str) -> Reply:
    """A signed request for the object; underscores in header names stand for hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(server, PATH + query, method=method, headers=sent)


def raw(server: S3Server, path: str = "/public/key", *lines: str, method: str = "GET") -> bytes:
    """All bytes received until the server closes; a reset appends ``<reset>``."""
    request = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""))
    received = b""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            received += b"<reset>"
    return received
